"""Data sets by name: bundled ones, those of torchvision, and the user's files and functions."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from zonesearch.errors import ObjectiveError, did_you_mean
from zonesearch.training.data.datasets import as_arrays
from zonesearch.training.data.files import read_arrays, read_table
from zonesearch.training.data.images import read_images
from zonesearch.training.data.raw import Pixels, Raw, as_raw
from zonesearch.training.networks.factory import imported
from zonesearch.training.settings import DataSettings

__all__ = ["FILES", "NAMES", "TORCHVISION", "read", "root_of"]

Read = tuple[Raw, Raw | None, list[object]]

TORCHVISION = {
    "mnist": ("MNIST", "mnist", "MNIST/raw"),
    "fashion-mnist": ("FashionMNIST", "fashion-mnist", "FashionMNIST/raw"),
    "kmnist": ("KMNIST", "kmnist", "KMNIST/raw"),
    "cifar10": ("CIFAR10", "cifar10", "cifar-10-batches-py"),
    "cifar100": ("CIFAR100", "cifar100", "cifar-100-python"),
}
"""Class in torchvision, folder below ZONESEARCH_DATA, and a file that is there once the data have been downloaded."""

NAMES = ("digits", *TORCHVISION, "images", "arrays", "table")


def read(settings: DataSettings) -> Read:
    """(train, test, class names); test is None if the source has no test part, and a regression has no class names.

    Raises:
        ObjectiveError: naming the data set, file or number, and the mend.
    """
    name = settings.name
    if ":" in name:
        train, test, classes = _by_factory(settings)
    elif name == "digits":
        train, test, classes = _digits(settings)
    elif name in TORCHVISION:
        train, test, classes = _of_torchvision(settings)
    elif name in FILES:
        train, test, classes = FILES[name](settings, _file(settings))
    else:
        raise ObjectiveError(
            f'[data] name: unknown data set "{name}"; {did_you_mean(name, NAMES)} (or give "package.module:function")'
        )
    if settings.collate and ":" not in name:
        raise ObjectiveError(
            f'[data] collate makes batches of examples that a function of your own gives, not of "{name}"; set '
            'name = "package.module:function", or leave collate out'
        )
    if settings.task == "regression" and name not in ("arrays", "table") and ":" not in name:
        raise ObjectiveError(f'[data] task = "regression", but {name} has classes; use arrays, a table or a function')
    return train, test, classes if settings.task != "regression" else []


_DIGITS = Path(__file__).with_name("digits.csv.gz")

FILES: dict[str, Callable[[DataSettings, Path], Read]] = {
    "images": read_images,
    "arrays": read_arrays,
    "table": read_table,
}
"""The reader for each kind of file below ``root``."""


def _file(settings: DataSettings) -> Path:
    if not settings.root:
        raise ObjectiveError(f'[data] name = "{settings.name}" needs root, the file or folder of the data')
    path = Path(settings.root).expanduser()
    if not path.exists():
        raise ObjectiveError(f"[data] root = {settings.root!r} does not exist; name the file or folder of the data")
    return path


def _digits(settings: DataSettings) -> Read:
    """1,797 images of 8 x 8 pixels from 0 to 16, each line of the file an image row by row and its class.

    Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository,
    doi:10.24432/C50P49, licence CC BY 4.0: its test part, the images that scikit-learn's ``load_digits`` gives.
    """
    with gzip.open(_DIGITS, "rt") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.int64)
    inputs, labels = table[:, :-1], table[:, -1]
    return ((inputs.reshape(-1, 1, 8, 8) / 16).astype(np.float32), labels.astype(np.int64)), None, list(range(10))


def _of_torchvision(settings: DataSettings) -> Read:
    """One of torchvision's data sets, pixels in 0..1; its images by class in a folder or zip file are accepted too."""
    from torchvision import datasets

    cls, folder, marker = TORCHVISION[settings.name]
    root = root_of(settings, folder)
    there = (root / marker).is_dir()
    if not there and (archives := sorted(root.glob("*.zip")) + [root] * (root / "train").is_dir()):
        return read_images(settings, archives[0])
    try:
        download = not settings.root and not there
        parts = [getattr(datasets, cls)(str(root), train=train, download=download) for train in (True, False)]
    except (RuntimeError, OSError) as error:
        raise ObjectiveError(
            f"{cls} is not in {root} ({error}): set [data] root to the folder that holds {marker}, or connect to the "
            f"network so that torchvision can download it"
        ) from None
    read = []
    for part in parts:
        pixels, labels = np.asarray(part.data), np.asarray(part.targets, dtype=np.int64)
        read.append((Pixels(pixels[:, None] if pixels.ndim == 3 else pixels.transpose(0, 3, 1, 2)), labels))
    return read[0], read[1], list(parts[0].classes)


def root_of(settings: DataSettings, folder: str) -> Path:
    """The location of a data set: the given root, the folder that ZONESEARCH_DATA names, or the user's cache."""
    if settings.root:
        root = Path(settings.root).expanduser()
        if not root.is_dir():
            raise ObjectiveError(f"[data] root = {settings.root!r} is no folder; name the one that holds the data set")
        return root
    given = os.environ.get("ZONESEARCH_DATA")
    if given and (Path(given) / folder).is_dir():
        return Path(given) / folder
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    return cache / "zonesearch" / folder


def _by_factory(settings: DataSettings) -> Read:
    """The result of ``package.module:function(**arguments)``: (train, test), each (inputs, targets) or a torch data
    set; test may be None. Inputs may be a pandas frame; integers stay integers.
    """
    function = imported(settings.name, "[data] name")
    collate, lazily = bool(settings.collate), bool(settings.limit)
    try:
        train, test = function(**dict(settings.arguments))
        parts = [part if part is None else as_arrays(part, collate, lazily) for part in (train, test)]
    except Exception as error:  # a user's function may raise anything
        raise ObjectiveError(
            f"[data] name = {settings.name} must give (train, test), each (inputs, targets) or a torch Dataset, but "
            f"ended in {type(error).__name__}: {error}"
        ) from error
    classes: list[object] = []
    raws = [part and as_raw(*part, settings, settings.name, classes, keep_integers=True) for part in parts]
    assert raws[0] is not None
    return raws[0], raws[1], classes
