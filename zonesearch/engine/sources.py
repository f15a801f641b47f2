"""Where trials to be merged may lie: run folders, files, archives, and folders full of these.

Whatever the form, it comes down to files of lines. Archives are read as streams and never unpacked, so that a member
named ``../../somewhere`` or a link in one can do no harm.
"""

from __future__ import annotations

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from zonesearch.engine.run_folder import store_errors
from zonesearch.errors import MergeError

__all__ = ["SourceFile", "source_files"]

_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_LONGEST = 2**26  # bytes; what is longer than this is no record, and is not held in memory


@dataclass(frozen=True)
class SourceFile:
    """One file of trials; to be read before the next one is asked for.

    Args:
        place: where it lies, for messages; ``archive.zip:digits/trials/main.jsonl`` for a member of an archive.
        content: its bytes.
    """

    place: str
    content: IO[bytes]

    def lines(self) -> Iterator[bytes]:
        """Its lines; an endless one comes in pieces. Raises as :func:`source_files` does."""
        with _read_errors(self.place):
            yield from iter(lambda: self.content.readline(_LONGEST), b"")


def source_files(source: Path) -> Iterator[SourceFile]:
    """The files of trials in ``source``; those of a folder in the order of their names.

    Raises:
        MergeError: it is none of what can be merged, holds no trials, or is a damaged archive.
        StoreError: it cannot be read.
    """
    found = False
    with _read_errors(str(source)):
        for file in _all_in(source):
            found = True
            yield file
    if not found:
        raise MergeError(f"{source} holds no trials: expected files <run>/trials/*.jsonl in it")


def _all_in(source: Path) -> Iterator[SourceFile]:
    if not source.exists():
        raise MergeError(f"there is no {source} to merge")
    if source.is_dir():
        return _in_folder(source)
    if source.suffix == ".jsonl":
        return _plain(source)
    if source.name.endswith(_ARCHIVES) or zipfile.is_zipfile(source) or tarfile.is_tarfile(source):
        return _in_archive(source)
    raise MergeError(
        f"{source} cannot be merged: expected a run folder, a .jsonl file, an archive ({', '.join(_ARCHIVES)}) or a "
        f"folder of these"
    )


def _plain(path: Path) -> Iterator[SourceFile]:
    with path.open("rb") as content:
        yield SourceFile(str(path), content)


def _in_folder(folder: Path) -> Iterator[SourceFile]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():  # a link may lead round in a circle
            yield from _in_folder(path)
        elif path.suffix == ".jsonl":
            yield from _plain(path)
        elif path.is_file() and path.name.endswith(_ARCHIVES):
            yield from _in_archive(path)


def _in_archive(path: Path) -> Iterator[SourceFile]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(".jsonl"):
                    with archive.open(name) as content:
                        yield SourceFile(f"{path}:{name}", content)
        return
    with tarfile.open(path, "r|*") as tar:  # one pass, no seeking back in what is compressed
        for member in tar:
            stream = tar.extractfile(member) if member.isfile() and member.name.endswith(".jsonl") else None
            if stream is not None:
                yield SourceFile(f"{path}:{member.name}", stream)


@contextmanager
def _read_errors(place: str) -> Iterator[None]:
    try:
        with store_errors(f"{place} cannot be read"):
            yield
    except (
        EOFError,
        NotImplementedError,
        RuntimeError,
        lzma.LZMAError,
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise MergeError(f"{place} is damaged or encrypted ({error}): copy it again, or merge the folder") from error
