"""Values reported after each epoch from inside a call, for trainings that are driven by callbacks and cannot yield.

A function that calls ``trainer.fit`` has no place for a ``yield``. Instead it, or a callback of its framework, calls
:func:`report_epoch` after each epoch; the values are collected while the function runs and count as if they had been
yielded. The return value says whether to train another epoch, so that a training set up for forty epochs ends after the
five of a rung. Outside a search nothing is collected, and the same script runs alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

from zonesearch.core.metric import is_usable
from zonesearch.core.objective import Report
from zonesearch.errors import ObjectiveError

__all__ = ["Collector", "call_collecting", "current_collector", "report_epoch"]


class Collector:
    """Collects the values of one training.

    Args:
        epochs: how many are wanted.
        progress: told the share that is done.
    """

    def __init__(self, epochs: int, progress: Report = lambda share: None) -> None:
        self.values: list[Any] = []
        self._epochs = epochs
        self._progress = progress

    def add(self, value: Any) -> bool:
        """Add the value of one more epoch; returns whether another epoch is wanted. Further values are ignored."""
        if len(self.values) < self._epochs:
            self.values.append(value)
            self._progress(len(self.values) / self._epochs)
        return len(self.values) < self._epochs and not _diverged(value)


class _Refusing(Collector):
    """Replaces the collector while a generator computes its next value."""

    def add(self, value: Any) -> bool:
        raise ObjectiveError("the objective yields values and reports them with report_epoch: do one or the other")


_collector: ContextVar[Collector | None] = ContextVar("collector", default=None)


def current_collector() -> Collector | None:
    """The active collector; None outside a search. Callbacks that may run in another thread keep it."""
    return _collector.get()


def report_epoch(value: float | Mapping[str, float]) -> bool:
    """Report the metric after an epoch, from inside an objective that returns nothing.

    Args:
        value: as a generator would yield it: a number, or several by name.

    Returns:
        Whether another epoch is wanted; if False, further training is wasted. Always True outside a search.

    Raises:
        ObjectiveError: the objective is a generator, which must yield its values.
    """
    collector = _collector.get()
    return collector is None or collector.add(value)


def call_collecting(function: Callable[..., Any], arguments: Sequence[Any], epochs: int, progress: Report) -> Any:
    """The return value of ``function``, or an iterator over what it reported, if it reported anything.

    Args:
        function: called once with ``arguments``. If it reports, its return value is ignored.
        epochs: how many are wanted.
        progress: told the share that is done.
    """
    collector = Collector(epochs, progress)
    token = _collector.set(collector)
    try:
        answer = function(*arguments)
    finally:
        _collector.reset(token)
    if isinstance(answer, Iterator):
        return _asked(answer)
    return iter(collector.values) if collector.values else answer


def _asked(values: Iterator[Any]) -> Iterator[Any]:
    """``values`` one by one, with reports refused meanwhile."""
    while True:
        token = _collector.set(_Refusing(1))
        try:
            value = next(values)
        except StopIteration:
            return
        finally:
            _collector.reset(token)
        yield value


def _diverged(value: Any) -> bool:
    """Whether a number, or the first of several, is not finite; anything that is not a number is checked elsewhere."""
    if isinstance(value, Mapping):
        value = next(iter(value.values()), None)
    try:
        return not is_usable(value)
    except (TypeError, ValueError, OverflowError):
        return False
