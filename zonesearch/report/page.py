"""The report: one HTML file that needs nothing else, the verdict first.

The same findings give the same bytes. All text from a study is escaped, and what stands in scripts is JSON in which
no tag can begin, so a name such as ``<script>`` stays a name.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from zonesearch.domain.findings import Findings
from zonesearch.domain.wording import accuracy_text, cost_text, percent_like, point_text
from zonesearch.errors import StoreError
from zonesearch.report import figures, summaries
from zonesearch.report.style import PAGE, SCRIPT, STYLE

__all__ = ["render", "write_report"]


def write_report(findings: Findings, path: str | Path) -> Path:
    """Write the report to ``path``, replacing what is there at once; gives the path.

    Raises:
        StoreError: the file cannot be written.
    """
    path = Path(path)
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(render(findings), encoding="utf-8")
        new.replace(path)
    except OSError as error:
        raise StoreError(f"the report {path} cannot be written: {error.strerror}; name another file") from error
    return path


def render(findings: Findings) -> str:
    """The report as HTML."""
    sections = [_verdict(findings), *_pictures(findings), _costs(findings), _provenance(findings)]
    return Template(PAGE).substitute(
        title=escape(findings.name),
        style=STYLE,
        plotly=get_plotlyjs(),
        script=SCRIPT,
        body="\n".join(section for section in sections if section),
    )


def _verdict(findings: Findings) -> str:
    verdict = findings.verdict
    if verdict is None:
        done = f"{len(findings.trials)} trainings came back so far"
        waiting = next((record.name for record in findings.stages if not record.finished), "")
        sentence = f"No verdict yet: {done}; stage {waiting} still wants trainings."
    else:
        sentence = verdict.sentence
    notes = "".join(f"<li>{escape(note)}</li>" for note in findings.notes)
    parts = [
        f"<h1>{escape(findings.name)}</h1>",
        f'<p class="verdict">{escape(sentence)}</p>',
        _recommendation(findings),
        f'<ul class="notes">{notes}</ul>' if notes else "",
    ]
    return f"<header>{''.join(parts)}</header>"


def _recommendation(findings: Findings) -> str:
    chosen = findings.verdict.recommended if findings.verdict else None
    if chosen is None or findings.verdict is None:
        return ""
    unit = percent_like([chosen.mean])
    seed_part = accuracy_text(chosen.mean, chosen.half_width, unit)
    facts = [
        ("recommended", point_text(summaries.bare(findings, chosen.finalist.params), chosen.finalist.schedule)),
        (f"{findings.verdict.measured_on} accuracy, fresh seeds", seed_part),
    ]
    if chosen.test_interval:
        low, high = (accuracy_text(end, percent=unit) for end in chosen.test_interval)
        facts.append((f"finite test set ({findings.verdict.level:.0%})", f"{low} to {high}"))
    facts.append(
        ("optimism of choosing", f"{100 * chosen.optimism:+.2f} points" if unit else f"{chosen.optimism:+.3g}")
    )
    cost = cost_text(chosen.n_parameters, chosen.seconds)
    facts += [("cost", cost)] if cost else []
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    return f'<dl class="facts">{items}</dl>'


def _pictures(findings: Findings) -> list[str]:
    noise = summaries.map_noise(findings)
    sd = math.sqrt(noise.seed_variance)
    source = {
        "seeds": f"One training varies by {sd:.2g} (standard deviation between seeds, {noise.degrees} degrees of "
        f"freedom); cells that differ by less than their noise belong to one zone.",
        "differences": f"One training varies by about {sd:.2g}, guessed from differences between neighbours.",
        "none": "With one seed a cell only the finite validation set counts as noise.",
    }[noise.source]
    others = summaries.fixed_at(findings, findings.space.names[2:])
    held = f" Other axes are held at {point_text(others)}." if others else ""
    zones = f"{len(findings.zones)} zone{'s' if len(findings.zones) != 1 else ''}" if findings.zones else "No zone yet"
    return [
        _section(
            "The map",
            f"{zones}, outlined and numbered; crosses are candidates. {source}{held}",
            [("surface", figures.surface_figure), ("map", figures.map_figure)],
            findings,
            [
                ("Cells", summaries.cells_table(findings)),
                ("Zones", summaries.zones_table(findings)),
                ("Candidates", summaries.candidates_table(findings)),
            ],
        ),
        _section(
            "Inside the zones",
            "Each zone's intervals, one axis moving and the others at the peak; the band is 95 % of the noise.",
            [("intervals", figures.intervals_figure)],
            findings,
            [(f"Zone {zone.number}: {name}", table) for zone, name, table in summaries.interval_lines(findings)],
        ),
        _section(
            "Schedules",
            "Validation accuracy at the recommended point under each learning-rate schedule, mean over its seeds.",
            [("curves", figures.curves_figure)],
            findings,
            [],
        ),
        _section(
            "The finalists",
            "Fresh seeds that took no part in choosing: points are seeds, diamonds their mean with Student's interval; "
            "blue ones cannot be told apart from the best. Beside: accuracy when chosen against fresh seeds; points "
            "under the line looked better than they are.",
            [("finalists", figures.finalists_figure), ("optimism", figures.optimism_figure)],
            findings,
            [("Finalists", summaries.finalists_table(findings))],
        ),
    ]


def _section(
    title: str,
    reading: str,
    drawings: list[tuple[str, Callable[[Findings], go.Figure | None]]],
    findings: Findings,
    tables: list[tuple[str, pd.DataFrame]],
) -> str:
    drawn = [(name, figure) for name, draw in drawings if (figure := draw(findings)) is not None]
    shown = "".join(_figure(name, title, figure) for name, figure in drawn)
    kept = "".join(_table(name, table) for name, table in tables if len(table))
    if not shown and not kept:
        return ""
    return (
        f"<section><h2>{escape(title)}</h2><p>{escape(reading)}</p>"
        f'<div class="figures n{len(drawn)}">{shown}</div>{kept}</section>'
    )


def _figure(name: str, title: str, figure: go.Figure) -> str:
    data = _script_json(figure.to_json())
    return (
        f'<figure role="img" aria-label="{escape(title)}: {escape(name)}"><div id="{name}"></div>'
        f'<script type="application/json" data-figure="{name}">{data}</script></figure>'
    )


def _script_json(text: str) -> str:
    """JSON that may stand inside a script element: no tag can begin in it."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _table(name: str, table: pd.DataFrame) -> str:
    head = "".join(
        f'<th scope="col"><button type="button">{escape(str(column))}</button></th>' for column in table.columns
    )
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(_cell(value))}</td>" for value in row) + "</tr>"
        for row in table.itertuples(index=False)
    )
    csv = _script_json(json.dumps(table.to_csv(index=False)))
    file = escape(name.lower().replace(" ", "-").replace(":", "")) + ".csv"
    return (
        f'<details><summary>{escape(name)} ({len(table)} rows)</summary><div class="scroll"><table>'
        f"<caption>{escape(name)}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
        f'<p><a class="csv" href="#" download="{file}">CSV</a></p>'
        f'<script type="application/json" class="csv-data">{csv}</script></details>'
    )


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _costs(findings: Findings) -> str:
    table = summaries.cost_table(findings)
    if not len(table):
        return ""
    seconds = float(table["seconds"].sum())
    total = f"{int(table['done'].sum())} trainings, {int(table['epochs'].sum()):,} epochs, {seconds:,.0f} s of training"
    return f"<section><h2>What it cost</h2><p>{escape(total)} in all.</p>{_table('Stages', table)}</section>"


def _provenance(findings: Findings) -> str:
    table = summaries.provenance_table(findings)
    kinds = {key: table[key].nunique() for key in ("host", "processor", "device") if key in table}
    differed = [key for key, n in kinds.items() if n > 1]
    said = (
        f"Hardware differed ({', '.join(differed)}): accuracies may differ in their last digits between machines."
        if differed
        else "All trainings ran on hardware of one kind."
    )
    identity = f"Study fingerprint {findings.fingerprint or 'none'}, seed {findings.seed}, {findings.epochs} epochs a "
    identity += f"training, read as {findings.reading}."
    file = f"<details><summary>Study file</summary><pre>{escape(findings.study_text)}</pre></details>"
    return (
        f"<section><h2>Where it comes from</h2><p>{escape(identity)} {escape(said)}</p>"
        f"{_table('What ran where', table) if len(table) else ''}{file if findings.study_text else ''}</section>"
    )
