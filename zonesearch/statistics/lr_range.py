"""What a learning-rate range test says: the losses of a sweep in, a suggestion and the bounds of a cycle out.

In a range test (Smith 2015) the rate is raised after every minibatch, and the loss shows three phases: too small and
nothing happens, right and it falls, too large and it rises. Here the slope is taken over the logarithm of the rate
(over the rate itself it would favour tiny rates), and by local regression: the line that fits best around each point,
nearby points counting most. Unlike a running mean that has no lag and is exact for straight lines, at the ends too.
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
_FEWEST = 10  # steps of a sweep that can be read


@dataclass(frozen=True)
class RateRange:
    """The outcome of a range test over one or more seeds.

    Args:
        learning_rates: of the steps, shape (n_steps,); up to where the first seed diverged.
        losses: the raw training losses, shape (n_seeds, n_steps).
        smoothed: their mean over the seeds, smoothed.
        slope: of ``smoothed`` over ln(learning rate).
        suggestion: the rate at the steepest descent.
        low, high: the bounds for a cyclical schedule: where the loss has begun to fall, and where it stops falling.
        n_diverged: seeds whose loss exploded within the sweep.
        warnings: what makes the reading doubtful (a phase that the sweep did not reach).
        tie: what the batch rule multiplies a learning rate by at the tested point. The rates here are learning rates of
            the study, before it; those of a cyclical schedule are absolute, behind it.
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
        StudyError: when the range or the number of steps makes no sweep.
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
        width: of the Gaussian weights, in units of x.
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

    The suggestion is the steepest point before the lowest one. ``low`` is the last rate before it at which less than
    15 % of the fall has happened (beginning from the median up to the steepest point), ``high`` the first rate after
    it with 90 % of it behind. Both are crossings on a slope and so move less from seed to seed than the flat ends.

    Args:
        learning_rates: ascending, shape (n_steps,).
        losses: one row a seed, the training loss of each step before it was taken; a row may end early or turn
            non-finite where its training diverged.
        smoothing: width of the smoothing as a share of the sweep on the log scale.
        explosion: a row ends when the loss is this many times the first one.

    Raises:
        StudyError: when a training diverged before there was anything to read.
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
