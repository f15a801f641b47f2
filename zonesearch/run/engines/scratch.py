"""Folders for what processes hand one another: gone with the engine, or, after ``kill -9``, with the next one.

Whoever owns such a folder holds a lock on a file in it, which the kernel lets go of however the process ends. A folder
whose lock can be had belongs to nobody any more.
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
    """Hold ``folder`` until the file that is returned is closed, or the process ends."""
    path = folder / f"{_ALIVE}.new"
    file = path.open("wb")
    with contextlib.suppress(OSError):  # a file system without locks: then the folder is never thought abandoned
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.rename(folder / _ALIVE)  # from here on others may ask whether it is held
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
