"""Where files may be put, and which folders can be relied on.

A file that takes the place of what stands there, whole or not at all, is written beside its place and renamed into it.
Where a device or a pipe stands (``/dev/null``, ``/dev/stdout``) the rename would put a plain file in its place, for all
programs of the machine. What is kept for later (data, states of trainings) is relied on without being looked at again,
so nobody else may have written it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from zonesearch.errors import StoreError

__all__ = ["check_place", "is_own"]


def check_place(path: Path, what: str = "") -> None:
    """See that a plain file stands at ``path``, or nothing.

    Args:
        path: where a file is to be put.
        what: the file, for the message; ends with a space.

    Raises:
        StoreError: a folder, a pipe or a device stands there.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError:  # nothing there, or nothing that can be looked at: then the writing says what is wrong
        return
    if not stat.S_ISREG(mode):
        kind = "it is a folder" if stat.S_ISDIR(mode) else "it is no plain file but a pipe or a device"
        raise StoreError(f"{what}{path} cannot be written: {kind}; name another file")


def is_own(folder: Path) -> bool:
    """Whether a folder belongs to this user, and not everybody may write in it."""
    try:
        found = os.stat(folder)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & stat.S_IWOTH
