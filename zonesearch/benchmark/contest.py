"""Results of search methods on one problem with one budget, and statistics that compare them.

A method is scored by what it *recommends*, not by the best value it happened to see. Its regret is how much worse the
true mean of the recommended point is than that of the best point. A single search says little; all methods run the same
repeats, so they are compared in pairs over these.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from zonesearch.core.lazy import Lazy
from zonesearch.core.metric import ACCURACY, Metric
from zonesearch.core.trials import Params
from zonesearch.core.wording import counted
from zonesearch.statistics.significance import holm

if TYPE_CHECKING:
    from scipy import stats
else:
    stats = Lazy("scipy.stats")

__all__ = ["FEWEST", "Contest", "Search", "Standing"]

FEWEST = 5
"""Searches per method needed for a test; fewer give no usable estimate of the spread."""


@dataclass(frozen=True)
class Search:
    """A single search by one method.

    Args:
        method: its name.
        repeat: the index of the repeat, which seeds the noise and the method's randomness.
        at: the budgets spent at which recommendations were taken, in full-length trainings, ascending.
        regret: at each of these, how much worse the true mean of the recommended point is than that of the best one, in
            the metric's unit and regardless of its direction; negative only through noise of the true values.
        recommended: the last recommendation.
        zones: the peaks it output at its end, best first; empty for a method that outputs none.
        n_trainings: trainings requested (at most the budget; a method may finish earlier).
        seconds: total time spent on suggestions.
    """

    method: str
    repeat: int
    at: tuple[float, ...]
    regret: tuple[float, ...]
    recommended: Params
    zones: tuple[Params, ...] = ()
    n_trainings: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Standing:
    """The result of one method at one budget over all repeats.

    Args:
        method: its name.
        regret: mean over the repeats; ``se`` its standard error (NaN with one repeat).
        rank: mean rank among the methods, 1 is best; tied methods share ranks.
        within_noise: fraction of repeats in which the recommended point was within the noise of the best one; NaN if
            the noise is unknown.
        p_value: two-sided, of Student's paired t-test against the method with the lowest mean regret; 1 for that one,
            NaN if the searches are too few or too alike to test.
        n_trainings: mean number of trainings requested.
        ms: suggestion time in milliseconds per training, the median over the searches, which is robust against a
            temporarily busy machine.
    """

    method: str
    regret: float
    se: float
    rank: float
    within_noise: float
    p_value: float
    n_trainings: float
    ms: float


@dataclass(frozen=True)
class Contest:
    """All searches on one problem.

    Args:
        problem: its name.
        budget: full-length trainings available to each search.
        noise: standard deviation of one training; regrets up to this count as within the noise of the best.
        scale: how much worse the median of the space is than the true mean of the best point, for comparing regrets
            across problems; NaN if unknown.
        rule: how every method's recommendation was derived from its trials.
        searches: every method with every repeat.
        source: where the true means come from, as a sentence.
        metric: the metric being optimized.
    """

    problem: str
    budget: int
    noise: float
    scale: float
    rule: str
    searches: tuple[Search, ...]
    source: str = ""
    metric: Metric = ACCURACY

    @property
    def methods(self) -> tuple[str, ...]:
        """The names, in the given order."""
        return tuple(dict.fromkeys(search.method for search in self.searches))

    @property
    def at(self) -> tuple[float, ...]:
        """The checkpoints: budgets at which every search has a regret."""
        return self.searches[0].at if self.searches else ()

    def regrets(self, method: str) -> npt.NDArray[np.float64]:
        """The regrets of a method, shape (n_repeats, len(at)), ordered by repeat."""
        mine = sorted((search for search in self.searches if search.method == method), key=lambda s: s.repeat)
        return np.array([search.regret for search in mine])

    def standings(self, at: float | None = None) -> tuple[Standing, ...]:
        """The methods by ascending mean regret, at the last checkpoint not above ``at`` (by default the final one)."""
        place = len(self.at) - 1 if at is None else max(i for i, spent in enumerate(self.at) if spent <= at)
        final = {method: self.regrets(method)[:, place] for method in self.methods}
        ranks = stats.rankdata(np.array(list(final.values())), axis=0).mean(axis=1)
        best = min(final, key=lambda method: float(final[method].mean()))
        rows = []
        for method, rank in zip(final, ranks, strict=True):
            mine = [search for search in self.searches if search.method == method]
            asked = sum(search.n_trainings for search in mine)
            rows.append(
                Standing(
                    method=method,
                    regret=float(final[method].mean()),
                    se=standard_error(final[method]),
                    rank=float(rank),
                    within_noise=float(np.mean(final[method] <= self.noise)) if self.noise >= 0 else math.nan,
                    p_value=paired_p(final[method], final[best]),
                    n_trainings=asked / len(mine),
                    ms=float(np.median([1000 * search.seconds / max(1, search.n_trainings) for search in mine])),
                )
            )
        return tuple(sorted(rows, key=lambda standing: standing.regret))

    def tied(self, level: float = 0.95) -> tuple[str, ...]:
        """The methods that cannot be told apart from the one with the lowest mean regret, that one first.

        Paired t-tests between all methods, Holm-corrected, since the best one was chosen from the same searches.
        Methods that cannot be tested count as tied.
        """
        ordered = [standing.method for standing in self.standings()]
        final = {method: self.regrets(method)[:, -1] for method in ordered}
        pairs = list(combinations(ordered, 2))
        raw = [paired_p(final[a], final[b]) for a, b in pairs]
        corrected = dict(zip(pairs, holm([1.0 if math.isnan(p) else p for p in raw]), strict=True))
        return ordered[0], *(method for method in ordered[1:] if corrected[ordered[0], method] > 1 - level)

    @property
    def sentence(self) -> str:
        """Which method recommends best, which cannot be told apart from it, and which cannot be tested."""
        best, *others = self.tied()
        ordered = self.standings()
        unjudged = [s.method for s in ordered if s.method in others and math.isnan(s.p_value)]
        alike = [method for method in others if method not in unjudged]
        rest = [s.method for s in ordered if s.method not in (best, *others)]
        n = len(self.regrets(best))
        searches = f"mean of {n} searches" if n > 1 else "one search"
        said = f"{best} has the lowest regret after {counted(self.budget, 'training')} ({searches})"
        if alike:
            said += f"; it cannot be told apart from {_listed(alike)}"
        if rest:
            said += f"; {_listed(rest)} {'is' if len(rest) == 1 else 'are'} significantly worse (95 %)"
        if unjudged and n < FEWEST:
            said += f"; too few searches to say how certain that is: it takes at least {FEWEST}"
        elif unjudged:
            said += f"; against {_listed(unjudged)} every search gives the same result, which says nothing about chance"
        return f"{said}."

    def describe(self) -> dict[str, Any]:
        """The contest as plain data, for JSON."""
        return {
            "problem": self.problem,
            "budget": self.budget,
            "noise": _number(self.noise),
            "scale": _number(self.scale),
            "rule": self.rule,
            "source": self.source,
            "metric": self.metric.describe(),
            "sentence": self.sentence,
            "standings": [_plain(vars(standing)) for standing in self.standings()],
            "curves": [
                {
                    "method": method,
                    "at": list(self.at),
                    "regret": self.regrets(method).mean(axis=0).tolist(),
                    "se": [_number(standard_error(column)) for column in self.regrets(method).T],
                }
                for method in self.methods
            ],
            "searches": [
                {
                    **_plain(vars(search)),
                    "recommended": dict(search.recommended),
                    "zones": list(map(dict, search.zones)),
                }
                for search in self.searches
            ],
        }


def standard_error(values: Sequence[float] | npt.NDArray[np.float64]) -> float:
    """Of the mean of ``values``; NaN with fewer than two."""
    return float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


def paired_p(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    """Two-sided p-value of Student's paired t-test; 1 if there is no difference.

    NaN if there is a difference but no meaningful spread: fewer than five searches, or the same difference in all of
    them, as with a noise-free table, where all searches are copies of one.
    """
    difference = np.asarray(a) - np.asarray(b)
    if len(difference) and not difference.any():
        return 1.0
    size = float(np.abs(difference).max(initial=0.0))
    n_values = len({round(d / size, 9) for d in difference.tolist()}) if size > 0 else 0
    if len(difference) < FEWEST or n_values < 2:
        return math.nan
    return float(2 * stats.t.sf(abs(difference.mean()) / standard_error(difference), len(difference) - 1))


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _number(value) if isinstance(value, float) else value for key, value in fields.items()}


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
