"""Safe places for output files, and folders that can be trusted.

A file that is replaced atomically is written under a temporary name and renamed. If the target is a device or a pipe
(``/dev/null``, ``/dev/stdout``), the rename would replace it by a regular file, for all programs on the machine. Cached
data and states of trainings are used without further checks, so nobody else may have written them.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from zonesearch.errors import StoreError

__all__ = ["check_place", "is_own"]


def check_place(path: Path, what: str = "") -> None:
    """Check that ``path`` is a regular file or does not exist.

    Args:
        path: of the output file.
        what: description of the file for the message; ends with a space.

    Raises:
        StoreError: it is a folder, a pipe or a device.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError:  # missing or inaccessible: writing will report the problem
        return
    if not stat.S_ISREG(mode):
        kind = "it is a folder" if stat.S_ISDIR(mode) else "it is no plain file but a pipe or a device"
        raise StoreError(f"{what}{path} cannot be written: {kind}; name another file")


def is_own(folder: Path) -> bool:
    """Whether a folder belongs to this user and is not writable by everybody."""
    try:
        found = os.stat(folder)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & stat.S_IWOTH
