"""Files that others may have made: opened only when they are plain files, and read only as far as makes sense.

A pipe in place of a file of trials would keep a reader waiting for ever, a device or a file of a terabyte would fill
the memory; a link in place of a file to be written would overwrite what it points to.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO

from zonesearch.errors import StoreError

__all__ = ["LONGEST_LINE", "LONGEST_META", "open_regular", "read_meta", "refuse_link", "refuse_special"]

LONGEST_LINE = 2**26
"""Bytes; anything longer is not a record and is not held in memory."""

LONGEST_META = 2**26
"""Bytes of a run.json or a study file."""


def open_regular(path: Path) -> IO[bytes]:
    """``path``, opened to be read.

    Raises:
        OSError: it cannot be opened.
        StoreError: it is a folder, a pipe or a device.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise StoreError(f"{path} is not a regular file and cannot be read: remove it, or put the file back")
    return os.fdopen(descriptor, "rb")


def read_meta(path: Path) -> bytes:
    """All of a small file; raises as :func:`open_regular` does, and a StoreError when it is not small."""
    with open_regular(path) as file:
        data = file.read(LONGEST_META + 1)
    if len(data) > LONGEST_META:
        raise StoreError(
            f"{path} is larger than {LONGEST_META // 2**20} MB, more than anything zonesearch writes: remove it"
        )
    return data


def refuse_special(path: Path) -> None:
    """Raise a StoreError when others read and write ``path`` as a file and a link, a pipe or a device stands there."""
    refuse_link(path)
    if path.exists() and not path.is_file():
        raise StoreError(f"{path} is not a regular file and cannot be used: remove it, or put the file back")


def refuse_link(path: Path) -> None:
    """Raise a StoreError when something is to be written to ``path`` and it is a link to somewhere else."""
    if path.is_symlink():
        raise StoreError(
            f"{path} is a link to {os.readlink(path)}, and nothing is written outside a run folder: remove the link"
        )
