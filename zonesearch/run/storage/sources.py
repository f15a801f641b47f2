"""Sources of trials for merging: run folders, files, archives, and folders of these.

All forms are reduced to files of lines. Archives are read as streams and never unpacked, so a member named
``../../somewhere`` or a link in one can do no harm; and only up to a plausible size, so a few kilobytes that unpack to
a terabyte are refused.
"""

from __future__ import annotations

import lzma
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from zonesearch.errors import MergeError, StoreError
from zonesearch.run.storage.files import LONGEST_LINE, LONGEST_META, open_regular, read_meta
from zonesearch.run.storage.record import Heading
from zonesearch.run.storage.run_folder import heading_of_meta, store_errors
from zonesearch.run.storage.storage import is_address, open_storage

__all__ = ["SourceFile", "source_files"]

_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_MOST_UNPACKED = 200  # times the size of the archive: trials compress by at most 20, since their digits are random
_SLACK = 2**28  # bytes that any archive may hold
_LONGEST_TAR_HEADER = 2**20  # bytes of names and attributes of a member, which tarfile holds in memory


@dataclass(frozen=True)
class SourceFile:
    """One trials file; must be read before the next one is requested.

    Args:
        place: its location, for messages; ``archive.zip:digits/trials/main.jsonl`` for a member of an archive.
        content: its bytes.
        beside: reads the heading from the run.json of its run folder; None if there is none.
    """

    place: str
    content: IO[bytes]
    beside: Callable[[], Heading | None] = lambda: None

    def lines(self) -> Iterator[bytes]:
        """Its lines; an overlong one is split. Raises like :func:`source_files`."""
        with _read_errors(self.place):
            yield from iter(lambda: self.content.readline(LONGEST_LINE), b"")


def source_files(source: str | Path) -> Iterator[SourceFile]:
    """The trials files in ``source``; those of a folder in the order of their names.

    Raises:
        MergeError: it is not a mergeable source, holds no trials, or is a damaged archive.
        StoreError: it cannot be read.
    """
    found = False
    with _read_errors(str(source)):
        for file in _all_in(source):
            found = True
            yield file
    if not found:
        raise MergeError(f"{source} holds no trials: expected files <run>/trials/*.jsonl in it")


def _all_in(source: str | Path) -> Iterator[SourceFile]:
    if is_address(source):
        return _in_storage(str(source))
    source = Path(source)
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
    with open_regular(path) as content:
        yield SourceFile(str(path), content, lambda: _heading_beside(path))


def _in_storage(place: str) -> Iterator[SourceFile]:
    """The lines of a storage, as one file."""
    lines = open_storage(place).lines()
    with tempfile.TemporaryFile() as content:
        try:
            content.writelines(bytes(line) for line in lines)
        except Exception as error:  # a plug-in may raise anything
            raise StoreError(f"the storage {place} cannot be read ({type(error).__name__}: {error})") from error
        content.seek(0)
        yield SourceFile(place, content)


def _in_folder(folder: Path) -> Iterator[SourceFile]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():  # a link may lead to a cycle
            yield from _in_folder(path)
        elif path.suffix == ".jsonl" and not path.is_dir():
            yield from _plain(path)
        elif path.is_file() and path.name.endswith(_ARCHIVES):
            yield from _in_archive(path)


def _heading_beside(path: Path) -> Heading | None:
    for meta in _metas_of(PurePosixPath(path.absolute().as_posix())):
        if Path(meta).is_file():
            return heading_of_meta(read_meta(Path(meta)), None, str(meta))
    return None


def _metas_of(file: PurePosixPath) -> list[PurePosixPath]:
    """Possible locations of the run.json of a trials file: ``<run>/trials/x.jsonl`` belongs to ``<run>/run.json``."""
    above = [file.parent.parent] if file.parent.name == "trials" else []
    return [folder / "run.json" for folder in (*above, file.parent)]


def _in_archive(path: Path) -> Iterator[SourceFile]:
    for name, content in _members(path):
        if name.endswith(".jsonl"):
            yield SourceFile(f"{path}:{name}", content, lambda name=name: _heading_in_archive(path, name))  # type: ignore[misc]


def _heading_in_archive(path: Path, name: str) -> Heading | None:
    """As :func:`_heading_beside`, for a member; reads the archive once more, only for older runs."""
    wanted = {str(meta): i for i, meta in enumerate(_metas_of(PurePosixPath(name)))}
    found: dict[int, bytes] = {}
    for member, content in _members(path):
        if str(PurePosixPath(member)) in wanted:
            found[wanted[str(PurePosixPath(member))]] = content.read(LONGEST_META + 1)
    if not found:
        return None
    return heading_of_meta(found[min(found)], None, f"{path}:run.json")


def _members(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Every regular file in an archive, by name; must be read before the next one is requested.

    Raises:
        MergeError: it would unpack to an implausible size.
    """
    most = _SLACK + _MOST_UNPACKED * path.stat().st_size
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_size(sum(member.file_size for member in members), most, path)
            for member in members:
                if not member.is_dir():
                    with archive.open(member) as content:
                        yield member.filename, content
        return
    n_bytes = 0
    with tarfile.open(path, "r|*", tarinfo=_SmallHeaders) as tar:  # one pass, without seeking back in compressed data
        for entry in tar:
            n_bytes += entry.size
            _check_size(n_bytes, most, path)
            stream = tar.extractfile(entry) if entry.isfile() else None
            if stream is not None:
                yield entry.name, stream


def _check_size(n_bytes: int, most: int, path: Path) -> None:
    if n_bytes > most:
        raise MergeError(
            f"{path} would unpack to {n_bytes / 2**30:,.1f} GB and more, which no archive of trials of its size does: "
            f"merge the folder"
        )


class _SmallHeaders(tarfile.TarInfo):
    """A member of an archive with limited name and attributes, which cannot fill the memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _SmallHeaders:
        made = super().frombuf(buf, encoding, errors)
        in_memory = made.type not in (*tarfile.REGULAR_TYPES, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE)
        if in_memory and made.size > _LONGEST_TAR_HEADER:
            raise MergeError(f"an archive holds a header of {made.size:,} bytes, which is none of trials")
        return made


@contextmanager
def _read_errors(place: str) -> Iterator[None]:
    try:
        with store_errors(f"{place} cannot be read"):
            yield
    except StoreError:
        raise
    except (
        EOFError,
        MemoryError,
        NotImplementedError,
        OverflowError,
        RuntimeError,
        ValueError,
        lzma.LZMAError,
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        if isinstance(error, MergeError):
            raise
        raise MergeError(f"{place} is damaged or encrypted ({error}): copy it again, or merge the folder") from error
