"""The building blocks of a page, and the page itself."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, NamedTuple

import pandas as pd
import plotly.graph_objects as go
from markupsafe import Markup
from plotly.io.json import to_json_plotly

from zonesearch.core.metric import ACCURACY, Metric
from zonesearch.report.figures.look import template
from zonesearch.report.packing import asset, packed, plotly_script, policy, spec
from zonesearch.report.templating import rendered

__all__ = ["Picture", "Section", "Table", "cell_text", "named", "page"]

_MOST_ROWS = 200
_MOST_ON_PAPER = 30  # as print.css has it
_NOTHING = Markup()


@dataclass(frozen=True)
class Picture:
    """A figure with its caption.

    Args:
        name: unique on the page.
        figure: the plotly figure; None if the page draws it from other data.
        label: a description for screen readers.
        reading: the caption below it.
        choices: further figures by label, from which the reader chooses.
        height: in pixels, reserved until it is drawn.
        hint: how to interact with it on a screen.
    """

    name: str
    figure: go.Figure | None
    label: str
    reading: str = ""
    choices: Mapping[str, go.Figure] = field(default_factory=dict)
    choose: str = ""
    height: int = 0
    hint: str = ""

    @property
    def drawn_height(self) -> int:
        """The height reserved for the figure before it is drawn, in pixels."""
        return self.height or (self.figure.layout.height if self.figure is not None else 0) or 400


class Column(NamedTuple):
    """The head of a column."""

    name: str
    is_number: bool


class Cell(NamedTuple):
    """A displayed value, and the number with all its digits; ``exact`` is empty for anything but a number."""

    text: str
    is_number: bool
    exact: str


@dataclass(frozen=True)
class Table:
    """A table of the data behind the figures; ``note`` is a sentence below its name."""

    name: str
    frame: pd.DataFrame
    note: str = ""

    @property
    def n_rows(self) -> int:
        """The total number of rows; a page shows the first 200."""
        return len(self.frame)

    @property
    def caption(self) -> str:
        """The name and the note."""
        return f"{self.name}. {self.note}".rstrip()

    @property
    def cut(self) -> str:
        """What the page leaves out; empty if nothing."""
        if self.n_rows <= _MOST_ROWS:
            return ""
        return f"The first {_MOST_ROWS} of {self.n_rows:,} rows; the CSV file has all."

    @property
    def cut_on_paper(self) -> str:
        """What the page leaves out when printed."""
        return f"The first {_MOST_ON_PAPER} of {self.n_rows:,} rows." if self.n_rows > _MOST_ON_PAPER else ""

    @property
    def columns(self) -> list[Column]:
        """The heads, from left to right."""
        frame = self.frame
        return [Column(str(name), pd.api.types.is_numeric_dtype(frame[name])) for name in frame.columns]

    @property
    def rows(self) -> Iterator[list[Cell]]:
        """The rows that a page shows."""
        kinds = [column.is_number for column in self.columns]
        for row in self.frame.head(_MOST_ROWS).itertuples(index=False, name=None):
            yield [_cell(value, is_number) for value, is_number in zip(row, kinds, strict=True)]


@dataclass(frozen=True)
class Section:
    """A section of the page; if it contains nothing else, ``missing`` says why it is empty.

    ``controls`` and ``after`` are rendered templates; a plain string there is shown as text.
    """

    key: str
    title: str
    text: str = ""
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()
    missing: str = ""
    controls: Markup = _NOTHING
    after: Markup = _NOTHING
    columns: int = 1

    def file_name(self, table: Table) -> str:
        """The name of a table's CSV file."""
        words = re.findall(r"[a-z0-9]+", f"{self.key} {table.name}".lower())
        return "-".join(dict.fromkeys(words)) + ".csv"


def page(
    title: str,
    head: Markup,
    sections: Sequence[Section],
    foot: str = "",
    data: Mapping[str, Any] | None = None,
    style: str = "",
) -> str:
    """The whole page.

    Args:
        title: title of the window.
        head: rendered template for the top of the page.
        sections: empty ones are left out.
        foot: the last line.
        data: further data for the page's script, besides figures and files.
        style: further CSS rules, after those of every page.
    """
    script = asset("paper.js") + asset("page.js")
    figures = {
        picture.name: [[label, spec(figure)] for label, figure in (picture.choices or {"": picture.figure}).items()]
        for section in sections
        for picture in section.pictures
        if picture.figure is not None
    }
    files = {
        section.file_name(table): table.frame.to_csv(index=False) for section in sections for table in section.tables
    }
    templates = {name: template(dark).to_plotly_json() for name, dark in (("light", False), ("dark", True))}
    payload = {"figures": figures, "files": files, "templates": templates, **(data or {})}
    whole = rendered(
        "page.html",
        title=title,
        policy=Markup(escape(policy(script))),
        style=Markup(asset("page.css") + asset("print.css") + style),
        head=head,
        sections=[s for s in sections if s.pictures or s.tables or s.missing or s.after],
        foot=foot,
        data=packed(to_json_plotly(payload)),
        plotly=plotly_script()[0],
        script=Markup(script),
    )
    return str(whole)  # a plain string: text added to Markup would be escaped


def named(metric: Metric) -> str:
    """The metric's name at the start of a sentence: ``Accuracy``; user-defined names stay as written."""
    return metric.name.capitalize() if metric.name == ACCURACY.name else metric.name


def cell_text(value: Any) -> str:
    """A value for a table: five significant digits, a dash for a missing value."""
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, float):
        return f"{value:.5g}"
    return str(value)


def _cell(value: Any, is_number: bool) -> Cell:
    known = is_number and isinstance(value, numbers.Real) and value == value
    return Cell(cell_text(value), is_number, repr(float(value)) if known else "")
