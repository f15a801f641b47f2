"""Read a learning-rate range test: from the losses of a sweep to a suggested rate and the bounds of a cycle.

In a range test (Smith 2015) the rate is raised after every minibatch, and the loss shows three phases: it stays flat
while the rate is too small, falls while the rate is suitable, and rises once it is too large. The slope is taken with
respect to the logarithm of the rate (with respect to the rate itself it would favour tiny rates) and by local
regression: a line is fitted around each point, with nearby points weighted most. Unlike a running mean, this has no lag
and is exact for straight lines, at the ends too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from zonesearch.errors import StudyError

__all__ = ["RateRange", "local_line", "read_sweep", "sweep_rates"]

Sweep = Literal["exponential", "linear"]
_FEWEST = 10  # fewest steps of a sweep that can be read


@dataclass(frozen=True)
class RateRange:
    """The outcome of a range test over one or more seeds.

    Args:
        learning_rates: the rate of each step, shape (n_steps,); up to where the first seed diverged.
        losses: the raw training losses, shape (n_seeds, n_steps).
        smoothed: their mean over the seeds, smoothed.
        slope: of ``smoothed`` over ln(learning rate).
        suggestion: the rate at the steepest descent.
        low, high: the bounds for a cyclical schedule: where the loss starts to fall, and where it stops falling.
        n_diverged: seeds whose loss exploded within the sweep.
        warnings: reasons to doubt the reading (a phase that the sweep did not reach).
        tie: the factor by which the batch rule multiplies a learning rate at the tested point. The rates here are the
            study's learning rates, before that factor; the rates of a cyclical schedule are absolute, after it.
    """

    learning_rates: tuple[float, ...]
    losses: tuple[tuple[float, ...], ...]
    smoothed: tuple[float, ...]
    slope: tuple[float, ...]
    suggestion: float
    low: float
    high: float
    n_diverged: int = 0
    warnings: tuple[str, ...] = ()
    tie: float = 1.0

    @property
    def schedule(self) -> str:
        """A cyclical schedule between the bounds."""
        return f"triangular2(low={self.low * self.tie:.3g}, high={self.high * self.tie:.3g}, half_cycle=2)"

    def describe(self) -> dict[str, Any]:
        """The outcome as plain data."""
        return {
            "suggestion": self.suggestion,
            "low": self.low,
            "high": self.high,
            "schedule": self.schedule,
            "n_seeds": len(self.losses),
            "n_diverged": self.n_diverged,
            "warnings": list(self.warnings),
            "learning_rates": list(self.learning_rates),
            "smoothed_loss": list(self.smoothed),
            "slope": list(self.slope),
            "losses": [list(row) for row in self.losses],
        }


def sweep_rates(low: float, high: float, n_steps: int, kind: Sweep = "exponential") -> list[float]:
    """The rates of a sweep: ``n_steps`` values from ``low`` to ``high``, equally spaced or by equal factors.

    Raises:
        StudyError: the range or the number of steps does not define a sweep.
    """
    if not (math.isfinite(low) and math.isfinite(high) and 0 < low < high):
        raise StudyError(f"a range test goes from a low to a higher rate above 0, not from {low} to {high}")
    if n_steps < _FEWEST:
        raise StudyError(f"a range test needs at least {_FEWEST} steps, not {n_steps}")
    if kind not in ("exponential", "linear"):
        raise StudyError(f'a sweep is "exponential" or "linear", not "{kind}"')
    rates = np.geomspace(low, high, n_steps) if kind == "exponential" else np.linspace(low, high, n_steps)
    return [float(rate) for rate in rates]


def local_line(x: np.ndarray, y: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Value and slope of the weighted least-squares line around every point (Cleveland 1979).

    Args:
        x, y: shape (n,), n >= 2.
        width: standard deviation of the Gaussian weights, in units of x.
    """
    weight = np.exp(-0.5 * ((x[:, None] - x[None, :]) / width) ** 2)
    total = weight.sum(1)
    x_mean, y_mean = weight @ x / total, weight @ y / total
    variance = weight @ x**2 / total - x_mean**2
    slope = (weight @ (x * y) / total - x_mean * y_mean) / np.maximum(variance, 1e-300)
    return y_mean + slope * (x - x_mean), slope


def read_sweep(
    learning_rates: Sequence[float],
    losses: Sequence[Sequence[float]],
    *,
    smoothing: float = 0.06,
    explosion: float = 4.0,
) -> RateRange:
    """Read a sweep.

    The suggestion is the steepest point before the minimum. ``low`` is the last rate before it at which less than 15 %
    of the fall (measured from the median loss up to the steepest point) has happened; ``high`` is the first rate after
    it at which 90 % has happened. Both are crossings on a slope and therefore vary less from seed to seed than the flat
    ends.

    Args:
        learning_rates: ascending, shape (n_steps,).
        losses: one row per seed, the training loss before each step; a row may end early or become non-finite where the
            training diverged.
        smoothing: width of the smoothing as a share of the sweep on the log scale.
        explosion: a row ends when the loss is this many times the first one.

    Raises:
        StudyError: a training diverged before there was anything to read.
    """
    rows = [_until_explosion(row[: len(learning_rates)], explosion) for row in losses]
    n_steps = min(map(len, rows), default=0)
    if n_steps < _FEWEST:
        reached = f"{learning_rates[n_steps]:.2g}" if n_steps < len(learning_rates) else "the end"
        raise StudyError(f"the range test diverged at a learning rate of {reached}; start at a lower rate")
    rates = np.asarray(learning_rates[:n_steps], dtype=float)
    raw = np.asarray([row[:n_steps] for row in rows], dtype=float)
    width = smoothing * math.log(learning_rates[-1] / learning_rates[0])
    smoothed, slope = local_line(np.log(rates), raw.mean(0), width)
    bottom = int(np.argmin(smoothed))
    steepest = int(np.argmin(slope[: bottom + 1]))  # what falls after the bottom had exploded before
    start = float(np.median(smoothed[: steepest + 1]))
    fallen = (start - smoothed) / max(start - float(smoothed[bottom]), 1e-300)
    before, after = fallen[: steepest + 1], fallen[steepest : bottom + 1]
    low = min(steepest, int(np.flatnonzero(before < 0.15).max(initial=-1)) + 1)
    high = steepest + int(np.argmax(after >= 0.9))
    return RateRange(
        learning_rates=tuple(map(float, rates)),
        losses=tuple(tuple(map(float, row)) for row in raw),
        smoothed=tuple(map(float, smoothed)),
        slope=tuple(map(float, slope)),
        suggestion=float(rates[steepest]),
        low=float(rates[low]),
        high=float(rates[high]),
        n_diverged=sum(len(row) < len(learning_rates) for row in rows),
        warnings=tuple(_doubts(low, bottom == len(learning_rates) - 1, float(slope[steepest]))),
    )


def _doubts(low: int, fell_to_the_end: bool, steepest_slope: float) -> list[str]:
    """The phases that a sweep did not show."""
    doubts = []
    if steepest_slope >= 0:
        doubts.append("the loss never fell: start the sweep at a lower rate, or check the network and the data")
    elif low <= 1:
        doubts.append("the loss fell from the first step on: start the sweep at a lower rate")
    if fell_to_the_end:
        doubts.append("the loss was still falling at the end: end the sweep at a higher rate")
    return doubts


def _until_explosion(row: Sequence[float], explosion: float) -> Sequence[float]:
    limit = explosion * row[0]
    end = next((i for i, loss in enumerate(row) if not loss <= limit), len(row))
    return row[:end]
