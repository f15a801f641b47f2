"""Dealing work to machines: a partition, balanced, the same on every machine."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.run.objectives import answer
from zonesearch.core.objective import Job
from zonesearch.core.trials import Training, Trial, Trials
from zonesearch.errors import StudyError
from zonesearch.run.shards import Deal, Shard, deal, n_shards_in, next_commands, remaining, shard_statuses


def jobs_of(costs: list[float]) -> list[Job]:
    return [Job((Training({"x": i}, 0), Training({"x": i}, 1)), cost) for i, cost in enumerate(costs)]


costs = st.lists(st.floats(0.5, 100), max_size=30)


@given(costs, st.integers(1, 9))
def test_deal_gives_each_job_to_exactly_one_shard(costs: list[float], n: int) -> None:
    jobs = jobs_of(costs)
    shards = deal(jobs, n)
    assert len(shards) == n
    assert sorted(b.key for shard in shards for b in shard) == sorted(b.key for b in jobs)


@given(costs, st.integers(1, 9), st.randoms())
def test_deal_does_not_depend_on_the_order_of_the_jobs(costs: list[float], n: int, random: object) -> None:
    jobs = jobs_of(costs)
    shuffled = list(jobs)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert deal(shuffled, n) == deal(jobs, n)


@given(costs, st.integers(1, 9))
def test_deal_is_balanced_to_within_the_dearest_job(costs: list[float], n: int) -> None:
    loads = [sum(b.cost for b in shard) for shard in deal(jobs_of(costs), n)]
    assert max(loads) - min(loads) <= max(costs, default=0) * (1 + 1e-9)


def test_deal_takes_every_nth_in_key_order_when_costs_are_equal() -> None:
    jobs = sorted(jobs_of([1.0] * 16), key=lambda b: b.key)
    assert deal(jobs, 8) == [jobs[i::8] for i in range(8)]


@given(st.integers(0, 8))
def test_remaining_is_what_the_trials_do_not_answer(n_done: int) -> None:
    jobs = jobs_of([2.0] * 4)
    trainings = [t for b in jobs for t in b.trainings]
    done = Trials(answer(t) for t in trainings[:n_done])
    left = remaining(jobs, done)
    assert [t for b in left for t in b.trainings] == trainings[n_done:]
    assert sum(b.cost for b in left) == pytest.approx(8 - n_done)


def test_shard_statuses_count_what_came_of_each_part() -> None:
    jobs = jobs_of([1.0] * 4)
    parts = deal(jobs, 2)
    first = [t for b in parts[0] for t in b.trainings]
    trials = Trials(
        [
            answer(first[0]),
            Trial(first[1], "diverged"),
            Trial(first[2], "failed", error="no"),
            answer(Training({"y": 1})),
        ]
    )
    wanted = [t for b in jobs for t in b.trainings]
    one, two = shard_statuses(wanted, [Deal.of(parts)], trials)
    assert (str(one.shard), one.n_done, one.n_missing, one.n_diverged, one.n_failed) == ("1/2", 3, 1, 1, 1)
    assert (str(two.shard), two.n_done, two.n_missing, two.n_trainings) == ("2/2", 0, 4, 4)


def test_next_commands_are_those_of_the_unfinished_shards() -> None:
    jobs = jobs_of([1.0] * 4)
    parts = deal(jobs, 2)
    done = Trials(replace(answer(t), provenance={"shard": "1/2"}) for job in parts[0] for t in job.trainings)
    assert n_shards_in(done) == 2
    assert n_shards_in(Trials()) == 1
    wanted = [t for b in jobs for t in b.trainings]
    dealt = [Deal.of(parts)]
    assert next_commands(shard_statuses(wanted, dealt, done), "digits.toml", "runs/all") == [
        "zonesearch run digits.toml --shard 2/2",
        "zonesearch merge RUN... --into runs/all",
    ]
    rest = Trials(answer(t) for job in parts[1] for t in job.trainings)
    assert next_commands(shard_statuses(wanted, dealt, done | rest), "digits.toml", "runs/all") == [
        "zonesearch run digits.toml --into runs/all"
    ]


def test_shard_is_read_from_text() -> None:
    assert Shard.parse(" 2/8 ") == Shard(2, 8)
    assert Shard(2, 8).writer == "shard-2-of-8"
    for wrong in ("0/8", "9/8", "2", "a/b", "2/8/3", "-1/2"):
        with pytest.raises(StudyError, match="such as 2/8"):
            Shard.parse(wrong)
