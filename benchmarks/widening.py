"""What it is worth to go on beyond a rim, and what it costs. ``python -m benchmarks.widening``.

Grid, interval and polish search the inner part of recorded maps, whose axes have the ends of the map as limits; as in
:mod:`benchmarks.choosing`, values are drawn and nothing is trained. For each number of rounds (``[grid] widen``): what
the peak and the best finalist lack to the best cell of the whole map, in points, how many trainings there were, and
their price, which is (width + 100) / sqrt(batch) a training, roughly proportional to the digits' seconds.

Draws 0 to 199 were for tuning, reported are those from 1000 on. With ``--out`` the same call goes on where it was.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.choosing import Surface, search
from zonesearch.core.space import Space
from zonesearch.core.trials import Params

CUTS: dict[str, tuple[str, dict[str, tuple[float, float]]]] = {
    "digits, width to 1024": ("digits_wide", {"width": (16, 1024)}),
    "digits, width to 256, batch from 32": ("digits_wide", {"width": (16, 256), "batch": (32, 256)}),
    "MNIST, width to 512": ("mnist_full", {"width": (128, 512)}),
    "MNIST, width to 384, batch to 128": ("mnist_full", {"width": (128, 384), "batch": (16, 128)}),
    "MNIST rates, from 0.1, batch to 128": ("mnist_rates", {"learning_rate": (0.1, 2.0), "batch": (16, 128)}),
}
"""By name: a recorded map, and which part of its axes is searched first."""


def inner(space: Space, cut: Mapping[str, tuple[float, float]]) -> Space:
    """The part of a space, with what lies beyond as limits."""
    axes: list[Any] = []
    for axis in space.axes:
        if axis.name in cut:
            low, high = cut[axis.name]
            row = [value for value in axis.row() if low <= value <= high]  # type: ignore[operator]
            rule = axis.row_rule if isinstance(axis.row_rule, str) else tuple(row)  # type: ignore[union-attr]
            ends = {"limit_low": axis.low, "limit_high": axis.high}  # type: ignore[union-attr]
            axis = replace(axis, low=row[0], high=row[-1], row_rule=rule, **ends)  # type: ignore[arg-type]
        axes.append(axis)
    return Space(tuple(axes))


def price(params: Params) -> float:
    """Of one training."""
    return (float(params.get("width", 0.0)) + 100.0) / float(params["batch"]) ** 0.5  # type: ignore[arg-type]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", default=";".join(CUTS))
    parser.add_argument("--rounds", default="0,1,3")
    parser.add_argument("--first", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--out", type=Path, default=Path("widening.jsonl"))
    wanted = parser.parse_args(arguments)
    lines = wanted.out.read_text(encoding="utf-8").splitlines() if wanted.out.exists() else []
    known = {(r["cut"], r["rounds"], r["draw"]): r for r in map(json.loads, lines)}
    draws = range(wanted.first, wanted.first + wanted.draws)
    keys = ("peak", "best", "trainings", "price")
    print(f"| map | rounds | {' | '.join(keys)} |\n" + "| --- " * (2 + len(keys)) + "|")
    for cut in wanted.cuts.split(";"):
        name, part = CUTS[cut]
        surface = Surface(name, smooth=True)
        surface = surface.within(inner(surface.space, part))
        for rounds in map(int, wanted.rounds.split(",")):
            for draw in draws:
                if (cut, rounds, draw) not in known:
                    found = search(surface, draw, {"grid": {"widen": rounds}} if rounds != 3 else {}, price)
                    known[cut, rounds, draw] = record = {"cut": cut, "rounds": rounds, "draw": draw, **found}
                    with wanted.out.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(record) + "\n")
            values = [np.array([known[cut, rounds, draw][key] for draw in draws], dtype=float) for key in keys]
            columns = [f"{v.mean():.3f} ± {v.std() / len(v) ** 0.5:.3f}" for v in values[:2]]
            print(
                f"| {cut} | {rounds} | {' | '.join([*columns, *(f'{v.mean():,.0f}' for v in values[2:])])} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
