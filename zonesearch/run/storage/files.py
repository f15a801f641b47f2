"""Files that others may have created: opened only if they are regular files, and read only up to a sensible size.

A pipe in place of a trials file would block a reader forever, a device or a terabyte file would fill the memory, and a
link in place of an output file would overwrite its target.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO

from zonesearch.errors import StoreError

__all__ = ["LONGEST_LINE", "LONGEST_META", "open_regular", "read_meta", "refuse_link", "refuse_special"]

LONGEST_LINE = 2**26
"""Bytes; anything longer is not a record and is not read into memory."""

LONGEST_META = 2**26
"""The most bytes of a run.json or a study file."""


def open_regular(path: Path) -> IO[bytes]:
    """Open ``path`` for reading.

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
    """The content of a small file; raises like :func:`open_regular`, and a StoreError if it is not small."""
    with open_regular(path) as file:
        data = file.read(LONGEST_META + 1)
    if len(data) > LONGEST_META:
        raise StoreError(
            f"{path} is larger than {LONGEST_META // 2**20} MB, more than anything zonesearch writes: remove it"
        )
    return data


def refuse_special(path: Path) -> None:
    """Raise a StoreError if ``path``, a file that others read and write, is a link, a pipe or a device."""
    refuse_link(path)
    if path.exists() and not path.is_file():
        raise StoreError(f"{path} is not a regular file and cannot be used: remove it, or put the file back")


def refuse_link(path: Path) -> None:
    """Raise a StoreError if the output path ``path`` is a link."""
    if path.is_symlink():
        raise StoreError(
            f"{path} is a link to {os.readlink(path)}, and nothing is written outside a run folder: remove the link"
        )
