"""Probabilities and quantiles of the normal, Student's t and F distributions, for single numbers.

The commands that only look at a run need a few of these, and loading ``scipy.special`` for them takes longer than all
else such a command does. The normal distribution is the standard library's. The others rest on the regularized
incomplete beta function, by the continued fraction of Press et al. (Numerical Recipes, 6.4) with Lentz's method;
quantiles by Newton's method in the logarithms of value and tail, where the tail is concave. The tests hold all of them
against scipy.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

__all__ = ["f_quantile", "normal_cdf", "normal_quantile", "t_quantile", "t_tail"]

_NORMAL = NormalDist()
_MANY, _VERY_MANY = 1e4, 1e6  # degrees of freedom above which t's quantile, and its tail, come from the normal
_LEAST = 1e-300


def normal_cdf(x: float) -> float:
    """The probability of a standard normal value below ``x``."""
    return 0.5 * math.erfc(-x / math.sqrt(2))


def normal_quantile(p: float) -> float:
    """The standard normal value with probability ``p`` below it; infinite for 0 and 1."""
    return _NORMAL.inv_cdf(p) if 0.0 < p < 1.0 else math.copysign(math.inf, p - 0.5)


def t_tail(t: float, degrees: float) -> float:
    """The probability of a value above ``t`` >= 0 by Student's t with ``degrees`` > 0, which may be infinite."""
    if degrees > _VERY_MANY:
        # Wallace 1959, as in Abramowitz and Stegun 26.7.8
        return normal_cdf(-t * (1 - 0.25 / degrees) / math.sqrt(1 + t * t / 2 / degrees))
    return 0.5 * math.exp(_log_f_tail(t * t, 1.0, degrees)) if t else 0.5


@lru_cache(maxsize=4096)
def t_quantile(p: float, degrees: float) -> float:
    """The value with probability ``p`` below it by Student's t with ``degrees`` > 0, which may be infinite."""
    if p < 0.5:
        return -t_quantile(1 - p, degrees) if p > 0.01 else -_upper_t_quantile(p, degrees)
    return _upper_t_quantile(1 - p, degrees)


def _upper_t_quantile(tail: float, degrees: float) -> float:
    if degrees > _MANY:
        z = -normal_quantile(tail)
        first, second = z**3 + z, 5 * z**5 + 16 * z**3 + 3 * z
        return z + first / 4 / degrees + second / 96 / degrees / degrees  # Abramowitz and Stegun 26.7.5
    return math.sqrt(_f_quantile(2 * tail, 1.0, degrees))


@lru_cache(maxsize=4096)
def f_quantile(p: float, degrees: float, below: float) -> float:
    """The value with probability ``p`` below it by F(``degrees``, ``below``); both finite, > 0."""
    return _f_quantile(1 - p, degrees, below)


def _f_quantile(tail: float, a: float, b: float) -> float:
    if tail <= 0.0:
        return math.inf
    if tail >= 1.0:
        return 0.0
    wanted = math.log(tail)
    log_beta = math.lgamma(a / 2) + math.lgamma(b / 2) - math.lgamma((a + b) / 2)
    u, low, high = 0.0, -math.inf, math.inf
    for _ in range(200):
        f = math.exp(u)
        log_tail = _log_f_tail(f, a, b)
        low, high = (u, high) if log_tail > wanted else (low, u)
        # of F's density times f, which is minus the derivative of the tail by u
        density = a / 2 * math.log(a * f / b) - (a + b) / 2 * math.log1p(a * f / b) - log_beta
        step = (log_tail - wanted) * math.exp(min(log_tail - density, 700.0))
        next_u = u + max(-4.0, min(4.0, step))
        if not low <= next_u <= high:
            next_u = (low + high) / 2
        close, u = abs(next_u - u) < 1e-9, next_u  # Newton squares the error: this step was the last one needed
        if close:
            break
    return math.exp(u)


def _log_f_tail(f: float, a: float, b: float) -> float:
    """The logarithm of the probability above ``f`` by F(a, b): of I_x(b/2, a/2) at x = b / (b + a f)."""
    ratio = a * f / b
    x, y = 1 / (1 + ratio), ratio / (1 + ratio)
    log_front = (
        math.lgamma((a + b) / 2)
        - math.lgamma(a / 2)
        - math.lgamma(b / 2)
        - b / 2 * math.log1p(ratio)
        + a / 2 * math.log(max(y, _LEAST))
    )
    if x < (b / 2 + 1) / (a / 2 + b / 2 + 2):
        return log_front + math.log(_fraction(b / 2, a / 2, x) / (b / 2))
    return math.log1p(-min(1.0 - 1e-16, math.exp(log_front) * _fraction(a / 2, b / 2, y) / (a / 2)))


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function."""
    c, d = 1.0, 1 - (a + b) * x / (a + 1)
    d = 1 / (d if abs(d) > _LEAST else _LEAST)
    value = d
    for m in range(1, 100_000):
        for part in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 + part * d
            d = 1 / (d if abs(d) > _LEAST else _LEAST)
            c = 1 + part / c
            c = c if abs(c) > _LEAST else _LEAST
            value *= d * c
        if abs(d * c - 1) < 1e-16:
            break
    return value
