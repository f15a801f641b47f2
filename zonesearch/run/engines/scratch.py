"""Folders for data that processes exchange: deleted with the engine, or, after ``kill -9``, by the next one.

The owner of such a folder holds a lock on a file in it, which the kernel releases however the process ends. A folder
whose lock is free has been abandoned.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO

__all__ = ["PREFIX", "mark_alive", "remove_abandoned"]

PREFIX = "zonesearch-work-"
_ALIVE = "alive"


def mark_alive(folder: Path) -> IO[bytes]:
    """Hold ``folder`` until the returned file is closed or the process ends."""
    path = folder / f"{_ALIVE}.new"
    file = path.open("wb")
    with contextlib.suppress(OSError):  # a file system without locks: the folder never counts as abandoned
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.rename(folder / _ALIVE)  # from here on others may check whether it is held
    return file


def remove_abandoned() -> None:
    """Delete this user's folders whose owners were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            with (folder / _ALIVE).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
