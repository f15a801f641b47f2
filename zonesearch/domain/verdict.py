"""The verdict: which finalists can be told apart from the best one, and which of the rest is cheapest.

Finalists are judged on fresh seeds only; the accuracy by which they were chosen stands beside, and the difference is
the optimism of choosing. Two finalists share their seeds (the same data order), so they are compared in pairs with
Student's t. The best finalist is the best *of these data*: the comparisons with it are those of all pairs, and Holm's
correction (1979) runs over all pairs, so that "differs" is said wrongly of equal finalists with at most the stated
probability. Uncertainty has two parts that do not add up to one: seeds (Student's t interval of the mean over seeds,
on this test set) and the finite test set (Wilson's score interval, 1927).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from zonesearch.domain.candidates import Finalist
from zonesearch.domain.race import Race
from zonesearch.domain.significance import Interval, holm, paired_p_value, t_interval, wilson_interval
from zonesearch.domain.wording import accuracy_text, cost_text, percent_like, point_text

__all__ = ["Repeats", "Standing", "Verdict", "judge"]


@dataclass(frozen=True)
class Repeats:
    """What the fresh seeds of one finalist gave, by seed index."""

    finalist: Finalist
    validation: Mapping[int, float]
    test: Mapping[int, float]
    n_test: int | None = None
    n_parameters: int | None = None
    seconds: float = 0.0
    n_lost: int = 0


@dataclass(frozen=True)
class Standing:
    """One finalist after its repeats.

    Args:
        finalist: which.
        accuracies: by fresh seed; on the test split where the objective has one, else on validation.
        mean, sd: over these seeds; NaN when there are too few.
        seed_interval: Student's t interval of the mean over seeds at the verdict's level; NaN with one seed.
        test_interval: Wilson's interval of the mean accuracy for the finite test set; None without one.
        fresh_validation: mean validation accuracy over the fresh seeds.
        p_value: Holm-corrected, of "as good as the best finalist"; 1 for the best itself.
        differs: whether it can be told apart from the best at the verdict's level.
        n_parameters, seconds: the cost: free parameters, mean duration of a training in seconds.
        n_lost: fresh seeds that diverged or failed.
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

    @property
    def optimism(self) -> float:
        """How much better it looked when it was chosen than it is on fresh seeds (same validation split)."""
        return self.finalist.selected - self.fresh_validation

    @property
    def half_width(self) -> float:
        """Half the width of the seed interval; NaN with one seed."""
        return (self.seed_interval[1] - self.seed_interval[0]) / 2


@dataclass(frozen=True)
class Verdict:
    """The end of a search.

    Args:
        standings: the finalists by falling mean on fresh seeds; empty when no training was complete.
        level: the confidence level of all intervals and of "differs".
        measured_on: ``test`` or ``validation``.
        race: how the finalists got their seeds, when they raced; None when all got the same number.
        budget: what a budget took away from the search, in a sentence; empty when it ended by itself.
    """

    standings: tuple[Standing, ...]
    level: float = 0.95
    measured_on: str = "test"
    race: Race | None = None
    budget: str = ""

    @property
    def best(self) -> Standing | None:
        """The finalist with the highest mean."""
        return self.standings[0] if self.standings else None

    @property
    def alike(self) -> tuple[Standing, ...]:
        """The best finalist and those that cannot be told apart from it."""
        return tuple(standing for standing in self.standings if not standing.differs)

    @property
    def recommended(self) -> Standing | None:
        """The cheapest of those that cannot be told apart from the best: by parameters, then seconds.

        Durations within a quarter of the shortest are taken as equal, since they vary from run to run; then the
        higher mean decides.
        """
        if not self.standings:
            return None
        fewest = min(_size(standing) for standing in self.alike)
        small = [standing for standing in self.alike if _size(standing) == fewest]
        shortest = min(standing.seconds for standing in small)
        return max(
            (standing for standing in small if standing.seconds <= 1.25 * shortest),
            key=lambda standing: (standing.mean, -standing.finalist.number),
        )

    @property
    def sentence(self) -> str:
        """The verdict in plain words, how the race for it ended, and whether the budget ended the search."""
        race = self.race.sentence if self.race and self.standings else ""
        return " ".join(part for part in (self._sentence, race, self.budget) if part)

    @property
    def _sentence(self) -> str:
        best, recommended = self.best, self.recommended
        if best is None or recommended is None:
            return "No finalist: no training was complete."
        unit = percent_like(s.mean for s in self.standings)
        text = f"{_name(best.finalist)}: {accuracy_text(best.mean, best.half_width, unit)}"
        total, alike = len(self.standings), len(self.alike)
        if total == 1:
            return text + "; it is the only finalist."
        if alike == 1:
            return text + f"; it differs from all other {total - 1} finalists."
        text += f"; {alike} of {total} finalists cannot be told apart"
        cost = cost_text(recommended.n_parameters, recommended.seconds)
        if recommended is best:
            return text + f"; it is itself the cheapest of them{f' ({cost})' if cost else ''}."
        name = _name(recommended.finalist)
        return text + f"; the cheapest of them is {name}{f' with {cost}' if cost else ''}."

    def describe(self) -> dict[str, Any]:
        """The verdict as plain JSON data."""
        race = {} if self.race is None else {"race": self.race.describe()}
        budget = {"budget": self.budget} if self.budget else {}
        return race | {
            "sentence": self.sentence,
            **budget,
            "level": self.level,
            "measured_on": self.measured_on,
            "recommended": dict(self.recommended.finalist.params) if self.recommended else None,
            "n_alike": len(self.alike),
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
                    "accuracies": {str(seed): accuracy for seed, accuracy in s.accuracies.items()},
                    "n_lost": s.n_lost,
                }
                for s in self.standings
            ],
        }


def judge(repeats: Sequence[Repeats], *, level: float = 0.95, race: Race | None = None) -> Verdict:
    """The verdict over finalists that were repeated with fresh seeds.

    The test split is used when every repeat has it, else validation. Finalists none of whose seeds was complete are
    left out. Ties and orders do not depend on the order of ``repeats``. After a ``race`` among them (in the same
    order) it is the race's p-values that count, and those that left it stand below those that stayed.
    """
    places = [i for i, r in enumerate(repeats) if r.validation]
    alive = [repeats[i] for i in places]
    left = [race is not None and race.left[i] for i in places]
    on_test = bool(alive) and all(set(r.test) == set(r.validation) for r in alive)
    values = [dict(sorted((r.test if on_test else r.validation).items())) for r in alive]
    ranked = sorted(range(len(alive)), key=lambda i: (left[i], -_mean(values[i]), alive[i].finalist.number))

    resolution = [1 / r.n_test if on_test and r.n_test else 0.0 for r in alive]
    pairs = list(combinations(range(len(alive)), 2))
    raw = [paired_p_value(values[i], values[j], max(resolution[i], resolution[j])) for i, j in pairs]
    corrected = dict(zip(pairs, holm(raw), strict=True))

    standings = []
    for i in ranked:
        best = ranked[0]
        if race is not None:
            p_value = race.p_values[places[i]]
        else:
            p_value = 1.0 if i == best else corrected[min(i, best), max(i, best)]
        accuracies = values[i]
        mean = _mean(accuracies)
        n_test = alive[i].n_test if on_test else None
        standings.append(
            Standing(
                finalist=alive[i].finalist,
                accuracies=accuracies,
                mean=mean,
                sd=float(np.std(list(accuracies.values()), ddof=1)) if len(accuracies) > 1 else math.nan,
                seed_interval=t_interval(list(accuracies.values()), level),
                test_interval=wilson_interval(mean, n_test, level) if n_test else None,
                fresh_validation=_mean(alive[i].validation),
                p_value=p_value,
                differs=p_value <= 1 - level,
                n_parameters=alive[i].n_parameters,
                seconds=alive[i].seconds,
                n_lost=alive[i].n_lost,
            )
        )
    return Verdict(tuple(standings), level, "test" if on_test else "validation", race)


def _size(standing: Standing) -> float:
    return math.inf if standing.n_parameters is None else standing.n_parameters


def _mean(values: Mapping[int, float]) -> float:
    return math.fsum(values.values()) / len(values) if values else math.nan


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _name(finalist: Finalist) -> str:
    rest = {name: value for name, value in finalist.params.items() if name != "schedule"}
    if not rest:  # the schedule is the only axis
        return point_text(finalist.params)
    return point_text(rest, finalist.schedule or str(finalist.params.get("schedule", "")))
