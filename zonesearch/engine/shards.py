"""Which part of the work falls to which of n machines that do not talk to each other.

Every machine forms the same bundles from all trainings of the round (not from what happens to be missing) and deals
them out the same way, so the parts fit together without a word between them. Dealing by the hash of the key modulo n
would need no list, but is not balanced: 16 trainings on 8 machines fell as 1, 3, 0, 3, 1, 3, 5, 0.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from zonesearch.domain.objective import Bundle
from zonesearch.domain.trials import Trials
from zonesearch.errors import StudyError

__all__ = ["Shard", "ShardStatus", "deal", "n_shards_in", "next_commands", "remaining", "shard_statuses"]


@dataclass(frozen=True, order=True)
class Shard:
    """Part ``index`` of ``n``, counted from 1: ``2/8`` is the second of eight.

    Raises:
        StudyError: when there is no such part.
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
    """How far one shard is with the trainings of a round.

    Args:
        shard: which one.
        n_done: trainings that came back, those that diverged or failed among them.
        n_missing: trainings still to be trained.
        n_diverged, n_failed: of those done.
    """

    shard: Shard
    n_done: int
    n_missing: int
    n_diverged: int
    n_failed: int

    @property
    def n_trainings(self) -> int:
        return self.n_done + self.n_missing


def deal(bundles: Sequence[Bundle], n: int) -> list[list[Bundle]]:
    """The bundles of each of ``n`` shards: a partition that depends on the set of bundles alone.

    The dearest first, each to the shard that has least to do (the longest-processing-time rule: Graham, Bounds on
    multiprocessing timing anomalies, 1969, at most 4/3 of the best possible time). With equal costs that is every
    n-th bundle in the order of the keys.

    Args:
        bundles: all of the round, in any order.
        n: the number of shards, at least 1. Some stay empty when there are fewer bundles.
    """
    if n < 1:
        raise ValueError(f"work is dealt to 1 shard or more, not {n}")
    shards: list[list[Bundle]] = [[] for _ in range(n)]
    load = [0.0] * n
    for bundle in sorted(bundles, key=lambda bundle: (-bundle.cost, bundle.key)):
        least = min(range(n), key=load.__getitem__)
        shards[least].append(bundle)
        load[least] += bundle.cost
    return shards


def remaining(bundles: Sequence[Bundle], trials: Trials) -> list[Bundle]:
    """What of ``bundles`` is still to be trained: each cut to its missing trainings, finished ones left out."""
    left = []
    for bundle in bundles:
        missing = trials.missing(bundle.trainings)
        if len(missing) == len(bundle.trainings):
            left.append(bundle)
        elif missing:
            left.append(Bundle(tuple(missing), bundle.cost * len(missing) / len(bundle.trainings)))
    return left


def shard_statuses(bundles: Sequence[Bundle], n: int, trials: Trials) -> list[ShardStatus]:
    """How far each of ``n`` shards of the round with these ``bundles`` is, by the ``trials`` known here."""
    return [_status(Shard(i, n), part, trials) for i, part in enumerate(deal(bundles, n), start=1)]


def n_shards_in(trials: Trials) -> int:
    """Into how many shards the trials say they were dealt; 1 when none says so, the most frequent when they differ."""
    found: Counter[int] = Counter()
    for trial in trials:
        dealt = trial.provenance.get("shard")
        if isinstance(dealt, str):
            found[Shard.parse(dealt).n] += 1
    return max(found, key=lambda n: (found[n], n)) if found else 1


def next_commands(statuses: Sequence[ShardStatus], study: str, run: str) -> list[str]:
    """What to type next, as typed: per unfinished shard on its machine, or to go on when all are there.

    Args:
        statuses: of all shards of the round.
        study: the path of the study file.
        run: the path of the run folder that these statuses were read from.
    """
    open_shards = [status.shard for status in statuses if status.n_missing]
    if not open_shards:
        return [f"zonesearch run {study} --into {run}"]
    return [f"zonesearch run {study} --shard {shard}" for shard in open_shards] + [
        f"zonesearch merge RUN... --into {run}"
    ]


def _status(shard: Shard, bundles: Sequence[Bundle], trials: Trials) -> ShardStatus:
    came = [trials.get(training) for bundle in bundles for training in bundle.trainings]
    states = [trial.state for trial in came if trial is not None]
    return ShardStatus(shard, len(states), len(came) - len(states), states.count("diverged"), states.count("failed"))
