"""The individual figures of a search, as plotly figures that can be shown and restyled in a notebook."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from zonesearch.core.metric import Metric
from zonesearch.core.trials import Params
from zonesearch.core.wording import point_text
from zonesearch.errors import StudyError, did_you_mean
from zonesearch.report.figures.axes import agreement_figure, importance_figure, parallel_figure
from zonesearch.report.figures.costs import completeness_figure, pareto_figure
from zonesearch.report.figures.finalists import finalists_figure, optimism_figure
from zonesearch.report.figures.learning import learning_figure
from zonesearch.report.figures.lines import lines_figure
from zonesearch.report.figures.map import map_figure, surface_figure
from zonesearch.report.figures.one_axis import one_axis_figure, profiles_figure
from zonesearch.report.figures.points import points_figure
from zonesearch.report.figures.view import View
from zonesearch.report.map_summary import MapSummary
from zonesearch.report.markup import cell_text
from zonesearch.report.plugged import figure_names, plugged_figure
from zonesearch.report.summaries.agreement import agreement, between_seeds
from zonesearch.report.summaries.costs import stages_table
from zonesearch.report.summaries.finalists import finalists_table
from zonesearch.report.summaries.importance import importance
from zonesearch.report.summaries.learning import curves_of, schedules_at, shown_points
from zonesearch.report.summaries.lines import interval_lines
from zonesearch.report.summaries.map_tables import Mode
from zonesearch.report.summaries.pareto import settings_table
from zonesearch.report.summaries.state import state_sentence
from zonesearch.report.templating import rendered
from zonesearch.statistics.search_results import SearchResults

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["FigureSet", "dashboard_figures", "notebook_html"]


class FigureSet:
    """The figures of ``results``, created on demand.

    Every method returns a new plotly figure, or raises :class:`StudyError` with the reason if this search has no such
    figure (no surface over one axis, no finalists before the verdict, ...).
    """

    def __init__(self, results: SearchResults) -> None:
        self._results = results

    @cached_property
    def _summary(self) -> MapSummary:
        return MapSummary(self._results)

    def surface(
        self, x: str | None = None, y: str | None = None, *, others: Mode = "best", epoch: int | None = None
    ) -> go.Figure:
        """The surface of the metric in 3-D.

        Args:
            x, y: two axes; by default the first two.
            others: hold the other axes at the ``best`` point, or ``average`` over them.
            epoch: the epoch shown; by default the last.
        """
        return surface_figure(self._view(x, y, others), self._step(epoch))

    def heatmap(
        self, x: str | None = None, y: str | None = None, *, others: Mode = "best", epoch: int | None = None
    ) -> go.Figure:
        """The map with zones, candidates and finalists; arguments as for :meth:`surface`. A line for one axis."""
        if len(self._summary.space.axes) == 1:
            self._mapped()
            return one_axis_figure(self._summary)
        return map_figure(self._view(x, y, others), self._step(epoch))

    def intervals(self, most: int | None = None) -> go.Figure:
        """The metric along each interval of each zone, with the band of the noise; the first ``most`` of them."""
        lines = interval_lines(self._summary)[:most]
        if not lines:
            raise StudyError("no intervals to show: no zone has two trained points on a numeric axis yet")
        return lines_figure(lines)

    def learning(self, point: Params | None = None) -> go.Figure:
        """Learning curves under each schedule; by default at the recommended point, else at the best known one."""
        points = [dict(point)] if point is not None else shown_points(self._results)
        for at in points:
            named = {name: curves_of(self._results, p) for name, p in schedules_at(self._results, at).items()}
            named = {name: table for name, table in named.items() if len(table)}
            if named:
                return learning_figure(named, self._results.metric)
        where = f"at {point_text(points[0])}" if points else "at a candidate"
        raise StudyError(f"no learning curve was recorded {where}")

    def finalists(self) -> go.Figure:
        """Each fresh seed of each finalist, means and intervals."""
        return _there(finalists_figure(self._results), "there are no finalists yet")

    def optimism(self) -> go.Figure:
        """The finalists' values when chosen against fresh seeds."""
        return _there(optimism_figure(self._results), "there are no finalists yet")

    def profiles(self, axis: str | None = None) -> go.Figure:
        """The map from the side along ``axis``, after a quarter, half, three quarters and all of the epochs."""
        self._mapped()
        return profiles_figure(self._summary, self._axis(axis, 0))

    def agreement(self) -> go.Figure:
        """How similar the order of the cells after each epoch is to the final order."""
        table = agreement(self._summary)
        if not len(table):
            raise StudyError("epochs cannot be compared: no learning curves of two cells are known")
        return agreement_figure(table, between_seeds(self._summary))

    def importance(self) -> go.Figure:
        """The fraction of the map's variance explained by each axis and pair of axes."""
        shares = importance(self._summary)
        if shares is None:
            raise StudyError("the variance cannot be decomposed: this takes two axes and values in most of the cells")
        return importance_figure(shares)

    def parallel(self) -> go.Figure:
        """Every cell as a line through all axes; for three axes and more."""
        return _there(parallel_figure(self._summary), "parallel coordinates need at least three axes and three cells")

    def pareto(self, cost: str = "parameters") -> go.Figure:
        """The metric against ``parameters`` or ``seconds``, with the Pareto front."""
        if cost not in ("parameters", "seconds"):
            raise StudyError(f'a cost is "parameters" or "seconds", not "{cost}"')
        figure = pareto_figure(self._results, settings_table(self._results), cost, cost)
        return _there(figure, f"the {cost} of the settings are not known, or all the same")

    def completeness(self) -> go.Figure:
        """Trainings by stage: done, diverged, failed, missing."""
        if not self._results.stages:
            raise StudyError("this search has no stages")
        return completeness_figure(stages_table(self._results))

    def points(self, axis: str | None = None) -> go.Figure:
        """Every evaluated point by its value of ``axis`` (by default the first), on a grid or not."""
        figure = points_figure(self._summary, self._summary.space[self._axis(axis, 0)])
        return _there(figure, "no training at a value of that axis was completed")

    def __getitem__(self, name: str) -> go.Figure:
        """The figure of a plug-in by its name."""
        return _there(plugged_figure(name, self._results), f'this search has no figure "{name}"')

    def _mapped(self) -> None:
        if self._summary.scattered:
            raise StudyError("there is no map: the points of this search lie on no grid; points() shows them")

    def _view(self, x: str | None, y: str | None, others: Mode) -> View:
        self._mapped()
        if len(self._summary.space.axes) < 2:
            raise StudyError("there is no surface: the space has one axis")
        if others not in ("best", "average"):
            raise StudyError(f'other axes are held at the "best" point or "average"d over, not "{others}"')
        first = self._axis(x, 0 if y != self._summary.space.names[0] else 1)
        second = self._axis(y, 1 if first != self._summary.space.names[1] else 0)
        if first == second:
            raise StudyError(f'a surface needs two different axes, not "{first}" twice')
        return View(self._summary, self._summary.space[first], self._summary.space[second], others)

    def _axis(self, name: str | None, default: int) -> str:
        names = self._summary.space.names
        if name is None:
            return names[default]
        if name not in names:
            raise StudyError(f'there is no axis "{name}"; {did_you_mean(name, names)}')
        return name

    def _step(self, epoch: int | None) -> int:
        epochs = np.array(self._summary.epochs)
        return len(epochs) - 1 if epoch is None else int(np.argmin(np.abs(epochs - epoch)))


def dashboard_figures(results: SearchResults) -> Mapping[str, go.Figure]:
    """The figures of this search that a dashboard shows besides its own, under fixed names."""
    figures = FigureSet(results)
    makers: Mapping[str, Callable[[], go.Figure]] = {
        "zones": figures.heatmap,
        "surface": figures.surface,
        **({"points": figures.points} if figures._summary.scattered else {}),
        "intervals": partial(figures.intervals, 4),
        "learning": figures.learning,
        "finalists": figures.finalists,
        "importance": figures.importance,
        "agreement": figures.agreement,
        "price": figures.pareto,
        "completeness": figures.completeness,
        **{name: partial(figures.__getitem__, name) for name in figure_names()},
    }
    found = {}
    for name, make in makers.items():
        try:
            figure = make()
        except StudyError:
            continue
        title = {"text": name.capitalize(), "x": 0.02, "y": 0.98, "yanchor": "top", "font": {"size": 15}}
        figure.update_layout(
            title=title,
            height=None,
            autosize=True,
            paper_bgcolor="white",
            plot_bgcolor="white",
            margin={"t": 80, "l": 50, "r": 30, "b": 50},
        )
        found[f"zonesearch-{name}"] = figure
    return found


def notebook_html(results: SearchResults) -> str:
    """The verdict and the finalists in compact form, for the output of a notebook cell."""
    sentence = results.verdict.sentence if results.verdict else state_sentence(results)
    table = finalists_table(results)
    if len(table):
        table = table.drop(columns=[c for c in ("lost seeds", "p", "seconds") if c in table])
    shown = rendered(
        "notebook.html",
        name=results.name,
        sentence=sentence,
        notes=results.notes,
        columns=list(map(str, table.columns)),
        rows=[
            [_value_text(results.metric, str(column), value) for column, value in zip(table.columns, row, strict=True)]
            for row in table.itertuples(index=False)
        ],
    )
    return str(shown)


def _value_text(metric: Metric, column: str, value: object) -> str:
    """A value of the metric as written in the verdict (98.49 %); anything else as in tables."""
    if isinstance(value, float) and math.isfinite(value):
        if column in _DIFFERENCES:
            return metric.gap_text(value, sign="" if column in _WIDTHS else "+")
        if column.endswith(f" {metric.name}") or column in _VALUES:
            return metric.text(value)
    return cell_text(value)


_VALUES = ("test set from", "test set to", "when chosen", "validation, fresh")
_WIDTHS = ("±", "sd of seeds")
_DIFFERENCES = (*_WIDTHS, "optimism")


def _there(figure: go.Figure | None, otherwise: str) -> go.Figure:
    if figure is None:
        raise StudyError(otherwise)
    return figure
