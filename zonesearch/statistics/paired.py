"""Compare two finalists over the seeds that they share, and over the same examples if the answers are known.

The same seed index means the same data order, so values are compared in pairs by Student's t. Where it is
known which test examples each training got right, the examples are a second random factor, crossed with the seeds
(``examples.crossed``), and "differs" then holds for new examples too, not for this test set alone.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from zonesearch.statistics.distributions import t_quantile, t_tail
from zonesearch.statistics.examples import crossed

__all__ = ["Difference", "Sample", "differ", "seeds_needed"]

FARTHEST = 10_000
"""Number of seeds beyond which nothing is forecast."""


@dataclass(frozen=True)
class Sample:
    """The results of one finalist's fresh seeds.

    Args:
        scores: by seed; larger is better.
        right: by seed, which examples were right (packed bits); empty if only scores are known.
        n_examples: number of examples behind a score; None when unknown.
        resolution: the step between possible scores, 1/n for a fraction of n examples; 0 for none.
    """

    scores: Mapping[int, float]
    right: Mapping[int, bytes] = field(default_factory=dict)
    n_examples: int | None = None
    resolution: float = 0.0

    @property
    def mean(self) -> float:
        """The mean score; NaN without scores."""
        return math.fsum(self.scores.values()) / len(self.scores) if self.scores else math.nan

    def only(self, seeds: Collection[int]) -> Sample:
        """The same restricted to some of its seeds."""
        kept = {seed: self.scores[seed] for seed in seeds if seed in self.scores}
        right = {seed: self.right[seed] for seed in kept if seed in self.right}
        return Sample(kept, right, self.n_examples, self.resolution)


@dataclass(frozen=True)
class Difference:
    """The difference of two mean scores.

    Args:
        mean: first minus second.
        seeds: variance of the mean due to seeds; ``examples`` that due to the choice of examples, 0 if unknown.
        degrees: degrees of freedom of both together; 0 with fewer than two seeds, which allow no conclusion.
        n: number of shared seeds.
    """

    mean: float
    seeds: float
    examples: float
    degrees: float
    n: int

    @property
    def se(self) -> float:
        """The standard error; infinite with fewer than two seeds."""
        return math.sqrt(self.seeds + self.examples) if self.degrees > 0 else math.inf

    @property
    def p_value(self) -> float:
        """Two-sided, of "no difference"; 1 with fewer than two seeds."""
        if self.degrees <= 0 or self.mean == 0.0:
            return 1.0
        if self.se <= 1e-15 * abs(self.mean):
            return 0.0
        return 2 * t_tail(abs(self.mean) / self.se, self.degrees)

    def half_width(self, share: float) -> float:
        """Half-width of the interval that leaves ``share`` of the probability beyond each end; infinite with fewer than
        two seeds.
        """
        return -t_quantile(share, self.degrees) * self.se if self.degrees > 0 else math.inf

    def within(self, margin: float, share: float) -> bool:
        """Whether both ends of that interval lie within the margin (two one-sided tests; Schuirmann 1987)."""
        return abs(self.mean) + self.half_width(share) <= margin


def differ(a: Sample, b: Sample) -> Difference:
    """The difference between two finalists over their shared seeds.

    A score on n examples has a resolution of 1/n; each of the two is given the rounding variance resolution^2/12, so
    that differences that happen to be identical are not taken as certain.
    """
    shared = sorted(set(a.scores) & set(b.scores))
    n = len(shared)
    found = np.array([a.scores[seed] - b.scores[seed] for seed in shared])
    if n < 2:
        return Difference(float(found.sum()), 0.0, 0.0, 0.0, n)
    mean = float(found.mean())
    least = max(a.resolution, b.resolution) ** 2 / 6 / n
    answered = a.n_examples and a.n_examples == b.n_examples and all(s in a.right and s in b.right for s in shared)
    if answered and a.n_examples:
        both = crossed([a.right[seed] for seed in shared], [b.right[seed] for seed in shared], a.n_examples)
        seeds = max(both.seeds, least)
        return Difference(mean, seeds, max(both.variance - both.seeds, 0.0), both.degrees, n)
    return Difference(mean, max(float(found.var(ddof=1)) / n, least), 0.0, n - 1.0, n)


def seeds_needed(found: Difference, share: float, margin: float, first: int = 0) -> int | None:
    """The number of seeds after which a pair would be settled, that is significantly different or within the margin.

    Assumes that the difference and the spread stay as they are; None if 10,000 would not suffice.

    Args:
        found: the pair's present difference.
        share: share of the error for this pair, both sides and all looks together.
        margin: differences up to this do not matter; 0 for none.
        first: seeds before the first look of a race, in which every further seed is another look that takes its part of
            ``share``; 0 for a single look at the end.
    """

    def settled(n: int) -> bool:
        part = share / (n - first + 1) if first else share
        degrees = n - 1.0 if found.examples == 0.0 else max(n - 1.0, found.degrees)
        then = Difference(found.mean, found.seeds * found.n / n, found.examples, degrees, n)
        apart = found.mean != 0 and abs(found.mean) >= then.half_width(part / 2)
        return apart or (margin > 0 and then.within(margin, part))

    if found.degrees <= 0 or not settled(FARTHEST):
        return None
    low, high = max(1, first - 1), FARTHEST  # invariant: settled at high, not settled at low
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if settled(middle) else (middle, high)
    return high
