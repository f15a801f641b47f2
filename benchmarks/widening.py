"""What it is worth to go on beyond a rim, and what it costs. ``python -m benchmarks.widening``.

Grid, interval and polish search the inner part of recorded maps, whose axes have the ends of the map as limits; as in
:mod:`benchmarks.choosing`, values are drawn and nothing is trained. For each rule: what the peak and the best finalist
lack to the best cell of the whole map, how many trainings there were, and their price: a training costs as many units
as it has weights times steps, with that of the median cell of the inner part as the unit.

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

import zonesearch.statistics.expected as expected
from benchmarks.choosing import Surface, search
from zonesearch.core.space import Space
from zonesearch.core.trials import Params

CUTS: dict[str, tuple[str, dict[str, tuple[float, float]]]] = {
    "digits, as in the study": ("digits_wide", {"width": (16, 1024)}),
    "digits, width to 2048": ("digits_wide", {"width": (16, 2048)}),
    "digits, width to 512": ("digits_wide", {"width": (16, 512)}),
    "digits, width to 256, batch from 32": ("digits_wide", {"width": (16, 256), "batch": (32, 256)}),
    "MNIST, width to 512": ("mnist_full", {"width": (128, 512)}),
    "MNIST, width to 384, batch to 128": ("mnist_full", {"width": (128, 384), "batch": (16, 128)}),
    "MNIST rates, to 0.05, batch from 64": ("mnist_rates", {"learning_rate": (0.001, 0.05), "batch": (64, 512)}),
    "MNIST rates, from 0.1, batch to 128": ("mnist_rates", {"learning_rate": (0.1, 2.0), "batch": (16, 128)}),
}
"""By name: a recorded map, and which part of its axes is searched first."""

RULES: dict[str, dict[str, Any]] = {
    "never": {"grid": {"widen": 0}},
    "peak": {"grid": {"widen_when": "peak"}},
    "rising": {},
}


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
    """Weights times steps, up to a factor; the digits' networks have 64 inputs and a hundred operations' worth of the
    rest of a step.
    """
    return (float(params.get("width", 1.0)) + 100.0) / float(params["batch"]) ** 0.5


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", default=";".join(CUTS))
    parser.add_argument("--rules", default=",".join(RULES))
    parser.add_argument("--first", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--out", type=Path, default=Path("widening.jsonl"))
    wanted = parser.parse_args(arguments)
    lines = wanted.out.read_text(encoding="utf-8").splitlines() if wanted.out.exists() else []
    known = {(r["cut"], r["rule"], r["draw"]): r for r in map(json.loads, lines)}
    draws = range(wanted.first, wanted.first + wanted.draws)
    keys = ("peak", "best", "trainings", "price")
    print(f"| map | rule | {' | '.join(keys)} |\n" + "| --- " * (2 + len(keys)) + "|")
    for cut in wanted.cuts.split(";"):
        name, part = CUTS[cut]
        surface = Surface(name, smooth=True)
        surface = surface.within(inner(surface.space, part))
        for rule in wanted.rules.split(","):
            base, _, level = rule.partition(":")
            if level:
                expected._RISES = float(level)
            for draw in draws:
                if (cut, rule, draw) not in known:
                    found = search(surface, draw, RULES[base], price)
                    known[cut, rule, draw] = record = {"cut": cut, "rule": rule, "draw": draw, **found}
                    with wanted.out.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(record) + "\n")
            rows = [known[cut, rule, draw] for draw in draws]
            columns = []
            for key in keys:
                values = np.array([row[key] for row in rows], dtype=float)
                error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
                columns.append(
                    f"{values.mean():.3f} ± {error:.3f}" if values.mean() < 10 else f"{values.mean():.0f} ± {error:.0f}"
                )
            print(f"| {cut} | {rule} | {' | '.join(columns)} |", flush=True)


if __name__ == "__main__":
    main()
