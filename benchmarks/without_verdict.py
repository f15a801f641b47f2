"""What grid and intervals find and spend when no verdict follows. ``python -m benchmarks.without_verdict``.

Quadratic valleys with a ripple in two axes, one of them logarithmic, with and without noise; a grid of nine values an
axis, so that most budgets make it coarser. The regret is what the setting that ``zonesearch train`` would take lacks of
the best of 201 x 201 points, without noise; nothing is trained. Seeds 3000 to 3011, stated before they were run.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Callable, Mapping
from typing import Any

from zonesearch import Study, Trial, Trials
from zonesearch.run.pipeline import find, next_round
from zonesearch.run.settled import settle

AXES = {"a": {"low": 0.0, "high": 1.0, "row": 8}, "b": {"low": 1e-3, "high": 1.0, "scale": "log", "row": 8}}
SEEDS = (1, {"first": 1, "zone": 3})

Surface = Callable[[Mapping[str, Any]], float]


def surface(seed: int) -> tuple[Surface, float]:
    """A surface and the value of its best point."""
    draw = random.Random(seed)
    middle = draw.random(), draw.random()
    wide = draw.uniform(1, 6), draw.uniform(1, 6)
    turn, ripple, pace = draw.uniform(-1, 1), draw.uniform(0, 0.05), draw.uniform(3, 8)

    def value(params: Mapping[str, Any]) -> float:
        x, y = params["a"] - middle[0], (math.log10(params["b"]) + 3) / 3 - middle[1]
        bowl = wide[0] * x * x + wide[1] * y * y + turn * math.sqrt(wide[0] * wide[1]) * x * y
        return float(0.9 - 0.1 * bowl + ripple * math.cos(pace * x) * math.cos(pace * y))

    return value, max(value({"a": i / 200, "b": 10 ** (3 * j / 200 - 3)}) for i in range(201) for j in range(201))


def searched(value: Surface, noise: float, seeds: Any, n: int, seed: int) -> tuple[Mapping[str, Any], int]:
    """The setting that a search of ``n`` trainings takes, and how many it spent."""
    study = Study.of(AXES, lambda params: 0.0, stages=["grid", "interval"], seeds=seeds, budget={"trainings": n})
    trials = Trials()
    while not (at := next_round(study.stages, trials, study.budget)).finished:
        for training in at.missing:
            draw = random.Random(repr((sorted(training.params.items()), training.seed, seed)))
            trials |= Trials([Trial(training, accuracy=value(training.params) + noise * draw.gauss(0, 1))])
    return settle(find(study, trials)).params, len(trials)


def main() -> None:
    """Print a row for each noise, number of seeds and budget."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="3000-3011", help="of the surfaces")
    low, high = map(int, parser.parse_args().seeds.split("-"))
    for noise in (0.0, 0.005):
        for seeds in SEEDS:
            for n in (30, 60, 100):
                found = []
                for seed in range(low, high + 1):
                    value, top = surface(seed)
                    params, spent = searched(value, noise, seeds, n, seed)
                    found.append((top - value(params), spent))
                regret, spent_ = (sum(column) / len(found) for column in zip(*found, strict=True))
                print(
                    f"noise {noise:g}, seeds {seeds}, budget {n}: regret {regret:.5f}, spent {spent_:.1f}", flush=True
                )


if __name__ == "__main__":
    main()
