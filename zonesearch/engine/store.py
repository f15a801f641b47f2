"""The trials of a run, as append-only files: one per writing process, one record a line.

The state of a run is the union of its files. So a process may die at any byte (the torn line is skipped and its
training is wanted again), several processes may write side by side, and merging is putting files together, in any
order, any number of times.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

from zonesearch.domain.trials import Training, Trial, Trials
from zonesearch.engine.files import LONGEST_LINE, open_regular, refuse_link
from zonesearch.engine.lengths import Looks, looks_at_length
from zonesearch.engine.lock import Lock
from zonesearch.engine.presence import Presence, rescue
from zonesearch.engine.record import Heading, Line, heading_line, parse, to_heading, to_trial, trial_line
from zonesearch.engine.run_folder import RunFolder, changed_sentence, store_errors, sync_folder
from zonesearch.engine.shards import Deal
from zonesearch.errors import MergeError, StoreError

__all__ = ["Loaded", "Store", "same_study"]


@dataclass(frozen=True)
class Loaded:
    """What the files of a run hold.

    Args:
        trials: the union of all records.
        n_torn: lines that were cut or damaged and skipped (a line another process is just writing counts until it is
            whole). Their trainings are wanted again.
        notes: what else the user should know of the files, in sentences.
    """

    trials: Trials
    n_torn: int = 0
    notes: tuple[str, ...] = ()


@dataclass
class _Reading:
    """How far one file has been read."""

    offset: int = 0
    n_torn: int = 0
    tail_is_torn: bool = False
    heading: Heading | None = None


@dataclass
class Store:
    """The trials of one run folder, read by anybody, written by one ``writer``.

    Args:
        folder: the run folder.
        writer: the name of this writer's file, ``trials/<writer>.jsonl``; letters, digits, ``.``, ``-`` and ``_``.
            "main" excludes all others, other names ("shard-2-of-8") live side by side. None only reads.

    Raises:
        StoreError: another live process writes here under that name, or as "main"; or the folder cannot be written.
    """

    folder: RunFolder
    writer: str | None = "main"
    _locks: tuple[Lock, ...] = field(default=(), init=False, repr=False)
    _presence: Presence | None = field(default=None, init=False, repr=False)
    _descriptor: int = field(default=-1, init=False, repr=False)
    _readings: dict[Path, _Reading] = field(default_factory=dict, init=False, repr=False)
    _trials: Trials = field(default_factory=Trials, init=False, repr=False)
    _accepted: set[Any] = field(default_factory=set, init=False, repr=False)
    _deals: dict[Deal, None] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.writer is None:
            return
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", self.writer):
            raise ValueError(f"a writer's name is made of letters, digits and . _ -, not {self.writer!r}")
        self._locks = self.folder.lock(self.writer)
        try:
            self._presence = Presence(self.folder.path, self._locks)
        except StoreError:
            self.close()
            raise

    @cached_property
    def _looks(self) -> Looks | None:
        return looks_at_length(self.folder.identity)

    @property
    def trials(self) -> Trials:
        """All trials seen so far: by the last :meth:`load` or :meth:`refresh`, and appended since."""
        return self._trials

    @property
    def deals(self) -> tuple[Deal, ...]:
        """What was dealt to shards, as far as it was written down in the files read so far."""
        return tuple(self._deals)

    def load(self) -> Loaded:
        """Read all files from their beginning.

        Raises:
            MergeError: a record belongs to another study, or a newer version wrote it.
            StoreError: a file cannot be read.
        """
        self._readings, self._trials, self._deals = {}, Trials(), {}
        return self.refresh()

    def refresh(self) -> Loaded:
        """Read what was added since, by this process or others; raises as :meth:`load` does."""
        with store_errors(f"the trials in {self.folder.trials_folder} cannot be read"):
            fresh = [trial for path in self.folder.files() for trial in self._new_in(path)]
        if fresh:
            self._trials = self._trials | Trials(fresh)
        torn = sum(reading.n_torn + reading.tail_is_torn for reading in self._readings.values())
        return Loaded(self._trials, torn)

    def wait_for(
        self, trainings: Sequence[Training], *, look_s: float = 1.0, on_look: Callable[[int], None] | None = None
    ) -> Trials:
        """Look again and again until others have recorded all of ``trainings``; raises as :meth:`load` does.

        Args:
            trainings: what is waited for.
            look_s: seconds between two looks.
            on_look: called after each look with the number of trainings that are still missing.
        """
        while True:
            missing = self.refresh().trials.missing(trainings)
            self.check_presence()
            if on_look is not None:
                on_look(len(missing))
            if not missing:
                return self._trials
            time.sleep(look_s)

    def append(self, trials: Iterable[Trial]) -> None:
        """Record ``trials``: when this returns they are on the disk.

        Raises:
            StoreError: the disk is full or the file cannot be written; what was recorded before is untouched. Or the
                folder is no longer there: then all trials are in a rescue file that the message names.
        """
        if self.writer is None:
            raise StoreError(f"{self.folder.path} was opened for reading only")
        trials = list(trials)
        trials = list(trials)
        lines = [trial_line(trial, self.folder.study) for trial in trials]
        if not lines:
            return
        self._record(b"".join(lines), trials)
        # Read back from the text, so that this process knows exactly what any other will know.
        records = [parse(line) for line in lines]
        self._trials = self._trials | Trials(to_trial(record, self._looks) for record in records if record)
        self.check_presence()

    def note_deal(self, deal: Deal) -> None:
        """Write down what was dealt to the shards in the round under way, once; raises as :meth:`append` does."""
        if deal not in self._deals:
            self._record(heading_line(self.folder.heading, deal.describe()))
            self._deals[deal] = None

    def _record(self, lines: bytes, trials: Sequence[Trial] = ()) -> None:
        path = self.folder.trials_folder / f"{self.writer}.jsonl"
        try:
            with store_errors(f"trials cannot be recorded in {path}"):
                end = self._write(path, lines)
        except StoreError:
            self.check_presence(trials)
            raise
        reading = self._readings[path]
        reading.heading = self.folder.heading
        if reading.offset == end[0]:
            reading.offset, reading.tail_is_torn = end[1], False

    def check_presence(self, unwritten: Sequence[Trial] = (), *, thorough: bool = False) -> None:
        """Check that the folder is still the one that was entered (see :mod:`zonesearch.engine.presence`).

        Args:
            unwritten: trials that could not be recorded.
            thorough: look at the files of others too, which were read.

        Raises:
            StoreError: it is not; names the rescue file with all trials that are known.
        """
        if self._presence is None:
            return
        sizes = {path: reading.offset for path, reading in self._readings.items()} if thorough else {}
        trouble = self._presence.trouble(self._descriptor, f"{self.writer}.jsonl", sizes)
        if trouble:
            known = [*self._trials.records(), *unwritten]
            raise rescue(known, self.folder.heading, self._presence.folder, trouble)

    def _write(self, path: Path, data: bytes) -> tuple[int, int]:
        """Append ``data``; the length of the file before (0 for a new one) and after."""
        if self._descriptor < 0:
            is_new = not path.exists()
            refuse_link(path)
            self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
            if is_new:
                sync_folder(path.parent)
        before = os.fstat(self._descriptor).st_size
        reading = self._readings.setdefault(path, _Reading())
        if reading.heading is None or reading.heading.settings != self.folder.settings:
            data = heading_line(self.folder.heading) + data
        if before and os.pread(self._descriptor, 1, before - 1) != b"\n":  # torn: do not glue anything to it
            data = b"\n" + data
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]
            os.fsync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, before)
            raise
        return before, before + len(data)

    def _new_in(self, path: Path) -> Iterator[Trial]:
        reading = self._readings.setdefault(path, _Reading())
        if path.stat().st_size < reading.offset:  # somebody put another file in its place
            self._readings[path] = reading = _Reading()
        with open_regular(path) as file:
            file.seek(reading.offset)
            reading.tail_is_torn = False
            for line in iter(lambda: file.readline(LONGEST_LINE), b""):
                record = parse(line)
                if record is None and not line.endswith(b"\n") and len(line) < LONGEST_LINE:
                    reading.tail_is_torn = True
                    return  # it may be being written: look again at it next time
                reading.offset += len(line)
                if record is None:
                    reading.n_torn += bool(line.strip())
                    continue
                reading.heading = to_heading(record) or reading.heading
                same_study(record, reading.heading, self.folder.heading, str(path), self._accepted)
                if "deal" in record and (deal := Deal.parse(record["deal"])):
                    self._deals[deal] = None
                if "heading" not in record:
                    try:
                        yield to_trial(record, self._looks)
                    except (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError):
                        reading.n_torn += 1

    def close(self) -> None:
        """Let others write; harmless when repeated."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        if self._presence is not None:
            self._presence.close()
        for lock in self._locks:
            lock.release()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        try:
            if not isinstance(error, StoreError):
                self.check_presence(thorough=True)
        finally:
            self.close()


def same_study(record: Line, heading: Heading | None, wanted: Heading, where: str, accepted: set[Any]) -> None:
    """Check that ``record``, which stands under ``heading``, belongs to the study ``wanted``.

    Args:
        record: a line of a file of trials.
        heading: the last heading above it.
        wanted: the study.
        where: the file, for messages.
        accepted: further fingerprints of ``wanted``, as other versions made them; those that are found are added.

    Raises:
        MergeError: it does not; says what differs where the heading tells.
    """
    study = record.get("study")
    if study == wanted.study or study in accepted:
        return
    if heading is not None and heading.study == study:
        what = changed_sentence(wanted, heading)
        if not what:  # the same experiment, described by another version
            accepted.add(study)
            return
    else:
        what = f"fingerprint {wanted.study} -> {record.get('study')}"
    raise MergeError(
        f"{where} holds trials of another study ({heading.name if heading else 'unnamed'}) than {wanted.name}: {what}. "
        f"Merge only runs of one study; keep that file elsewhere"
    )
