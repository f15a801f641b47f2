"""Which examples were right: what two points of a search share, and what that says of their difference.

All trainings of a search answer the same validation examples, so that the luck of these examples is shared, and the
difference of two accuracies is known much better than each of them. Seeds and examples are two crossed random factors.
With D the table of paired differences (K seeds, n examples), the variance of its mean, for other seeds *and* other
examples, is (MS_seeds + MS_examples - MS_residual) / (K n) (Cornfield & Tukey 1956, two-way random effects).

Answers are packed bits (``numpy.packbits``), one bytes object a training: 12,000 examples take 1.5 kB, and what two
trainings have in common is counted eight at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Crossed", "Shared", "crossed", "n_right", "share_between_seeds", "shared"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Shared:
    """The difference of two points over the examples.

    Args:
        variance: of the mean difference by the choice of the examples, which no seed makes smaller; 0 or more.
        degrees: degrees of freedom behind it: one less than the examples on which the two differ, at least 1.
    """

    variance: float
    degrees: float


def n_right(bits: bytes) -> int:
    """How many examples were right."""
    return int(np.bitwise_count(np.frombuffer(bits, np.uint8)).sum())


def _table(answers: Sequence[bytes]) -> npt.NDArray[np.uint64]:
    """One row a training, shape (K, n_words)."""
    padded = [bits.ljust(-(-len(bits) // 8) * 8, b"\0") for bits in answers]
    return np.frombuffer(b"".join(padded), np.uint64).reshape(len(answers), -1)


def _together(a: npt.NDArray[np.uint64], b: npt.NDArray[np.uint64]) -> Array:
    """How many examples each training of ``a`` and each of ``b`` answer both, shape (K_a, K_b)."""
    together: Array = np.bitwise_count(a[:, None] & b[None]).sum(axis=2).astype(float)
    return together


def share_between_seeds(answers: Sequence[bytes], n: int) -> float:
    """The part of the variance p(1 - p) of single answers that another seed draws anew; NaN with one seed, or p 0 or 1.

    The rest belongs to the examples: hard ones are wrong with every seed.
    """
    k = len(answers)
    if k < 2:
        return float("nan")
    table = _table(answers)
    both = float(_together(table, table).sum())
    mean = float(np.bitwise_count(table).sum()) / (k * n)
    within = (mean - both / (k * k * n)) * k / (k - 1)
    total = mean * (1 - mean)
    return within / total if total > 0 else float("nan")


def shared(a: Sequence[bytes], b: Sequence[bytes], n: int, between_seeds: float) -> Shared:
    """What the choice of ``n`` examples does to the difference of the means of two points.

    The differences of the seeds' means, example by example, scatter for two reasons. What seeds draw anew is taken off
    (it is in the variance between seeds already); what is left belongs to the examples.

    Args:
        a, b: the answers of each seed of the two points, as many examples each; any number of seeds, at least one.
        n: number of examples.
        between_seeds: of :func:`share_between_seeds`, where a point has one seed; NaN to take nothing off for it.
    """
    one, other = _table(a), _table(b)
    means = [float(np.bitwise_count(table).sum()) / (len(table) * n) for table in (one, other)]
    squares = 0.0
    for x, y, sign in ((one, one, 1), (other, other, 1), (one, other, -2)):
        squares += sign * float(_together(x, y).sum()) / (len(x) * len(y))
    spread = max(0.0, squares - n * (means[0] - means[1]) ** 2) / max(1, n - 1)
    for table, mean, answers in ((one, means[0], a), (other, means[1], b)):
        anew = share_between_seeds(answers, n)
        anew = between_seeds if anew != anew else anew
        if anew == anew:
            spread -= anew * mean * (1 - mean) / len(table)
    differing = float(np.bitwise_count(np.bitwise_or.reduce(one) ^ np.bitwise_or.reduce(other)).sum())
    return Shared(max(0.0, spread) / n, max(1.0, differing - 1))


@dataclass(frozen=True)
class Crossed:
    """The mean of a table of paired differences.

    Args:
        mean: over all seeds and examples.
        variance: of that mean, for other seeds and other examples; ``degrees`` those of freedom behind it
            (Satterthwaite 1946).
        seeds: the part of the variance that more seeds would make smaller; the rest is the examples'.
    """

    mean: float
    variance: float
    degrees: float
    seeds: float


def crossed(a: Sequence[bytes], b: Sequence[bytes], n: int) -> Crossed:
    """Two points compared over seeds that they share, in the same order, and over the same ``n`` examples.

    The variance is kept at least as large as what seeds or examples alone make of it, since the difference of mean
    squares may come out too small, or below zero.

    Raises:
        ValueError: fewer than two seeds, or not the same number for both.
    """
    k = len(a)
    if k < 2 or k != len(b):
        raise ValueError(f"two points are compared over two seeds or more that both have, not {k} and {len(b)}")
    one, other = _table(a), _table(b)
    rows = (np.bitwise_count(one).sum(axis=1).astype(float) - np.bitwise_count(other).sum(axis=1)) / n
    mean = float(rows.mean())
    squares = float(np.bitwise_count(one ^ other).sum())  # a difference is -1, 0 or 1
    both = _together(one, one).sum() + _together(other, other).sum() - 2 * _together(one, other).sum()
    columns = float(both) / k**2  # sum over the examples of the squared mean difference
    ss_seeds = n * float(np.sum((rows - mean) ** 2))
    ss_examples = k * (columns - n * mean**2)
    ss_rest = squares - k * n * mean**2 - ss_seeds - ss_examples
    ms_seeds, ms_examples = ss_seeds / (k - 1), ss_examples / max(1, n - 1)
    ms_rest = ss_rest / max(1, (k - 1) * (n - 1))
    total = max(ms_seeds + ms_examples - ms_rest, ms_seeds, ms_examples, 0.0)
    if total <= 0.0:
        return Crossed(mean, 0.0, float(k - 1), 0.0)
    weight = ms_seeds**2 / (k - 1) + ms_examples**2 / max(1, n - 1) + ms_rest**2 / max(1, (k - 1) * (n - 1))
    return Crossed(mean, total / (k * n), max(1.0, total**2 / weight), min(ms_seeds, total) / (k * n))
