"""What zones, intervals, schedules, averaging and a strong search give over the best cell of a plain grid, and cost.

``python -m benchmarks.gains RUN [--seeds 20] [--into FOLDER] [--out FILE.json]`` takes what a run would have chosen at
each of the stages that it has finished, trains each choice with the same seeds, none of which the run has used, and
holds the test accuracies against those of the plain grid's choice: one seed a cell, the best one taken. What is trained
is kept in ``FOLDER`` (``RUN-gains``), so that it can be stopped and goes on.

The strong search replays the run's own map, so that its choice is a cell of the map and costs no further training here;
it is priced at the trainings that it asked for.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from zonesearch.benchmark.methods import method
from zonesearch.benchmark.recording import map_of
from zonesearch.benchmark.searching import search
from zonesearch.core.seeding import FRESH
from zonesearch.core.trials import Params, Training, Trials
from zonesearch.run.progress import ProgressBars
from zonesearch.run.recorded import read_run
from zonesearch.run.running import run_study
from zonesearch.search.stage import Forecast, Plan
from zonesearch.statistics.candidates import as_candidates
from zonesearch.statistics.noise import Cell, map_cells
from zonesearch.statistics.search_results import SearchResults
from zonesearch.study.files import read_study
from zonesearch.study.study import Study

FIRST_SEED = 2 * FRESH
"""Maps count seeds from 0, finalists are repeated from ``FRESH`` on."""

STRONG_TRAININGS = 25
"""Of the strong search."""

AVERAGED = ("averaging.kind=weights",)
"""The study with the mean of the weights of the last quarter of the epochs (SWA)."""


@dataclass(frozen=True)
class Chosen:
    """What one would train after a stage.

    Args:
        by: the stage.
        params: chosen.
        spent: trainings of the search until then; None where they are not known.
        overrides: what the choice changes in the study file besides, as ``--set`` takes it.
    """

    by: str
    params: Params
    spent: int | None = None
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """A choice, measured.

    Args:
        by, params, spent: as in :class:`Chosen`.
        mean: test accuracy over the seeds, in per cent; ``half`` half the width of its 95 % interval.
        gain: mean paired difference to the plain grid's choice, ``low`` and ``high`` its 95 % interval.
        values: test accuracy of each seed, in per cent.
    """

    by: str
    params: Params
    mean: float
    half: float
    gain: float
    low: float
    high: float
    spent: int | None = None
    values: tuple[float, ...] = ()


def chosen(results: SearchResults) -> list[Chosen]:
    """The choices of the stages that are finished, the plain grid's first."""
    n_cells = results.space.n_cells
    n_seeds = _seeds_of_all(results)
    if not n_seeds or not results.zones:
        raise SystemExit(f"{results.name} has no map yet: let `zonesearch run` go on")
    spent = _spent(results)
    found = [Chosen("plain grid, one seed", _best_cell(results, 1).params, n_cells)]
    if n_seeds > 1:
        found.append(Chosen(f"plain grid, {n_seeds} seeds", _best_cell(results, n_seeds).params, n_seeds * n_cells))
    found.append(Chosen("zones", results.zones[0].peak, spent["grid"]))
    averaged = found[-1]
    if "interval" in spent:
        candidates = as_candidates(results.candidates or results.zones)
        best = max(candidates, key=lambda candidate: candidate.value).params
        averaged = Chosen("intervals", best, spent["interval"])
        found.append(averaged)
    verdict = results.verdict
    if verdict is not None and verdict.best is not None and verdict.recommended is not None:
        found.append(Chosen("schedules, the best", verdict.best.finalist.params, spent["polish"]))
        found.append(Chosen("schedules, recommended", verdict.recommended.finalist.params, spent["polish"]))
    found.append(Chosen(f"{averaged.by}, weights averaged", averaged.params, averaged.spent, AVERAGED))
    found.append(Chosen(f"strong search, {STRONG_TRAININGS} trainings", _strong(results), STRONG_TRAININGS))
    return found


def _best_cell(results: SearchResults, n_seeds: int) -> Cell:
    """Of a plain grid with so many seeds a cell."""
    points = list(results.space.grid())
    known = map_cells(points, results.trials, seeds=range(n_seeds), epochs=results.epochs, reading=results.reading)
    return max((cell for cell in known if cell.values), key=lambda cell: cell.score)


def _seeds_of_all(results: SearchResults) -> int:
    """How many seeds every cell has."""
    n = 0
    points = [Training(point, 0, results.epochs) for point in results.space.grid()]
    while not results.trials.missing([replace(point, seed=n) for point in points]):
        n += 1
    return n


def _spent(results: SearchResults) -> dict[str, int]:
    """Trainings until the end of each stage."""
    known: set[Any] = set()
    found = {}
    for stage in results.stages:
        if not stage.finished:
            break
        known |= {training.identity for training in stage.wanted}
        found[stage.name] = len(known)
    return found


def _strong(results: SearchResults) -> Params:
    """What the strong search recommends on the map of the run."""
    recorded = map_of(results)
    gridded = replace(recorded, cells=tuple(cell for cell in recorded.cells if _on_grid(cell.params, results)))
    found = search(method("strong"), gridded, budget=min(STRONG_TRAININGS, len(gridded.cells))).recommended
    assert found is not None
    return gridded.cells[gridded.nearest(found)].params


def _on_grid(params: Params, results: SearchResults) -> bool:
    return all(params[axis.name] in axis.row() for axis in results.space.axes)


@dataclass(frozen=True)
class Measurement:
    """The stage that trains some points with fresh seeds and the test split, and chooses nothing.

    Args:
        points: what is trained.
        epochs: of each training; ``n_seeds`` of each point, from ``FIRST_SEED`` on.
    """

    points: tuple[Params, ...]
    epochs: int
    n_seeds: int
    name: str = "measurement"
    heeds: frozenset[str] = field(default=frozenset({"when", "constraints"}), repr=False)

    @property
    def trainings(self) -> tuple[Training, ...]:
        seeds = range(FIRST_SEED, FIRST_SEED + self.n_seeds)
        return tuple(dict.fromkeys(Training(p, seed, self.epochs, test=True) for seed in seeds for p in self.points))

    def plan(self, given: Any, trials: Trials) -> Plan:
        return Plan(self.trainings)

    def forecast(self, given: Any) -> Forecast:
        return Forecast(len(self.trainings), self.epochs, 0, self.trainings[:1])


def measure(
    studies: Mapping[tuple[str, ...], Study],
    choices: Sequence[Chosen],
    n_seeds: int,
    into: Path | None = None,
    trained: bool = False,
) -> list[Choice]:
    """Every choice with the same fresh seeds, on the test split.

    Args:
        studies: the study by the overrides that choices make.
        choices: the first one is what the others are held against.
        n_seeds: fresh seeds of each.
        into: the folder that keeps the trainings; those with overrides lie in folders of their own beside it.
        trained: train nothing and take the seeds with which all choices have been trained.
    """
    values: dict[str, dict[int, float]] = {}
    for number, (overrides, study) in enumerate(studies.items()):
        points = tuple(choice.params for choice in choices if choice.overrides == overrides)
        if not points:
            continue
        stage = Measurement(points, study.epochs, n_seeds)
        folder = None if into is None else into.with_name(f"{into.name}-{number}" if number else into.name)
        measured = replace(study, stages=(stage,), budget=None)
        if trained and folder is not None:
            trials = read_run(folder)[0].trials
        else:
            observer = None if folder is None else ProgressBars(measured, folder)
            trials = run_study(measured, into=folder, observer=observer).results.trials
        for choice in choices:
            if choice.overrides == overrides:
                own = [trials.get(training) for training in replace(stage, points=(choice.params,)).trainings]
                back = [t for t in own if t is not None]
                values[choice.by] = {t.seed: math.nan if t.test_accuracy is None else t.test_accuracy for t in back}
    seeds = sorted(set.intersection(*(set(mine) for mine in values.values())))
    if not seeds:
        raise SystemExit("there is no seed that all choices were trained with")
    tests = {by: 100 * np.array([mine[seed] for seed in seeds]) for by, mine in values.items()}
    plain = tests[choices[0].by]
    return [
        Choice(
            choice.by,
            choice.params,
            float(tests[choice.by].mean()),
            half_width(tests[choice.by]),
            *_gain(tests[choice.by] - plain),
            choice.spent,
            tuple(tests[choice.by].tolist()),
        )
        for choice in choices
    ]


def half_width(values: np.ndarray) -> float:
    """Of the 95 % interval of the mean, Student's t."""
    n = len(values)
    return float(stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / math.sqrt(n)) if n > 1 else math.nan


def _gain(differences: np.ndarray) -> tuple[float, float, float]:
    mean, half = float(differences.mean()), half_width(differences)
    return mean, mean - half, mean + half


def text(choices: Sequence[Choice]) -> str:
    """The table in Markdown."""
    lines = [
        "| chosen by | setting | trainings spent | test accuracy | gain over the plain grid | seeds |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for choice in choices:
        setting = ", ".join(f"{name} {value}" for name, value in choice.params.items())
        gain = f"{choice.gain:+.2f} ({choice.low:+.2f} to {choice.high:+.2f})"
        if choice is choices[0]:
            gain = ""
        elif choice.values and choice.values == choices[0].values:
            gain = "the same setting"
        spent = "" if choice.spent is None else choice.spent
        tested = f"{choice.mean:.2f} % ± {choice.half:.2f}"
        lines.append(f"| {choice.by} | {setting} | {spent} | {tested} | {gain} | {len(choice.values)} |")
    return "\n".join(lines)


def read_choices(path: Path) -> list[Choice]:
    """What ``--out`` wrote."""
    tables = json.loads(path.read_text(encoding="utf-8"))
    return [Choice(**{**table, "values": tuple(table["values"])}) for table in tables]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a run of a study file")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--into", type=Path, help="folder that keeps the trainings (RUN-gains)")
    parser.add_argument("--trained", action="store_true", help="train nothing, take what is in that folder")
    parser.add_argument("--only", metavar="LIST", help="choices, by how their names begin, with commas between")
    parser.add_argument("--out", type=Path, help="write the result as JSON too")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results, _ = read_run(options.run)
    path = options.run / "study.toml"
    choices = chosen(results)
    if options.only:
        names = tuple(name.strip() for name in options.only.split(","))
        choices = [c for c in choices if c is choices[0] or c.by.startswith(names)]
    studies = {
        overrides: read_study(path, list(overrides)) for overrides in dict.fromkeys(c.overrides for c in choices)
    }
    into = options.into or options.run.with_name(f"{options.run.name}-gains")
    measured = measure(studies, choices, options.seeds, into, options.trained)
    described = json.dumps([asdict(choice) for choice in measured], indent=1)
    if options.out:
        options.out.write_text(described + "\n", encoding="utf-8")
    print(described if options.json else text(measured))


if __name__ == "__main__":
    main()
