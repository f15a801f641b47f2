"""The origin of a data set, identified by its files without parsing them: it changes whenever the data do.

Files of up to 256 MB are identified by content, larger ones and folders of images by name, size and timestamps. These
include the inode change time (``ctime``), which cannot be set, so an edit that restores the old modification time is
noticed too.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from zonesearch.training.data.sources import FILES, TORCHVISION, root_of
from zonesearch.training.settings import DataSettings

__all__ = ["origin_of"]

_WHOLE = 256_000_000  # bytes of the largest file that is hashed, which takes a quarter of a second
_READERS = {"digits": "scikit-learn", "table": "pandas", "images": "pillow"}
"""The package whose version may change how a file is read."""


def origin_of(settings: DataSettings) -> dict[str, Any] | None:
    """The origin of the data of ``settings``, as plain JSON; None if that is not known without reading them.

    A user's function may return anything at any time; missing files are reported when they are read.
    """
    name = settings.name
    try:
        if name == "digits":
            files: list[Any] = []
        elif name in TORCHVISION:
            files = _of_torchvision(settings)
        elif name in FILES and settings.root:
            path = Path(settings.root).expanduser().resolve()
            files = _of_files(path.iterdir(), path) if name == "table" and path.is_dir() else _of_path(path)
        else:
            return None
    except OSError:
        return None
    if not files and name != "digits":
        return None
    readers = ["numpy", *({_READERS[name]} if name in _READERS else {"pillow", "torchvision"})]
    return {"files": files, "readers": {each: _version(each) for each in sorted(readers)}, "code": _code()}


def _of_torchvision(settings: DataSettings) -> list[Any]:
    _, folder, marker = TORCHVISION[settings.name]
    root = root_of(settings, folder)
    if (root / marker).is_dir():
        return _of_files((root / marker).iterdir(), root)
    archives = sorted(root.glob("*.zip"))
    if archives:
        return _of_path(archives[0])
    return _of_path(root) if (root / "train").is_dir() else []


def _of_path(path: Path) -> list[Any]:
    if path.is_file():
        return _of_files([path], path.parent)
    found = []
    for folder, _, names in os.walk(path, followlinks=True):
        found += [_by_status(Path(folder, name), path) for name in names]
    return sorted(found)


def _of_files(paths: Iterable[Path], root: Path) -> list[Any]:
    """Files identified by content, unless they are large."""
    found: list[Any] = []
    for path in sorted(paths):
        if not path.is_file():
            continue
        if path.stat().st_size > _WHOLE:
            found.append(_by_status(path, root))
        else:
            with path.open("rb") as file:
                found.append([path.name, hashlib.file_digest(file, "sha256").hexdigest()])
    return found


def _by_status(path: Path, root: Path) -> list[Any]:
    status = path.stat()
    return [str(root), str(path.relative_to(root)), status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


@cache
def _code() -> str:
    """A digest of the reading code, so that cached results of other code are not used."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
