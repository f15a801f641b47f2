"""A race: finalists get fresh seeds one round at a time, and those that are significantly worse leave.

Looking after every round is testing many times, so the error is shared out. The looks are planned beforehand (from
the third seed to the last that is allowed) and each gets the same part of alpha: Bonferroni over looks, the simplest
alpha spending (Lan & DeMets 1983). The smallest of a pair's p-values divided by that part is therefore a p-value itself
at whatever round the race ends, and Holm's correction (1979) runs over all pairs of finalists. A finalist that has left
keeps its p-values, which can only be larger than they would have become. So an equal finalist is said to be worse with
at most the stated probability, over all rounds and pairs together. The looks belong to the plan: who raises the number
of seeds after having seen the outcome spends the error a second time. (Races of configurations: Maron & Moore 1994;
Birattari, Stützle, Paquete & Varrentrapp 2002.)

"Alike at the margin" is said of a rest whose differences from the incumbent lie within the margin with both ends of an
interval at the same shares (two one-sided tests; Schuirmann 1987).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

from zonesearch.core.wording import counted
from zonesearch.statistics.paired import Sample, differ, seeds_needed
from zonesearch.statistics.significance import holm

__all__ = ["FIRST_LOOK", "Ending", "Race", "run_race"]

FIRST_LOOK = 3
"""Seeds before the first look: with two, Student's t has one degree of freedom and tells nothing apart."""

_ALONE = 4
"""A single finalist with noisy values gets this many times the first seeds, if the budget allows."""

Ending = Literal["", "best", "alike", "seeds"]


@dataclass(frozen=True)
class Race:
    """Where a race stands.

    Args:
        ending: ``best`` (all others left), ``alike`` (the rest differs by less than the margin), ``seeds`` (as many
            as are allowed were given), or empty while it goes on.
        n_seeds: for each finalist, how many seeds it was given or is to get now.
        most: seeds that a finalist may get; where the trainings of all together are limited, the most that one got.
        capped: whether they are limited.
        left: for each finalist, whether it is significantly worse than another.
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
    capped: bool = False

    @property
    def n_saved(self) -> int:
        """Trainings that giving every finalist all seeds would have cost more."""
        return len(self.n_seeds) * self.most - sum(self.n_seeds)

    @property
    def sentence(self) -> str:
        """How it ended, in plain words; empty without a finalist."""
        if not self.n_seeds:
            return ""
        rest = self.left.count(False)
        cost = counted(sum(self.n_seeds), "training")
        cost += "" if self.capped else f" instead of {len(self.n_seeds) * self.most}"
        if self.ending == "best":
            return f"The race ended with the best known after {counted(max(self.n_seeds), 'seed')} ({cost})."
        if self.ending == "alike":
            return f"The race ended with {counted(rest, 'finalist')} alike within {self.margin:g} ({cost})."
        if self.more_seeds is None and max(self.n_seeds) < 2:
            more = "one seed each does not tell how noisy they are"
        elif self.more_seeds is None:
            more = "the rest are so close that 10,000 seeds would not settle it"
        else:
            more = f"about {self.more_seeds} more for each of the {rest} left would settle it"
        its = "all that it was given" if self.capped else f"its {counted(self.most, 'seed')}"
        return f"The race ended with {its} ({cost}); {more}."

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
    finalists: Sequence[Sample | Mapping[int, float]],
    back: Sequence[Collection[int]],
    seeds: Sequence[int],
    *,
    level: float = 0.95,
    margin: float = 0.0,
    resolution: float = 0.0,
    first: int = FIRST_LOOK,
    total: int | None = None,
) -> Race:
    """Replay the race from its first seed with what is known.

    What is known beyond what the race asks for is not looked at, so that the looks are those that were planned.

    Args:
        finalists: for each the scores (larger is better) of the trainings that were complete, by seed; as a
            :class:`zonesearch.statistics.paired.Sample` where more is known of them.
        back: for each finalist, the seeds that came back in whatever state.
        seeds: all that may be given, in order.
        level: 1 - alpha.
        margin: differences up to this do not matter; 0 for none.
        resolution: the step at which plain scores are known (see :func:`zonesearch.statistics.paired.differ`).
        first: seeds before the first look.
        total: trainings that all finalists together may get, for a race whose length nobody knows beforehand: looks
            are planned ever further apart, by a quarter of the seeds, and the last one is as late as this pays for.
            A single finalist whose values scatter gets some of them, for a narrower interval.

    Returns:
        The race; its ``n_seeds`` say what is wanted. Some of that is missing exactly when ``ending`` is empty.
    """
    samples = [x if isinstance(x, Sample) else Sample(dict(x), resolution=resolution) for x in finalists]
    n = len(samples)
    most = len(seeds)
    first = min(first, most)
    if total is not None and n:
        first = max(1, min(first, total // n))
    looks = range(first, most + 1) if total is None else _looks(first, most)
    alpha, n_looks = 1 - level, len(looks)
    pairs = list(combinations(range(n), 2))
    share = alpha / n_looks / max(1, len(pairs))  # of one side pair and look, for the margin
    smallest = dict.fromkeys(pairs, 1.0)
    sign = dict.fromkeys(pairs, 0.0)
    left, gone, p_values, given = [False] * n, [False] * n, [1.0] * n, [first] * n

    def state(ending: Ending, more_seeds: int | None = 0) -> Race:
        reached = most if total is None else max(given, default=first)
        return Race(ending, tuple(given), reached, tuple(left), tuple(p_values), margin, more_seeds, total is not None)

    if n == 0:
        return state("best")
    others: list[Any] = []
    for so_far in looks:
        racing = [i for i in range(n) if not gone[i]]
        if total is not None and so_far > first:
            so_far = min(so_far, (total - sum(given[i] for i in range(n) if gone[i])) // len(racing))
            if so_far <= given[racing[0]]:
                break
        for i in racing:
            given[i] = so_far
        asked = seeds[:so_far]
        if any(seed not in back[i] for i in racing for seed in asked):
            return state("")
        known = [sample.only(asked) for sample in samples]
        for i, j in combinations(racing, 2):
            difference = differ(known[i], known[j])
            p = min(1.0, difference.p_value * n_looks)
            if p < smallest[i, j]:
                smallest[i, j], sign[i, j] = p, difference.mean
        corrected = dict(zip(pairs, holm([smallest[pair] for pair in pairs]), strict=True))
        for i in range(n):
            beaten = [
                p for (a, b), p in corrected.items() if (a == i and sign[a, b] < 0) or (b == i and sign[a, b] > 0)
            ]
            p_values[i] = min(beaten, default=1.0)
            left[i] = p_values[i] <= alpha
            gone[i] = left[i] or not known[i].scores  # one that lost all its seeds has nothing to race with
        rest = [i for i in racing if not gone[i]]
        if n == 1 and total is not None and so_far < _ALONE * first and len(set(samples[0].scores.values())) > 1:
            continue
        if len(rest) <= 1:
            return state("best")
        incumbent = max(rest, key=lambda i: (known[i].mean, -i))
        others = [differ(known[incumbent], known[i]) for i in rest if i != incumbent]
        if margin and all(other.within(margin, share) for other in others):
            return state("alike")
    if n == 1:
        return state("best")
    needed = [seeds_needed(other, alpha / len(pairs), margin, FIRST_LOOK) for other in others]
    known_seeds = max(given)
    return state("seeds", None if None in needed else max(1, max(m for m in needed if m is not None) - known_seeds))


def _looks(first: int, most: int) -> list[int]:
    """Numbers of seeds from ``first`` to ``most``, each a quarter more than the one before."""
    looks = [first]
    while looks[-1] < most:
        looks.append(min(most, max(looks[-1] + 1, looks[-1] * 5 // 4)))
    return looks
