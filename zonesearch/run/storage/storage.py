"""The interface of storages for runs, other than folders on this machine.

A run is a sequence of lines, both trials and headings (see :mod:`zonesearch.run.storage.record`); each line says what
it belongs to and has its own checksum. So anything that stores lines in order can store runs: an object store, a
database table, a queue. A storage does not interpret the lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol

from zonesearch.core.plugins import load
from zonesearch.errors import StoreError, StudyError, ZoneSearchError

__all__ = ["STORAGES", "Storage", "is_address", "open_storage", "place_of", "refuse_address"]

STORAGES: dict[str, str] = {}
"""The function that opens each built-in storage, as ``{"name": "package.module:function"}``: none so far."""

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9_.+-]*)://(.*)", re.DOTALL)
_SQUEEZED = re.compile(r"[A-Za-z][A-Za-z0-9_.+-]*:/[^/]")
_FACE = ("lines", "append", "__enter__", "__exit__")


class Storage(Protocol):
    """Stores the lines of one run. Writing happens inside a ``with`` statement; reading does not need one."""

    def lines(self) -> Iterable[bytes]:
        """All lines, each with its newline; empty if nothing has been stored yet.

        After a crash, a line may be truncated or missing: the checksum detects that, and its training is wanted again.
        """
        ...

    def append(self, lines: Sequence[bytes]) -> None:
        """Store ``lines``: once this returns, they survive the death of the process."""
        ...

    def __enter__(self) -> Storage:
        """Start writing; raises a StoreError if another process is writing and only one may."""
        ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Stop writing, so that others may write."""
        ...


def is_address(place: str | Path) -> bool:
    """Whether a run is in a storage, ``NAME://ADDRESS``, rather than a folder."""
    return isinstance(place, str) and _ADDRESS.fullmatch(place) is not None


def place_of(text: str) -> str | Path:
    """A run as named by the user: the address of a storage as a string, a folder as a path."""
    return text if is_address(text) else Path(text)


def refuse_address(path: Path, doing: str = "this needs a run folder") -> None:
    """Refuse a storage where only a folder works.

    Raises:
        StoreError: ``path`` is the address of a storage, and there is no such folder.
    """
    if _SQUEEZED.match(str(path)) and not path.exists():
        place = str(path).replace(":/", "://", 1)
        copies = f"zonesearch merge {place} --into FOLDER"
        raise StoreError(f"{place} is a storage, and {doing}: `{copies}` copies it to one")


def open_storage(place: str) -> Storage:
    """The storage of ``NAME://ADDRESS``: a plug-in of the group ``zonesearch.storages``, called with the address.

    Raises:
        StudyError: there is none of that name, or it is not a storage.
        StoreError: it cannot be opened.
    """
    found = _ADDRESS.fullmatch(place)
    if found is None:
        raise StudyError(f'a storage is NAME://ADDRESS, not "{place}"')
    opens = load("storages", found[1], f'storage "{place}"', STORAGES)
    try:
        storage: Storage = opens(found[2])
    except ZoneSearchError:
        raise
    except Exception as error:  # a plug-in may raise anything
        raise StoreError(f'storage "{place}" cannot be opened ({type(error).__name__}: {error})') from error
    lacking = [part for part in _FACE if not hasattr(storage, part)]
    if lacking:
        raise StudyError(f'storage "{place}": {type(storage).__name__} of a plug-in has no {", ".join(lacking)}')
    return storage
