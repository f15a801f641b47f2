"""A lock that is released when its process dies.

``flock`` belongs to the open file, so the kernel releases it however the process ends, including ``kill -9`` and power
loss; there are no stale locks. The text in the file only says who holds it, for messages.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import time
from pathlib import Path
from types import TracebackType
from weakref import WeakSet

from zonesearch.errors import StoreError

__all__ = ["Lock"]

_PATIENCE_S = 0.5
"""A killed process holds its locks until the kernel has torn it down."""

_HELD: WeakSet[Lock] = WeakSet()


class Lock:
    """Held from creation until :meth:`release` or the end of the process.

    Args:
        path: the lock file; created if missing, never deleted (deletion would let two processes hold different files).
        what: what is locked, for the message: "run folder runs/digits".
        mend: what the user can do, for the message.
        shared: whether several may hold it at once; a shared lock excludes an unshared one.

    Raises:
        StoreError: another process holds it, naming its process id and host; or the file cannot be opened.
    """

    def __init__(self, path: Path, *, what: str, mend: str, shared: bool = False) -> None:
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        except OSError as error:
            raise StoreError(
                f"{what} cannot be locked: {path}: {error.strerror}. Name a folder that can be written"
            ) from error
        try:
            self._take(fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        except OSError as error:
            holder = self._holder()
            os.close(self._descriptor)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise StoreError(f"{what} is in use by {holder}: {mend}") from error
            raise StoreError(
                f"{what} cannot be locked: {path}: {error.strerror}. Mount that file system with locks, or name a "
                f"folder on another one"
            ) from error
        with contextlib.suppress(OSError):  # a full disk must not prevent reading; the lock itself is held
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode(), 0)
        _HELD.add(self)

    def _take(self, kind: int) -> None:
        end = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return fcntl.flock(self._descriptor, kind | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES) or time.monotonic() > end:
                    raise
                time.sleep(0.02)

    @property
    def descriptor(self) -> int:
        """Of the open lock file; -1 once it is released."""
        return self._descriptor

    def _holder(self) -> str:
        try:
            holder = json.loads(os.pread(self._descriptor, 1000, 0))
            return f"process {holder['pid']} on {holder['host']}"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def release(self) -> None:
        """Release the lock; harmless if repeated."""
        self._close()

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.release()


def _close_in_child() -> None:
    """Close the file in a forked child, which would inherit the lock and may outlive this process."""
    for lock in list(_HELD):
        lock.release()


os.register_at_fork(after_in_child=_close_in_child)
