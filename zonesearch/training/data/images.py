"""Images by class in a folder or a zip file: ``CLASS/NAME.jpg``, or ``train/CLASS/NAME.jpg`` and ``test/...``.

A few unreadable images are left out with a warning; many of them are an error.
"""

from __future__ import annotations

import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from zonesearch.errors import ObjectiveError
from zonesearch.training.data.raw import Indices, Lazy, Pixels, Raw
from zonesearch.training.settings import DataSettings

__all__ = ["read_images"]

_LARGEST_FILE = 2**30  # bytes per image

_KINDS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
_Named = tuple[str, str]
"""Class and name of an image."""

_MOST_LOST = 0.1  # fraction of images that may be unreadable


def read_images(settings: DataSettings, root: Path) -> tuple[Raw, Raw | None, list[object]]:
    """All images below ``root``, pixels in 0..1; greyscale images keep a single channel if all are greyscale.

    With a limit, only their names; the images that are needed are read once these are known.

    Raises:
        ObjectiveError: naming the image whose size differs from the rest, or the first of many unreadable ones.
    """
    parts: dict[str, list[_Named]] = {"train": [], "test": [], "": []}
    with _opened(root) as (names, _):
        for name in sorted(names):
            path = PurePosixPath(name)
            if path.suffix.lower() not in _KINDS or path.name.startswith(".") or "__MACOSX" in path.parts:
                continue
            part = next((part for part in ("train", "test") if part in path.parts[:-2]), "")
            parts[part].append((path.parent.name, name))
    train, test = parts["train"] or parts[""], parts["test"]
    if not train:
        raise ObjectiveError(f"{root} holds no images as CLASS/NAME.jpg or train/CLASS/NAME.jpg")
    classes = sorted({label for label, _ in train})
    if len(classes) < 2:
        raise ObjectiveError(f'{root} holds images of only one class, "{classes[0]}"; a folder for each is needed')
    number = {label: i for i, label in enumerate(classes)}
    for label, name in test:
        if label not in number:
            raise ObjectiveError(f'{root}: {name} is of the class "{label}", of which there is no training image')
    labels = [np.array([number[label] for label, _ in part], dtype=np.int64) for part in (train, test)]
    pictures = _Pictures((tuple(train), tuple(test)), settings.size, root)
    if settings.limit:
        lazy = [Lazy(len(part), i, pictures.read) for i, part in enumerate((train, test))]
        return (lazy[0], labels[0]), (lazy[1], labels[1]) if test else None, list(classes)
    every = pictures.read({0: np.arange(len(train)), 1: np.arange(len(test))})
    raws = [(every[i][0], labels[i][every[i][1]]) for i in range(2)]
    return raws[0], raws[1] if test else None, list(classes)


@dataclass(frozen=True)
class _Pictures:
    """The images of a training and a test part, by class and name."""

    parts: tuple[tuple[_Named, ...], ...]
    size: int
    root: Path

    def read(self, wanted: Mapping[int, Indices]) -> dict[int, tuple[Pixels, Indices]]:
        """The wanted images of each part, of shape (n, channels, height, width), and which of them could be read."""
        names = [self.parts[number][i][1] for number, indices in sorted(wanted.items()) for i in indices.tolist()]
        with _opened(self.root) as (_, content):
            kept = _readable(content, names, self.size, self.root)
        grey = all(picture.shape[2] == 1 for picture in kept.values())
        first = next(iter(kept.values())).shape[:2]
        for name, picture in kept.items():
            if picture.shape[:2] != first:
                raise ObjectiveError(
                    f"{self.root}: {name} has {picture.shape[0]} x {picture.shape[1]} pixels, others {first[0]} x "
                    f"{first[1]}; set [data] size to resize them all"
                )
        found = {}
        for number, indices in wanted.items():
            there = np.array([i for i in indices.tolist() if self.parts[number][i][1] in kept], dtype=np.int64)
            pictures = [kept[self.parts[number][i][1]] for i in there.tolist()]
            whole = [p if grey or p.shape[2] == 3 else np.repeat(p, 3, axis=2) for p in pictures]
            stacked = np.stack(whole) if whole else np.empty((0, *first, 1 if grey else 3), dtype=np.uint8)
            found[number] = Pixels(stacked.transpose(0, 3, 1, 2)), there
        return found


@contextmanager
def _opened(root: Path) -> Iterator[tuple[list[str], Callable[[str], bytes]]]:
    """The names of all files, with forward slashes, and a function that reads one."""
    if root.is_dir():
        names = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
        yield names, lambda name: (root / name).read_bytes()
        return
    try:
        archive = zipfile.ZipFile(root)
    except (zipfile.BadZipFile, OSError) as error:
        raise ObjectiveError(f"{root} is neither a folder nor a zip of images: {error}") from None
    with archive:

        def content(name: str) -> bytes:
            if archive.getinfo(name).file_size > _LARGEST_FILE:
                raise OSError(f"it would unpack to more than {_LARGEST_FILE // 2**20} MB")
            return archive.read(name)

        yield archive.namelist(), content


def _readable(
    content: Callable[[str], bytes], wanted: list[str], size: int, root: Path
) -> dict[str, npt.NDArray[np.uint8]]:
    """The images by name, without unreadable ones.

    Raises:
        ObjectiveError: more than one in ten is unreadable, or the disk fails.
    """
    kept: dict[str, npt.NDArray[np.uint8]] = {}
    lost: dict[str, str] = {}
    for name in wanted:
        try:
            file = content(name)
        except (
            OSError,
            RuntimeError,
            zipfile.BadZipFile,
            zlib.error,
        ) as error:  # a disk error, which may be gone next time
            raise ObjectiveError(f"{root}: {name} cannot be read: {error}") from None
        try:
            kept[name] = _picture(file, size)
        except Exception as error:  # a malicious file may make Pillow raise anything
            lost[name] = "no image that Pillow knows" if "BytesIO" in str(error) else str(error)
    if not lost:
        return kept
    name, reason = next(iter(lost.items()))
    said = f"{root}: image {name} cannot be read ({reason})"
    if len(lost) > 1:
        said = f"{root}: {len(lost)} of {len(wanted)} images cannot be read, the first {name} ({reason})"
    if len(lost) > _MOST_LOST * len(wanted):
        raise ObjectiveError(f"{said}; replace or remove them")
    warnings.warn(f"{said}; the run goes on without {'it' if len(lost) == 1 else 'them'}", stacklevel=2)
    return kept


def _picture(file: bytes, size: int) -> npt.NDArray[np.uint8]:
    """(height, width, 1 or 3); a broken file may raise anything."""
    from PIL import Image

    with Image.open(BytesIO(file)) as image:
        wanted = "L" if image.mode in ("1", "L", "LA", "I", "I;16", "F") else "RGB"
        picture = image.convert(wanted)
        if size:
            picture = picture.resize((size, size), Image.Resampling.BILINEAR)
        pixels = np.asarray(picture, dtype=np.uint8)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels
