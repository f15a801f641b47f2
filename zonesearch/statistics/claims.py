"""Tests of claims against the values of the seeds.

A claim is that one set of trainings is better than another, possibly by a given amount. Trainings with the same seed
share initial weights and the order of the data, so they are compared in pairs: the difference is averaged over all
cells in which both sides exist, seed by seed, and Student's t over the seeds gives its interval. A seed counts once,
however many cells it has. Where a claim is about methods at their best, each side first takes the best value of the
tuned axes, by another measure (validation) than the one that is compared (test).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zonesearch.core.metric import ACCURACY, Metric
from zonesearch.core.values import Params, Value, same
from zonesearch.errors import StudyError, did_you_mean
from zonesearch.statistics.significance import paired_p_value, t_interval

__all__ = ["Claim", "ClaimOutcome", "check_claim", "claims_table"]

_Cell = tuple[tuple[str, Value], ...]
_Side = dict[_Cell, Mapping[int, float]]
Scores = Mapping[_Cell, Mapping[int, float]]
"""For each cell (its sorted parameters), the values by seed."""


@dataclass(frozen=True)
class Claim:
    """One side is better than the other.

    Args:
        says: the claim in words, with its source.
        better, than: parameters that define the two sides; everything else is paired cell by cell.
        by: the claimed difference, by how much it is better in the metric's unit (of accuracy, 0.01 is one point); None
            when only that it is better was claimed.
        tuned: axes on which each side takes its own best value.
    """

    says: str
    better: Params
    than: Params
    by: float | None = None
    tuned: tuple[str, ...] = ()

    @classmethod
    def parse(cls, table: Mapping[str, Any], where: str) -> Claim:
        """Read a table with the keys ``says``, ``better``, ``than`` and, where wanted, ``by`` and ``tuned``.

        Raises:
            StudyError: for a key that is missing or unknown.
        """
        known = ("says", "better", "than", "by", "tuned")
        for key in table:
            if key not in known:
                raise StudyError(f'{where}: a claim has no key "{key}"; {did_you_mean(key, known)}')
        for key in known[:3]:
            if key not in table:
                raise StudyError(f'{where}: a claim needs the key "{key}"')
        if not isinstance(table["better"], Mapping) or not isinstance(table["than"], Mapping):
            raise StudyError(f'{where}: better and than are tables such as {{ arm = "swa" }}')
        tuned = tuple(map(str, table.get("tuned", ())))
        return cls(str(table["says"]), dict(table["better"]), dict(table["than"]), table.get("by"), tuned)


@dataclass(frozen=True)
class ClaimOutcome:
    """The replication result of a claim.

    Args:
        claim: the claim.
        n_seeds: seeds that both sides have.
        difference: by how much the better side is better, mean over the seeds, in the metric's unit: better minus than,
            or than minus better of a metric to be minimized; NaN without seeds.
        interval: Student's t interval of it; NaN with fewer than two seeds.
        p_value: two-sided, for the hypothesis of no difference.
        metric: that was compared.
    """

    claim: Claim
    n_seeds: int
    difference: float
    interval: tuple[float, float]
    p_value: float
    metric: Metric = ACCURACY

    @property
    def verdict(self) -> str:
        """The outcome in words, by the interval alone.

        "Held" when it lies above 0 (and reaches the claimed number), "the opposite holds" when it lies below. An
        interval around 0 gives "did not hold" only if it excludes the claimed number; otherwise the result is
        undecided.
        """
        low, high = self.interval
        if not (math.isfinite(low) and math.isfinite(high)):
            return "cannot be told"
        if low > 0:
            return "held" if self.claim.by is None or high >= self.claim.by else "held, but smaller than claimed"
        if high < 0:
            return "the opposite holds"
        if self.claim.by is not None and high < self.claim.by:
            return "did not hold: less than claimed, if anything"
        return "cannot be told"

    def describe(self) -> dict[str, Any]:
        """The outcome as plain JSON data; what is not known is None."""
        numbers = {"difference": self.difference, "low": self.interval[0], "high": self.interval[1]}
        return {
            "says": self.claim.says,
            "claimed": self.claim.by,
            **{name: value if math.isfinite(value) else None for name, value in numbers.items()},
            "n_seeds": self.n_seeds,
            "p_value": self.p_value,
            "verdict": self.verdict,
        }


def check_claim(
    claim: Claim, scores: Scores, level: float = 0.95, tuning: Scores | None = None, metric: Metric = ACCURACY
) -> ClaimOutcome:
    """Compare the two sides of ``claim``.

    Args:
        scores: values by cell and seed; cells without a partner on the other side are left out.
        level: of the interval.
        tuning: the values by which ``tuned`` axes are chosen; those compared, when there are no others.
        metric: of the values.
    """
    better, than = (
        _tuned(_side(s, scores), _side(s, tuning or scores), claim.tuned, metric) for s in (claim.better, claim.than)
    )
    shared = sorted(better.keys() & than.keys(), key=str)
    by_seed: dict[int, list[float]] = {}
    for rest in shared:
        for seed in better[rest].keys() & than[rest].keys():
            by_seed.setdefault(seed, []).append(metric.score(better[rest][seed] - than[rest][seed]))
    complete = {seed: math.fsum(d) / len(d) for seed, d in by_seed.items() if len(d) == len(shared)}
    values = [complete[seed] for seed in sorted(complete)]
    mean = math.fsum(values) / len(values) if values else math.nan
    p_value = paired_p_value(complete, dict.fromkeys(complete, 0.0))
    return ClaimOutcome(claim, len(values), mean, t_interval(values, level), p_value, metric)


def _side(wanted: Params, scores: Scores) -> _Side:
    """The cells with ``wanted``, by the rest of their parameters."""
    found = {}
    for cell, values in scores.items():
        params = dict(cell)
        if all(name in params and same(params[name], value) for name, value in wanted.items()):
            found[tuple((name, value) for name, value in cell if name not in wanted)] = values
    return found


def _tuned(side: _Side, tuning: _Side, axes: Sequence[str], metric: Metric) -> _Side:
    """``side`` at the values of ``axes`` where ``tuning`` is best on average; the axes are gone from its cells."""
    best: dict[_Cell, tuple[float, Mapping[int, float]]] = {}
    for cell, values in side.items():
        chosen_by = tuning.get(cell, {})
        if not chosen_by:
            continue
        mean = math.fsum(chosen_by.values()) / len(chosen_by)
        rest = tuple((name, value) for name, value in cell if name not in axes)
        if rest not in best or metric.better(mean, best[rest][0]):
            best[rest] = (mean, values)
    return {rest: values for rest, (_, values) in best.items()}


def claims_table(outcomes: Iterable[ClaimOutcome], level: float = 0.95) -> str:
    """The outcomes as a Markdown table, differences of shares in percentage points."""
    rows = [
        f"| claimed there | difference there | found here, {100 * level:g} % interval | seeds | verdict |",
        "| --- | --- | --- | --- | --- |",
    ]
    rows += [_row(outcome) for outcome in outcomes]
    return "\n".join(rows)


def _row(outcome: ClaimOutcome) -> str:
    by = outcome.claim.by
    metric, (low, high) = outcome.metric, outcome.interval

    def said(value: float) -> str:
        return f"{100 * value:+.2f}" if metric.is_share else f"{value:+.4g}"

    there = "not given" if by is None else said(by)
    here = f"{said(outcome.difference)} ({said(low)} to {said(high)})" if outcome.n_seeds else "no result"
    here += f" {metric.unit}" if metric.unit and outcome.n_seeds else ""
    cells: Sequence[object] = (outcome.claim.says, there, here, outcome.n_seeds, outcome.verdict)
    return "| " + " | ".join(str(cell) for cell in cells) + " |"
