"""A Python function as the controlled network: ``f(params, seed, epochs)`` gives an accuracy or yields one an epoch."""

from __future__ import annotations

import hashlib
import inspect
import math
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from numbers import Real
from typing import Any

from zonesearch.domain.metric import ACCURACY, Metric
from zonesearch.domain.objective import Bundle, Report
from zonesearch.domain.trials import Training, Trial
from zonesearch.errors import ObjectiveError
from zonesearch.training.reporting import call_collecting

__all__ = ["FunctionObjective"]


@dataclass(frozen=True)
class FunctionObjective:
    """Trainings are calls of a function.

    Args:
        function: ``function(params, seed, epochs)``; it may leave out ``epochs``, or ``seed`` and ``epochs``. It
            returns a value of the metric (any finite number), or is a generator that yields one after each
            epoch; one that ends early is taken for an early stop. NaN or an infinity means that the training diverged.
            Instead of yielding it may report each epoch (:func:`zonesearch.report_epoch`) and return nothing.
        n_validation: number of validation examples behind an accuracy, when it is a share of them; gives the binomial
            part of the noise.
        name: for reports; by default the function's own.
        metric: what the function gives.
    """

    function: Callable[..., Any]
    n_validation: int | None = None
    name: str = ""
    metric: Metric = ACCURACY

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise ObjectiveError(f"an objective is a function f(params, seed, epochs), not {self.function!r}")
        if not self.name:
            object.__setattr__(self, "name", getattr(self.function, "__qualname__", type(self.function).__name__))

    def fingerprint(self) -> Mapping[str, Any]:
        """The function's name and a hash of its source (of nothing where the source is not to be had)."""
        try:
            source = inspect.getsource(self.function)
        except (OSError, TypeError):
            source = ""
        return {
            "objective": "function",
            "function": f"{getattr(self.function, '__module__', '')}:{self.name}",
            "source": hashlib.sha256(source.encode()).hexdigest()[:16],
            **({"metric": self.metric.describe()} if self.metric != ACCURACY else {}),
        }

    def check(self, params: Mapping[str, Any]) -> None:
        """Any parameters may work; the function says so itself when it is called."""

    def bundles(self, trainings: Sequence[Training]) -> list[Bundle]:
        """One training a bundle, as long as it has epochs."""
        return [Bundle((training,), cost=training.epochs) for training in trainings]

    def train(self, bundle: Bundle, report: Report) -> Iterator[Trial]:
        """Call the function; a call that raises is repeated once, then recorded as failed.

        Raises:
            ObjectiveError: the function gives something that is no number.
        """
        for training in bundle.trainings:
            trial = self._attempt(training, report)
            yield trial if trial.state != "failed" else self._attempt(training, report)

    def _attempt(self, training: Training, report: Report) -> Trial:
        start = time.perf_counter()
        try:
            curve = self._call(training, report)
        except ObjectiveError:
            raise  # the next thousand calls would give no number either
        except Exception:
            seconds = time.perf_counter() - start
            return Trial(training, "failed", error=traceback.format_exc(), seconds=seconds, metric=self.metric)
        seconds = time.perf_counter() - start
        if not all(map(math.isfinite, curve)):
            return Trial(
                training, "diverged", curve={"validation_accuracy": curve}, seconds=seconds, metric=self.metric
            )
        return Trial(
            training,
            accuracy=self.metric.best(curve),
            metric=self.metric,
            curve={"validation_accuracy": curve},
            seconds=seconds,
            n_validation=self.n_validation,
        )

    def _call(self, training: Training, report: Report) -> list[float]:
        arguments = (dict(training.params), training.seed, training.epochs)[: _n_arguments(self.function)]
        answer = call_collecting(self.function, arguments, training.epochs, report)
        if not isinstance(answer, Iterator):
            return [self._number(answer)]
        curve: list[float] = []
        for value in islice(answer, training.epochs):
            curve.append(self._number(value))
            report(len(curve) / training.epochs)
            if not math.isfinite(curve[-1]):
                break
        if not curve:
            raise ObjectiveError(f"{self.name} is a generator that yielded nothing; yield one accuracy an epoch")
        return curve

    def _number(self, value: object) -> float:
        if hasattr(value, "item") and getattr(value, "size", 1) in (1,):
            value = value.item()
        if isinstance(value, bool) or not isinstance(value, Real):
            raise ObjectiveError(f"{self.name} must give a number, but gave {type(value).__name__} {value!r:.60}")
        return float(value)


def _n_arguments(function: Callable[..., Any]) -> int:
    """How many of (params, seed, epochs) the function takes; all of them when it does not say."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 3
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return 3
    return max(1, min(3, sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)))
