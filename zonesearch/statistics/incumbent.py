"""The best point of a running search, with what is known of its noise."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from zonesearch.core.metric import ACCURACY
from zonesearch.core.reading import BEST, Reading
from zonesearch.core.trials import Params, Trial
from zonesearch.core.wording import point_text
from zonesearch.statistics.significance import t_interval, wilson_interval

__all__ = ["Incumbent"]

_LEVEL = 0.95


class Incumbent:
    """The best point so far; trials are added as they finish, and :meth:`text` describes the incumbent.

    Args:
        names: axis names, in the order in which a point is printed.
        reading: how a value is read off a learning curve.

    The best of many benefits from luck: the interval is valid for that point alone, not for a comparison with others.
    """

    def __init__(self, names: Sequence[str] = (), reading: Reading = BEST) -> None:
        self._names = tuple(names)
        self._reading = reading
        self._points: dict[Any, dict[int, Trial]] = {}  # for each point and seed, the longest training
        self._best: Any = None

    def add(self, trials: Iterable[Trial]) -> None:
        """Add new trials; incomplete ones are ignored."""
        for trial in trials:
            if not trial.complete or not trial.feasible:
                continue
            point = trial.training.identity[0]
            seeds = self._points.setdefault(point, {})
            shorter = seeds.setdefault(trial.training.seed, trial)
            if shorter.training.epochs <= trial.training.epochs:  # a longer rung continues the same training
                seeds[trial.training.seed] = trial
            if self._best is None or point == self._best or self._score(point) > self._score(self._best):
                self._best = max(self._points, key=self._score) if point == self._best else point

    @property
    def params(self) -> Params | None:
        """The incumbent's parameters; None before the first complete trial."""
        return None if self._best is None else self._trials(self._best)[0].params

    def text(self) -> str:
        """``98.61 % (97.4 to 99.3) at 512 x 16``; empty before the first complete trial.

        The parentheses hold the 95 % interval: of the mean over seeds if there are several, of an accuracy on a finite
        validation set (Wilson's), or what covers both; seeds that happen to agree do not make a finite set certain.
        """
        if self._best is None:
            return ""
        trials = self._trials(self._best)
        values = [trial.value(self._reading) for trial in trials]
        mean = math.fsum(values) / len(values)
        n = trials[0].n_validation
        low, high = t_interval(values, _LEVEL)
        if n and 0.0 <= mean <= 1.0:
            of_set = wilson_interval(mean, n, _LEVEL)
            low, high = (min(low, of_set[0]), max(high, of_set[1])) if math.isfinite(low) else of_set
        metric = trials[0].metric
        percent = metric.shares([mean])
        unit = 100 if percent else 1
        low, high = (max(low, 0.0), min(high, 1.0)) if percent else (low, high)
        between = f" ({unit * low:.4g} to {unit * high:.4g})" if math.isfinite(low) else ""
        called = "" if metric.name == ACCURACY.name else f"{metric.name} "
        return f"{called}{metric.text(mean)}{between} at {point_text(self._in_order(trials[0].params))}"

    def _in_order(self, params: Params) -> Params:
        first = {name: params[name] for name in self._names if name in params}
        return {**first, **params}

    def _trials(self, point: Any) -> list[Trial]:
        return list(self._points[point].values())

    def _score(self, point: Any) -> float:
        trials = self._trials(point)
        return trials[0].metric.score(math.fsum(trial.value(self._reading) for trial in trials) / len(trials))
