"""A run in a plug-in's storage, which is read and written like a run folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from zonesearch.core.trials import Training, Trial, Trials
from zonesearch.errors import StoreError, ZoneSearchError
from zonesearch.run.shards import Deal
from zonesearch.run.storage.identity import fingerprint, plain_identity
from zonesearch.run.storage.lengths import looks_at_length
from zonesearch.run.storage.presence import rescue
from zonesearch.run.storage.record import (
    Heading,
    Line,
    heading_line,
    parse,
    sound_trial,
    to_heading,
    trial_line,
)
from zonesearch.run.storage.run_folder import continued
from zonesearch.run.storage.storage import Storage, open_storage
from zonesearch.run.storage.store import Loaded, same_study

__all__ = ["Kept"]


@dataclass
class Kept:
    """The trials of a run in a storage; created by :meth:`create_or_open` (for writing) or :meth:`open` (for reading).

    Args:
        place: the storage as the user names it, ``NAME://ADDRESS``.
        storage: keeps the lines.
        heading: what the run belongs to; a new one is written with the first record, or with :meth:`begin`.
        notes: notes for the user, as sentences.
    """

    place: str
    storage: Storage
    heading: Heading
    notes: tuple[str, ...] = ()
    _written: Heading | None = field(default=None, repr=False)
    _trials: Trials = field(default_factory=Trials, init=False, repr=False)
    _deals: dict[Deal, None] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def create_or_open(
        cls,
        place: str,
        identity: Mapping[str, Any],
        *,
        name: str,
        settings: Mapping[str, Any],
        study_text: str | None = None,
        fresh: bool = False,
        older: Sequence[Mapping[str, Any]] = (),
    ) -> Kept:
        """The run at ``place`` for the study with this ``identity``; arguments as for ``RunFolder.create_or_open``.

        Raises:
            StudyError: it belongs to another experiment, or there is no such storage.
            StoreError: it cannot be read, or ``fresh`` is set, which only works for folders.
        """
        if fresh:
            raise StoreError(f"--fresh moves a run folder aside, and {place} is a storage: name another address")
        storage = open_storage(place)
        wanted = Heading(
            fingerprint(identity), name, plain_identity(identity), plain_identity(settings), study_text, _now()
        )
        kept = _last_heading(place, storage)
        if kept is None:
            return cls(place, storage, wanted)
        now = continued(kept, wanted, older, f"the run in {place}", "name another address")
        if now.settings != kept.settings:
            now = replace(now, since=_now())
        return cls(place, storage, now, _written=kept)

    @classmethod
    def open(cls, place: str) -> Kept:
        """The run at ``place``, for reading; nothing is written.

        Raises:
            StudyError: there is no such storage.
            StoreError: it cannot be read, or there is no run.
        """
        storage = open_storage(place)
        heading = _last_heading(place, storage)
        if heading is None:
            raise StoreError(f"there is no run at {place}; `zonesearch run STUDY.toml --into {place}` starts one")
        return cls(place, storage, heading, _written=heading)

    @property
    def pending(self) -> bool:
        """Whether the heading has not been written yet, and the storage holds another one."""
        return self._written is not None and self._written != self.heading

    @property
    def path(self) -> Path | None:
        """None, since it is not a folder."""
        return None

    @property
    def name(self) -> str:
        """The name of the study, on one line whoever wrote it."""
        return " ".join(self.heading.name.splitlines())

    @property
    def study(self) -> str:
        """The fingerprint of the study."""
        return self.heading.study

    @property
    def identity(self) -> Mapping[str, Any]:
        """Everything that makes trials comparable."""
        return self.heading.identity

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings of the search when the run was last written."""
        return self.heading.settings

    @property
    def study_text(self) -> str | None:
        """The study file as it was last used."""
        return self.heading.study_text

    @property
    def trials(self) -> Trials:
        """All trials seen so far."""
        return self._trials

    @property
    def deals(self) -> tuple[Deal, ...]:
        """Assignments of trainings to shards."""
        return tuple(self._deals)

    def load(self) -> Loaded:
        """Read all lines.

        Raises:
            MergeError: a record belongs to another study, or a newer version wrote it.
            StoreError: the storage cannot be read.
        """
        looks, accepted, above = looks_at_length(self.identity), set[Any](), None
        found: list[Trial] = []
        n_torn = 0
        for record in _records(self.place, self.storage):
            if record is None:
                n_torn += 1
                continue
            above = to_heading(record) or above
            same_study(record, above, self.heading, self.place, accepted)
            if "deal" in record and (deal := Deal.parse(record["deal"])):
                self._deals[deal] = None
            if "heading" not in record:
                trial = sound_trial(record, looks)
                n_torn += trial is None
                found += [] if trial is None else [trial]
        self._trials = Trials(found)
        return Loaded(self._trials, n_torn)

    def begin(self) -> None:
        """Write what the run belongs to, if the storage does not say so yet; raises like :meth:`append`."""
        if self._written != self.heading:
            self._append([heading_line(self.heading)])
            self._written = self.heading

    def append(self, trials: Iterable[Trial]) -> None:
        """Record ``trials``.

        Raises:
            StoreError: the storage does not accept them; all known trials are in a rescue file.
        """
        trials = list(trials)
        lines = [trial_line(trial, self.study) for trial in trials]
        if not lines:
            return
        try:
            self.begin()
            self._append(lines)
        except StoreError as error:
            beside = Path.cwd() / self.name
            raise rescue([*self._trials.records(), *trials], self.heading, beside, str(error)) from error
        looks = looks_at_length(self.identity)
        back = [
            sound_trial(record, looks) for line in lines if (record := parse(line))
        ]  # as any other process reads it
        self._trials = self._trials.added(trial for trial in back if trial is not None)

    def note_deal(self, deal: Deal) -> None:
        """Record the assignment to shards in the current round, once; raises like :meth:`append`."""
        if deal not in self._deals:
            self.begin()
            self._append([heading_line(self.heading, deal.describe())])
            self._deals[deal] = None

    def wait_for(
        self, trainings: Sequence[Training], *, look_s: float = 1.0, on_look: Callable[[int], None] | None = None
    ) -> Trials:
        """Poll until others have recorded all of ``trainings``; raises like :meth:`load`."""
        while True:
            missing = self.load().trials.missing(trainings)
            if on_look is not None:
                on_look(len(missing))
            if not missing:
                return self._trials
            time.sleep(look_s)

    def _append(self, lines: Sequence[bytes]) -> None:
        with _plug_in_errors(f"trials cannot be recorded in {self.place}"):
            self.storage.append(lines)

    def __enter__(self) -> Kept:
        with _plug_in_errors(f"the storage {self.place} cannot be locked"):
            self.storage.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        with _plug_in_errors(f"the storage {self.place} cannot be unlocked"):
            self.storage.__exit__(kind, error, tb)


def _records(place: str, storage: Storage) -> Iterator[Line | None]:
    """Each line as a record; None for a damaged one."""
    with _plug_in_errors(f"the storage {place} cannot be read"):
        for line in storage.lines():
            yield parse(bytes(line))


def _last_heading(place: str, storage: Storage) -> Heading | None:
    """The last heading; None for an empty storage."""
    found = None
    for record in _records(place, storage):
        if record is not None and "deal" not in record:
            found = to_heading(record) or found
    return found


@contextmanager
def _plug_in_errors(what: str) -> Iterator[None]:
    """Turn any exception of a storage into a StoreError that begins with ``what``."""
    try:
        yield
    except ZoneSearchError:
        raise
    except Exception as error:
        raise StoreError(f"{what} ({type(error).__name__}: {error}). What was already recorded is safe") from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
