"""The parts that a page is made of, and their HTML."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from string import Template
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.io.json import to_json_plotly

from zonesearch.core.metric import ACCURACY, Metric
from zonesearch.report.figures.look import template
from zonesearch.report.packing import asset, packed, plotly_script, policy, spec

__all__ = ["Picture", "Section", "Table", "cell_text", "named", "page"]

_MOST_ROWS = 200


@dataclass(frozen=True)
class Picture:
    """A figure with its reading.

    Args:
        name: unique on the page.
        figure: what is drawn; None for one that the page draws from other data.
        label: what it shows, for those who cannot see it.
        reading: the sentence under it.
        choices: further figures by label, of which the reader picks one.
        height: in pixels, kept free until it is drawn.
    """

    name: str
    figure: go.Figure | None
    label: str
    reading: str = ""
    choices: Mapping[str, go.Figure] = field(default_factory=dict)
    choose: str = ""
    height: int = 0


@dataclass(frozen=True)
class Table:
    """A table behind the pictures; ``note`` is a sentence under its name."""

    name: str
    frame: pd.DataFrame
    note: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the page; one with nothing in it but ``missing`` says why it is empty."""

    key: str
    title: str
    text: str = ""
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()
    missing: str = ""
    controls: str = ""
    after: str = ""
    columns: int = 1


def page(
    title: str, head: str, sections: Sequence[Section], foot: str = "", data: Mapping[str, Any] | None = None
) -> str:
    """The whole page. ``head``, ``foot`` and the sections' ``controls`` and ``after`` are HTML, all else is text."""
    script = asset("page.js")
    figures = {
        picture.name: [[label, spec(figure)] for label, figure in (picture.choices or {"": picture.figure}).items()]
        for section in sections
        for picture in section.pictures
        if picture.figure is not None
    }
    files = {
        file_name(section, table): table.frame.to_csv(index=False) for section in sections for table in section.tables
    }
    templates = {name: template(dark).to_plotly_json() for name, dark in (("light", False), ("dark", True))}
    payload = {"figures": figures, "files": files, "templates": templates, **(data or {})}
    shown = [section for section in sections if section.pictures or section.tables or section.missing or section.after]
    links = "".join(f'<a href="#{section.key}">{escape(section.title)}</a>' for section in shown)
    return Template(asset("page.html")).substitute(
        title=escape(title),
        policy=escape(policy(script)),
        style=asset("page.css"),
        head=head,
        links=links,
        body="\n".join(_section(section) for section in shown),
        foot=foot,
        data=packed(to_json_plotly(payload)),
        plotly=plotly_script()[0],
        script=script,
    )


def file_name(section: Section, table: Table) -> str:
    """The name of a table's CSV file."""
    words = re.findall(r"[a-z0-9]+", f"{section.key} {table.name}".lower())
    return "-".join(dict.fromkeys(words)) + ".csv"


def named(metric: Metric) -> str:
    """The metric at the beginning of a sentence: ``Accuracy``; another name as the user wrote it."""
    return metric.name.capitalize() if metric.name == ACCURACY.name else metric.name


def cell_text(value: Any) -> str:
    """A value as a table shows it: five significant digits, a dash for nothing."""
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, float):
        return f"{value:.5g}"
    return str(value)


def _section(section: Section) -> str:
    text = f"<p class=lead>{escape(section.text)}</p>" if section.text else ""
    missing = f"<p class=missing>{escape(section.missing)}</p>" if section.missing else ""
    pictures = "".join(_picture(picture) for picture in section.pictures)
    drawn = f'<div class="pictures columns{section.columns}">{pictures}</div>' if pictures else ""
    tables = "".join(_table(section, table) for table in section.tables if len(table.frame))
    return (
        f'<section id="{section.key}" aria-labelledby="{section.key}-title">'
        f'<h2 id="{section.key}-title">{escape(section.title)}</h2>'
        f"{text}{missing}{section.controls}{drawn}{section.after}{tables}</section>"
    )


def _picture(picture: Picture) -> str:
    height = picture.height or (picture.figure.layout.height if picture.figure is not None else 0) or 400
    chooser = ""
    if len(picture.choices) > 1:
        options = "".join(f"<option value={i}>{escape(label)}</option>" for i, label in enumerate(picture.choices))
        chooser = (
            f"<label class=choose>{escape(picture.choose)} "
            f'<select data-chooses="{picture.name}">{options}</select></label>'
        )
    reading = f"<figcaption>{escape(picture.reading)}</figcaption>" if picture.reading else ""
    return (
        f'<figure>{chooser}<div class=plot id="plot-{picture.name}" role=img aria-label="{escape(picture.label)}" '
        f'style="min-height:{height}px"></div>{reading}</figure>'
    )


def _table(section: Section, table: Table) -> str:
    frame = table.frame
    shown = frame.head(_MOST_ROWS)
    numeric = [pd.api.types.is_numeric_dtype(frame[column]) for column in frame.columns]
    kinds = [" class=number" if is_number else "" for is_number in numeric]
    head = "".join(
        f"<th scope=col{kind}><button type=button>{escape(str(column))}</button></th>"
        for column, kind in zip(frame.columns, kinds, strict=True)
    )
    rows = "".join(
        "<tr>" + "".join(_cell(value, kind) for value, kind in zip(row, kinds, strict=True)) + "</tr>"
        for row in shown.itertuples(index=False, name=None)
    )
    count = f"{len(frame):,} row{'s' if len(frame) != 1 else ''}"
    cut = f" The first {_MOST_ROWS} of {len(frame):,} rows; the CSV file has all." if len(frame) > _MOST_ROWS else ""
    note = escape(table.note + cut)
    name = escape(table.name)
    return (
        f"<details><summary>{name} <span class=count>{count}</span></summary>"
        f'<div class=scroll role=region tabindex=0 aria-label="{name}"><table>'
        f"<caption>{name}. {note}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
        f'<p><a class=csv href="#" download="{file_name(section, table)}">Download as CSV</a></p></details>'
    )


def _cell(value: Any, kind: str) -> str:
    text = escape(cell_text(value))
    exact = f' data-value="{float(value)!r}"' if kind and isinstance(value, numbers.Real) and value == value else ""
    return f"<td{kind}{exact}>{text}</td>"
