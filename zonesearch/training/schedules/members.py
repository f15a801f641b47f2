"""After which epochs an average or ensemble takes a member: at the low end of each cycle of the learning rate.

Networks are stored after whole epochs, and cycles need not end there. A network stored just after a restart was trained
at the full rate, the opposite of what is intended. So the last epoch within the cycle is taken, or the next one if the
rate has hardly risen; a schedule whose rate is not low there is refused, and the closest one that fits is named.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache

from zonesearch.errors import StudyError
from zonesearch.training.schedules.schedule import Fall, Schedule

__all__ = ["members"]

_LOW = 1 / 8  # fraction of the range of a fall below which the rate counts as low
_COARSE = 1 / 2  # the same for a fall of few steps, whose last one is above its low end
_SAMPLES = 64  # rates that are sampled per fall


@lru_cache(maxsize=1024)
def members(schedule: Schedule, epochs: int, steps_per_epoch: int, base: float) -> tuple[int, ...] | None:
    """The epochs, counted from 1, ascending; None for a schedule that leaves them to ``[averaging]``.

    Args:
        schedule, epochs, steps_per_epoch, base: as in :meth:`Schedule.rate`.

    Raises:
        StudyError: a cycle ends between two epochs and the rate is low after neither; names the closest schedule whose
            cycles fit.
    """
    falls = schedule.falls(epochs)
    if falls is None:
        return schedule.store_points(epochs)
    found: list[int] = []
    for fall in falls:
        epoch, height = _lowest(schedule, fall, epochs, steps_per_epoch, base)
        if height > _LOW or epoch in found:
            raise StudyError(_refusal(schedule, fall, epochs, steps_per_epoch, base))
        found.append(epoch)
    return tuple(found)


def _lowest(schedule: Schedule, fall: Fall, epochs: int, n: int, base: float) -> tuple[int, float]:
    """The epoch at the low end of a fall, and how high the rate is after it, 0 to 1 of the fall's range."""
    peak, low = fall

    def rate(step: float) -> float:
        return schedule.rate(base, min(max(0, int(step)), epochs * n - 1), n, epochs)

    last = max(math.ceil(low * n - 1e-9) - 1, 0)
    first = min(math.floor(peak * n + 1e-9), last)  # with few steps, the one in which the fall begins is its peak
    rates = [rate(first + (last - first) * i / _SAMPLES) for i in range(_SAMPLES + 1)]
    near = {epoch for epoch in (math.floor(low + 1e-9), math.ceil(low - 1e-9)) if 1 <= epoch <= epochs}
    if not near:
        return 0, math.inf
    after = {epoch: rate(epoch * n - 1) for epoch in near}
    epoch = min(near, key=lambda epoch: (after[epoch], epoch))
    low_end = rate(last + 1)  # for a triangle, the step that follows; for a restart it would be the next peak
    coarse = _height(after[epoch], [*rates, low_end])
    return epoch, coarse if coarse > _COARSE + 1e-9 else _height(after[epoch], rates)


def _height(rate: float, rates: Sequence[float]) -> float:
    """The position of ``rate``, 0 to 1, between the lowest and the highest of all rates."""
    lowest, highest = min(*rates, rate), max(*rates, rate)
    return (rate - lowest) / (highest - lowest) if highest > lowest else 0.0


def _refusal(schedule: Schedule, fall: Fall, epochs: int, steps_per_epoch: int, base: float) -> str:
    fitting = next(_fitting(schedule, epochs, steps_per_epoch, base), None)
    mend = f'the nearest that fits is "{fitting}"' if fitting is not None else "let its cycles be whole epochs"
    return (
        f'schedule "{schedule}": a cycle ends after {fall[1]:.4g} of {epochs} epochs, and members of an average or '
        f"ensemble are stored after whole epochs, where its rate is not low; {mend}"
    )


def _fitting(schedule: Schedule, epochs: int, steps_per_epoch: int, base: float) -> Iterator[Schedule]:
    """The neighbours with cycles that all end low after a whole epoch."""
    for other in schedule.neighbours(epochs):
        falls = other.falls(epochs) or ()
        found = [_lowest(other, fall, epochs, steps_per_epoch, base) for fall in falls]
        if found and len({epoch for epoch, _ in found}) == len(found) and all(high <= _LOW for _, high in found):
            yield other
