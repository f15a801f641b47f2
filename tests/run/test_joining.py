"""Jobs that a machine puts together anew for its own device, after work was dealt by jobs that all form alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.run.objectives import Sleeper
from zonesearch.core.objective import Job, Report, joined
from zonesearch.core.trials import Training, Trial, Trials
from zonesearch.run.engines.in_process import InProcess
from zonesearch.run.pipeline import estimate
from zonesearch.run.running import run_study
from zonesearch.run.shards import Shard, remaining
from zonesearch.study.files import read_study
from zonesearch.study.study import Study


@dataclass(frozen=True)
class Joiner(Sleeper):
    """One job of all that falls to this machine."""

    per_job: int = 2
    asked: list[tuple[int, int]] = field(default_factory=list, compare=False)
    trained: list[int] = field(default_factory=list, compare=False)

    def joined(self, jobs: Sequence[Job], n_workers: int) -> list[Job]:
        self.asked.append((len(jobs), n_workers))
        return [Job(tuple(t for job in jobs for t in job.trainings), sum(job.cost for job in jobs))]

    def train(self, job: Job, report: Report) -> Iterator[Trial]:
        self.trained.append(len(job.trainings))
        yield from super().train(job, report)


def study(objective: Sleeper) -> Study:
    return Study.of({"x": [1, 2, 3, 4], "y": [1, 2, 3]}, objective, stages=("grid",), seeds=1)


def found(objective: Sleeper, **more: object) -> dict[str, float | None]:
    return {trial.key: trial.accuracy for trial in run_study(study(objective), **more).trials}  # type: ignore[arg-type]


def test_this_machine_trains_as_it_joins() -> None:
    joiner = Joiner()
    assert found(joiner) == found(Sleeper())
    assert (joiner.asked, joiner.trained) == ([(6, 1)], [12])


def test_shards_are_dealt_before_and_join_what_is_left_to_them(tmp_path: Path) -> None:
    parts = []
    for i in (1, 2):
        joiner = Joiner()
        parts.append(found(joiner, into=tmp_path / str(i), shard=Shard(i, 2)))
        assert (joiner.asked, joiner.trained) == ([(3, 1)], [6])
    plain = found(Sleeper(per_job=2), into=tmp_path / "plain", shard=Shard(1, 2))
    assert parts[0] == plain
    assert parts[0] | parts[1] == found(Sleeper())
    assert not parts[0].keys() & parts[1].keys()


def test_an_interrupted_run_joins_only_what_is_missing(tmp_path: Path) -> None:
    found(Sleeper(per_job=2), into=tmp_path / "run", shard=Shard(1, 2))
    joiner = Joiner()
    assert found(joiner, into=tmp_path / "run") == found(Sleeper())
    assert joiner.trained == [6]


def test_workers_elsewhere_get_the_jobs_of_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(InProcess, "trains_here", False)
    joiner = Joiner()
    assert found(joiner) == found(Sleeper())
    assert (joiner.asked, joiner.trained) == ([], [2] * 6)


def test_a_plan_is_priced_by_jobs_as_this_machine_trains_them() -> None:
    joiner = Joiner()
    (stage,) = estimate(study(joiner), joiner, workers=2)
    assert joiner.asked == [(6, 2)]
    assert set(joiner.trained) == {12}
    assert stage.seconds > 0


def test_what_is_left_of_a_stack_has_its_own_cost() -> None:
    """The large networks of a stack, when only they are missing, are most of its work."""
    recipe = read_study("studies/digits.toml").make_objective()
    small, large = (Training({"width": width, "batch": 16}, 0, 20) for width in (16, 2048))
    [stack] = recipe.jobs([small, large])
    [left] = remaining([stack], Trials([Trial(small, accuracy=0.9)]))
    assert left.cost == pytest.approx(stack.cost / 2)
    [found] = joined(recipe, [left], 2)
    assert found.trainings == (large,)
    assert found.cost > 0.9 * stack.cost
