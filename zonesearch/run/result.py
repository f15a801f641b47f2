"""The result of a search."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from zonesearch.core.trials import Trials
from zonesearch.statistics.candidates import Candidate, Finalist
from zonesearch.statistics.search_results import SearchResults
from zonesearch.statistics.verdict import Verdict
from zonesearch.statistics.zones import Zone

if TYPE_CHECKING:
    import pandas as pd

    from zonesearch.report.figure_set import FigureSet

__all__ = ["Result"]


@dataclass(frozen=True)
class Result:
    """The result of a run, finished or not.

    Args:
        results: all findings, as data.
        folder: the run folder; None for a run in memory.
    """

    results: SearchResults
    folder: Path | None = None

    @property
    def findings(self) -> SearchResults:
        """The name of ``results`` in version 0.1."""
        return self.results

    @property
    def trials(self) -> Trials:
        """All trainings that finished."""
        return self.results.trials

    @property
    def zones(self) -> tuple[Zone, ...]:
        """The zones, best first; ``.peak`` holds the parameters of a zone's best cell."""
        return self.results.zones

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Points that may be optimal."""
        return self.results.candidates

    @property
    def finalists(self) -> tuple[Finalist, ...]:
        """The settings that were repeated with fresh seeds, ordered by falling value when they were chosen."""
        return self.results.finalists

    @property
    def verdict(self) -> Verdict | None:
        """Which finalists differ significantly from the best, and which of the rest is cheapest; None before the last
        stage is done.
        """
        return self.results.verdict

    def frame(self) -> pd.DataFrame:
        """One row per training, with columns (params..., value) first; the value column is named after the metric."""
        frame = self.trials.frame(self.results.metric)
        names = [name for name in self.results.space.names if name in frame.columns]
        return frame[[*names, *(name for name in frame.columns if name not in names)]]

    @property
    def figures(self) -> FigureSet:
        """The figures as plotly objects, to show in a notebook or restyle: ``result.figures.surface()``."""
        from zonesearch.report.figure_set import FigureSet

        return FigureSet(self.results)

    def report(self, path: str | Path, *, pdf: str | Path | None = None) -> Path:
        """Write the report as one self-contained HTML file, and optionally as a PDF to ``pdf``; returns the path of the
        HTML file.

        Raises:
            StoreError: a file cannot be written, or there is no Chromium for the PDF.
        """
        from zonesearch.report.page import write_report

        return write_report(self.results, path, pdf)

    def __str__(self) -> str:
        if self.verdict is None and any(stage.settings.get("kind") == "imported" for stage in self.results.stages):
            from zonesearch.report.summaries.state import state_sentence

            return state_sentence(self.results)
        return self.verdict.sentence if self.verdict else f"{len(self.trials)} trainings so far, no verdict yet."

    def _repr_html_(self) -> str:
        """Verdict and finalists, as a notebook shows them."""
        from zonesearch.report.figure_set import notebook_html

        return notebook_html(self.results)

    def _repr_mimebundle_(self, include: Container[str] | None = None, exclude: Container[str] = ()) -> dict[str, str]:
        """The same in all formats: HTML for a notebook, plain text for a terminal."""
        forms = {"text/plain": lambda: str(self), "text/html": self._repr_html_}
        wanted = [form for form in forms if (not include or form in include) and form not in (exclude or ())]
        return {form: forms[form]() for form in wanted}
