"""Data in files: arrays in an .npz, and tables."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zonesearch.errors import ObjectiveError, did_you_mean
from zonesearch.training.data.raw import Raw, as_raw
from zonesearch.training.settings import DataSettings

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_arrays", "read_table"]


def read_arrays(settings: DataSettings, path: Path) -> tuple[Raw, Raw | None, list[object]]:
    """An .npz file with ``x`` and ``y``, or with ``x_train``, ``y_train``, ``x_test``, ``y_test``.

    Raises:
        ObjectiveError: naming the array that is missing or wrong.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ObjectiveError(f"{path} cannot be read as .npz: {error}") from None
    y = settings.target or "y"
    names = [("x_train", f"{y}_train"), ("x_test", f"{y}_test")] if "x_train" in arrays else [("x", y)]
    for name in (name for pair in names for name in pair):
        if name not in arrays:
            raise ObjectiveError(f'{path} holds no array "{name}"; {did_you_mean(name, arrays)}')
    classes: list[object] = []
    parts = [
        as_raw(arrays[x], arrays[y], settings, f"{path} ({x}, {y})", classes, keep_integers=True) for x, y in names
    ]
    return parts[0], parts[1] if len(parts) > 1 else None, classes


def read_table(settings: DataSettings, path: Path) -> tuple[Raw, Raw | None, list[object]]:
    """A .csv or .parquet file, or a folder with ``train`` and ``test`` as such files, as frames without the target
    column.

    Raises:
        ObjectiveError: naming the file, the column and the mend.
    """
    if not settings.target:
        raise ObjectiveError('[data] name = "table" needs target, the column to predict')
    paths = _train_and_test(path) if path.is_dir() else [path]
    frames = [_frame(path) for path in paths]
    for frame, each in zip(frames, paths, strict=True):
        if settings.target not in frame.columns:
            raise ObjectiveError(
                f'{each} has no column "{settings.target}"; {did_you_mean(settings.target, map(str, frame.columns))}'
            )
        if not len(frame) or len(frame.columns) < 2:
            raise ObjectiveError(f"{each} has {'no column besides the target' if len(frame) else 'no rows'}")
        n_unlabelled = int(frame[settings.target].isna().sum())
        if n_unlabelled:
            raise ObjectiveError(
                f'{each}: {n_unlabelled} of {len(frame)} values of the target "{settings.target}" are missing; drop '
                "these rows"
            )
    classes: list[object] = []
    parts = [
        as_raw(frame.drop(columns=settings.target), frame[settings.target].to_numpy(), settings, str(each), classes)
        for frame, each in zip(frames, paths, strict=True)
    ]
    return parts[0], parts[1] if len(parts) > 1 else None, classes


def _train_and_test(folder: Path) -> list[Path]:
    found = [next(iter(sorted(folder.glob(f"{part}.*"))), None) for part in ("train", "test")]
    if found[0] is None or found[1] is None:
        raise ObjectiveError(f"{folder} must hold train and test, as .csv or .parquet")
    return [found[0], found[1]]


def _frame(path: Path) -> pd.DataFrame:
    import pandas as pd

    readers: dict[str, Callable[[Path], pd.DataFrame]] = {".csv": pd.read_csv, ".parquet": pd.read_parquet}
    if path.suffix not in readers:
        raise ObjectiveError(f"{path}: a table is a .csv or .parquet file")
    try:
        return readers[path.suffix](path)
    except (OSError, ValueError, ImportError) as error:
        raise ObjectiveError(f"{path} cannot be read: {str(error).strip()}") from None
