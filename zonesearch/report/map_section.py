"""The first pictures: the map, as a surface and from above, epoch by epoch."""

from __future__ import annotations

import math
from typing import Any

from markupsafe import Markup

from zonesearch.core.wording import point_text
from zonesearch.report.figures.axes import agreement_figure, importance_figure, parallel_figure
from zonesearch.report.figures.map import map_figure, map_frame, surface_figure
from zonesearch.report.figures.one_axis import one_axis_figure, profiles_figure
from zonesearch.report.figures.view import views_of
from zonesearch.report.markup import Picture, Section, Table, named
from zonesearch.report.packing import spec
from zonesearch.report.scattered_section import scattered_sections
from zonesearch.report.summaries.agreement import agreement, agreement_sentence, between_seeds
from zonesearch.report.summaries.importance import importance, importance_table
from zonesearch.report.summaries.map_tables import candidates_table, cells_table, zones_table
from zonesearch.report.survey import Survey
from zonesearch.report.templating import rendered
from zonesearch.statistics.noise import Noise

__all__ = ["map_section", "map_views", "noise_sentence"]


def map_section(survey: Survey) -> list[Section]:
    """The map, how early it was right, and which axis matters; the points themselves where they lie on no grid."""
    if survey.scattered:
        return scattered_sections(survey)
    if not survey.n_mapped and not any(trial.complete for trial in survey.findings.trials):
        return [
            Section(
                "map", "The map", missing="No cell has a value yet: no training was complete.", tables=_tables(survey)
            )
        ]
    return [_map(survey), *_epochs(survey), *_axes(survey)]


def map_views(survey: Survey) -> list[dict[str, Any]]:
    """What the page's script draws map and surface from: every pair of axes, epoch by epoch."""
    if survey.scattered or not any(trial.complete for trial in survey.findings.trials):
        return []
    metric = survey.metric
    percent = metric.shares(survey.means.ravel().tolist())
    return [
        {
            "axes": f"{view.x.name} × {view.y.name}",
            "mode": view.mode,
            "held": point_text(view.held) if view.held else "",
            "percent": percent,
            "metric": metric.name,
            "unit": metric.unit,
            "up": 1 if metric.maximized else -1,
            "map": spec(map_figure(view)),
            "surface": spec(surface_figure(view)),
            "frames": [map_frame(view, step) for step in range(len(survey.epochs))],
        }
        for view in views_of(survey)
    ]


def noise_sentence(noise: Noise, survey: Survey) -> str:
    """How much of a cell's value is chance, and how that is known."""
    known = survey.errors[survey.means == survey.means]
    if not len(known):
        return ""
    error, metric = float(sorted(known)[len(known) // 2]), survey.metric
    typical = metric.gap_text(error, "", metric.shares(survey.means.ravel().tolist()))
    source = {
        "seeds": f"measured between seeds with {noise.degrees:.0f} degrees of freedom",
        "differences": "estimated from the differences between neighbours, since every cell has one seed",
    }.get(noise.source, "")
    if not source:
        return "The noise of a cell's value is unknown: every cell has one seed, and too few have neighbours."
    known_to = f"A cell's value is known to within ± {typical} (standard error, {source})"
    return f"{known_to}; cells that differ by less belong to one zone."


def _map(survey: Survey) -> Section:
    findings = survey.findings
    n = len(findings.zones)
    zones = f"{n} zone{'s' if n != 1 else ''}, outlined and numbered." if n else "No zones yet."
    known, total = survey.n_mapped, len(survey.points)
    if known + len(survey.left) < total:
        zones += f" {known + len(survey.left):,} of {total:,} cells have a value."
    if survey.left:
        zones += f" {survey.left_sentence}"
    if len(survey.space.axes) == 1:
        return Section(
            "map",
            "The map",
            f"{zones} {noise_sentence(survey.noise, survey)}",
            [
                Picture(
                    "map",
                    one_axis_figure(survey),
                    f"{named(survey.metric)} along {survey.space.axes[0].name}. {_best(survey)}",
                    "Bars are 95 % of the noise; shaded are the zones.",
                )
            ],
            _tables(survey),
            missing="One axis, so the map is a line and has no surface.",
        )
    metric = survey.metric
    low, high = map_frame(views_of(survey)[0], -1)["range"]
    clipped = bool((survey.means < low).any() if metric.maximized else (survey.means > high).any())
    end = f"below {metric.text(low)}" if metric.maximized else f"above {metric.text(high)}"
    scale = f" Cells {end} share the darkest colour." if clipped else ""
    return Section(
        "map",
        "The map",
        f"{zones} {noise_sentence(survey.noise, survey)}",
        [
            Picture(
                "surface",
                None,
                f"The {metric.name} surface in three dimensions. {_best(survey)}",
                "Lines join neighbouring cells of the grid; numbers stand at the zones' peaks.",
                height=460,
                hint="Drag to turn it.",
            ),
            Picture(
                "map",
                None,
                f"Heat map of {metric.name} with zones and candidates. {_best(survey)}",
                f"The same from above: white borders are zones, crosses candidates, white points finalists.{scale}",
                height=460,
            ),
        ],
        _tables(survey),
        controls=_controls(survey),
        columns=2,
    )


def _best(survey: Survey) -> str:
    if not survey.n_mapped:
        return "No cell has a value."
    cell = max((cell for cell in survey.cells if cell.values), key=lambda cell: survey.metric.score(cell.mean))
    return f"Best cell: {point_text(cell.params)} with {survey.metric.text(cell.mean)}."


def _controls(survey: Survey) -> Markup:
    """What the reader can choose: the pair of axes, what becomes of the others, the epoch."""
    views = views_of(survey)
    pairs = list(dict.fromkeys(f"{view.x.name} × {view.y.name}" for view in views)) if len(views) > 1 else []
    last = len(survey.epochs) - 1
    return rendered("map_controls.html", pairs=pairs, last=last) if pairs or last else Markup()


def _tables(survey: Survey) -> list[Table]:
    return [
        Table("Cells of the map", cells_table(survey), "Best first, on the validation split."),
        Table("Zones", zones_table(survey.findings), "Ranked by the peak averaged with its neighbours."),
        Table("Candidates", candidates_table(survey.findings), "Points passed on as candidate optima."),
    ]


def _epochs(survey: Survey) -> list[Section]:
    table = agreement(survey)
    if not len(table):
        return []
    ceiling = between_seeds(survey)
    pictures = [
        Picture(
            "agreement",
            agreement_figure(table, ceiling),
            "Rank agreement between the map after each epoch and the last one.",
            "How similar the order of the cells after each epoch is to the final order; 1 is the same order.",
        )
    ]
    names = [axis.name for axis in survey.space.axes]
    profiles = {name: profiles_figure(survey, name) for name in names}
    pictures.append(
        Picture(
            "profiles",
            profiles[names[0]],
            f"{named(survey.metric)} along one axis after a quarter, half, three quarters and all of the epochs.",
            "The map from the side: the best cell at each value, on the way and at the end.",
            choices=profiles,
            choose="Along",
        )
    )
    said = agreement_sentence(table, sum(len(z.cells) for z in survey.findings.zones) / survey.n_mapped)
    if math.isfinite(ceiling):
        said += f" Two single seeds agree with each other to {ceiling:.2f} at the end."
    thinned = ""
    if len(table) < int(table["epoch"].iloc[-1]):
        thinned = " Of the many epochs of this large map some are shown."
    note = "Regret: what choosing that epoch's best cell would have cost in the end."
    return [
        Section(
            "epochs",
            "How early was the map right?",
            said + thinned,
            pictures,
            [Table("Agreement", table, note)],
            columns=2,
        )
    ]


def _axes(survey: Survey) -> list[Section]:
    if len(survey.space.axes) < 2:
        return []
    shares = importance(survey)
    if shares is None:
        return [Section("axes", "Which axis matters?", missing="Too few cells have a value to decompose the variance.")]
    first = max(shares.axes, key=lambda name: shares.axes[name])
    text = (
        f"{first} alone explains {100 * shares.axes[first]:.0f} % of the variance of the map (functional analysis of "
        f"variance over all cells); {100 * shares.noise:.0f} % of it is expected from chance alone."
    )
    if shares.n_filled:
        text += f" {shares.n_filled:,} cells without a value were filled in by the axes' own effects."
    pictures = [
        Picture("importance", importance_figure(shares), "Share of the variance by axis and pair of axes.",
                "Dark bars: an axis alone. Light bars: two axes together, beyond what each does alone.")
    ]  # fmt: skip
    lines = parallel_figure(survey)
    if lines is not None:
        pictures.append(
            Picture(
                "parallel",
                lines,
                f"Parallel coordinates: every cell as a line through all axes and its {survey.metric.name}.",
                "Every cell is a line through its values.",
                hint="Click a group in the legend to hide it.",
            )
        )
    return [
        Section(
            "axes",
            "Which axis matters?",
            text,
            pictures,
            [Table("Shares of the variance", importance_table(shares))],
            columns=2 if len(pictures) > 1 else 1,
        )
    ]
