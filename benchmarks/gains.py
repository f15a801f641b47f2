"""What zones, intervals and schedules give over the best cell of a plain grid.

``python -m benchmarks.gains RUN [--seeds 20] [--json]`` takes what a finished run would have chosen at each of its
stages, trains each choice with the same seeds, none of which the run has used, and holds the test accuracies against
those of the plain grid's choice: one seed a cell, the best one taken.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from zonesearch.core.objective import Objective
from zonesearch.core.seeding import FRESH
from zonesearch.core.trials import Params, Training
from zonesearch.run.recorded import read_run
from zonesearch.statistics.candidates import as_candidates
from zonesearch.statistics.findings import Findings
from zonesearch.statistics.noise import map_cells
from zonesearch.study.files import read_study

FIRST_SEED = 2 * FRESH
"""Maps count seeds from 0, finalists are repeated from ``FRESH`` on."""


@dataclass(frozen=True)
class Choice:
    """What one would train after a stage.

    Args:
        by: the stage.
        params: chosen.
        mean: test accuracy over the seeds, in per cent; ``half`` half the width of its 95 % interval.
        gain: mean paired difference to the plain grid's choice, ``low`` and ``high`` its 95 % interval.
    """

    by: str
    params: Params
    mean: float
    half: float
    gain: float
    low: float
    high: float


def chosen(findings: Findings) -> dict[str, Params]:
    """The choices, the plain grid's first."""
    points = list(findings.space.grid())
    known = map_cells(points, findings.trials, seeds=[0], epochs=findings.epochs, reading=findings.reading)
    plain = max((cell for cell in known if cell.values), key=lambda cell: cell.mean)
    candidates = as_candidates(findings.candidates or findings.zones)
    found = {"plain grid, one seed": plain.params, "zones": findings.zones[0].peak}
    found["intervals"] = max(candidates, key=lambda candidate: candidate.value).params
    verdict = findings.verdict
    if verdict is None or verdict.best is None or verdict.recommended is None:
        raise SystemExit(f"{findings.name} has no verdict yet: let `zonesearch run` finish it")
    found["schedules, the best"] = verdict.best.finalist.params
    found["schedules, recommended"] = verdict.recommended.finalist.params
    return found


def measure(objective: Objective, choices: Mapping[str, Params], epochs: int, n_seeds: int) -> list[Choice]:
    """Every choice with the same fresh seeds, on the test split."""
    seeds = range(FIRST_SEED, FIRST_SEED + n_seeds)
    trainings = dict.fromkeys(Training(p, seed, epochs, test=True) for p in choices.values() for seed in seeds)
    found: dict[Training, float] = {}
    for bundle in objective.bundles(tuple(trainings)):
        for trial in objective.train(bundle, lambda share: None):
            found[trial.training] = 100 * (math.nan if trial.test_accuracy is None else trial.test_accuracy)
    values = {
        by: np.array([found[Training(params, seed, epochs, test=True)] for seed in seeds])
        for by, params in choices.items()
    }
    plain = next(iter(values.values()))
    return [
        Choice(by, choices[by], float(mine.mean()), half_width(mine), *_gain(mine - plain))
        for by, mine in values.items()
    ]


def half_width(values: np.ndarray) -> float:
    """Of the 95 % interval of the mean, Student's t."""
    n = len(values)
    return float(stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / math.sqrt(n)) if n > 1 else math.nan


def _gain(differences: np.ndarray) -> tuple[float, float, float]:
    mean, half = float(differences.mean()), half_width(differences)
    return mean, mean - half, mean + half


def text(choices: list[Choice]) -> str:
    """The table in Markdown."""
    lines = ["| chosen by | setting | test accuracy | gain over the plain grid |", "| --- | --- | --- | --- |"]
    for choice in choices:
        setting = ", ".join(f"{name} {value}" for name, value in choice.params.items())
        gain = f"{choice.gain:+.2f} % ({choice.low:+.2f} to {choice.high:+.2f})"
        lines.append(
            f"| {choice.by} | {setting} | {choice.mean:.2f} % ± {choice.half:.2f} "
            f"| {gain if choice is not choices[0] else ''} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a finished run of a study file")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    findings, _ = read_run(options.run)
    study = read_study(options.run / "study.toml")
    choices = measure(study.objective(), chosen(findings), study.epochs, options.seeds)
    print(json.dumps([asdict(choice) for choice in choices]) if options.json else text(choices))


if __name__ == "__main__":
    main()
