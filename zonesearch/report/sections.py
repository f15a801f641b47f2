"""The sections after the map: zones, schedules, finalists, claims, costs, provenance."""

from __future__ import annotations

from markupsafe import Markup

from zonesearch.core.metric import ACCURACY, Metric
from zonesearch.core.trials import Params
from zonesearch.core.wording import counted, point_text
from zonesearch.report.figures.costs import completeness_figure, pareto_figure
from zonesearch.report.figures.finalists import finalists_figure, optimism_figure
from zonesearch.report.figures.learning import learning_figure
from zonesearch.report.figures.lines import line_figure
from zonesearch.report.figures.look import Shown
from zonesearch.report.map_summary import MapSummary
from zonesearch.report.markup import Picture, Section, Table, named
from zonesearch.report.summaries.claims import claim_outcomes, claim_table
from zonesearch.report.summaries.columns import value_column
from zonesearch.report.summaries.costs import (
    failures_table,
    provenance_table,
    reasons_table,
    stages_table,
    trials_table,
)
from zonesearch.report.summaries.finalists import finalists_table, repeats_table
from zonesearch.report.summaries.learning import curves_of, schedules_at, shown_points
from zonesearch.report.summaries.lines import interval_lines
from zonesearch.report.summaries.pareto import pareto_front, settings_table
from zonesearch.report.templating import rendered
from zonesearch.statistics.verdict import Verdict

__all__ = ["optimism_sentence", "sections_after_map"]


def sections_after_map(summary: MapSummary) -> list[Section]:
    """All sections after the map, in reading order."""
    return [
        *_lines(summary),
        _learning(summary),
        _finalists(summary),
        *_claims(summary),
        *_worth(summary),
        _cost(summary),
        _provenance(summary),
    ]


def _lines(summary: MapSummary) -> list[Section]:
    if not summary.results.zones:
        return []
    lines = interval_lines(summary)
    pictures = [
        Picture(
            f"line-{line.zone.number}-{i}",
            line_figure(line),
            f"{named(summary.metric)} along {line.axis.name} in zone {line.zone.number}.",
            f"Zone {line.zone.number}, the others at {_others(summary, line.zone.peak, line.axis.name)}."
            if len(summary.space.axes) > 1
            else f"Zone {line.zone.number}.",
        )
        for i, line in enumerate(lines)
    ]
    tables = [Table(f"Zone {line.zone.number} along {line.axis.name}", line.table) for line in lines]
    return [
        Section(
            "intervals",
            "Inside the zones",
            "One axis moves across the zone's interval, the others stay at its peak (the number). Filled points are "
            "cells of the map, open ones were trained in between; the band is 95 % of the noise. A curve that stays "
            "within its band cannot be told from a flat one.",
            pictures,
            tables,
            missing="" if lines else "No interval has two trained points yet.",
            columns=2,
        )
    ]


def _others(summary: MapSummary, peak: Params, axis: str) -> str:
    return ", ".join(f"{name} {peak[name]}" for name in summary.space.names if name != axis and name in peak)


def _learning(summary: MapSummary) -> Section:
    results = summary.results
    points = shown_points(results)
    curves = {}
    for point in points:
        found = {name: curves_of(results, params) for name, params in schedules_at(results, point).items()}
        found = {name: table for name, table in found.items() if len(table)}
        if found:
            curves[point_text(point)] = found
    if not curves:
        return Section("learning", "Learning curves", missing="No learning curve was recorded at a candidate.")
    figures = {label: learning_figure(shown, summary.metric) for label, shown in curves.items()}
    first = next(iter(figures))
    n = max(map(len, curves.values()))
    tables = [
        Table(f"{label}, {name}" if name else label, table)
        for label, found in curves.items()
        for name, table in found.items()
    ]
    text = f"Validation {summary.metric.name} by epoch, mean over the seeds; the band reaches from the lowest to the "
    text += "highest seed."
    text += (
        " Below, the learning rate." if any("learning rate" in t for c in curves.values() for t in c.values()) else ""
    )
    missing = "One schedule only: nothing to compare." if n == 1 else ""
    picture = Picture(
        "curves",
        figures[first],
        f"Learning curves at {first} under {len(curves[first])} schedules.",
        choices=figures,
        choose="Learning curves at",
    )
    return Section("learning", "Learning curves and schedules", text, [picture], tables, missing=missing)


def _finalists(summary: MapSummary) -> Section:
    results = summary.results
    verdict = results.verdict
    if verdict is None or not verdict.standings:
        why = "No finalist was complete." if verdict else "Finalists are repeated with fresh seeds at the end."
        return Section("finalists", "The finalists", missing=f"There is no verdict yet. {why}" if not verdict else why)
    n_seeds = max(len(s.accuracies) for s in verdict.standings)
    drawn, optimism = finalists_figure(results), optimism_figure(results)
    text = (
        f"Repeated with seeds that took no part in choosing them. {len(verdict.alike)} of {len(verdict.standings)} "
        f"cannot be told apart from the best at the {verdict.level:.0%} level (paired over seeds, Holm-corrected). "
        + optimism_sentence(verdict, summary.metric)
    )
    return Section(
        "finalists",
        "The finalists",
        text,
        [
            Picture("finalists", drawn, "Fresh seeds of each finalist with mean and interval.",
                    "Points are seeds; diamonds their mean with Student's interval; the star is recommended. Open and "
                    "red: significantly different from the best one; the others are not."),
            Picture("optimism", optimism, f"Validation {summary.metric.name} when chosen against fresh seeds.",
                    "Open: when it was chosen. Filled: mean over fresh seeds. The gap is the optimism of choosing."),
        ],
        [
            Table("Finalists", finalists_table(results)),
            Table("Fresh seeds", repeats_table(results)),
        ],
        missing="A single fresh seed gives no estimate of the spread." if n_seeds == 1 else "",
        columns=2,
    )  # fmt: skip


def optimism_sentence(verdict: Verdict, metric: Metric = ACCURACY) -> str:
    """How much better the finalists looked when chosen than they are."""
    most = max(standing.optimism for standing in verdict.standings)
    if not most > 0:
        return "None of them looked better when chosen than it is."
    shown = metric.gap_text(most, "", metric.shares(s.finalist.selected for s in verdict.standings))
    return f"Being chosen made the finalists look up to {shown} better than they are."


def _claims(summary: MapSummary) -> list[Section]:
    outcomes = claim_outcomes(summary.results)
    if not outcomes:
        return []
    return [
        Section(
            "claims",
            "Claims and replication results",
            "Each claim held against trainings with the same seeds on both sides, by Student's interval of the paired "
            "difference.",
            tables=[Table("Claims", claim_table(outcomes))],
            after=rendered("claims.html", outcomes=outcomes),
        )
    ]


def _worth(summary: MapSummary) -> list[Section]:
    results = summary.results
    table = settings_table(results)
    if not len(table):
        return []
    metric, called = summary.metric, named(summary.metric)
    drawn = [
        Picture(f"worth-{cost}", figure, f"{called} against {title}.", f"{called} against {title}.")
        for cost, title in (("parameters", "parameters of the network"), ("seconds", "seconds per training"))
        if (figure := pareto_figure(results, table, cost, title)) is not None
    ]
    text = "The front connects the settings that nothing cheaper matches."
    sizes = table["parameters"].astype(float)
    values = table[value_column(metric)].tolist()
    front = [i for i in pareto_front(sizes.tolist(), values, metric) if sizes[i] == sizes[i]]
    if len(front) > 1:
        best, cheap = front[-1], front[max(0, len(front) - 2)]
        shown = Shown.of(metric, values)
        text += (
            f" The best setting has {sizes[best]:,.0f} parameters and {shown.text(values[best])}; the next "
            f"smaller one on the front has {sizes[cheap]:,.0f} and {shown.text(values[cheap])}."
        )
    text += " These are validation values of the seeds that chose: the best of many is an optimistic estimate."
    missing = "" if drawn else "All settings cost the same, or their cost is unknown."
    return [
        Section("worth", f"{called} against cost", text, drawn, [Table("Settings", table)], missing=missing, columns=2)
    ]


def _cost(summary: MapSummary) -> Section:
    results = summary.results
    table = stages_table(results)
    if not len(table):
        return Section("cost", "What it cost", missing="No stage is recorded.", tables=_all_trials(summary))
    came = int((table["planned"] - table["missing"]).sum())
    seconds = float(table["seconds"].sum())
    spent = f"{seconds / 3600:.1f} h" if seconds > 7200 else f"{seconds:,.0f} s"
    n_epochs = int(table["epochs"].sum())
    text = f"{counted(came, 'training')}, {counted(n_epochs, 'epoch')}, {spent} of training in all."
    failures = failures_table(results)
    tables = [Table("Stages", table)]
    reasons = reasons_table(results)
    tables += [Table("Why each setting was tried", reasons)] if len(reasons) else []
    tables += [Table("Diverged and failed", failures)] if len(failures) else []
    unbegun = [str(name) for name in table.loc[table["state"] == "not begun", "stage"]]
    n_missing = int(table["missing"].sum())
    have = "training has" if n_missing == 1 else "trainings have"
    missing = f"{n_missing:,} planned {have} not finished." if n_missing else ""
    missing += f" Not begun: {', '.join(unbegun)}." if unbegun else ""
    return Section(
        "cost",
        "What it cost, and how complete it is",
        text,
        [Picture("completeness", completeness_figure(table), "Trainings by stage and state.")],
        [*tables, *_all_trials(summary)],
        missing=missing.strip(),
    )


def _all_trials(summary: MapSummary) -> list[Table]:
    return [Table("All trainings", trials_table(summary.results))] if len(summary.results.trials) else []


def _provenance(summary: MapSummary) -> Section:
    results = summary.results
    table = provenance_table(results)
    kinds = {key: table[key].nunique() for key in ("host", "processor", "device") if key in table}
    differed = [key for key, n in kinds.items() if n > 1]
    said = ""
    if differed:
        said = f" Hardware differed ({', '.join(differed)}): values may differ in their last digits between machines."
    identity = (
        f"Study fingerprint {results.fingerprint or 'none'}, seed {results.seed}, {results.epochs} epochs per "
        f"training, a curve is read as {results.reading}, seeds of a cell {', '.join(map(str, summary.seeds))}.{said}"
    )
    file = rendered("study_file.html", text=results.study_text) if results.study_text else Markup()
    tables = [Table("What ran where", table)] if len(table) else []
    return Section("provenance", "Provenance", identity, tables=tables, after=file)
