"""Records that grow without copying, so that adding to an immutable set of trials is cheap.

A :class:`Records` is immutable, but its successor shares its memory: both refer to one append-only log, and each knows
its own length (a persistent vector: Driscoll et al., Making data structures persistent, 1989, for the case that nearly
always the newest version is extended). So the cost of adding to the newest does not depend on the length of the log;
adding to an older one copies it once.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator, Sequence
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar

__all__ = ["Recorded", "Records"]


class _Keyed(Protocol):
    @property
    def identity(self) -> Hashable: ...


class Recorded(Protocol):
    """What a log keeps: it belongs to a training, and can tell whether another record says the same."""

    @property
    def training(self) -> _Keyed: ...

    def says_the_same(self, other: Any) -> bool: ...


_Record = TypeVar("_Record", bound=Recorded)

_Places = int | tuple[int, ...]
"""Positions in the log of the records of one identity, usually one."""


class _Log(Generic[_Record]):
    """All records in order of arrival, and their positions by identity."""

    __slots__ = ("entries", "growing", "places", "repeated")

    def __init__(self, entries: list[_Record], places: dict[Hashable, _Places]) -> None:
        self.entries = entries
        self.places = places
        self.repeated = {identity: None for identity, found in places.items() if isinstance(found, tuple)}
        self.growing = threading.Lock()  # a viewer may read from another thread, and two threads may add

    def copied(self, n: int) -> _Log[_Record]:
        """The first ``n`` records as a log of their own."""
        places = dict(self.places)
        for trial in self.entries[n:]:
            identity = trial.training.identity
            found = places.pop(identity, None)
            kept = tuple(place for place in _all(found) if place < n) if found is not None else ()
            if kept:
                places[identity] = kept[0] if len(kept) == 1 else kept
        return _Log(self.entries[:n], places)


class Records(Generic[_Record]):
    """The records of a set of trials, by identity: a mapping to tuples of trials, in the order of arrival.

    Created empty; extended by :meth:`added`.
    """

    __slots__ = ("_log", "_n", "_n_identities")

    def __init__(self) -> None:
        self._log: _Log[_Record] = _Log([], {})
        self._n = 0
        self._n_identities = 0

    def added(self, trials: Sequence[_Record]) -> Records[_Record]:
        """These records and ``trials``, without duplicates; itself if none is new."""
        with self._log.growing:
            log = self._log if self._n == len(self._log.entries) else self._log.copied(self._n)
            entries, places, n_new = log.entries, log.places, 0
            for trial in trials:
                identity = trial.training.identity
                found = places.get(identity)
                place = len(entries)
                if found is None:
                    n_new += 1
                    entries.append(trial)
                    places[identity] = place
                elif not any(trial.says_the_same(entries[i]) for i in _all(found)):
                    entries.append(trial)
                    places[identity] = (*_all(found), place)
                    log.repeated[identity] = None
            if len(entries) == self._n:
                return self
            made: Records[_Record] = Records.__new__(Records)
            made._log, made._n, made._n_identities = log, len(entries), self._n_identities + n_new
            return made

    def get(self, identity: Hashable, default: tuple[_Record, ...] = ()) -> tuple[_Record, ...]:
        """All records of one identity."""
        places = self._log.places.get(identity)
        if places is None:
            return default
        if isinstance(places, int):
            return (self._log.entries[places],) if places < self._n else default
        return tuple([self._log.entries[i] for i in places if i < self._n]) or default

    def __getitem__(self, identity: Hashable) -> tuple[_Record, ...]:
        found = self.get(identity)
        if not found:
            raise KeyError(identity)
        return found

    def __contains__(self, identity: Hashable) -> bool:
        return bool(self.get(identity))

    def __len__(self) -> int:
        """The number of identities."""
        return self._n_identities

    def items(self) -> Iterator[tuple[Any, tuple[_Record, ...]]]:
        """Each identity with its records, in the order in which identities first came."""
        entries, places = self._log.entries, self._log.places
        for i, trial in enumerate(islice(entries, self._n)):
            identity = trial.training.identity
            found = places[identity]
            if isinstance(found, int):
                yield identity, (trial,)
            elif found[0] == i:
                yield identity, tuple([entries[place] for place in found if place < self._n])

    def repeated(self) -> Iterator[tuple[_Record, ...]]:
        """The records of each identity with more than one record."""
        found = (self.get(identity) for identity in list(self._log.repeated))
        return (trials for trials in found if len(trials) > 1)

    def __iter__(self) -> Iterator[Any]:
        return (identity for identity, _ in self.items())

    def values(self) -> Iterator[tuple[_Record, ...]]:
        """The records of each identity."""
        return (trials for _, trials in self.items())

    def entries(self) -> Iterator[_Record]:
        """Every record, in the order of arrival."""
        return islice(self._log.entries, self._n)

    @property
    def n_entries(self) -> int:
        """The number of records."""
        return self._n


def _all(places: _Places) -> tuple[int, ...]:
    return (places,) if isinstance(places, int) else places
