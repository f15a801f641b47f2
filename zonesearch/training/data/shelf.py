"""Arrays kept as files that every process maps: one copy in memory, however many workers read it.

An entry is a folder with one ``.npy`` for each array and ``facts.json`` for the rest. It is written beside its place
and renamed into it, so that nobody finds half of one. It can be deleted at any time: whoever has mapped it keeps what
was mapped, and the next one makes it anew. Maps are private (copy on write): pages are shared by all who only read, and
who writes into an array of theirs changes nobody else's, and not the file.

An entry that is not as it was written (another size, another time of change, a header or facts that say something else)
is damaged: it is thrown away and made anew. So is one that another user made, or could have changed. Nothing is ever
unpickled.
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
_ABANDONED_S = 86_400.0  # what is half written since then, nobody writes on
_LOOK_S = 0.05
_PATIENCE_S = 600.0  # longer than that nobody waits for another who reads the same


@dataclass(frozen=True)
class Entry:
    """Arrays by name, and facts that JSON can hold.

    Args:
        arrays: of numbers or truth values.
        facts: texts, numbers, lists and tables of these.
        place: the folder in which they are kept; None while they are in memory alone.
    """

    arrays: Mapping[str, npt.NDArray[Any]]
    facts: Mapping[str, Any] = field(default_factory=dict)
    place: Path | None = None

    @property
    def n_bytes(self) -> int:
        """Of all arrays."""
        return sum(array.nbytes for array in self.arrays.values())


@dataclass(frozen=True)
class Shelf:
    """A folder of entries.

    Args:
        folder: made when the first entry is kept.
        limit_mb: what all entries together may take; those that were not asked for the longest go first.
    """

    folder: Path
    limit_mb: float = float("inf")

    @classmethod
    def of_user(cls) -> Shelf:
        """In the user's cache. ``ZONESEARCH_CACHE_MB`` bounds it: 20,000 by default, 0 keeps nothing.

        Raises:
            StoreError: that variable holds no such number.
        """
        cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
        with contextlib.suppress(RuntimeError):  # a user without a home: then the folder is none that can be made
            cache = cache.expanduser()
        return cls(cache / "zonesearch" / "data", cache_limit_mb())

    def find(self, key: str) -> Entry | None:
        """The entry, mapped; None where there is none, or a damaged one."""
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
        with contextlib.suppress(OSError):  # it was asked for now; a cache that can only be read does without
            os.utime(place)
        return Entry(arrays, facts, place)

    def keep(self, key: str, entry: Entry) -> Entry:
        """Write an entry; it as it is found from now on.

        Raises:
            OSError: it cannot be kept: no room, or a folder that cannot be written.
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
            with contextlib.suppress(OSError):  # of somebody who was quicker, or a damaged one
                shutil.rmtree(place)
            with contextlib.suppress(OSError):  # somebody was quicker between these two lines
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
        """Hold a lock that dies with this process; without one (a file system that has none) two make the same."""
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
                    path.unlink()  # who waits for it holds a file without a name: then two make the same, no harm
                os.close(lock)

    def _make_room(self, besides: str) -> None:
        """Delete what was abandoned, and the oldest entries until the rest is within the limit."""
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
    """What the user's cache may take, in millions of bytes: ``ZONESEARCH_CACHE_MB``, 20,000 where it is empty or unset.

    Raises:
        StoreError: it is no number of 0 or more.
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
    """What the facts of an entry come to, as JSON gives them back."""
    text = json.dumps([json.loads(json.dumps(written)), json.loads(json.dumps(facts))])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _written(path: Path, array: npt.NDArray[Any]) -> list[Any]:
    """Write an array; what is true of it from now on."""
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)
    status = path.stat()
    return [str(array.dtype), list(array.shape), status.st_size, status.st_mtime_ns]


def _mapped(path: Path, written: list[Any]) -> npt.NDArray[Any]:
    """An array as it was written.

    Raises:
        ValueError, OSError: it is damaged, or not there.
    """
    dtype, shape, size, changed = written
    status = path.stat()
    if [status.st_size, status.st_mtime_ns] != [size, changed]:
        raise ValueError(f"{path} was changed")
    if 0 in shape:  # nothing to be mapped
        return np.load(path, allow_pickle=False)  # type: ignore[no-any-return]
    array = np.load(path, mmap_mode="c", allow_pickle=False)
    if str(array.dtype) != dtype or list(array.shape) != list(shape):
        raise ValueError(f"{path} holds another array")
    return np.asarray(array)
