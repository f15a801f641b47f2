"""The face of what keeps a run, and the storages that are not folders on this machine.

A run is a sequence of lines, trials and headings alike (see :mod:`zonesearch.run.storage.record`); each line says what
it belongs to and holds its own checksum. So whatever keeps lines in some order can keep runs: an object store, a
table of a database, a queue. What the lines mean is decided here and nowhere else.
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
"""What opens each storage that ships beside run folders, as ``{"name": "package.module:function"}``: none so far."""

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9_.+-]*)://(.*)", re.DOTALL)
_SQUEEZED = re.compile(r"[A-Za-z][A-Za-z0-9_.+-]*:/[^/]")
_FACE = ("lines", "append", "__enter__", "__exit__")


class Storage(Protocol):
    """Where the lines of one run are kept. Reading needs no ``with``; what writes enters it."""

    def lines(self) -> Iterable[bytes]:
        """All lines, each with the newline at its end; none where nothing was kept yet.

        A line may be cut or missing after a crash: it is told by its checksum, and its training is wanted again.
        """
        ...

    def append(self, lines: Sequence[bytes]) -> None:
        """Keep ``lines``: when this returns, the death of the process does not lose them."""
        ...

    def __enter__(self) -> Storage:
        """Begin to write; raise a StoreError when somebody else does and only one may."""
        ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Let others write."""
        ...


def is_address(place: str | Path) -> bool:
    """Whether a run is kept in a storage, ``NAME://ADDRESS``, and in no folder."""
    return isinstance(place, str) and _ADDRESS.fullmatch(place) is not None


def place_of(text: str) -> str | Path:
    """What the user names as a run: the address of a storage as it is, a folder as a path."""
    return text if is_address(text) else Path(text)


def refuse_address(path: Path, doing: str = "this needs a run folder") -> None:
    """Say that a storage was named where only a folder will do.

    Raises:
        StoreError: ``path`` is made of the address of a storage, and no such folder exists.
    """
    if _SQUEEZED.match(str(path)) and not path.exists():
        place = str(path).replace(":/", "://", 1)
        copies = f"zonesearch merge {place} --into FOLDER"
        raise StoreError(f"{place} is a storage, and {doing}: `{copies}` copies it to one")


def open_storage(place: str) -> Storage:
    """The storage of ``NAME://ADDRESS``: a plug-in of the group ``zonesearch.storages``, called with the address.

    Raises:
        StudyError: there is none of that name, or it is none.
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
