"""Arrays cached as files that every process maps: one copy in memory, however many workers read it.

An entry is a folder with one ``.npy`` for each array and ``facts.json`` for the rest. It is written under a temporary
name and renamed, so no reader sees a partial entry. It can be deleted at any time: a process that has mapped it keeps
its mapping, and the next one creates it again. Mappings are private (copy on write): readers share pages, and writing
into an array affects neither other processes nor the file.

An entry that differs from what was written (in size, modification time, header or facts) is damaged: it is discarded
and created again. So is one that another user created, or could have changed. Nothing is ever unpickled.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zonesearch.core.outputs import is_own
from zonesearch.errors import StoreError

__all__ = ["Entry", "Shelf", "cache_limit_mb"]

_FACTS = "facts.json"
_ABANDONED_S = 86_400.0  # a partial entry of this age has been abandoned
_LOOK_S = 0.05
_PATIENCE_S = 600.0  # the longest wait for another process that reads the same data


@dataclass(frozen=True)
class Entry:
    """Arrays by name, and facts that can be stored as JSON.

    Args:
        arrays: of numbers or booleans.
        facts: strings, numbers, lists and dicts of these.
        place: the folder in which they are stored; None while they are only in memory.
    """

    arrays: Mapping[str, npt.NDArray[Any]]
    facts: Mapping[str, Any] = field(default_factory=dict)
    place: Path | None = None

    @property
    def n_bytes(self) -> int:
        """Total size of the arrays in bytes."""
        return sum(array.nbytes for array in self.arrays.values())


@dataclass(frozen=True)
class Shelf:
    """A folder of entries.

    Args:
        folder: created when the first entry is stored.
        limit_mb: the most that all entries together may take; the least recently used are deleted first.
    """

    folder: Path
    limit_mb: float = float("inf")

    @classmethod
    def of_user(cls) -> Shelf:
        """The shelf in the user's cache, limited by ``ZONESEARCH_CACHE_MB``: 20,000 by default; 0 stores nothing.

        Raises:
            StoreError: the variable is not a number of 0 or more.
        """
        cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
        with contextlib.suppress(RuntimeError):  # a user without a home directory: the folder cannot be created
            cache = cache.expanduser()
        return cls(cache / "zonesearch" / "data", cache_limit_mb())

    def find(self, key: str) -> Entry | None:
        """The entry, mapped; None if there is none or it is damaged."""
        place = self.folder / key
        if not (is_own(self.folder) and is_own(place)):
            return None
        try:
            found = json.loads((place / _FACTS).read_text())
            arrays = {name: _mapped(place / f"{name}.npy", written) for name, written in found["arrays"].items()}
            facts = dict(found["facts"])
            if found["check"] != _check(found["arrays"], facts):
                return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        with contextlib.suppress(OSError):  # marks it as recently used; a read-only cache goes without
            os.utime(place)
        return Entry(arrays, facts, place)

    def keep(self, key: str, entry: Entry) -> Entry:
        """Store an entry; returns it as :meth:`find` will.

        Raises:
            OSError: it cannot be stored: no space, or a folder that is not writable.
        """
        n_bytes = entry.n_bytes
        if n_bytes > self.limit_mb * 1e6:
            raise OSError(errno.ENOSPC, f"{n_bytes / 1e6:,.0f} MB are more than the {self.limit_mb:,.0f} MB allowed")
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not is_own(self.folder):
            raise OSError(errno.EPERM, "others may write there")
        if shutil.disk_usage(self.folder).free < 1.1 * n_bytes + 1e6:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        part = self.folder / f"{key}.{os.getpid()}.{time.monotonic_ns()}.part"
        place = self.folder / key
        try:
            part.mkdir(mode=0o700)
            written = {name: _written(part / f"{name}.npy", array) for name, array in entry.arrays.items()}
            found = {"arrays": written, "facts": entry.facts, "check": _check(written, entry.facts)}
            (part / _FACTS).write_text(json.dumps(found))
            with contextlib.suppress(OSError):  # from a process that was faster, or damaged
                shutil.rmtree(place)
            with contextlib.suppress(OSError):  # another process was faster between these two lines
                part.rename(place)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        self._make_room(besides=key)
        kept = self.find(key)
        if kept is None:
            raise OSError(errno.EIO, f"{place} does not hold what was written")
        return kept

    @contextlib.contextmanager
    def alone(self, key: str) -> Iterator[None]:
        """Hold a lock that is released when this process dies; without file locks, two may create the same entry."""
        path, lock = self.folder / f"{key}.lock", -1
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            _wait_for(lock)
        try:
            yield
        finally:
            if lock >= 0:
                with contextlib.suppress(OSError):
                    path.unlink()  # waiting processes hold a deleted file: two may create the same entry, no harm
                os.close(lock)

    def _make_room(self, besides: str) -> None:
        """Delete abandoned files, then the oldest entries until the rest is within the limit."""
        entries = []
        now = time.time()
        for path in self.folder.iterdir():
            with contextlib.suppress(OSError):
                changed = path.stat().st_mtime
                if path.suffix == ".part" and now - changed > _ABANDONED_S:
                    shutil.rmtree(path, ignore_errors=True)
                elif path.is_dir() and not path.suffix:
                    entries.append((changed, sum(file.stat().st_size for file in path.iterdir()), path))
        left = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if left <= self.limit_mb * 1e6:
                return
            if path.name != besides:
                shutil.rmtree(path, ignore_errors=True)
                left -= size


def cache_limit_mb() -> float:
    """The limit of the user's cache in megabytes: ``ZONESEARCH_CACHE_MB``, or 20,000 if it is empty or unset.

    Raises:
        StoreError: it is not a number of 0 or more.
    """
    said = os.environ.get("ZONESEARCH_CACHE_MB", "").strip()
    try:
        limit = float(said or 20_000)
    except ValueError:
        limit = math.nan
    if not limit >= 0:
        raise StoreError(
            f'ZONESEARCH_CACHE_MB is how many megabytes kept data may take, 0 or more, not "{said[:100]}": set it to a '
            "number (0 keeps none), or unset it"
        )
    return limit


def _wait_for(lock: int) -> None:
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(_LOOK_S)


def _check(written: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """A checksum of the facts of an entry, after a round trip through JSON."""
    text = json.dumps([json.loads(json.dumps(written)), json.loads(json.dumps(facts))])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _written(path: Path, array: npt.NDArray[Any]) -> list[Any]:
    """Write an array; returns the facts by which changes are noticed."""
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)
    status = path.stat()
    return [str(array.dtype), list(array.shape), status.st_size, status.st_mtime_ns]


def _mapped(path: Path, written: list[Any]) -> npt.NDArray[Any]:
    """An array as it was written.

    Raises:
        ValueError, OSError: it is damaged or missing.
    """
    dtype, shape, size, changed = written
    status = path.stat()
    if [status.st_size, status.st_mtime_ns] != [size, changed]:
        raise ValueError(f"{path} was changed")
    if 0 in shape:  # nothing to map
        return np.load(path, allow_pickle=False)  # type: ignore[no-any-return]
    array = np.load(path, mmap_mode="c", allow_pickle=False)
    if str(array.dtype) != dtype or list(array.shape) != list(shape):
        raise ValueError(f"{path} holds another array")
    return np.asarray(array)
