"""How long a run took, as recorded in its trials.

A command that searches within a time budget records with each trial when the search for its round began (``round``) and
how long after that the trial came (``elapsed``, seconds), both by its own clock. So the time of a round is that of the
command: choosing the points, starting workers, training, writing. Pauses between commands do not count, parallel
workers and shards count once, and the same trials give the same time on any machine. Trials without these entries, of
other budgets or older versions, count while they were trained.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from zonesearch.core.trials import Training, Trial, Trials

__all__ = ["ELAPSED", "ROUND", "Mark", "busy_seconds", "marks_of", "taken", "trained"]

ROUND, ELAPSED = "round", "elapsed"
"""The entries of a trial's provenance."""


class Mark(NamedTuple):
    """When a trial was trained.

    Args:
        round: when the search for its round began, in seconds of the epoch; NaN if that was not recorded.
        elapsed: when it came, in seconds after that.
        started: when its job began, by the clock of the machine that trained it; NaN if that was not recorded.
        job: what tells jobs apart.
        seconds: of training. The trials of a job are trained one after the other.
    """

    round: float
    elapsed: float
    started: float
    job: tuple[str, ...]
    seconds: float


def marks_of(trials: Trials, identity: Any, epochs: int) -> tuple[Mark, ...]:
    """The marks of the records that together make up a training of this many epochs."""
    found = []
    for trial, whole in _legs(trials, identity, epochs):
        where = trial.provenance
        job = tuple(str(where.get(key, "")) for key in ("started", "host", "worker", "shard"))
        elapsed = _number(where.get(ELAPSED))
        round_ = math.nan if math.isnan(elapsed) else _time(str(where.get(ROUND, "")))
        late = max(0.0, elapsed - (whole - trial.seconds))
        found.append(Mark(round_, late, _time(job[0]), job, trial.seconds))
    return tuple(found)


def taken(marks: Iterable[Mark]) -> float:
    """The time that the marked trainings and the search for them took, in seconds."""
    timed, others = _split(marks)
    spans = [(mark.round, mark.round + mark.elapsed) for mark in timed]
    return math.fsum([*_lengths([*spans, *_jobs(others)]), *_untimed(others)])


def trained(marks: Iterable[Mark]) -> float:
    """The part of it after the first training of each round began: what further trainings cost."""
    timed, others = _split(marks)
    rounds: dict[float, dict[tuple[str, ...], list[Mark]]] = defaultdict(lambda: defaultdict(list))
    for mark in timed:
        rounds[mark.round][mark.job].append(mark)
    spans = list(_jobs(others))
    for begin, jobs in rounds.items():
        ends = [(max(m.elapsed for m in job), math.fsum(m.seconds for m in job)) for job in jobs.values()]
        first = max(0.0, min(end - seconds for end, seconds in ends))
        spans.append((begin + first, begin + max(end for end, _ in ends)))
    return math.fsum([*_lengths(spans), *_untimed(others)])


def busy_seconds(paid: Mapping[Any, int], trials: Trials) -> float:
    """The time that the paid trainings took.

    Args:
        paid: the length of each training, by identity; further epochs do not count.
        trials: all known trials.
    """
    return taken(mark for identity, epochs in paid.items() for mark in marks_of(trials, identity, epochs))


def _split(marks: Iterable[Mark]) -> tuple[list[Mark], list[Mark]]:
    """Those with a recorded round, and the others."""
    timed: list[Mark] = []
    others: list[Mark] = []
    for mark in marks:
        (others if math.isnan(mark.round) else timed).append(mark)
    return timed, others


def _jobs(marks: Sequence[Mark]) -> list[tuple[float, float]]:
    jobs: dict[tuple[str, ...], list[Mark]] = defaultdict(list)
    for mark in marks:
        if not math.isnan(mark.started):
            jobs[mark.job].append(mark)
    return [(job[0].started, job[0].started + math.fsum(mark.seconds for mark in job)) for job in jobs.values()]


def _untimed(marks: Sequence[Mark]) -> list[float]:
    return [mark.seconds for mark in marks if math.isnan(mark.started)]


def _legs(trials: Trials, identity: Any, epochs: int) -> list[tuple[Trial, float]]:
    """The records that together make up a training of this many epochs, each continuing the one before, and the seconds
    of each as recorded.
    """
    records = trials.records_of(identity)
    legs = [(trial, trial.seconds) for trial in records if trial.epochs <= epochs]
    answer = None if legs or not records else trials.get(Training(records[0].params, records[0].seed, epochs))
    return legs if answer is None else [(answer, max(answer.seconds, records[-1].seconds))]


def _number(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 and math.isfinite(value)
    return float(value) if is_number else math.nan


@lru_cache(maxsize=100_000)
def _time(started: str) -> float:
    try:
        return datetime.fromisoformat(started).timestamp()
    except ValueError:
        return math.nan


def _lengths(spans: Iterable[tuple[float, float]]) -> list[float]:
    """The total length of the union of intervals."""
    lengths, end = [], -math.inf
    for begin, stop in sorted(spans):
        lengths.append(max(0.0, stop - max(begin, end)))
        end = max(end, stop)
    return lengths
