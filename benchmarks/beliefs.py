"""What a belief about the axes saves when it is right, and costs when it is wrong.

    python -m benchmarks.beliefs --seeds 8

The surrogate searches surfaces with one peak three times with the same seeds: without beliefs, with one on every axis
around the peak, and with one around the point opposite to it. The number is the median regret of the best point trained
so far, 0 the best there is and 1 a blind pick, after 8, 12, 20 and 30 trainings.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.surfaces import Surface, make_surface
from zonesearch import run_pipeline
from zonesearch.core.axes import Axis
from zonesearch.core.beliefs import Belief
from zonesearch.core.space import Space

AFTER = (8, 12, 20, 30)
SPREAD = 0.15
"""Of each belief, in sides of the unit cube."""


def believing(surface: Surface, kind: str) -> Space:
    """The space of a surface with beliefs on its axes: ``none``, ``right`` or ``wrong``."""
    if kind == "none":
        return surface.space
    axes = []
    for axis, u in zip(surface.space.axes, surface.peaks[0], strict=True):
        assert isinstance(axis, Axis)
        place = u if kind == "right" else (0.1 if u > 0.5 else 0.9)
        log = axis.scale == "log"
        spread = (axis.high / axis.low) ** SPREAD if log else SPREAD * (axis.high - axis.low)
        axes.append(replace(axis, prior=Belief(float(axis.from_unit(place)), spread)))
    return replace(surface.space, axes=tuple(axes))


def regrets(surface: Surface, kind: str, seed: int) -> list[float]:
    """The regret of the best point after so many trainings each."""
    asked: list[float] = []

    def train(params: dict[str, Any], seed_index: int, epochs: int) -> float:
        asked.append(surface.regret(params))
        return surface(params, 1000 * seed + seed_index, epochs)

    space = believing(surface, kind)
    run_pipeline(space, objective=train, stages=["surrogate"], seed=seed, surrogate={"n_trainings": max(AFTER)})
    return [min(asked[:n]) for n in AFTER]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--surfaces", default="one-2,one-3,one-4")
    options = parser.parse_args()
    print("| belief | " + " | ".join(f"after {n}" for n in AFTER) + " |\n| --- |" + " --- |" * len(AFTER))
    for kind in ("none", "right", "wrong"):
        found = [
            regrets(make_surface(f"{name}#{seed}"), kind, seed)
            for name in options.surfaces.split(",")
            for seed in range(options.seeds)
        ]
        print(f"| {kind} | " + " | ".join(f"{value:.2f}" for value in np.median(found, axis=0)) + " |")


if __name__ == "__main__":
    main()
