"""A contest of search methods on one page: which recommends best, after how many trainings, and how certain that is."""

from __future__ import annotations

import math
from pathlib import Path

from zonesearch.benchmark.contest import Contest
from zonesearch.benchmark.figures import ends_figure, ranks_figure, regret_figure, within_figure
from zonesearch.benchmark.summary import curves_table, searches_table, standings_table
from zonesearch.core.wording import counted
from zonesearch.report.markup import Picture, Section, Table, page
from zonesearch.report.page import replace_file
from zonesearch.report.templating import rendered

__all__ = ["render_contest", "write_contest"]

_RULES = {
    "posterior": "the measured point with the highest mean of a Gaussian process through all that it measured",
    "observed": "the point with the best mean of its own trainings",
}


def write_contest(contest: Contest, path: str | Path) -> Path:
    """Write the page to ``path``, atomically replacing an existing file; returns the path.

    Raises:
        StoreError: the file cannot be written.
    """
    return replace_file(render_contest(contest), path)


def render_contest(contest: Contest) -> str:
    """The page as HTML, deterministic in the contest."""
    notes = [
        f"Regret is how far the recommended point falls short of the best one, in true mean {contest.metric.name}"
        f"{contest.metric.unit and f' ({contest.metric.unit})'}. {contest.source}",
        f"Every method uses the same rule to recommend a point: {_RULES.get(contest.rule, contest.rule)}.",
    ]
    if math.isfinite(contest.noise):
        notes.append(f"A single training has a standard deviation of {contest.noise:.3g}.")
    if math.isfinite(contest.scale):
        notes.append(f"A blind guess falls short by {contest.scale:.3g}: the best less the median of the space.")
    head = rendered("contest_head.html", problem=contest.problem, sentence=contest.sentence, notes=notes)
    foot = f"Made by zonesearch from {len(contest.searches)} searches of {counted(contest.budget, 'training')} each."
    return page(f"Search methods on {contest.problem}", head, [_curves(contest), _places(contest)], foot)


def _curves(contest: Contest) -> Section:
    picture = Picture(
        "regret",
        regret_figure(contest),
        "Mean regret of each method over the number of trainings.",
        "Mean over the searches; bands are one standard error.",
        {"as it is": regret_figure(contest), "logarithmic": regret_figure(contest, log=True)},
        "Regret",
        hint="Click a name in the legend to hide its line.",
    )
    return Section("regret", "Regret", "", [picture], [Table("Curves", curves_table(contest))])


def _places(contest: Contest) -> Section:
    pictures = [
        Picture("ends", ends_figure(contest), "Final regret of every search.", "Each dot is one search."),
        Picture("ranks", ranks_figure(contest), "Mean rank of each method.", "Ties share their ranks."),
    ]
    if math.isfinite(contest.noise):
        reading = "Searches whose recommendation is within one standard deviation of a single training."
        pictures.append(Picture("within", within_figure(contest), "Share within the noise of the best.", reading))
    standings = Table(
        "Standings",
        standings_table(contest),
        "p: paired t-test against the method with the least regret, not corrected; the sentence at the top "
        "is corrected.",
    )
    return Section(
        "standings",
        f"After {counted(contest.budget, 'training')}",
        "",
        pictures,
        [standings, Table("Searches", searches_table(contest))],
        columns=2,
    )
