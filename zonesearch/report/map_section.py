"""The first figures: the map as a surface and from above, epoch by epoch."""

from __future__ import annotations

import math
from typing import Any

from markupsafe import Markup

from zonesearch.core.wording import point_text
from zonesearch.report.figures.axes import agreement_figure, importance_figure, parallel_figure
from zonesearch.report.figures.map import map_figure, map_frame, surface_figure
from zonesearch.report.figures.one_axis import one_axis_figure, profiles_figure
from zonesearch.report.figures.view import views_of
from zonesearch.report.map_summary import MapSummary
from zonesearch.report.markup import Picture, Section, Table, named
from zonesearch.report.packing import spec
from zonesearch.report.scattered_section import scattered_sections
from zonesearch.report.summaries.agreement import agreement, agreement_sentence, between_seeds
from zonesearch.report.summaries.importance import importance, importance_table
from zonesearch.report.summaries.map_tables import candidates_table, cells_table, zones_table
from zonesearch.report.templating import rendered
from zonesearch.statistics.noise import Noise

__all__ = ["map_section", "map_views", "noise_sentence"]


def map_section(summary: MapSummary) -> list[Section]:
    """The map, how early it was right, and which axis matters; the points themselves if they are not on a grid."""
    if summary.scattered:
        return scattered_sections(summary)
    if not summary.n_mapped and not any(trial.complete for trial in summary.results.trials):
        return [
            Section(
                "map", "The map", missing="No cell has a value yet: no training was complete.", tables=_tables(summary)
            )
        ]
    return [_map(summary), *_epochs(summary), *_axes(summary)]


def map_views(summary: MapSummary) -> list[dict[str, Any]]:
    """The data from which the page's script draws map and surface: every pair of axes, epoch by epoch."""
    if summary.scattered or not any(trial.complete for trial in summary.results.trials):
        return []
    metric = summary.metric
    percent = metric.shares(summary.means.ravel().tolist())
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
            "frames": [map_frame(view, step) for step in range(len(summary.epochs))],
        }
        for view in views_of(summary)
    ]


def noise_sentence(noise: Noise, summary: MapSummary) -> str:
    """How noisy a cell's value is, and how the noise was estimated."""
    known = summary.errors[summary.means == summary.means]
    if not len(known):
        return ""
    error, metric = float(sorted(known)[len(known) // 2]), summary.metric
    typical = metric.gap_text(error, "", metric.shares(summary.means.ravel().tolist()))
    source = {
        "seeds": f"measured between seeds with {noise.degrees:.0f} degrees of freedom",
        "differences": "estimated from the differences between neighbours, since every cell has one seed",
    }.get(noise.source, "")
    if not source:
        return "The noise of a cell's value is unknown: every cell has one seed, and too few have neighbours."
    known_to = f"A cell's value is known to within ± {typical} (standard error, {source})"
    return f"{known_to}; cells that differ by less belong to one zone."


def _map(summary: MapSummary) -> Section:
    results = summary.results
    n = len(results.zones)
    zones = f"{n} zone{'s' if n != 1 else ''}, outlined and numbered." if n else "No zones yet."
    known, total = summary.n_mapped, len(summary.points)
    if known + len(summary.left) < total:
        zones += f" {known + len(summary.left):,} of {total:,} cells have a value."
    if summary.left:
        zones += f" {summary.left_sentence}"
    if len(summary.space.axes) == 1:
        return Section(
            "map",
            "The map",
            f"{zones} {noise_sentence(summary.noise, summary)}",
            [
                Picture(
                    "map",
                    one_axis_figure(summary),
                    f"{named(summary.metric)} along {summary.space.axes[0].name}. {_best(summary)}",
                    "Bars are 95 % of the noise; shaded are the zones.",
                )
            ],
            _tables(summary),
            missing="One axis, so the map is a line and has no surface.",
        )
    metric = summary.metric
    low, high = map_frame(views_of(summary)[0], -1)["range"]
    clipped = bool((summary.means < low).any() if metric.maximized else (summary.means > high).any())
    end = f"below {metric.text(low)}" if metric.maximized else f"above {metric.text(high)}"
    scale = f" Cells {end} share the darkest colour." if clipped else ""
    return Section(
        "map",
        "The map",
        f"{zones} {noise_sentence(summary.noise, summary)}",
        [
            Picture(
                "surface",
                None,
                f"The {metric.name} surface in three dimensions. {_best(summary)}",
                "Lines join neighbouring cells of the grid; numbers stand at the zones' peaks.",
                height=460,
                hint="Drag to turn it.",
            ),
            Picture(
                "map",
                None,
                f"Heat map of {metric.name} with zones and candidates. {_best(summary)}",
                f"The same from above: white borders are zones, crosses candidates, white points finalists.{scale}",
                height=460,
            ),
        ],
        _tables(summary),
        controls=_controls(summary),
        columns=2,
    )


def _best(summary: MapSummary) -> str:
    if not summary.n_mapped:
        return "No cell has a value."
    cell = max((cell for cell in summary.cells if cell.values), key=lambda cell: summary.metric.score(cell.mean))
    return f"Best cell: {point_text(cell.params)} with {summary.metric.text(cell.mean)}."


def _controls(summary: MapSummary) -> Markup:
    """The reader's choices: the pair of axes, how the others are reduced, and the epoch."""
    views = views_of(summary)
    pairs = list(dict.fromkeys(f"{view.x.name} × {view.y.name}" for view in views)) if len(views) > 1 else []
    last = len(summary.epochs) - 1
    return rendered("map_controls.html", pairs=pairs, last=last) if pairs or last else Markup()


def _tables(summary: MapSummary) -> list[Table]:
    return [
        Table("Cells of the map", cells_table(summary), "Best first, on the validation split."),
        Table("Zones", zones_table(summary.results), "Ranked by the peak averaged with its neighbours."),
        Table("Candidates", candidates_table(summary.results), "Points passed on as candidate optima."),
    ]


def _epochs(summary: MapSummary) -> list[Section]:
    table = agreement(summary)
    if not len(table):
        return []
    ceiling = between_seeds(summary)
    pictures = [
        Picture(
            "agreement",
            agreement_figure(table, ceiling),
            "Rank agreement between the map after each epoch and the last one.",
            "How similar the order of the cells after each epoch is to the final order; 1 is the same order.",
        )
    ]
    names = [axis.name for axis in summary.space.axes]
    profiles = {name: profiles_figure(summary, name) for name in names}
    pictures.append(
        Picture(
            "profiles",
            profiles[names[0]],
            f"{named(summary.metric)} along one axis after a quarter, half, three quarters and all of the epochs.",
            "The map from the side: the best cell at each value, on the way and at the end.",
            choices=profiles,
            choose="Along",
        )
    )
    said = agreement_sentence(table, sum(len(z.cells) for z in summary.results.zones) / summary.n_mapped)
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


def _axes(summary: MapSummary) -> list[Section]:
    if len(summary.space.axes) < 2:
        return []
    shares = importance(summary)
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
    lines = parallel_figure(summary)
    if lines is not None:
        pictures.append(
            Picture(
                "parallel",
                lines,
                f"Parallel coordinates: every cell as a line through all axes and its {summary.metric.name}.",
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
