"""What the best finalist of a default search lacks, by either way to choose. ``python -m benchmarks.choosing``.

Grid, interval and polish search recorded maps; nothing is trained. A value is one of the recorded residuals of the
nearest cell, drawn with replacement, around a mean that is interpolated between the cells. The truth of a cell is the
mean of its recorded seeds; with ``smooth`` it is drawn towards a Gaussian process through all of them, as far as noise
explains what the better third of the cells differ by from it (for the two wide maps: all of it).

Schedules do what they were measured to do to the digits (12 seeds at each of eight settings): halving every 7 epochs,
and after 3 without progress, lose 0.2 points of validation accuracy, no test accuracy, and have 40 % of a seed's
variance in common with the constant rate; waiting for 10 epochs changes nothing. Test accuracies, which the verdict
compares, differ from validation by what is drawn once for each point, and have 30 % of a seed's variance in common.

Draws 0 to 199 were for tuning, reported are those from 1000 on. With ``--out`` the same call goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zonesearch.benchmark.recording import read_map
from zonesearch.core.space import Space
from zonesearch.core.trials import Params, Training, Trial, Trials
from zonesearch.run.rounds import next_round
from zonesearch.search.stages.polish import SCHEDULES, Polish
from zonesearch.statistics.gp.cube import Cube
from zonesearch.statistics.gp.process import Prior, fit
from zonesearch.statistics.gp.targets import Known
from zonesearch.statistics.map import Map
from zonesearch.study.study import Study

MAPS = {"digits": 0.1, "mnist_full": 0.03, "mnist_rates": 0.03, "digits_rates": 0.1, "digits_wide": 0.1}
"""By name: standard deviation, over points, of test minus validation accuracy, in points."""

WAYS: dict[str, dict[str, Any]] = {
    "mean": {"grid": {"peaks": "mean"}, "interval": {"choose": "mean"}, "polish": {"choose": "mean"}},
    "posterior": {},
}
_STAGES = ("grid", "interval", "polish")
_LOSES = {SCHEDULES[1]: 0.2, SCHEDULES[2]: 0.2}  # points of validation accuracy
_SHARED_BY_SCHEDULES, _SHARED_BY_SPLITS = 0.4, 0.3  # of the variance between seeds
_COPY = SCHEDULES[3]
_FAILED = 0.5  # a drawn training that diverged when it was recorded diverges if its value would be below


class Surface:
    """A recorded map whose cells have true means.

    Args:
        name: of the map in ``benchmarks/recorded``.
        smooth: whether the truth is drawn towards a process.
    """

    def __init__(self, name: str, smooth: bool) -> None:
        self.map = found = read_map(Path(__file__).parent / "recorded" / f"{name}.json")
        self.space = found.space
        self.offset = MAPS[name] / 100
        values = [[found.reading(c, found.metric) if c else math.nan for c in cell.curves] for cell in found.cells]
        worst = float(np.nanmin([value for cell in values for value in cell]))
        known = [np.nan_to_num(np.array(cell), nan=worst) for cell in values]
        self.lost = [[not curve for curve in cell.curves] for cell in found.cells]
        self.residuals = [(v - v.mean()) * math.sqrt(len(v) / (len(v) - 1)) for v in known]
        means = np.array([v.mean() for v in known])
        self.means = self._smooth(known, means) if smooth else means
        self.best = float(self.means.max())
        axes = found.space.axes
        self.rows = [np.array([axis.to_unit(value) for value in axis.row()]) for axis in axes]
        self.grid = np.full([len(row) for row in self.rows], worst)
        self.nearest = np.full(self.grid.shape, -1)
        for k, cell in enumerate(found.cells):
            units = [axis.to_unit(cell.params[axis.name]) for axis in axes]
            at = tuple(int(np.argmin(np.abs(row - u))) for row, u in zip(self.rows, units, strict=True))
            self.grid[at], self.nearest[at] = self.means[k], k

    def _smooth(
        self, known: Sequence[npt.NDArray[np.float64]], means: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        cube = Cube(self.map.space)
        places = [tuple(cube.point(cell.params).tolist()) for cell in self.map.cells]
        data, scale = Known({place: v.tolist() for place, v in zip(places, known, strict=True)}).data(cube)
        process = np.array([scale.back(float(z)) for z in fit(data, Prior()).at_points(np.array(places))[0]])
        top = np.argsort(-means)[: max(10, len(known) // 3)]
        noise = np.array([v.var(ddof=1) / len(v) for v in known])[top].mean()
        real = max(0.0, 1 - float(noise / np.mean((means - process)[top] ** 2)))
        smoothed: npt.NDArray[np.float64] = process + real * (means - process)
        return smoothed

    def within(self, space: Space) -> Surface:
        """The same surface, of which only ``space`` is searched at first."""
        other = copy(self)
        other.space = space
        return other

    def truth(self, params: Params) -> tuple[float, int]:
        """The mean at a point, and the nearest cell."""
        low, share = [], []
        for axis, row in zip(self.map.space.axes, self.rows, strict=True):
            u = axis.to_unit(params[axis.name])
            i = int(np.clip(np.searchsorted(row, u, side="right") - 1, 0, len(row) - 2))
            low.append(i)
            share.append(float(np.clip((u - row[i]) / (row[i + 1] - row[i]), 0, 1)))
        mean = 0.0
        for corner in np.ndindex(*[2] * len(low)):
            weight = math.prod(t if c else 1 - t for c, t in zip(corner, share, strict=True))
            mean += weight * float(self.grid[tuple(i + c for i, c in zip(low, corner, strict=True))]) if weight else 0.0
        return mean, int(self.nearest[tuple(i + (t > 0.5) for i, t in zip(low, share, strict=True))])

    def lacks(self, params: Params, on_validation: bool = False) -> float:
        """Points that a setting lacks to the best cell."""
        loss = _LOSES.get(str(params.get("schedule")), 0.0) if on_validation else 0.0
        return 100 * (self.best - self.truth(params)[0]) + loss

    def answer(self, training: Training, draw: int) -> Trial:
        """What a training comes to."""
        params = {name: value for name, value in training.params.items() if name != "schedule"}
        mean, cell = self.truth(params)
        point, schedule = int(Training(params).key, 16), str(training.params.get("schedule", ""))
        own = [int(Training({"s": schedule}).key, 16) % 2**31] if schedule and schedule != _COPY else []

        def residual(*more: int) -> tuple[float, bool]:
            rng = np.random.default_rng([draw, point, training.seed, *more])
            i = int(rng.integers(len(self.residuals[cell])))
            return float(self.residuals[cell][i]), self.lost[cell][i]

        luck, is_lost = residual()
        if own:
            luck = _mixed(luck, residual(*own)[0], _SHARED_BY_SCHEDULES)
        n = self.map.n_validation or 10_000
        value = mean - _LOSES.get(schedule, 0.0) / 100 + luck
        if is_lost and value < _FAILED:
            return Trial(training, "diverged", metric=self.map.metric)
        more: dict[str, Any] = {}
        if training.test:
            offset = self.offset * float(np.random.default_rng([draw, point, 7]).normal())
            test = mean + offset + _mixed(luck, residual(5, *own)[0], _SHARED_BY_SPLITS)
            more = {"test_accuracy": _counted(test, n), "n_test": n}
        size = int(np.prod([int(1000 * u) for u in self.map.space.unit(params) + 1]))
        return Trial(training, accuracy=_counted(value, n), n_validation=n, n_parameters=size, **more)


def _mixed(a: float, b: float, share: float) -> float:
    return math.sqrt(share) * a + math.sqrt(1 - share) * b


def _counted(value: float, n: int) -> float:
    return min(1.0, max(0.0, round(value * n) / n))


def search(
    surface: Surface, draw: int, way: Mapping[str, Any], price: Callable[[Params], float] = lambda params: 0.0
) -> dict[str, Any]:
    """What the peak and the best finalist of one search lack, in points, and what it trained, at which price."""
    space, epochs = surface.space, surface.map.epochs
    study = Study.of(space, lambda params: 0.0, epochs=epochs, stages=_STAGES, **way)
    stages = [replace(stage, schedules=SCHEDULES) if isinstance(stage, Polish) else stage for stage in study.stages]
    trials = Trials()
    while (at := next_round(stages, trials)).missing:
        trials |= Trials(surface.answer(training, draw) for training in at.missing)
    finalists = [standing.finalist.params for standing in at.output.standings]
    points = {tuple(sorted((k, v) for k, v in params.items() if k != "schedule")) for params in finalists}
    best = at.output.best.finalist.params
    mapped = at.records[0].output
    assert isinstance(mapped, Map)
    return {
        "peak": surface.lacks(mapped.zones[0].peak),
        "best": surface.lacks(best),
        "best on validation": surface.lacks(best, on_validation=True),
        "points": len(points),
        "trainings": len(trials),
        "price": math.fsum(price(trial.params) for trial in trials),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", default="digits,mnist_full,mnist_rates,digits_rates")
    parser.add_argument("--first", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=75)
    parser.add_argument("--out", type=Path, default=Path("choosing.jsonl"))
    wanted = parser.parse_args(arguments)
    lines = wanted.out.read_text(encoding="utf-8").splitlines() if wanted.out.exists() else []
    known = {(r["map"], r["truth"], r["way"], r["draw"]): r for r in map(json.loads, lines)}
    draws = range(wanted.first, wanted.first + wanted.draws)
    keys = ("peak", "best", "best on validation", "points", "trainings")
    print(f"| map | truth | chosen by | {' | '.join(keys)} |\n" + "| --- " * (3 + len(keys)) + "|")
    for name in wanted.maps.split(","):
        for truth in ("smooth", "recorded"):
            surface = Surface(name, truth == "smooth")
            for way in WAYS:
                for draw in draws:
                    if (name, truth, way, draw) not in known:
                        record = {
                            "map": name,
                            "truth": truth,
                            "way": way,
                            "draw": draw,
                            **search(surface, draw, WAYS[way]),
                        }
                        known[name, truth, way, draw] = record
                        with wanted.out.open("a", encoding="utf-8") as file:
                            file.write(json.dumps(record) + "\n")
                found = [[known[name, truth, way, draw][key] for draw in draws] for key in keys]
                cells = [f"{np.mean(v):.3f} ± {np.std(v) / math.sqrt(len(v)):.3f}" for v in found[:3]]
                cells += [f"{np.mean(v):.1f}" for v in found[3:]]
                print(f"| {name} | {truth} | {way} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
