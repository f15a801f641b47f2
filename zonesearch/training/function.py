"""A Python function as the controlled network: ``f(params, seed, epochs)`` returns a value or yields one per epoch.

A value is a number, or a dict of several, of which one is searched and the others are recorded with it.
"""

from __future__ import annotations

import hashlib
import inspect
import math
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Any

from zonesearch.core.metric import ACCURACY, Metric, is_usable
from zonesearch.core.objective import Job, Report, whole
from zonesearch.core.trials import Training, Trial
from zonesearch.core.values import unwrapped
from zonesearch.errors import ObjectiveError, StudyError, did_you_mean
from zonesearch.training.modules import described
from zonesearch.training.reporting import call_collecting

__all__ = ["FunctionObjective"]

_CURVE = "validation_accuracy"


@dataclass(frozen=True)
class FunctionObjective:
    """An objective whose trainings are calls of a function.

    Args:
        function: ``function(params, seed, epochs)``; it may omit ``epochs``, or ``seed`` and ``epochs``. It returns a
            value of the metric, or is a generator that yields one after each epoch; if it ends early, that is an early
            stop. NaN, an infinity or a value beyond 1e100 means that the training diverged. A value is a number of any
            type (Python, NumPy, a tensor of one element), or a dict of several by name: the metric is searched and the
            others are recorded; one called ``cost`` is also the cost of the setting. Instead of yielding, the function
            may report each epoch (:func:`zonesearch.report_epoch`) and return nothing.
        n_validation: number of validation examples, if an accuracy is a fraction of them; gives the binomial part of
            the noise.
        name: for reports; by default the function's own.
        metric: of the function's values.
        arguments: further arguments of the function, by name.
        version: replaces the digest of the function's source and of the modules that it imports: the function counts as
            unchanged as long as this is the same, whatever was edited.
        whole: whether the function uses ``epochs`` for more than deciding when to stop, as a schedule does that ends
            with the training: its first values are then not those of a shorter training. A function may also declare
            this by an attribute ``looks_at_length = True``.
        named: whether the metric's name was given; if not, the first key of a dict names it. ``directed``: whether its
            direction was given; if not, it follows from the name. By default, whatever differs from accuracy counts as
            given.
    """

    function: Callable[..., Any]
    n_validation: int | None = None
    name: str = ""
    metric: Metric = ACCURACY
    arguments: Mapping[str, Any] = field(default_factory=dict)
    version: str = ""
    whole: bool = False
    named: bool | None = None
    directed: bool | None = None

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise ObjectiveError(f"an objective is a function f(params, seed, epochs), not {self.function!r}")
        if not self.name:
            object.__setattr__(self, "name", getattr(self.function, "__qualname__", type(self.function).__name__))
        object.__setattr__(self, "arguments", dict(self.arguments))
        known = _parameters(self.function)
        for name in self.arguments:
            if known is not None and name not in known:
                raise ObjectiveError(f'{self.name} has no argument "{name}"; {did_you_mean(name, known)}')
        if self.named is None:
            object.__setattr__(self, "named", self.metric.name != ACCURACY.name)
        if self.directed is None:
            object.__setattr__(self, "directed", self.metric.direction != ACCURACY.direction)

    def fingerprint(self) -> Mapping[str, Any]:
        """The function's name, its arguments, and its version or else digests of its source and the modules that it
        imports.

        These are the user's own modules that the function's module imports, directly or indirectly (see
        :mod:`zonesearch.training.modules`).
        """
        code = described(self.function)
        if self.version:
            code = {"function": code["function"], "version": self.version}
        return self._identity(code)

    def older_fingerprints(self) -> Sequence[Mapping[str, Any]]:
        """The fingerprint of version 0.1.0: a hash of the function's own source, or of an empty string."""
        if self.arguments or self.version:
            return []
        try:
            source = inspect.getsource(self.function)
        except (OSError, TypeError):
            source = ""
        name = f"{getattr(self.function, '__module__', '')}:{self.name}"
        return [self._identity({"function": name, "source": hashlib.sha256(source.encode()).hexdigest()[:16]})]

    def _identity(self, code: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "objective": "function",
            **code,
            **({"arguments": self.arguments} if self.arguments else {}),
            **self.metric.identity(),
        }

    @property
    def unnamed(self) -> FunctionObjective | None:
        """The same function where the first key of its dict names the metric; None if the name was never given."""
        return replace(self, metric=ACCURACY, named=False, directed=False) if self.named else None

    def looks_at_length(self, params: Mapping[str, Any]) -> bool:
        """Whether the function declared that its first values are not those of a shorter training."""
        return self.whole or bool(getattr(self.function, "looks_at_length", False))

    def check(self, params: Mapping[str, Any]) -> None:
        """Accept any parameters; the function itself reports bad ones when it is called."""

    def jobs(self, trainings: Sequence[Training]) -> list[Job]:
        """One job per training, priced by its epochs."""
        return [Job((training,), cost=training.epochs) for training in trainings]

    def train(self, job: Job, report: Report) -> Iterator[Trial]:
        """Call the function; a call that raises is repeated once, then recorded as failed.

        Raises:
            ObjectiveError: the function returns something that is not a number, or lacks the searched metric.
        """
        for training in job.trainings:
            trial = self._attempt(training, report)
            yield whole(trial if trial.state != "failed" else self._attempt(training, report), self)

    def _attempt(self, training: Training, report: Report) -> Trial:
        start = time.perf_counter()
        try:
            metric, values = self._call(training, report)
        except ObjectiveError:
            raise  # the next thousand calls would not return a number either
        except Exception:
            seconds = time.perf_counter() - start
            return Trial(training, "failed", error=traceback.format_exc(), seconds=seconds, metric=self.metric)
        seconds = time.perf_counter() - start
        searched = [value[metric.name] for value in values]
        shared = set(values[0]).intersection(*values) - {metric.name, _CURVE}
        curve = {_CURVE: searched, **({name: [v[name] for v in values] for name in shared} if len(values) > 1 else {})}
        if not all(map(is_usable, searched)):
            return Trial(training, "diverged", curve=curve, seconds=seconds, metric=metric)
        best = metric.best(searched)
        noted = {name: v for name, v in values[searched.index(best)].items() if name != metric.name}
        return Trial(
            training,
            accuracy=best,
            metric=metric,
            noted=noted,
            cost=noted.get("cost"),
            curve=dict(sorted(curve.items(), key=lambda item: item[0] != _CURVE)),
            seconds=seconds,
            n_validation=self.n_validation,
        )

    def _call(self, training: Training, report: Report) -> tuple[Metric, list[dict[str, float]]]:
        """The searched metric, and all values by name after each epoch."""
        arguments: tuple[Any, ...] = (unwrapped(training.params), training.seed, training.epochs)
        function = self.function
        if self.arguments:
            function = partial(_called_by_name, self.function, self.arguments)
        else:
            arguments = arguments[: _n_arguments(self.function)]
        answer = call_collecting(function, arguments, training.epochs, report)
        if not isinstance(answer, Iterator):
            metric = self._searched(answer, training)
            return metric, [self._values(answer, metric)]
        values: list[dict[str, float]] = []
        metric = self.metric
        for answered in islice(answer, training.epochs):
            metric = metric if values else self._searched(answered, training)
            values.append(self._values(answered, metric))
            report(len(values) / training.epochs)
            if not is_usable(values[-1][metric.name]):
                break
        if not values:
            raise ObjectiveError(f"{self.name} is a generator that yielded nothing; yield one {metric.name} an epoch")
        return metric, values

    def _searched(self, answer: object, training: Training) -> Metric:
        """The searched metric of an answer: the given one, or the first key of a dict if none was named."""
        if self.named or not isinstance(answer, Mapping) or not answer:
            return self.metric
        first = next(iter(answer))
        try:
            metric = self.metric.called(first, bool(self.directed))
        except StudyError as error:
            raise ObjectiveError(f"{self.name}: {error}") from None
        if first in training.params:
            raise ObjectiveError(f'{self.name} gives a value "{first}", which is the name of an axis: rename one')
        return metric

    def _values(self, answer: object, metric: Metric) -> dict[str, float]:
        """All values of an answer by name, without None and without further values that are not finite."""
        if not isinstance(answer, Mapping):
            return {metric.name: self._number(answer)}
        if metric.name not in answer:
            given = ", ".join(map(str, answer)) or "nothing"
            raise ObjectiveError(f'{self.name} must give "{metric.name}", which is searched, but gave {given}')
        values = {metric.name: self._number(answer[metric.name], f' as "{metric.name}"')}
        for name, value in answer.items():
            if name != metric.name and value is not None:
                noted = self._number(int(value) if isinstance(value, bool) else value, f' as "{name}"')
                if name == "violation" and not math.isfinite(noted):
                    raise ValueError(f"{self.name} gave the violation {noted}, which is neither true nor false")
                values |= {str(name): noted} if math.isfinite(noted) else {}
        return values

    def _number(self, value: Any, what: str = "") -> float:
        """Any number as a float; arrays and tensors of one element count as that number."""
        n_elements = value.numel() if callable(getattr(value, "numel", None)) else getattr(value, "size", 1)
        if callable(getattr(value, "item", None)) and n_elements == 1:
            value = value.item()
        if isinstance(value, bool) or not hasattr(type(value), "__float__"):
            raise ObjectiveError(f"{self.name} must give a number{what}, but gave {type(value).__name__} {value!r:.60}")
        try:
            return float(value)
        except OverflowError:
            return math.inf
        except (TypeError, ValueError, RuntimeError):
            raise ObjectiveError(
                f"{self.name} must give one number{what}, but gave {type(value).__name__} {value!r:.60}"
            ) from None


def _parameters(function: Callable[..., Any]) -> list[str] | None:
    """The names of the keyword arguments; None if any name is accepted."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]


def _called_by_name(function: Callable[..., Any], named: Mapping[str, Any], *given: Any) -> Any:
    """Call with params, seed and epochs for the arguments that ``named`` leaves free."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return function(*given, **named)
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return function(*given, **named)
    free = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.name not in named]
    placed = [(p, value) for p, value in zip(free, given, strict=False)]
    first = [value for p, value in placed if p.kind is p.POSITIONAL_ONLY]
    rest = {p.name: value for p, value in placed if p.kind is not p.POSITIONAL_ONLY}
    return function(*first, **rest, **named)


def _n_arguments(function: Callable[..., Any]) -> int:
    """How many of (params, seed, epochs) the function takes; all of them if it has no signature."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 3
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return 3
    return max(1, min(3, sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)))
