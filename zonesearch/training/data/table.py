"""Tables as numbers: missing values are filled and flagged, categories become 0-1 columns; fitted on the training part
alone.

A missing number is replaced by the median of its column, a missing category by the most frequent one, and an indicator
column says where. (The indicator keeps the information that a value was missing: Little & Rubin 2002, section 4.)
Categories are those of the training part; an unknown one is encoded as zeros in all its columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from zonesearch.errors import ObjectiveError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Column", "Columns", "content", "is_frame"]


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Args:
        name: in the table.
        categories: its categories as strings, in the order of their 0-1 columns; None for a numeric column.
        fill: replacement for a missing value: a number or a category.
        marks: whether there is an indicator column: some but not all values are missing in the training part.
    """

    name: str
    categories: tuple[str, ...] | None
    fill: float | str
    marks: bool

    @classmethod
    def fit(cls, values: pd.Series[Any], what: str) -> Column:
        """Of the training part.

        Raises:
            ObjectiveError: the column holds neither numbers nor strings, or numbers that are not finite.
        """
        name, missing = str(values.name), values.isna()
        marks = bool(missing.any() and not missing.all())
        if _is_words(values):
            there = values[~missing].astype(str)
            order = [str(word) for word in _ordered(values[~missing])]
            counts = there.value_counts()
            most = [word for word in order if counts[word] == counts.max()]
            return cls(name, tuple(order), most[0] if most else "", marks)
        numbers = _numbers(values, what)[~missing.to_numpy()]
        return cls(name, None, float(np.median(numbers)) if len(numbers) else 0.0, marks)

    def apply(self, values: pd.Series[Any], what: str) -> list[npt.NDArray[np.float32]]:
        """The column encoded as numeric columns, without the indicator."""
        missing = values.isna().to_numpy()
        if self.categories is None:
            if _is_words(values) and not missing.all():
                raise ObjectiveError(f'{what}: column "{self.name}" holds words, but numbers in the training part')
            numbers = np.full(len(values), np.nan) if missing.all() else _numbers(values, what)
            return [np.where(missing, self.fill, numbers).astype(np.float32)]
        words = values.astype(object).where(~missing, self.fill).astype(str).tolist()
        return [np.array([word == category for word in words], dtype=np.float32) for category in self.categories]

    @property
    def made(self) -> list[str]:
        """The names of its numeric columns, without the indicator."""
        return [self.name] if self.categories is None else [f"{self.name}_{word}" for word in self.categories]

    def describe(self) -> dict[str, Any]:
        """The column as plain data."""
        categories = None if self.categories is None else list(self.categories)
        return {"name": self.name, "categories": categories, "fill": self.fill, "marks": self.marks}


@dataclass(frozen=True)
class Columns:
    """The encoding of a table: numeric columns in their order, then the 0-1 columns of categories, then indicators."""

    columns: tuple[Column, ...]

    @classmethod
    def fit(cls, frame: pd.DataFrame, what: str) -> Columns:
        """Of the training part.

        Raises:
            ObjectiveError: naming the column that holds neither numbers nor strings.
        """
        return cls(tuple(Column.fit(frame[name], what) for name in frame.columns))

    @property
    def names(self) -> list[str]:
        """Names of the table's columns."""
        return [column.name for column in self.columns]

    @property
    def made(self) -> list[str]:
        """Names of the numeric columns."""
        return [name for column in self._ordered() for name in column.made] + [
            f"{column.name} is missing" for column in self.columns if column.marks
        ]

    def apply(self, frame: pd.DataFrame, what: str = "the table") -> npt.NDArray[np.float32]:
        """The table as numbers of shape (n, columns), none of them missing.

        Raises:
            ObjectiveError: a column is missing, or of another type than in the training part.
        """
        there = {str(name): frame[name] for name in frame.columns}
        for name in self.names:
            if name not in there:
                raise ObjectiveError(f'{what} has no column "{name}"; {did_you_mean(name, there)}')
        made = [values for column in self._ordered() for values in column.apply(there[column.name], what)]
        made += [there[column.name].isna().to_numpy().astype(np.float32) for column in self.columns if column.marks]
        return np.stack(made, axis=1)

    def _ordered(self) -> Iterable[Column]:
        return sorted(self.columns, key=lambda column: column.categories is not None)

    def describe(self) -> list[dict[str, Any]]:
        """The columns as plain data."""
        return [column.describe() for column in self.columns]

    @classmethod
    def from_description(cls, described: Sequence[Mapping[str, Any]]) -> Columns:
        """The inverse of :meth:`describe`."""
        return cls(tuple(
            Column(d["name"], None if d["categories"] is None else tuple(d["categories"]), d["fill"], d["marks"])
            for d in described
        ))  # fmt: skip


def is_frame(values: Any) -> bool:
    """Whether ``values`` is a pandas frame."""
    return type(values).__module__.partition(".")[0] == "pandas" and getattr(values, "ndim", 0) == 2


def content(frames: Sequence[pd.DataFrame], what: str) -> tuple[list[npt.NDArray[np.float32]], list[str], bool]:
    """The content of the parts of a table as numbers of one shape: for the identity of the data, not for training.

    Returns:
        An array for each part, the names of their columns, and whether categories are missing. These are the numbers
        that version 0.1.0 trained on (with the categories of all parts together), so tables from then keep their
        identity.

    Raises:
        ObjectiveError: naming a column that holds neither numbers nor strings.
    """
    import pandas as pd

    whole = pd.concat(list(frames), ignore_index=True)
    if whole.columns.has_duplicates:
        twice = whole.columns[whole.columns.duplicated()][0]
        raise ObjectiveError(f'{what}: there are two columns "{twice}"; give each a name of its own')
    for name in whole.columns:
        if not _is_words(whole[name]):
            _numbers(whole[name], what)
        if whole[name].isna().all():
            raise ObjectiveError(f'{what}: column "{name}" has missing values only; drop it')
    words_missing = any(_is_words(whole[name]) and bool(whole[name].isna().any()) for name in whole.columns)
    numbers = pd.get_dummies(whole, dtype=np.float32)
    found = np.stack([_numbers(numbers[name], what) for name in numbers.columns], axis=1).astype(np.float32)
    ends = np.cumsum([len(frame) for frame in frames])[:-1]
    return np.split(found, ends), [str(name) for name in numbers.columns], words_missing


def _is_words(values: pd.Series[Any]) -> bool:
    return values.dtype.kind == "O" or str(values.dtype) in ("category", "str", "string")


def _ordered(values: pd.Series[Any]) -> list[Any]:
    """The distinct values in order: a categorical's own order, otherwise ascending."""
    import pandas as pd

    if isinstance(values.dtype, pd.CategoricalDtype):
        there = set(values)
        return [word for word in values.dtype.categories if word in there]
    try:
        return sorted(set(values))
    except TypeError:  # of mixed types
        return sorted(set(values), key=str)


def _numbers(values: pd.Series[Any], what: str) -> npt.NDArray[np.float64]:
    """A column of numbers or booleans; NaN for missing values."""
    if values.dtype.kind not in "biuf":
        raise ObjectiveError(
            f'{what}: column "{values.name}" holds {values.dtype}, neither numbers nor words; convert or drop it'
        )
    found = values.to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isinf(found).any():
        at = int(np.isinf(found).argmax())
        raise ObjectiveError(f'{what}: column "{values.name}" holds a number that is not finite (row {at})')
    return found
