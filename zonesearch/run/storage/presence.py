"""Whether the run folder that a process writes into is still the one at its path.

A folder can be deleted, renamed or replaced under a run. The kernel then goes on taking what is written into files
that nobody can open any more, so the run would end well and leave nothing. What a writer relies on (the folder, its
trials, its locks, its own file) is therefore held open and compared with what stands at the path: by device and
inode, which cannot be given away again while a descriptor holds them. Four calls of ``stat``, some microseconds.

What was only in memory then goes into a rescue file outside of the folder, which ``zonesearch merge`` reads.
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
    """What has to stay where it is while a run writes into ``folder``.

    Args:
        folder: the run folder.
        locks: those that the writer holds.

    Raises:
        StoreError: the folder is not there.
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
        """What is no longer where it was, as the beginning of a sentence; empty while all is well.

        Args:
            descriptor: of the writer's own file, where it is open; ``name`` the file's name in ``trials``.
            sizes: how much of each file of trials has been read or written; none may have become shorter.
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
        """Let go; harmless when repeated."""
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
    """Write ``trials`` beside ``folder``, or where that fails to the folder for temporary files.

    Args:
        trials: all that is in memory.
        heading: of the study they belong to.
        folder: the run folder that they can no longer go to, as an absolute path.
        trouble: why, as :meth:`Presence.trouble` says it.

    Returns:
        The error to be raised: it names the rescue file and says how to go on.
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
