"""The trials of a run as append-only files: one file per writing process, one record per line.

The state of a run is the union of its files. So a process may die at any byte (the torn line is skipped and its
training is wanted again), several processes may write at the same time, and files can be merged in any order, any
number of times.

Appended data are passed to the operating system at once, so the death of the process loses nothing. Flushing to disk
takes longer than a fast training, so trainings of less than a second in total share one flush: a power failure may cost
at most a second of work.
"""

from __future__ import annotations

import errno
import fcntl
import gc
import math
import os
import re
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

from zonesearch.core.trials import Training, Trial, Trials
from zonesearch.errors import MergeError, StoreError
from zonesearch.run.shards import Deal
from zonesearch.run.storage.files import LONGEST_LINE, open_regular, refuse_link
from zonesearch.run.storage.lengths import Looks, looks_at_length
from zonesearch.run.storage.lock import Lock
from zonesearch.run.storage.presence import Presence, rescue
from zonesearch.run.storage.record import (
    Heading,
    Line,
    heading_line,
    parse,
    sound_trial,
    to_heading,
    to_trial,
    trial_line,
)
from zonesearch.run.storage.run_folder import RunFolder, changed_sentence, store_errors, sync_folder

__all__ = ["Loaded", "Store", "same_study"]

_UNFLUSHED_S = 1.0
"""The most seconds of training, and of time, between two flushes."""


@dataclass(frozen=True)
class Loaded:
    """The content of the files of a run.

    Args:
        trials: the union of all records.
        n_torn: lines that were truncated or damaged and skipped (including a line that another process is still
            writing). Their trainings are wanted again.
        notes: further notes on the files, as sentences.
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
    """The trials of one run folder, for reading, and for writing by one ``writer``.

    Args:
        folder: the run folder.
        writer: the name of this writer's file, ``trials/<writer>.jsonl``; letters, digits, ``.``, ``-`` and ``_``.
            "main" excludes all others; other names ("shard-2-of-8") may write at the same time. None for reading only.

    Raises:
        StoreError: another process is writing under that name or as "main", or the folder cannot be written.
    """

    folder: RunFolder
    writer: str | None = "main"
    _locks: tuple[Lock, ...] = field(default=(), init=False, repr=False)
    _presence: Presence | None = field(default=None, init=False, repr=False)
    _descriptor: int = field(default=-1, init=False, repr=False)
    _file: tuple[int, int] | None = field(default=None, init=False, repr=False)
    _end: int | None = field(default=None, init=False, repr=False)
    _warned: bool = field(default=False, init=False, repr=False)
    _readings: dict[Path, _Reading] = field(default_factory=dict, init=False, repr=False)
    _trials: Trials = field(default_factory=Trials, init=False, repr=False)
    _accepted: set[Any] = field(default_factory=set, init=False, repr=False)
    _deals: dict[Deal, None] = field(default_factory=dict, init=False, repr=False)
    _unflushed_s: float | None = field(default=None, init=False, repr=False)  # None: nothing is unflushed
    _flushed_at: float = field(default=-math.inf, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.writer is None:
            return
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", self.writer):
            raise ValueError(f"a writer's name may hold letters, digits and . _ - only, not {self.writer!r}")
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
        """All trials so far: from the last :meth:`load` or :meth:`refresh`, and appended since."""
        return self._trials

    @property
    def deals(self) -> tuple[Deal, ...]:
        """Assignments to shards in the files read so far."""
        return tuple(self._deals)

    def load(self) -> Loaded:
        """Read all files from the beginning.

        Raises:
            MergeError: a record belongs to another study, or a newer version wrote it.
            StoreError: a file cannot be read.
        """
        self._readings, self._trials, self._deals = {}, Trials(), {}
        return self.refresh()

    def refresh(self) -> Loaded:
        """Read what has been added since, by this process or others; raises like :meth:`load`."""
        try:
            with store_errors(f"the trials in {self.folder.trials_folder} cannot be read"), _uncollected():
                fresh = [trial for path in self.folder.files() for trial in self._new_in(path)]
        except MemoryError:
            raise StoreError(
                f"there is not enough memory for the trials in {self.folder.trials_folder}: read them on a larger "
                f"machine, or raise the limit (ulimit -v)"
            ) from None
        except StoreError:
            self.check_presence(thorough=True)
            raise
        if fresh:
            self._trials = self._trials.added(fresh)
        torn = sum(reading.n_torn + reading.tail_is_torn for reading in self._readings.values())
        return Loaded(self._trials, torn)

    def wait_for(
        self, trainings: Sequence[Training], *, look_s: float = 1.0, on_look: Callable[[int], None] | None = None
    ) -> Trials:
        """Poll until others have recorded all of ``trainings``; raises like :meth:`load`.

        Args:
            trainings: to wait for.
            look_s: polling interval in seconds.
            on_look: called after each poll with the number of missing trainings.
        """
        self._flush()
        while True:
            missing = self.refresh().trials.missing(trainings)
            self.check_presence()
            if on_look is not None:
                on_look(len(missing))
            if not missing:
                return self._trials
            time.sleep(look_s)

    def begin(self) -> None:
        """Write what the folder belongs to, if that is pending; the first record does it too.

        Raises:
            StoreError: it cannot be written.
        """
        self.folder = self.folder.written()

    def append(self, trials: Iterable[Trial]) -> None:
        """Record ``trials``: once this returns, they survive the death of the process.

        They are also flushed to disk, unless everything unflushed took less than a second to train and the last flush
        was less than a second ago.

        Raises:
            StoreError: the disk is full or the file cannot be written; earlier records are intact. Or the folder no
                longer exists: all trials are then in a rescue file that the message names.
        """
        if self.writer is None:
            raise StoreError(f"{self.folder.path} was opened for reading only")
        trials = list(trials)
        lines = [trial_line(trial, self.folder.study) for trial in trials]
        if not lines:
            return
        self.begin()
        self._record(b"".join(lines), sum(map(_work, trials)), trials)
        # Parsed from the text, so that this process has exactly what any other will read.
        records = [parse(line) for line in lines]
        self._trials = self._trials.added(to_trial(record, self._looks) for record in records if record)
        self.check_presence()

    def note_deal(self, deal: Deal) -> None:
        """Record the assignment to shards in the current round, once; raises like :meth:`append`."""
        if deal not in self._deals:
            self.begin()
            self._record(heading_line(self.folder.heading, deal.describe()), 0.0)
            self._deals[deal] = None

    def _record(self, lines: bytes, work_s: float, trials: Sequence[Trial] = ()) -> None:
        """Append ``lines`` of ``trials``, which took ``work_s`` seconds to compute."""
        path = self.folder.trials_folder / f"{self.writer}.jsonl"
        try:
            with store_errors(f"trials cannot be recorded in {path}"):
                end = self._write(path, lines, work_s)
        except StoreError:
            self.check_presence(trials)
            raise
        reading = self._readings[path]
        reading.heading = self.folder.heading
        if reading.offset == end[0]:
            reading.offset, reading.tail_is_torn = end[1], False

    def check_presence(self, unwritten: Sequence[Trial] = (), *, thorough: bool = False) -> None:
        """Check that the folder is still the one that was opened (see :mod:`zonesearch.run.storage.presence`).

        Args:
            unwritten: trials that could not be recorded.
            thorough: also check files of other writers that were read.

        Raises:
            StoreError: it is not; names the rescue file with all known trials.
        """
        if self._presence is None:
            return
        sizes = {path: reading.offset for path, reading in self._readings.items()} if thorough else {}
        descriptor = -1 if self._was_closed_by_others() else self._descriptor
        trouble = self._presence.trouble(descriptor, f"{self.writer}.jsonl", sizes)
        if trouble:
            known = [*self._trials.records(), *unwritten]
            raise rescue(known, self.folder.heading, self._presence.folder, trouble)

    def _was_closed_by_others(self) -> bool:
        """Whether other code closed this writer's file descriptor, while the file is still in place."""
        if self._file is None or _identity(self._descriptor) == self._file:
            return False
        return _identity(self.folder.trials_folder / f"{self.writer}.jsonl") == self._file

    def _write(self, path: Path, data: bytes, work_s: float) -> tuple[int, int]:
        """Append ``data``; returns the length of the file before (0 for a new one) and after."""
        if self._descriptor < 0:
            is_new = not path.exists()
            refuse_link(path)
            self._descriptor = _above_standard(
                os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
            )
            if is_new:
                sync_folder(path.parent)
        found = os.fstat(self._descriptor)
        self._file = self._file or (found.st_dev, found.st_ino)
        if self._file != (found.st_dev, found.st_ino):  # closed by other code, and its number reused for another file
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        before = found.st_size
        if self._end not in (None, before) and not self._warned:
            self._warned = True
            warnings.warn(
                f"another process is also writing to {path}: if that is a run on another machine, this file "
                f"system keeps "
                f"no locks between machines; stop one, give each machine a folder of its own and merge",
                stacklevel=5,
            )
        reading = self._readings.setdefault(path, _Reading())
        if reading.heading is None or reading.heading.settings != self.folder.settings:
            data = heading_line(self.folder.heading) + data
        if before and os.pread(self._descriptor, 1, before - 1) != b"\n":  # torn: do not append to that line
            data = b"\n" + data
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]
            self._unflushed_s = (self._unflushed_s or 0.0) + work_s
            if self._unflushed_s >= _UNFLUSHED_S or time.monotonic() - self._flushed_at >= _UNFLUSHED_S:
                self._flush()
        except OSError:
            os.ftruncate(self._descriptor, before)
            raise
        self._end = before + len(data)
        return before, self._end

    def _flush(self) -> None:
        """Flush to disk what was appended since the last flush."""
        if self._unflushed_s is not None and self._descriptor >= 0:
            os.fsync(self._descriptor)
            self._unflushed_s, self._flushed_at = None, time.monotonic()

    def _new_in(self, path: Path) -> Iterator[Trial]:
        reading = self._readings.setdefault(path, _Reading())
        if path.stat().st_size < reading.offset:  # it was replaced by another file
            self._readings[path] = reading = _Reading()
        study = self.folder.study
        with open_regular(path) as file:
            file.seek(reading.offset)
            reading.tail_is_torn = False
            for line in iter(lambda: file.readline(LONGEST_LINE), b""):
                record = parse(line)
                if record is None and not line.endswith(b"\n") and len(line) < LONGEST_LINE:
                    reading.tail_is_torn = True
                    return  # it may still be being written: read it again next time
                reading.offset += len(line)
                if record is None:
                    reading.n_torn += bool(line.strip())
                    continue
                if record["study"] != study or "heading" in record:
                    reading.heading = to_heading(record) or reading.heading
                    same_study(record, reading.heading, self.folder.heading, str(path), self._accepted)
                    if "deal" in record and (deal := Deal.parse(record["deal"])):
                        self._deals[deal] = None
                if "heading" not in record:
                    trial = sound_trial(record, self._looks)
                    if trial is not None:
                        yield trial
                    reading.n_torn += trial is None

    def close(self) -> None:
        """Flush, and let others write; harmless if repeated.

        Raises:
            StoreError: the last appended data cannot be written to disk.
        """
        try:
            with store_errors(f"trials cannot be recorded in {self.folder.trials_folder}"):
                self._flush()
        finally:
            descriptor, self._descriptor = self._descriptor, -1
            if descriptor >= 0:
                with suppress(OSError):
                    os.close(descriptor)
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


def _identity(file: int | Path) -> tuple[int, int] | None:
    """Device and inode of an open file or of a path; None if it does not exist."""
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _above_standard(descriptor: int) -> int:
    """``descriptor``, moved above those of the standard streams.

    In a process that was started with these closed, a file may get their number, and whatever a library prints would
    end up among the trials.
    """
    if descriptor > 2:
        return descriptor
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(descriptor)
    return moved


def _work(trial: Trial) -> float:
    """The seconds that a trial took; unknown for failures and for objectives that do not record it."""
    return trial.seconds if trial.seconds > 0 else _UNFLUSHED_S


@contextmanager
def _uncollected() -> Iterator[None]:
    """Disable the cyclic garbage collector, which would scan all trials again and again while they are loaded."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def same_study(record: Line, heading: Heading | None, wanted: Heading, where: str, accepted: set[Any]) -> None:
    """Check that ``record``, which is below ``heading``, belongs to the study ``wanted``.

    Args:
        record: a line of a trials file.
        heading: the last heading above it.
        wanted: the study.
        where: the file, for messages.
        accepted: further fingerprints of ``wanted`` from other versions; new ones are added.

    Raises:
        MergeError: it does not; says what differs if there is a heading.
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
