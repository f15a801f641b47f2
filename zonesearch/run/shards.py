"""The assignment of work to n machines that do not communicate.

Every machine forms the same jobs from all trainings of the round (not from the missing ones) and assigns them in the
same way, so the parts fit together without communication. The assignment is recorded with the trials, since forming
jobs takes the objective, which readers of a run may not have. Assigning by the hash of the key modulo n would need no
list, but is not balanced: 16 trainings on 8 machines were split into 1, 3, 0, 3, 1, 3, 5, 0.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from zonesearch.core.objective import Job
from zonesearch.core.trials import Training, Trials
from zonesearch.errors import StudyError

__all__ = [
    "Deal",
    "Shard",
    "ShardStatus",
    "deal",
    "n_shards_in",
    "next_commands",
    "odd_shards",
    "remaining",
    "shard_statuses",
]

_MOST_SHARDS = 100_000
_MOST_COMMANDS = 100


@dataclass(frozen=True, order=True)
class Shard:
    """Part ``index`` of ``n``, counted from 1: ``2/8`` is the second of eight.

    Raises:
        StudyError: there is no such part.
    """

    index: int
    n: int

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.n:
            raise StudyError(f"a shard is I/N with 1 <= I <= N, such as 2/8, not {self.index}/{self.n}")

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``"2/8"``."""
        found = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", text)
        if not found:
            raise StudyError(f'a shard is I/N with 1 <= I <= N, such as 2/8, not "{text}"')
        return cls(int(found[1]), int(found[2]))

    @property
    def writer(self) -> str:
        """The name under which this shard writes its trials."""
        return f"shard-{self.index}-of-{self.n}"

    def __str__(self) -> str:
        return f"{self.index}/{self.n}"


@dataclass(frozen=True)
class ShardStatus:
    """The progress of one shard in a round.

    Args:
        shard: the shard.
        n_done: finished trainings, including diverged and failed ones.
        n_missing: trainings that remain.
        n_diverged, n_failed: of the finished ones.
    """

    shard: Shard
    n_done: int
    n_missing: int
    n_diverged: int
    n_failed: int

    @property
    def n_trainings(self) -> int:
        return self.n_done + self.n_missing


@dataclass(frozen=True)
class Deal:
    """The assignment of trainings to shards in one round.

    Args:
        parts: for each shard in order, the keys of its trainings.
    """

    parts: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, parts: Sequence[Sequence[Job]]) -> Deal:
        """The assignment made by :func:`deal`."""
        return cls(tuple(tuple(training.key for job in part for training in job.trainings) for part in parts))

    @classmethod
    def parse(cls, value: object) -> Deal | None:
        """The inverse of :meth:`describe`; None for anything else."""
        parts = value.get("parts") if isinstance(value, dict) else None
        if not isinstance(parts, list) or not 0 < len(parts) <= _MOST_SHARDS:
            return None
        if not all(isinstance(part, list) and all(isinstance(key, str) for key in part) for part in parts):
            return None
        return cls(tuple(tuple(part) for part in parts))

    def describe(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {"parts": [list(part) for part in self.parts]}

    @property
    def n(self) -> int:
        """The number of shards."""
        return len(self.parts)

    @cached_property
    def shard_of(self) -> dict[str, int]:
        """The index of the shard, counted from 1, by the training's key."""
        return {key: i for i, part in enumerate(self.parts, start=1) for key in part}


def deal(jobs: Sequence[Job], n: int) -> list[list[Job]]:
    """The jobs of each of ``n`` shards: a partition that depends only on the set of jobs.

    The most expensive jobs are assigned first, each to the shard with the least work (the longest-processing-time rule:
    Graham, Bounds on multiprocessing timing anomalies, 1969, at most 4/3 of the best possible time). With equal costs,
    that is every n-th job in the order of keys.

    Args:
        jobs: all jobs of the round, in any order.
        n: number of shards, at least 1; some stay empty if there are fewer jobs.
    """
    if n < 1:
        raise ValueError(f"work is divided among at least 1 shard, not {n}")
    shards: list[list[Job]] = [[] for _ in range(n)]
    load = [0.0] * n
    for job in sorted(jobs, key=lambda job: (-job.cost, job.key)):
        least = min(range(n), key=load.__getitem__)
        shards[least].append(job)
        load[least] += job.cost
    return shards


def remaining(jobs: Sequence[Job], trials: Trials) -> list[Job]:
    """The remaining part of ``jobs``: each reduced to its missing trainings, without finished jobs."""
    left = []
    for job in jobs:
        missing = trials.missing(job.trainings)
        if len(missing) == len(job.trainings):
            left.append(job)
        elif missing:
            left.append(Job(tuple(missing), job.cost * len(missing) / len(job.trainings)))
    return left


def shard_statuses(trainings: Sequence[Training], deals: Iterable[Deal], trials: Trials) -> list[ShardStatus]:
    """The progress of each shard with the ``trainings`` of a round.

    Args:
        trainings: all trainings of the round.
        deals: the assignments of this round and others; the one that contains most of the missing trainings counts.
        trials: known here.

    Returns:
        One status per shard, in order; empty if nothing of this round has been assigned yet.
    """
    keys = {training.key: training for training in trainings}
    missing = [training.key for training in trials.missing(trainings)] or list(keys)
    held = [(sum(key in found.shard_of for key in missing), found.n, found.parts, found) for found in deals]
    if not held or not (best := max(held, key=lambda item: item[:3]))[0]:
        return []
    parts = [[keys[key] for key in part if key in keys] for part in best[-1].parts]
    return [_status(Shard(i, len(parts)), part, trials) for i, part in enumerate(parts, start=1)]


def n_shards_in(trials: Trials) -> int:
    """The number of shards recorded in the trials; 1 if none is recorded, the most frequent one if they differ."""
    found: Counter[int] = Counter()
    for text, n in _said(trials).items():
        shard = _parsed(text)
        if shard is not None:
            found[shard.n] += n
    return max(found, key=lambda n: (found[n], n)) if found else 1


def odd_shards(trials: Trials) -> list[str]:
    """Invalid shard entries in the trials, each once; the entry is ignored, the trial is not."""
    return sorted(text[:40] for text in _said(trials) if _parsed(text) is None)


def _said(trials: Trials) -> Counter[str]:
    said = (trial.provenance.get("shard") for trial in trials.records())
    return Counter(shard if isinstance(shard, str) else repr(shard) for shard in said if shard is not None)


def _parsed(text: str) -> Shard | None:
    try:
        shard = Shard.parse(text)
    except ValueError:  # a StudyError, or more digits than a number may have
        return None
    return shard if shard.n <= _MOST_SHARDS else None


def next_commands(statuses: Sequence[ShardStatus], study: str, run: str, n: int = 0) -> list[str]:
    """The next commands to type: one per unfinished shard, or to continue once all are there.

    Args:
        statuses: of all shards of the round; empty if it has not been assigned yet.
        study: the path of the study file.
        run: the path of the run folder that the statuses come from.
        n: the number of shards, for a round that has not been assigned yet.
    """
    open_shards = [status.shard for status in statuses if status.n_missing]
    if not statuses:
        open_shards = [Shard(i, n) for i in range(1, n + 1)]
    if not open_shards:
        return [f"zonesearch run {study} --into {run}"]
    commands = [f"zonesearch run {study} --shard {shard}" for shard in open_shards[:_MOST_COMMANDS]]
    if len(open_shards) > len(commands):
        commands.append(f"(and {len(open_shards) - len(commands)} more shards)")
    return [*commands, f"zonesearch merge RUN... --into {run}"]


def _status(shard: Shard, trainings: Sequence[Training], trials: Trials) -> ShardStatus:
    came = [trials.get(training) for training in trainings]
    states = [trial.state for trial in came if trial is not None]
    return ShardStatus(shard, len(states), len(came) - len(states), states.count("diverged"), states.count("failed"))
