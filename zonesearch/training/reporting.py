"""Values reported epoch by epoch from inside a call: for trainings that are driven by callbacks and cannot yield.

A function that calls ``trainer.fit`` has no place for a ``yield``. It, or a callback of its framework, calls
:func:`report_epoch` after each epoch instead; the values are collected while the function runs and count as if they had
been yielded. The answer says whether another epoch is wanted, so that a training that was made for forty epochs ends
after the five of a rung. Outside of a search nobody collects: the same script runs alone.
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
        """Take the value after one more epoch; whether another epoch is wanted. Values beyond the wanted are left."""
        if len(self.values) < self._epochs:
            self.values.append(value)
            self._progress(len(self.values) / self._epochs)
        return len(self.values) < self._epochs and not _diverged(value)


class _Refusing(Collector):
    """Stands in the place of a collector while a generator is asked for its next value."""

    def add(self, value: Any) -> bool:
        raise ObjectiveError("the objective yields values and reports them with report_epoch: do one or the other")


_collector: ContextVar[Collector | None] = ContextVar("collector", default=None)


def current_collector() -> Collector | None:
    """Who collects here; None outside of a search. Kept by callbacks that may be called in another thread."""
    return _collector.get()


def report_epoch(value: float | Mapping[str, float]) -> bool:
    """Report the metric after one more epoch, from inside an objective that returns nothing.

    Args:
        value: what a generator would yield: a number, or several by name.

    Returns:
        Whether another epoch is wanted; train on for nothing when it is False. Always True outside of a search.

    Raises:
        ObjectiveError: the objective is a generator, which yields its values.
    """
    collector = _collector.get()
    return collector is None or collector.add(value)


def call_collecting(function: Callable[..., Any], arguments: Sequence[Any], epochs: int, progress: Report) -> Any:
    """What ``function`` answers; what it reported, as an iterator, where it reported anything.

    Args:
        function: called once with ``arguments``. What it returns beside its reports does not count.
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
    """``values``, asked one by one where reports are refused."""
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
    """Whether a number, or the first of several, is not finite; what is no number is judged elsewhere."""
    if isinstance(value, Mapping):
        value = next(iter(value.values()), None)
    try:
        return not is_usable(value)
    except (TypeError, ValueError, OverflowError):
        return False
