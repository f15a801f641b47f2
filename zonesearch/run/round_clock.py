"""When the trials of a round came, for budgets of time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from zonesearch.core.trials import Trial
from zonesearch.search.clock import ELAPSED, ROUND

__all__ = ["RoundClock"]


@dataclass(frozen=True)
class RoundClock:
    """Runs from when the search for a round begins.

    Args:
        began: the time of day (UTC, ISO 8601), to a millisecond.
        ticks: the same on a clock that is never set, in seconds.
    """

    began: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="milliseconds"))
    ticks: float = field(default_factory=time.perf_counter)

    def noted(self, trials: Sequence[Trial]) -> list[Trial]:
        """``trials``, which came now, with the time in their provenance."""
        came = {ROUND: self.began, ELAPSED: round(time.perf_counter() - self.ticks, 3)}
        return [replace(trial, provenance={**trial.provenance, **came}) for trial in trials]
