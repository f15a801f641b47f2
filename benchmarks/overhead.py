"""What deciding costs: one call of ``advance`` on many trials. ``python -m benchmarks.overhead [--json]``.

The plain stages (grid, interval, polish) in the middle of the last stage of a large run, and one round of eight
suggestions of the surrogate, with a surface of two peaks and normal noise. The least processor time of several calls,
each with trials that nobody has looked at yet.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Sequence

import numpy as np

from zonesearch.core.space import Space
from zonesearch.core.trials import Training, Trial, Trials
from zonesearch.run.pipeline import advance, next_round
from zonesearch.search.stage import Stage
from zonesearch.search.stages.grid import Grid
from zonesearch.search.stages.interval import Interval
from zonesearch.search.stages.polish import Polish
from zonesearch.search.stages.surrogate.stage import Surrogate

BATCH = 8
"""Points of one round of the surrogate."""


def answer(training: Training) -> Trial:
    """Accuracy with noise that belongs to the training."""
    u, v = math.log2(training.params["width"]) - 9, math.log2(training.params["batch"]) - 6
    value = 0.8 + 0.1 * math.exp(-(u**2 + v**2) / 4) + 0.1 * math.exp(-((u - 3) ** 2 + (v - 3) ** 2) / 4)
    noise = np.random.default_rng(int(training.key, 16)).normal(0, 0.003)
    return Trial(training, accuracy=float(value + noise), test_accuracy=float(value))


def space(steps: int) -> Space:
    """Two axes with rows of ``steps`` steps."""
    return Space.parse(
        {
            "width": {"low": 16, "high": 16_384, "scale": "log", "row": steps},
            "batch": {"low": 2, "high": 65_536, "scale": "log", "row": steps},
        }
    )


def reached(stages: Sequence[Stage], n_trials: int) -> Trials:
    """Trials of the run as it goes, the first ``n_trials`` of them at most."""
    trials = Trials()
    while len(trials) < n_trials:
        wanted = next_round(stages, trials).missing
        if not wanted:
            break
        trials |= Trials([answer(training) for training in wanted[: n_trials - len(trials)]])
    return trials


def seconds(stages: Sequence[Stage], trials: Trials, calls: int = 5) -> float:
    """The least time of one call of :func:`advance`."""
    least = math.inf
    for _ in range(calls):
        anew = Trials(list(trials))
        start = time.process_time()
        advance(stages, anew)
        least = min(least, time.process_time() - start)
    return least


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = space(70)
    plain = (Grid(rows, 1, seeds=2), Interval(rows, 1, seeds=2), Polish(rows, 1, seeds=2, schedules=()))
    trials = reached(plain, 10_000)
    figures: dict[str, float] = {"plain_trials": len(trials), "plain_seconds": seconds(plain, trials)}
    for n in (48, 200, 496):
        stages = (Surrogate(space(8), 1, n_trainings=n + BATCH, batch=BATCH),)
        figures[f"surrogate_round_at_{n}"] = seconds(stages, reached(stages, n), calls=3)
    if options.json:
        print(json.dumps(figures))
    else:
        print("\n".join(f"{name:>24}: {value:.4g}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
