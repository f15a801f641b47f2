"""Tables that people open in a spreadsheet.

A spreadsheet takes a cell that begins with ``=``, ``+``, ``-`` or ``@`` for a formula, and a formula may run programs;
a tab or a line break before it is skipped. An apostrophe in front makes it text (OWASP, CSV Injection). Numbers are
left alone: a negative one begins with ``-`` and is none of these.
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
    """``frame`` with an apostrophe before each text, names of columns included, that would be taken for a formula.

    A text that looks like another value of its column, as the choice ``"1"`` beside ``1``, gets quotation marks.
    """
    shown = frame.copy()
    for i, kind in enumerate(frame.dtypes):
        if kind.kind == "O" or str(kind) in ("str", "string", "category"):
            texts = np.empty(len(frame), dtype=object)  # pandas would make whole numbers beside absent ones 1.0
            column = list(frame.iloc[:, i])
            others = {str(value) for value in column if value is not None and not isinstance(value, str)}
            texts[:] = [_text(_quoted(value, others)) for value in column]
            shown.isetitem(i, texts)
    return shown.set_axis([_text(name) for name in frame.columns], axis="columns")


def _text(value: Any) -> Any:
    if isinstance(value, tuple):  # a list as the records have it
        return json.dumps(value)
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _quoted(value: Any, others: set[str]) -> Any:
    alike = isinstance(value, str) and value in others and not value.startswith(_FORMULA)  # those get an apostrophe
    return json.dumps(value) if alike else value
