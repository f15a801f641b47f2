"""Detects whether the run folder that a process writes into is still the one at its path.

A folder can be deleted, renamed or replaced during a run. The kernel still accepts writes to files that nobody can open
any more, so the run would seem to succeed and leave nothing. What a writer relies on (the folder, its trials, its
locks, its own file) is therefore kept open and compared with what is at the path, by device and inode, which cannot be
reused while a descriptor holds them. This takes four ``stat`` calls, a few microseconds.

In that case, everything in memory is written to a rescue file outside the folder, which ``zonesearch merge`` reads.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from uuid import uuid4

from zonesearch.core.trials import Trial
from zonesearch.errors import StoreError
from zonesearch.run.storage.lock import Lock
from zonesearch.run.storage.record import Heading, heading_line, trial_line

__all__ = ["Presence", "rescue"]


class Presence:
    """The files that must stay in place while a run writes into ``folder``.

    Args:
        folder: the run folder.
        locks: held by the writer.

    Raises:
        StoreError: the folder does not exist.
    """

    def __init__(self, folder: Path, locks: Sequence[Lock] = ()) -> None:
        self.folder = Path(os.path.abspath(folder))  # whatever the working directory becomes
        self._locks = tuple((lock, Path(os.path.abspath(lock.path))) for lock in locks)
        self._held: list[tuple[int, Path]] = []
        try:
            for path in (self.folder, self.folder / "trials"):
                self._held.append((os.open(path, os.O_RDONLY | os.O_CLOEXEC), path))
        except OSError as error:
            self.close()
            raise StoreError(f"run folder {folder} cannot be locked: {error.strerror} ({error.filename})") from error

    def trouble(self, descriptor: int = -1, name: str = "", sizes: Mapping[Path, int] | None = None) -> str:
        """What is no longer in place, as the beginning of a sentence; empty if all is well.

        Args:
            descriptor: of the writer's own file, if it is open; ``name`` is the file's name in ``trials``.
            sizes: bytes of each trials file that have been read or written; no file may have shrunk.
        """
        held = [*self._held, *((lock.descriptor, path) for lock, path in self._locks)]
        if descriptor >= 0:
            held.append((descriptor, self.folder / "trials" / name))
        for held_open, path in held:
            if held_open >= 0 and not _same(held_open, path):
                return f"{path} was deleted, moved or replaced while this run was writing to {self.folder}"
        for path, size in (sizes or {}).items():
            there = self.folder / "trials" / path.name
            try:
                is_shorter = there.stat().st_size < size
            except OSError:
                is_shorter = True
            if is_shorter:
                return f"{there} was deleted or truncated while this run was writing to {self.folder}"
        return ""

    def close(self) -> None:
        """Close the descriptors; harmless if repeated."""
        held, self._held = self._held, []
        for descriptor, _ in held:
            os.close(descriptor)


def _same(descriptor: int, path: Path) -> bool:
    """Whether the open file is the one at ``path``."""
    try:
        here, there = os.fstat(descriptor), os.stat(path)
    except OSError:
        return False
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def rescue(trials: Iterable[Trial], heading: Heading, folder: Path, trouble: str) -> StoreError:
    """Write ``trials`` beside ``folder``, or to the temporary folder if that fails.

    Args:
        trials: all trials in memory.
        heading: of the study they belong to.
        folder: the absolute path of the run folder, which can no longer be written.
        trouble: the reason, from :meth:`Presence.trouble`.

    Returns:
        The error to raise, which names the rescue file and says how to continue.
    """
    lines = [trial_line(trial, heading.study) for trial in trials]
    for place in (folder.parent, Path(tempfile.gettempdir())):
        path = place / f"{folder.name}.rescued-{uuid4().hex[:8]}.jsonl"
        try:
            with path.open("xb") as file:
                file.writelines([heading_line(heading), *lines])
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                path.unlink()
            continue
        return StoreError(
            f"{trouble}. The {len(lines):,} trials that this run knows are in {path}: `zonesearch merge {path} --into "
            f"RUN` makes a run folder of them, or adds them to one, and the same study continues there"
        )
    return StoreError(
        f"{trouble}. The {len(lines):,} trials that this run knows could not be written beside it or to "
        f"{tempfile.gettempdir()} either"
    )
