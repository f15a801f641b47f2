"""Significance and intervals of means: Student's t, Holm's correction (1979), Wilson's interval (1927), and subset
selection that retains the best (Gupta 1965).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from zonesearch.statistics.distributions import normal_cdf, normal_quantile, t_quantile
from zonesearch.statistics.paired import Sample, differ

__all__ = ["Interval", "holm", "paired_p_value", "subset_level", "t_interval", "wilson_interval"]

Interval = tuple[float, float]


def paired_p_value(a: Mapping[int, float], b: Mapping[int, float], resolution: float = 0.0) -> float:
    """Two-sided p-value of Student's paired t-test over the seeds that ``a`` and ``b`` share; 1 with fewer than two.

    An accuracy on n examples has a resolution of 1/n (``resolution``); each of the two is given the rounding variance
    resolution^2/12, so that differences that happen to be identical are not taken as certain.
    """
    return differ(Sample(a, resolution=resolution), Sample(b, resolution=resolution)).p_value


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: rejecting where the result is at most alpha keeps the family-wise error at alpha."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected = [0.0] * len(p_values)
    running = 0.0
    for rank, i in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = running
    return corrected


def t_interval(values: Sequence[float], level: float, n_picked: int = 1) -> Interval:
    """Student's t interval of the mean; (NaN, NaN) with one value, of zero width when all are equal.

    For the best of ``n_picked`` candidates it holds at its level too. Any of them may have a mean that is too high by
    luck, but only the best itself can be too low: so the error is divided among ``n_picked`` + 1 events (Bonferroni).
    """
    if len(values) < 2:
        return math.nan, math.nan
    mean, se = float(np.mean(values)), float(np.std(values, ddof=1)) / math.sqrt(len(values))
    half = -t_quantile((1 - level) / (n_picked + 1), len(values) - 1) * se
    return mean - half, mean + half


def wilson_interval(accuracy: float, n: int, level: float) -> Interval:
    """Wilson's score interval for an accuracy on ``n`` examples (rounded to a whole number of them).

    Equals ``scipy.stats.binomtest(k, n).proportion_ci(level, "wilson")`` without importing ``scipy.stats``, which takes
    longer than the commands that need it.
    """
    k = round(accuracy * n)
    share, z2 = k / n, normal_quantile(0.5 + level / 2) ** 2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    return 0.0 if k == 0 else middle - half, 1.0 if k == n else middle + half


@lru_cache(maxsize=1024)
def subset_level(level: float, n: int) -> float:
    """The two-sided level for comparing ``n`` equal means with the highest measured one, such that each of them, and
    therefore the truly best, is kept with probability ``level``; at least ``level`` itself.

    The highest of many is high by luck: at the level of a single comparison, one of 16 equal cells is falsely excluded
    in every sixth map. The quantile q satisfies E[Phi(Z + q sqrt 2)^(n - 1)] = level, Z standard normal (Gupta 1965,
    Technometrics 7:225).
    """
    if n < 2:
        return level
    nodes = np.arange(-8.5, 8.5, 0.125)  # the trapezoidal rule is exact to rounding for a normal density
    weights = np.exp(-0.5 * nodes * nodes)
    weights /= weights.sum()
    low, high = 0.0, 10.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        below = np.array([normal_cdf(node + middle * math.sqrt(2)) for node in nodes.tolist()])
        kept = float(weights @ below ** (n - 1))
        low, high = (low, middle) if kept >= level else (middle, high)
    return max(level, 2 * normal_cdf(max(high, normal_quantile(0.5 + level / 2))) - 1)
