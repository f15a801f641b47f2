"""A race: finalists get fresh seeds one round at a time, and those that are significantly worse drop out.

Testing after every round is multiple testing, so the error is divided. The looks are planned beforehand (from the third
seed to the last one allowed) and each gets the same part of alpha: Bonferroni over looks, the simplest alpha spending
(Lan & DeMets 1983). The smallest of a pair's p-values divided by that part is therefore a p-value itself at whatever
round the race ends, and Holm's correction (1979) runs over all pairs of finalists. A finalist that has dropped out
keeps its p-values, which can only be larger than they would have become. So an equal finalist is declared worse with at
most the stated probability, over all rounds and pairs together. The looks are part of the plan: raising the number of
seeds after seeing the outcome spends the error twice. (Races of configurations: Maron & Moore 1994; Birattari, Stützle,
Paquete & Varrentrapp 2002.)

Remaining finalists are "alike at the margin" if both ends of the interval of their difference from the incumbent, at
the same shares of alpha, lie within the margin (two one-sided tests; Schuirmann 1987).
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
"""Seeds before the first look: with two, Student's t has one degree of freedom and practically no power."""

_ALONE = 4
"""A single finalist with noisy values gets this multiple of the first seeds, if the budget allows."""

Ending = Literal["", "best", "alike", "seeds"]


@dataclass(frozen=True)
class Race:
    """The state of a race.

    Args:
        ending: ``best`` (all others dropped out), ``alike`` (the rest differ by less than the margin), ``seeds`` (all
            allowed seeds were used), or empty while the race is running.
        n_seeds: for each finalist, the number of seeds it has been given, including those wanted now.
        most: maximum number of seeds of one finalist; if the total is limited, the largest number that any finalist
            got.
        capped: whether the total number of trainings is limited.
        left: for each finalist, whether it is significantly worse than another.
        p_values: for each finalist, of the hypothesis "as good as every finalist ranked above it", corrected for rounds
            and pairs.
        margin: differences up to this do not matter; 0 for none.
        more_seeds: about how many more seeds for each remaining finalist would settle the race if the differences and
            their spread stayed as they are; 0 if settled, None if 10,000 would not suffice.
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
        """Trainings saved compared with giving every finalist all seeds."""
        return len(self.n_seeds) * self.most - sum(self.n_seeds)

    @property
    def sentence(self) -> str:
        """How it ended, as a sentence; empty without a finalist."""
        return self.told(f"{self.margin:g}")

    def told(self, margin: str) -> str:
        """How it ended, as a sentence with the margin as the metric shows it; empty without a finalist."""
        if not self.n_seeds:
            return ""
        rest = self.left.count(False)
        cost = counted(sum(self.n_seeds), "training")
        cost += "" if self.capped else f" instead of {len(self.n_seeds) * self.most}"
        if self.ending == "best":
            return f"The race ended with the best known after {counted(max(self.n_seeds), 'seed')} ({cost})."
        if self.ending == "alike":
            return f"The race ended with {counted(rest, 'finalist')} alike within {margin} ({cost})."
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
    """Replay the race from its first seed with the known results.

    Results beyond those that the race asks for are ignored, so that the looks are the planned ones.

    Args:
        finalists: for each, the scores (larger is better) of the complete trainings by seed, or a
            :class:`zonesearch.statistics.paired.Sample` if more is known.
        back: for each finalist, the seeds that have finished in whatever state.
        seeds: all seeds that may be used, in order.
        level: 1 - alpha.
        margin: differences up to this do not matter; 0 for none.
        resolution: the step between possible values of plain scores (see :func:`zonesearch.statistics.paired.differ`).
        first: seeds before the first look.
        total: limit on the trainings of all finalists together, for a race whose length is not known beforehand: each
            look comes a quarter more seeds after the one before, and the last is as late as this limit permits. A
            single finalist with noisy values gets some of them, for a narrower interval.

    Returns:
        The race; its ``n_seeds`` are the seeds wanted. Some of them are missing exactly when ``ending`` is empty.
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
    share = alpha / n_looks / max(1, len(pairs))  # of one side, pair and look, for the margin
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
            gone[i] = left[i] or not known[i].scores  # a finalist that lost all its seeds cannot race
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
