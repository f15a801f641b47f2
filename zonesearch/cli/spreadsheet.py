"""Make tables safe to open in a spreadsheet.

A spreadsheet interprets a cell that begins with ``=``, ``+``, ``-`` or ``@`` as a formula, and a formula may run
programs; a leading tab or line break is skipped. A leading apostrophe makes it text (OWASP, CSV Injection). Numbers are
left alone: a negative number begins with ``-`` but is not a formula.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["as_texts"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def as_texts(frame: pd.DataFrame) -> pd.DataFrame:
    """``frame`` with an apostrophe before each string, including column names, that would be read as a formula.

    A string that looks like another value of its column, such as the choice ``"1"`` next to ``1``, is quoted.
    """
    shown = frame.copy()
    for i, kind in enumerate(frame.dtypes):
        if kind.kind == "O" or str(kind) in ("str", "string", "category"):
            texts = np.empty(len(frame), dtype=object)  # pandas would turn integers with missing values into floats
            column = list(frame.iloc[:, i])
            others = {str(value) for value in column if value is not None and not isinstance(value, str)}
            texts[:] = [_text(_quoted(value, others)) for value in column]
            shown.isetitem(i, texts)
    return shown.set_axis([_text(name) for name in frame.columns], axis="columns")


def _text(value: Any) -> Any:
    if isinstance(value, tuple):  # a list, written as in the records
        return json.dumps(value)
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _quoted(value: Any, others: set[str]) -> Any:
    alike = isinstance(value, str) and value in others and not value.startswith(_FORMULA)  # those get an apostrophe
    return json.dumps(value) if alike else value
