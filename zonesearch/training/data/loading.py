"""Data sets are read once for all processes and all runs: they are cached as files, which every process maps into
memory.

Data are looked up in this order: in the folder in which the run shares its data, if this is a worker process; in the
user's cache, for data whose origin is identified by files (a user's function may return something else tomorrow); and
at their source. This does not affect a run's identity: all give the same numbers, and the digest of the content is
stored with them.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from multiprocessing import current_process
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zonesearch.core.objective import SHARED_DATA
from zonesearch.training.data.collate import Collated, Inputs
from zonesearch.training.data.origin import origin_of
from zonesearch.training.data.preprocessing import Preprocessing
from zonesearch.training.data.shelf import Entry, Shelf
from zonesearch.training.data.split import Split, read_split
from zonesearch.training.settings import DataSettings

__all__ = ["load", "share"]

_PARTS = ("train", "validation", "test")


@lru_cache(maxsize=4)
def load(settings: DataSettings, seed: int, device: str = "cpu", double: bool = False) -> Split:
    """The data set, loaded once per process; as float64 with ``double``.

    Raises:
        ObjectiveError: there is no such data set, its folder is missing, an image or number cannot be read, or it
            is too small for the split.
    """
    if device != "cpu":
        return _moved(load(settings, seed, "cpu", double), device)
    folder = os.environ.get(SHARED_DATA)
    if folder and (key := _key(settings, seed, double, None)):
        shared = Shelf(Path(folder)).find(key)
        if shared is not None:
            return _split_of(shared)
    split, place = _by_origin(settings, seed, double)
    if place is not None:
        _places[settings, seed, double] = place
    return split


def share(settings: DataSettings, seed: int, folder: Path, double: bool = False) -> None:
    """Put this process's copy of the data set where its worker processes will look for it.

    Data that cannot be stored (no space) or identified there (variable-length examples) are read by each worker itself.

    Args:
        settings, seed, double: as for :func:`load`.
        folder: of the run, deleted with it.
    """
    split = load(settings, seed, "cpu", double)
    key = _key(settings, seed, double, None)
    place = _places.get((settings, seed, double))
    try:
        if not key or (folder / key).exists():
            return
        if place is not None:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / key).symlink_to(place)
        elif (entry := _entry_of(split)) is not None:
            Shelf(folder).keep(key, entry)
    except OSError as trouble:
        _say(f"the data cannot be shared in {folder} ({trouble.strerror or trouble}): each worker holds its own")


_places: dict[tuple[DataSettings, int, bool], Path] = {}
"""Where the data that this process has loaded are stored."""


def _by_origin(settings: DataSettings, seed: int, double: bool) -> tuple[Split, Path | None]:
    """The data set from the user's cache or its source, and where it is cached, if it is."""
    shelf, origin = Shelf.of_user(), origin_of(settings)
    key = "" if origin is None else _key(replace(settings, root=""), seed, double, origin)
    if not key or shelf.limit_mb <= 0:
        return _read(settings, seed, double)[0], None
    entry = shelf.find(key)
    if entry is None:
        with shelf.alone(key):
            entry = shelf.find(key)
            if entry is None:
                split, said = _read(settings, seed, double)
                entry = _entry_of(split, said)
                if entry is None:
                    return split, None
                try:
                    entry = shelf.keep(key, entry)
                except OSError as trouble:
                    _say(
                        f"the data cannot be kept in {shelf.folder} ({trouble.strerror or trouble}), so each run reads "
                        "them again; set XDG_CACHE_HOME to a folder with room, or ZONESEARCH_CACHE_MB=0 to keep none"
                    )
                return _split_of(entry), entry.place
    for words in entry.facts["said"]:
        _say(words)
    return _split_of(entry), entry.place


def _read(settings: DataSettings, seed: int, double: bool) -> tuple[Split, list[str] | None]:
    """The data, and the warnings about them; None if the warnings cannot be repeated."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        split = read_split(settings, seed, double)
    for each in caught:
        if _is_main():
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
    plain = all(each.category is UserWarning for each in caught)
    return split, [str(each.message) for each in caught] if plain else None


def _say(words: str) -> None:
    if _is_main():
        warnings.warn(words, stacklevel=3)


def _is_main() -> bool:
    """Whether this is the main process: workers read what it has read, and it has already warned."""
    return current_process().name == "MainProcess"


def _key(settings: DataSettings, seed: int, double: bool, origin: Any) -> str:
    """A key for the data; empty if a function's arguments have no plain form."""
    try:
        text = json.dumps([asdict(settings), seed, double, origin], sort_keys=True)
    except (TypeError, ValueError):
        return ""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _entry_of(split: Split, said: Sequence[str] | None = ()) -> Entry | None:
    """A split as arrays and facts; None for collated examples and for classes without a plain form."""
    if said is None or split.preprocessing.kind == "collated":
        return None
    facts = {"split": _facts_of(split), "said": list(said)}
    try:
        if not _same(json.loads(json.dumps(facts)), facts):
            return None
    except (TypeError, ValueError):
        return None
    arrays = {f"{part}.{name}": getattr(split, part)[i].numpy() for part in _PARTS for i, name in enumerate("xy")}
    if split.given is not None:
        facts["given"] = _facts_of(split.given)
        arrays |= {f"given.{part}.x": getattr(split.given, part)[0].numpy() for part in _PARTS}
    return Entry(arrays, facts)


def _facts_of(split: Split) -> dict[str, Any]:
    return {
        "n_classes": split.n_classes,
        "digest": split.digest,
        "scale": list(split.scale),
        "preprocessing": split.preprocessing.describe(),
        "limited": dict(split.limited),
        "code": dict(split.code),
    }


def _same(a: Any, b: Any) -> bool:
    """Whether both are equal and of the same type: 1, 1.0 and True are not."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return type(a) is type(b) and a == b


def _split_of(entry: Entry) -> Split:
    tensors = {name: torch.from_numpy(array) for name, array in entry.arrays.items()}

    def made(facts: dict[str, Any], prefix: str, given: Split | None = None) -> Split:
        train, validation, test = ((tensors[f"{prefix}{part}.x"], tensors[f"{part}.y"]) for part in _PARTS)
        return Split(
            train, validation, test, facts["n_classes"], facts["digest"], (facts["scale"][0], facts["scale"][1]),
            Preprocessing.from_description(facts["preprocessing"]), given, facts["limited"], facts["code"],
        )  # fmt: skip

    given = made(entry.facts["given"], "given.") if "given" in entry.facts else None
    return made(entry.facts["split"], "", given)


def _moved(split: Split, device: str) -> Split:
    """The same split on another device."""

    def moved(part: tuple[Inputs, Tensor]) -> tuple[Inputs, Tensor]:
        inputs, targets = part[0], part[1].to(device)
        if isinstance(inputs, Collated):
            return Collated(inputs.items, targets, inputs.path, inputs.dtype), targets
        assert isinstance(inputs, Tensor)  # features are computed from a split, never part of one
        return inputs.to(device), targets

    train, validation, test = (moved(getattr(split, part)) for part in _PARTS)
    given = None if split.given is None else _moved(split.given, device)
    return replace(split, train=train, validation=validation, test=test, given=given)
