"""What the callbacks of all frameworks share: find the value, report it, and say whether to continue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zonesearch.errors import ObjectiveError, did_you_mean
from zonesearch.training.reporting import current_collector

__all__ = ["Reporter", "framework_missing"]


class Reporter:
    """Reports the value called ``monitor`` to the search that the objective runs in.

    It belongs to the training in which it is created, even if the framework calls it from another thread. Created
    outside a search it does nothing, so that the same script also runs standalone.
    """

    def __init__(self, monitor: str) -> None:
        if not isinstance(monitor, str) or not monitor:
            raise ObjectiveError(f"Report needs the name of the metric that it reports, not {monitor!r}")
        self.monitor = monitor
        self._collector = current_collector()

    @property
    def active(self) -> bool:
        """Whether it belongs to a search."""
        return self._collector is not None

    def report(self, logged: Mapping[str, Any], epoch: int) -> bool:
        """Report one epoch; returns whether another one is wanted.

        Args:
            logged: the logged values by name.
            epoch: counted from 1, for the message.

        Raises:
            ObjectiveError: the metric was not logged.
        """
        if self._collector is None:
            return True
        if self.monitor not in logged:
            near = did_you_mean(self.monitor, map(str, logged))
            raise ObjectiveError(
                f'Report found no "{self.monitor}" after epoch {epoch}; {near}. Log it after every epoch: '
                f"validate each of them"
            )
        value = logged[self.monitor]
        return self._collector.add(value.item() if hasattr(value, "item") else value)


def framework_missing(name: str, extra: str, error: ImportError) -> ImportError:
    """The error for a framework that is not installed, with instructions to install it."""
    return ImportError(f"{name} is not installed here ({error}): pip install 'zonesearch[{extra}]'")
