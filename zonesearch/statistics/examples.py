"""Which examples each training got right: the luck that two points share, and what it implies for their difference.

All trainings of a search are evaluated on the same validation examples, so the luck of the draw of examples is shared,
and the difference of two accuracies is known much more precisely than either accuracy. Seeds and examples are two
crossed random factors. For the table of paired differences (K seeds, n examples), the variance of its mean over new
seeds *and* new examples is (MS_seeds + MS_examples - MS_residual) / (K n) (Cornfield & Tukey 1956, two-way random
effects).

Answers are packed bits (``numpy.packbits``), one bytes object per training: 12,000 examples take 1.5 kB.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

__all__ = ["Answering", "Crossed", "Shared", "answering", "crossed", "n_right", "shared"]

_PRIOR = 20.0  # degrees of freedom with which the map's ratio counts as a prior for the spread of one pair
_NEAR = 24  # number of best cells whose differences from the very best give the ratio

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Shared:
    """The difference of two points over the examples.

    Args:
        variance: of the mean difference due to the choice of examples, which more seeds do not reduce; 0 or more.
        spread: the same before the part redrawn with each seed was subtracted; ``degrees`` are its degrees of freedom.
    """

    variance: float
    spread: float
    degrees: float


def n_right(bits: bytes) -> int:
    """The number of correct examples."""
    return int(np.bitwise_count(np.frombuffer(bits, np.uint8)).sum())


def _unpacked(answers: Sequence[bytes], n: int) -> npt.NDArray[np.uint8]:
    """0 or 1 for each training and example, shape (K, n)."""
    table = np.frombuffer(b"".join(answers), np.uint8).reshape(len(answers), -1)
    return np.unpackbits(table, axis=1, count=n)


@lru_cache(maxsize=512)
def _rates(answers: tuple[bytes, ...], n: int) -> Array:
    """The fraction of seeds that get each example right, shape (n,)."""
    rates: Array = _unpacked(answers, n).mean(axis=0)
    return rates


@dataclass(frozen=True)
class Answering:
    """What the answers of a whole map have in common, pooled because two cells alone say little about it.

    Args:
        between_seeds: fraction of the variance p(1 - p) of single answers that is redrawn with each seed; the rest
            belongs to the examples, since hard ones are wrong with every seed. NaN if no cell has two seeds.
        ratio: spread of differences due to examples, divided by that due to seeds with one seed each; NaN if not
            measured.
    """

    between_seeds: float = math.nan
    ratio: float = math.nan


def share_between_seeds(answers: Sequence[bytes], n: int) -> float:
    """The fraction of the variance p(1 - p) of single answers that is redrawn with each seed; NaN with one seed."""
    k = len(answers)
    if k < 2:
        return math.nan
    rates = _rates(tuple(answers), n)
    mean = float(rates.mean())
    within = float((rates * (1 - rates)).mean()) * k / (k - 1)
    return within / (mean * (1 - mean)) if 0.0 < mean < 1.0 else math.nan


def answering(cells: Sequence[Sequence[bytes]], n: int) -> Answering:
    """What the answers of ``cells``, best cell first, to the same ``n`` examples have in common."""
    shares = [share for cell in cells if not math.isnan(share := share_between_seeds(cell, n))]
    if not shares:
        return Answering()
    between = math.fsum(shares) / len(shares)
    spread = anew = single = 0.0
    for cell in cells[1 : 1 + _NEAR]:
        mine, seeds, one = _spread(cells[0], cell, n, between)
        spread, anew, single = spread + mine, anew + seeds, single + one
    return Answering(between, max(0.0, spread - anew) / single if single > 0 else math.nan)


def shared(a: Sequence[bytes], b: Sequence[bytes], n: int, common: Answering) -> Shared:
    """How much the choice of ``n`` examples contributes to the difference between the means of two points.

    The differences of the means over seeds, example by example, vary for two reasons. The part redrawn with each seed
    is subtracted (the variance between seeds already contains it); the remainder belongs to the examples. Two good
    points differ in only a handful of examples, so their spread is shrunk towards that of the whole map.

    Args:
        a, b: the answers of the two points, one entry per seed over the same examples; at least one seed each.
        n: number of examples.
        common: statistics of the whole map.
    """
    spread, anew, single = _spread(a, b, n, common.between_seeds)
    degrees = _free(_rates(tuple(a), n) - _rates(tuple(b), n))
    if not math.isnan(common.ratio) and anew > 0:
        usual = anew + common.ratio * single
        spread = (degrees * spread + _PRIOR * usual) / (degrees + _PRIOR)
        degrees += _PRIOR
    return Shared(max(0.0, spread - anew) / n, spread / n, degrees)


def _spread(a: Sequence[bytes], b: Sequence[bytes], n: int, between_seeds: float) -> tuple[float, float, float]:
    """The variance of the differences over the examples; the part of it redrawn with each seed; and that part for one
    seed each.
    """
    one, other = _rates(tuple(a), n), _rates(tuple(b), n)
    spread = float((one - other).var(ddof=1)) if n > 1 else 0.0
    anew = single = 0.0
    for rates, answers in ((one, a), (other, b)):
        shares = [share for share in (share_between_seeds(answers, n), between_seeds) if not math.isnan(share)]
        if shares:  # poorly known for a single cell; the map's value holds for most of its cells
            mean = float(rates.mean())
            part = math.fsum(shares) / len(shares) * mean * (1 - mean)
            anew, single = anew + part / len(answers), single + part
    return spread, anew, single


def _free(values: Array) -> float:
    """Degrees of freedom of the variance of ``values``, from their fourth moment; at least 1.

    Most differences of answers are 0; d nonzero ones give about 2 d degrees of freedom rather than n - 1.
    """
    squares = (values - values.mean()) ** 2
    variance, noise = float(squares.mean()), float(squares.var())
    if variance <= 0.0 or noise <= 0.0:
        return float(max(1, len(values) - 1))
    return max(1.0, min(2 * len(values) * variance**2 / noise, len(values) - 1.0))


@dataclass(frozen=True)
class Crossed:
    """The mean of a table of paired differences.

    Args:
        mean: over all seeds and examples.
        variance: of that mean over new seeds and new examples; ``degrees`` are its degrees of freedom (Satterthwaite
            1946).
        seeds: the part of the variance that more seeds would reduce; the rest is due to the examples.
    """

    mean: float
    variance: float
    degrees: float
    seeds: float


def crossed(a: Sequence[bytes], b: Sequence[bytes], n: int) -> Crossed:
    """Compare two points over their shared seeds (in the same order) and over the same ``n`` examples.

    The variance is never smaller than that due to seeds alone or examples alone, because the difference of mean squares
    may come out too small or even negative.

    Raises:
        ValueError: fewer than two seeds, or not the same number for both.
    """
    k = len(a)
    if k < 2 or k != len(b):
        raise ValueError(f"two points are compared over two seeds or more that both have, not {k} and {len(b)}")
    table = _unpacked(a, n).astype(np.int8) - _unpacked(b, n).astype(np.int8)
    rows, columns = table.mean(axis=1), table.mean(axis=0)
    mean = float(rows.mean())
    ss_seeds = n * float(np.sum((rows - mean) ** 2))
    ss_examples = k * float(np.sum((columns - mean) ** 2))
    ss_rest = float(np.count_nonzero(table)) - k * n * mean**2 - ss_seeds - ss_examples
    ms_seeds, ms_examples = ss_seeds / (k - 1), ss_examples / max(1, n - 1)
    ms_rest = ss_rest / max(1, (k - 1) * (n - 1))
    total = max(ms_seeds + ms_examples - ms_rest, ms_seeds, ms_examples)
    if total <= 0.0:
        return Crossed(mean, 0.0, float(k - 1), 0.0)
    free = _free(columns)
    weight = ms_seeds**2 / (k - 1) + ms_examples**2 / free + ms_rest**2 / max(1.0, (k - 1) * free)
    return Crossed(mean, total / (k * n), max(1.0, total**2 / weight), min(ms_seeds, total) / (k * n))
