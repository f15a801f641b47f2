"""A race: finalists get fresh seeds one round at a time, and those that are worse for sure leave.

Looking after every round is testing many times, so the error is shared out. The looks are planned beforehand (from
the third seed to the last that is allowed) and each gets the same part of alpha: Bonferroni over looks, the simplest
alpha spending (Lan & DeMets 1983). The smallest of a pair's p-values divided by that part is therefore a p-value itself
at whatever round the race ends, and Holm's correction (1979) runs over all pairs of finalists. A finalist that has left
keeps its p-values, which can only be larger than they would have become. So an equal finalist is said to be worse with
at most the stated probability, over all rounds and pairs together. The looks belong to the plan: who raises the number
of seeds after having seen the outcome spends the error a second time. (Races of configurations: Maron & Moore 1994;
Birattari, Stützle, Paquete & Varrentrapp 2002.)

"Alike at the margin" is said of a rest whose differences from the leader lie within the margin with both ends of an
interval at the same shares (two one-sided tests; Schuirmann 1987).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
from scipy import stats

from zonesearch.domain.significance import holm, paired_p_value

__all__ = ["FIRST_LOOK", "Ending", "Race", "run_race"]

FIRST_LOOK = 3
"""Seeds before the first look: with two, Student's t has one degree of freedom and tells nothing apart."""

_FARTHEST = 10_000  # seeds; what would need more is not forecast

Ending = Literal["", "best", "alike", "seeds"]


@dataclass(frozen=True)
class Race:
    """Where a race stands.

    Args:
        ending: ``best`` (all others left), ``alike`` (the rest differs by less than the margin), ``seeds`` (as many
            as are allowed were given), or empty while it goes on.
        n_seeds: for each finalist, how many seeds it was given or is to get now.
        most: seeds that a finalist may get.
        left: for each finalist, whether it is worse than another for sure.
        p_values: for each finalist, of "as good as every one that stands above it", corrected for rounds and pairs.
        margin: differences up to this do not matter; 0 for none.
        more_seeds: about how many more seeds each of the rest would settle it, if the differences and their spread
            stayed as they are; 0 when it is settled, None when 10,000 would not.
    """

    ending: Ending
    n_seeds: tuple[int, ...]
    most: int
    left: tuple[bool, ...]
    p_values: tuple[float, ...]
    margin: float = 0.0
    more_seeds: int | None = 0

    @property
    def n_saved(self) -> int:
        """Trainings that giving every finalist all seeds would have cost more."""
        return len(self.n_seeds) * self.most - sum(self.n_seeds)

    @property
    def sentence(self) -> str:
        """How it ended, in plain words."""
        rest = self.left.count(False)
        cost = f"{sum(self.n_seeds)} trainings instead of {len(self.n_seeds) * self.most}"
        if self.ending == "best":
            return f"The race ended with the best known after {max(self.n_seeds)} seeds ({cost})."
        if self.ending == "alike":
            return f"The race ended with {rest} finalists alike within {self.margin:g} ({cost})."
        if self.more_seeds is None:
            more = "the rest is so close that 10,000 seeds would not settle it"
        else:
            more = f"about {self.more_seeds} more for each of the {rest} left would settle it"
        return f"The race ended with its {self.most} seeds ({cost}); {more}."

    def describe(self) -> dict[str, Any]:
        """The race as plain JSON data."""
        return {
            "ending": self.ending,
            "n_seeds": list(self.n_seeds),
            "most": self.most,
            "left": list(self.left),
            "margin": self.margin,
            "more_seeds": self.more_seeds,
            "n_saved": self.n_saved,
            "sentence": self.sentence,
        }


def run_race(
    accuracies: Sequence[Mapping[int, float]],
    back: Sequence[Collection[int]],
    seeds: Sequence[int],
    *,
    level: float = 0.95,
    margin: float = 0.0,
    resolution: float = 0.0,
) -> Race:
    """Replay the race from its first seed with what is known.

    What is known beyond what the race asks for is not looked at, so that the looks are those that were planned.

    Args:
        accuracies: for each finalist, by seed, of the trainings that were complete.
        back: for each finalist, the seeds that came back in whatever state.
        seeds: all that may be given, in order.
        level: 1 - alpha.
        margin: differences of accuracy up to this do not matter; 0 for none.
        resolution: the step at which accuracies are known (see :func:`paired_p_value`).

    Returns:
        The race; its ``n_seeds`` say what is wanted. Some of that is missing exactly when ``ending`` is empty.
    """
    n = len(accuracies)
    most = len(seeds)
    first = min(FIRST_LOOK, most)
    alpha, n_looks = 1 - level, most - first + 1
    pairs = list(combinations(range(n), 2))
    share = alpha / n_looks / max(1, len(pairs))  # of one side pair and look, for the margin
    smallest = dict.fromkeys(pairs, 1.0)
    sign = dict.fromkeys(pairs, 0.0)
    left, gone, p_values, given = [False] * n, [False] * n, [1.0] * n, [first] * n

    def state(ending: Ending, more_seeds: int | None = 0) -> Race:
        return Race(ending, tuple(given), most, tuple(left), tuple(p_values), margin, more_seeds)

    if n == 0:
        return state("best")
    for so_far in range(first, most + 1):
        racing = [i for i in range(n) if not gone[i]]
        for i in racing:
            given[i] = so_far
        asked = seeds[:so_far]
        if any(seed not in back[i] for i in racing for seed in asked):
            return state("")
        known = [{seed: values[seed] for seed in asked if seed in values} for values in accuracies]
        for i, j in combinations(racing, 2):
            p = min(1.0, paired_p_value(known[i], known[j], resolution) * n_looks)
            if p < smallest[i, j]:
                smallest[i, j], sign[i, j] = p, _difference(known[i], known[j])[0]
        corrected = dict(zip(pairs, holm([smallest[pair] for pair in pairs]), strict=True))
        for i in range(n):
            beaten = [
                p for (a, b), p in corrected.items() if (a == i and sign[a, b] < 0) or (b == i and sign[a, b] > 0)
            ]
            p_values[i] = min(beaten, default=1.0)
            left[i] = p_values[i] <= alpha
            gone[i] = left[i] or not known[i]  # one that lost all its seeds has nothing to race with
        rest = [i for i in racing if not gone[i]]
        if len(rest) <= 1:
            return state("best")
        leader = max(rest, key=lambda i: (math.fsum(known[i].values()) / len(known[i]), -i))
        others = [_difference(known[leader], known[i]) for i in rest if i != leader]
        if margin and all(_within(*other, share, margin, resolution) for other in others):
            return state("alike")
    needed = [_needed(*other[:2], len(pairs), alpha, margin, resolution) for other in others]
    return state("seeds", None if None in needed else max(1, max(m for m in needed if m is not None) - most))


def _difference(a: Mapping[int, float], b: Mapping[int, float]) -> tuple[float, float, int]:
    """Mean, standard deviation and number of a - b over the seeds of both; with fewer than two infinitely spread."""
    differences = [a[seed] - b[seed] for seed in a if seed in b]
    if len(differences) < 2:
        return math.fsum(differences), math.inf, len(differences)
    return float(np.mean(differences)), float(np.std(differences, ddof=1)), len(differences)


def _within(mean: float, sd: float, n: int, share: float, margin: float, resolution: float) -> bool:
    half = float(stats.t.isf(share, n - 1)) * max(sd, resolution / math.sqrt(6)) / math.sqrt(n)
    return abs(mean) + half <= margin


def _needed(mean: float, sd: float, n_pairs: int, alpha: float, margin: float, resolution: float) -> int | None:
    """The seeds after which a pair with this difference and spread would be settled in a race planned for so many."""
    spread = max(sd, resolution / math.sqrt(6))

    def settled(n: int) -> bool:
        share = alpha / (n - FIRST_LOOK + 1) / n_pairs
        se = spread / math.sqrt(n)
        apart = abs(mean) >= float(stats.t.isf(share / 2, n - 1)) * se
        return (apart and mean != 0) or (margin > 0 and _within(mean, sd, n, share, margin, resolution))

    if not settled(_FARTHEST):
        return None
    low, high = FIRST_LOOK - 1, _FARTHEST  # settled at high, taken as not settled at low
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if settled(middle) else (middle, high)
    return high
