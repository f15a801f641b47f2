"""The verdict: which finalists can be told apart from the best one, and which of the rest is cheapest.

Finalists are judged on fresh seeds only; the value by which they were chosen is reported alongside, and the difference
is the selection optimism. Two finalists share their seeds (the same data order) and their test examples, so they are
compared in pairs over both (:mod:`zonesearch.statistics.paired`). The best finalist is the best *of these data*: the
comparisons with it are those of all pairs, and Holm's correction (1979) runs over all pairs, so that equal finalists
are wrongly declared different with at most the stated probability. The best mean is also that of the luckiest: its
interval is widened so that it holds at its level although the finalist was picked (``significance.t_interval`` with
``n_picked``). Uncertainty has two parts that are reported separately: seeds (Student's t interval of the mean over
seeds, on this test set) and the finite test set (Wilson's score interval, 1927).

What is recommended is the cheapest of those that cannot be told apart from the best. That it cannot be told apart does
not mean that it is as good, so the verdict also says how far it is behind, and how far at most: the upper end of the
one-sided interval of the difference. Picking the best of these data makes that difference too large rather than too
small, so the interval needs no correction for pairs or looks (``python -m benchmarks.racing`` counts how often it
holds). Cost is a function of the setting (:mod:`zonesearch.core.cost`), so the same values give the same verdict on any
machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from zonesearch.core.cost import Cost
from zonesearch.core.metric import ACCURACY, Metric
from zonesearch.core.trials import Params
from zonesearch.core.wording import cost_text, counted, point_text
from zonesearch.statistics.candidates import Finalist
from zonesearch.statistics.paired import Sample, differ, seeds_needed
from zonesearch.statistics.race import Race
from zonesearch.statistics.significance import Interval, holm, t_interval, wilson_interval

__all__ = ["Repeats", "Standing", "Verdict", "judge"]


@dataclass(frozen=True)
class Repeats:
    """The results of one finalist's fresh seeds, by seed index, in the metric's own sign.

    Args:
        finalist: which.
        validation, test: values on the two splits; ``test`` is empty if there is none.
        n_test: number of test examples; None when unknown.
        n_parameters, seconds: number of free parameters; mean duration of a training.
        n_lost: seeds that diverged or failed.
        right: which test examples were right (packed bits); empty if only values are known.
        n_steps, cost: optimizer steps of a training; the cost that the objective reports for the setting.
        n_violating: seeds that reported a violation, whose values do not count.
    """

    finalist: Finalist
    validation: Mapping[int, float]
    test: Mapping[int, float]
    n_test: int | None = None
    n_parameters: int | None = None
    seconds: float = 0.0
    n_lost: int = 0
    right: Mapping[int, bytes] = field(default_factory=dict)
    n_steps: int | None = None
    cost: float | None = None
    n_violating: int = 0

    def sample(self, on_test: bool, metric: Metric) -> Sample:
        """The sample used in comparisons."""
        values = dict(sorted((self.test if on_test else self.validation).items()))
        scores = {seed: metric.score(value) for seed, value in values.items()}
        if not on_test or not self.n_test:
            return Sample(scores)
        return Sample(scores, self.right, self.n_test, 1 / self.n_test)


@dataclass(frozen=True)
class Standing:
    """The standing of one finalist after its repeats.

    Args:
        finalist: which.
        accuracies: values by fresh seed; on the test split if the objective has one, else on validation.
        mean, sd: over these seeds; NaN when there are too few.
        seed_interval: Student's t interval of the mean over seeds, which holds at the verdict's level for the best
            finalist although it was picked; of fractions the part within 0..1; NaN with one seed.
        test_interval: Wilson's interval of the mean accuracy for the finite test set; None without one.
        fresh_validation: mean validation value over the fresh seeds.
        p_value: Holm-corrected, of "as good as the best finalist"; 1 for the best itself.
        differs: whether it is significantly different from the best at the verdict's level, by more than a difference
            within the margin.
        n_parameters, seconds: number of free parameters, mean duration of a training in seconds (shown only; not used
            for the verdict).
        n_lost: fresh seeds that diverged or failed.
        cost: cost of the setting.
        metric: the metric of the values.
        n_violating: fresh seeds that report a violation, whose values do not count; at most half of them, unless no
            setting violates less often.
        behind: by how much its mean is worse than the best finalist's over the seeds that they share; 0 for the best
            itself, NaN if they share none.
        behind_at_most: the upper end of that difference's one-sided interval at the verdict's level; infinite with
            fewer than two shared seeds.
    """

    finalist: Finalist
    accuracies: Mapping[int, float]
    mean: float
    sd: float
    seed_interval: Interval
    test_interval: Interval | None
    fresh_validation: float
    p_value: float
    differs: bool
    n_parameters: int | None
    seconds: float
    n_lost: int = 0
    cost: Cost = Cost()
    metric: Metric = ACCURACY
    n_violating: int = 0
    behind: float = math.nan
    behind_at_most: float = math.inf

    @property
    def optimism(self) -> float:
        """How much better it looked when chosen than it is on fresh seeds (same validation split)."""
        return self.metric.score(self.finalist.selected) - self.metric.score(self.fresh_validation)

    @property
    def half_width(self) -> float:
        """How far the seed interval reaches from the mean, on the longer side; NaN with one seed."""
        return max(self.mean - self.seed_interval[0], self.seed_interval[1] - self.mean)


@dataclass(frozen=True)
class Verdict:
    """The final result of a search.

    Args:
        standings: the finalists on fresh seeds, best first; empty if no training completed.
        level: the confidence level of all intervals and of "differs".
        measured_on: ``test`` or ``validation``.
        race: how the finalists got their seeds, if they raced; None if all got the same number.
        budget: what a budget cut from the search, as a sentence; empty if the search ended by itself.
        metric: the metric being optimized.
        margin: without a race, differences up to this do not matter; 0 for none. ``equal`` is whether those that cannot
            be told apart are equal within it at the level, ``more_seeds`` about how many more seeds each would need to
            decide (None if 10,000 would not suffice).
        violating: settings excluded from the finalists because their fresh seeds reported a violation.
    """

    standings: tuple[Standing, ...]
    level: float = 0.95
    measured_on: str = "test"
    race: Race | None = None
    budget: str = ""
    metric: Metric = ACCURACY
    margin: float = 0.0
    equal: bool = False
    more_seeds: int | None = 0
    violating: tuple[Params, ...] = ()

    @property
    def best(self) -> Standing | None:
        """The finalist with the best mean."""
        return self.standings[0] if self.standings else None

    @property
    def alike(self) -> tuple[Standing, ...]:
        """The best finalist and those that cannot be told apart from it."""
        return tuple(standing for standing in self.standings if not standing.differs)

    @property
    def settled(self) -> bool:
        """Whether more seeds would change nothing: the best is significantly different from all others, or equal within
        the margin to those it is not different from.
        """
        if not self.standings:
            return False
        if self.race is not None:
            return self.race.ending in ("best", "alike")
        return len(self.alike) == 1 or self.equal

    @property
    def cheapest(self) -> Standing | None:
        """The cheapest of those that cannot be told apart from the best: by parameters, then multiply-adds of a
        training, then the cost the objective reports. Of equally cheap ones the better, so the best itself if no cost
        is known.
        """
        alike = self.alike
        if not alike or not alike[0].cost.known:  # then nothing is known to be cheaper than the best
            return self.best
        return min(alike, key=lambda s: (s.cost.rank, alike.index(s)))

    @property
    def recommended(self) -> Standing | None:
        """What to use: the cheapest that cannot be told apart from the best."""
        return self.cheapest

    @property
    def cheaper_by(self) -> tuple[float, str]:
        """By what factor the cheapest is cheaper than the best, and in what; (1, "") if it is not cheaper or this is
        unknown.
        """
        if self.best is None or self.cheapest is None:
            return 1.0, ""
        return self.cheapest.cost.factor_below(self.best.cost)

    @property
    def sentence(self) -> str:
        """The verdict in words, how its race ended, and whether the budget ended the search."""
        race = self.race.told(self._margin_text(self.race.margin)) if self.race and self.standings else ""
        return " ".join(part for part in (self._sentence, self._violating_text, race, self.budget) if part)

    @property
    def _violating_text(self) -> str:
        n, but = len(self.violating), ""
        if self.best is not None and self.best.n_violating:
            n_bad, n_all = self.best.n_violating, self.best.n_violating + len(self.best.accuracies)
            verbs = ("reports", "does") if n_bad == 1 else ("report", "do")
            but = (
                f"{n_bad} of its {n_all} fresh seeds {verbs[0]} a violation and {verbs[1]} not count"
                f"{'; no setting that was tried violates less often' if 2 * n_bad > n_all else ''}."
            )
        if not n:
            return but
        named = "; ".join(_name(Finalist(params, "", math.nan)) for params in self.violating[:3])
        more = "" if n <= 3 else f" and {n - 3} more"
        return " ".join(filter(None, (but, f"Left out, since fresh seeds report a violation: {named}{more}.")))

    @property
    def _sentence(self) -> str:
        best, cheapest = self.best, self.cheapest
        if best is None or cheapest is None:
            return "No finalist: no training that could be one was complete without a violation."
        text = f"{_name(best.finalist)}: {self.metric.text(best.mean, best.half_width)}"
        if len(best.accuracies) == 1:
            text += " with one fresh seed, which says nothing about the noise"
        total, alike = len(self.standings), len(self.alike)
        if total == 1:
            return text + "; it is the only finalist."
        if alike == 1:
            return text + f"; it differs from {'the other finalist' if total == 2 else f'all {total - 1} others'}."
        text += f"; {self._alike_text}"
        if not cheapest.cost.known:
            return text + "."
        cost = cost_text(cheapest.n_parameters)
        if cheapest is best:
            return text + f"; it is itself the cheapest of them{f' ({cost})' if cost else ''}."
        factor, unit = self.cheaper_by
        times = {"parameters": "times fewer", "multiply-adds": "times fewer multiply-adds", "cost": "times cheaper"}
        said = ", ".join(part for part in (cost, f"{factor:.2g} {times[unit]}" if unit else "") if part)
        text += f"; the cheapest of them is {_name(cheapest.finalist)}{f' ({said})' if said else ''}"
        return f"{text}{self._behind_text}."

    @property
    def _behind_text(self) -> str:
        """How far the cheapest is behind the best; empty if the noise is not known."""
        cheapest = self.cheapest
        if cheapest is None or not math.isfinite(cheapest.behind_at_most):
            return ""
        shares = self.metric.shares(standing.mean for standing in self.alike)
        behind, most = (self.metric.gap_text(x, "", shares) for x in (cheapest.behind, cheapest.behind_at_most))
        return f", {behind} behind, at most {most.split()[0]}" if cheapest.behind > 0 else f", at most {most} behind"

    @property
    def _alike_text(self) -> str:
        total, alike = len(self.standings), len(self.alike)
        of = f"{alike} of {counted(total, 'finalist')}"
        if not self.margin or self.race is not None:
            return f"{of} cannot be told apart"
        if self.equal:
            return f"{of} are equal within {self._margin_text(self.margin)} ({100 * self.level:g} %)"
        if self.more_seeds is None and self._unjudged:
            return f"{of} cannot be told apart yet: with fewer than two seeds in common the noise is not known"
        if self.more_seeds is None:
            return f"{of} cannot be told apart yet, and no number of seeds would tell"
        return f"{of} cannot be told apart yet; about {counted(self.more_seeds, 'more seed')} each would tell"

    def _margin_text(self, margin: float) -> str:
        """A difference of values: ``0.2 points`` if they are shown in per cent, otherwise in the metric's unit."""
        if self.metric.shares(standing.mean for standing in self.standings):
            return f"{100 * margin:g} points"
        return f"{margin:g} {self.metric.unit}".rstrip()

    @property
    def _unjudged(self) -> bool:
        """Whether the best shares fewer than two seeds with any of those it cannot be told apart from."""
        best, *others = self.alike
        return any(len(set(best.accuracies) & set(other.accuracies)) < 2 for other in others)

    def found(self) -> dict[str, Any]:
        """The fields of the search results that it fills."""
        finalists = sorted((standing.finalist for standing in self.standings), key=lambda finalist: finalist.number)
        return {"verdict": self, "finalists": tuple(finalists)}

    def describe(self) -> dict[str, Any]:
        """The verdict as plain JSON data."""
        race = {} if self.race is None else {"race": self.race.describe()}
        budget = {"budget": self.budget} if self.budget else {}
        return race | {
            "sentence": self.sentence,
            **budget,
            "level": self.level,
            "measured_on": self.measured_on,
            "best": dict(self.best.finalist.params) if self.best else None,
            "cheapest": dict(self.cheapest.finalist.params) if self.cheapest else None,
            "cheaper_by": self.cheaper_by[0],
            "cheaper_in": self.cheaper_by[1],
            "recommended": dict(self.recommended.finalist.params) if self.recommended else None,
            **({"margin": self.margin, "equal": self.equal, "more_seeds": self.more_seeds} if self.margin else {}),
            "n_alike": len(self.alike),
            **({"violating": [dict(params) for params in self.violating]} if self.violating else {}),
            "finalists": [
                {
                    "number": s.finalist.number,
                    "zone": s.finalist.zone,
                    "params": dict(s.finalist.params),
                    "schedule": s.finalist.schedule,
                    "selected": _number(s.finalist.selected),
                    "fresh_validation": _number(s.fresh_validation),
                    "optimism": _number(s.optimism),
                    "mean": _number(s.mean),
                    "sd": _number(s.sd),
                    "seed_interval": [_number(x) for x in s.seed_interval],
                    "test_interval": None if s.test_interval is None else [_number(x) for x in s.test_interval],
                    "p_value": _number(s.p_value),
                    "differs": s.differs,
                    "n_parameters": s.n_parameters,
                    "multiply_adds": s.cost.multiply_adds,
                    "cost": s.cost.given,
                    "accuracies": {str(seed): accuracy for seed, accuracy in s.accuracies.items()},
                    "n_lost": s.n_lost,
                    "behind": _number(s.behind),
                    "behind_at_most": _number(s.behind_at_most),
                    **({"n_violating": s.n_violating} if s.n_violating else {}),
                }
                for s in self.standings
            ],
        }


def judge(
    repeats: Sequence[Repeats],
    *,
    level: float = 0.95,
    race: Race | None = None,
    metric: Metric = ACCURACY,
    margin: float = 0.0,
) -> Verdict:
    """The verdict on finalists repeated with fresh seeds.

    The test split is used when every repeat has it, else validation. Finalists without a complete seed are left out.
    Ties and ranking do not depend on the order of ``repeats``. After a ``race`` among them (in the same order) the
    race's p-values are used, and those that dropped out rank below those that stayed. Differences up to ``margin`` do
    not matter: the verdict says whether those that cannot be told apart are equal within it.
    """
    places = [i for i, r in enumerate(repeats) if r.validation]
    alive = [repeats[i] for i in places]
    left = [race is not None and race.left[i] for i in places]
    on_test = bool(alive) and all(set(r.test) == set(r.validation) for r in alive)
    samples = [r.sample(on_test, metric) for r in alive]
    ranked = sorted(range(len(alive)), key=lambda i: (left[i], -samples[i].mean, alive[i].finalist.number))
    pairs = list(combinations(range(len(alive)), 2))
    found = {pair: differ(samples[pair[0]], samples[pair[1]]) for pair in pairs}
    corrected = dict(zip(pairs, holm([found[pair].p_value for pair in pairs]), strict=True))
    share = (1 - level) / max(1, len(pairs))

    standings = []
    for i in ranked:
        best, r = ranked[0], alive[i]
        if race is not None:
            p_value = race.p_values[places[i]]
        else:
            p_value = 1.0 if i == best else corrected[min(i, best), max(i, best)]
        # A significant difference that is also significantly within the margin does not count.
        same = race is None and i != best and margin > 0 and found[min(i, best), max(i, best)].within(margin, share)
        behind, at_most = 0.0, 0.0
        if i != best:
            found_here = found[min(i, best), max(i, best)]
            behind = (found_here.mean if best < i else -found_here.mean) if found_here.n else math.nan
            at_most = max(0.0, behind + found_here.half_width(1 - level))
        accuracies = {seed: metric.value(score) for seed, score in samples[i].scores.items()}
        values = list(accuracies.values())
        n_test = r.n_test if on_test and metric.is_share and all(0.0 <= v <= 1.0 for v in values) else None
        standings.append(
            Standing(
                finalist=r.finalist,
                accuracies=accuracies,
                mean=_mean(accuracies),
                sd=float(np.std(values, ddof=1)) if len(values) > 1 else math.nan,
                seed_interval=_within(t_interval(values, level, n_picked=len(alive)), metric.shares(values)),
                test_interval=wilson_interval(_mean(accuracies), n_test, level) if n_test else None,
                fresh_validation=_mean(r.validation),
                p_value=p_value,
                differs=p_value <= 1 - level and not same,
                n_parameters=r.n_parameters,
                seconds=r.seconds,
                n_lost=r.n_lost,
                cost=Cost(r.n_parameters, r.n_steps, r.cost),
                metric=metric,
                n_violating=r.n_violating,
                behind=behind,
                behind_at_most=at_most,
            )
        )
    alike = [found[min(i, ranked[0]), max(i, ranked[0])] for i, s in zip(ranked[1:], standings[1:], strict=True)
             if not s.differs]  # fmt: skip
    equal, more = False, 0 if not margin or not alike else None
    if margin and alike and race is None:
        equal = all(difference.within(margin, share) for difference in alike)
        needed = [seeds_needed(difference, share, margin) for difference in alike]
        if equal:
            more = 0
        elif None not in needed:
            more = max(1, max(n for n in needed if n is not None) - max(len(s.scores) for s in samples))
    return Verdict(tuple(standings), level, "test" if on_test else "validation", race, "", metric, margin, equal, more)


def _mean(values: Mapping[int, float]) -> float:
    return math.fsum(values.values()) / len(values) if values else math.nan


def _within(interval: Interval, is_share: bool) -> Interval:
    """The interval without what no mean of fractions can be, which holds as often."""
    return (max(0.0, interval[0]), min(1.0, interval[1])) if is_share and math.isfinite(interval[0]) else interval


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _name(finalist: Finalist) -> str:
    rest = {name: value for name, value in finalist.params.items() if name != "schedule"}
    if not rest:  # the schedule is the only axis
        return point_text(finalist.params)
    return point_text(rest, finalist.schedule or str(finalist.params.get("schedule", "")))
