"""A budget of time is that of the command: choosing the points counts, and a finished run is read quickly."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from zonesearch import Plan, Study, Training, Trial, Trials, run_pipeline
from zonesearch.run.pipeline import next_round
from zonesearch.run.recorded import read_recorded
from zonesearch.search.clock import marks_of, taken, trained
from zonesearch.search.stage import Forecast

ASKED: list[int] = []


@dataclass(frozen=True)
class Thinking:
    """A search that takes ``pause`` seconds to choose the next point."""

    n_trainings: int = 200
    pause: float = 0.0
    name: str = "thinking"
    epochs: int = 1

    def plan(self, given: Any, trials: Trials) -> Plan:
        ASKED.append(len(trials))
        time.sleep(self.pause)
        trainings = [Training({"x": i / 1000}, 0, 1) for i in range(self.n_trainings)]
        missing = trials.missing(trainings)
        if missing:
            return Plan((*(t for t in trainings if t not in missing), missing[0]))
        return Plan(tuple(trainings), len([t for t in trainings if trials.get(t).complete]))  # type: ignore[union-attr]

    def forecast(self, given: Any) -> Forecast:
        return Forecast(self.n_trainings, 1, 1, (Training({"x": 0.0}, 0, 1),))


def _quick(params: Any, seed: int) -> float:
    return 0.5 + float(params["x"]) / 10


def test_choosing_points_counts_and_the_end_is_recorded(tmp_path: Path) -> None:
    space, into = {"x": {"low": 0.0, "high": 1.0}}, tmp_path / "run"
    search: Any = {"objective": _quick, "stages": [Thinking(pause=0.02)], "budget": {"seconds": 0.5}, "into": into}
    first = run_pipeline(space, **search)
    assert 1 <= len(first.trials) <= 26, "each took 0.02 s to choose"
    assert first.results.stages[0].finished
    assert first.results.stages[0].budget_cut
    again = run_pipeline(space, **search)
    assert {trial.training.key for trial in again.trials} == {trial.training.key for trial in first.trials}
    assert [stage.wanted for stage in again.results.stages] == [stage.wanted for stage in first.results.stages]
    assert len(read_recorded(into).results.trials) == len(first.trials), "also where the stage is not known"


def test_a_search_that_time_ended_is_not_asked_for_the_rest_round_by_round() -> None:
    study = Study.of({"x": {"low": 0.0, "high": 1.0}}, _quick, stages=[Thinking()], budget={"seconds": 10})
    trials = Trials()
    while not (at := next_round(study.stages, trials, study.budget)).finished:
        trials |= Trials(Trial(training, accuracy=0.5, seconds=1.0) for training in at.missing)
    assert len(trials) == 10
    ASKED.clear()
    assert next_round(study.stages, trials, study.budget) == at
    assert len(ASKED) < 20


def _came(i: int, seconds: float, round_: int, elapsed: float, **where: Any) -> Trial:
    began = f"2026-01-01T00:{round_:02}:00+00:00"
    where = {"started": f"2026-01-01T01:{i:02}:00+00:00", "round": began, "elapsed": elapsed, **where}
    return Trial(Training({"x": i}, 0, 10), accuracy=0.5, seconds=seconds, provenance=where)


@pytest.mark.parametrize(
    ("trials", "wall", "further"),
    [
        ([_came(1, 2, 0, 5), _came(2, 2, 0, 7)], 7, 4),  # three seconds until the first one began
        ([_came(1, 2, 0, 5, worker="a"), _came(2, 2, 0, 5, worker="b")], 5, 2),  # side by side
        ([_came(1, 2, 0, 5), _came(2, 2, 9, 3)], 8, 4),  # a pause between two commands
        ([_came(1, 2, 0, float("nan")), _came(2, 2, 0, -3)], 4, 4),  # of another version
    ],
)
def test_time_is_that_of_the_rounds(trials: list[Trial], wall: float, further: float) -> None:
    marks = [mark for t in trials for mark in marks_of(Trials(trials), t.training.identity, 10)]
    assert taken(marks) == pytest.approx(wall)
    assert trained(marks) == pytest.approx(further)
