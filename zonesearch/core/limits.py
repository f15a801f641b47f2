"""The time limit of trainings: one check for the study file, the command line and Python."""

from __future__ import annotations

import math

from zonesearch.errors import StudyError

__all__ = ["time_limit"]


def time_limit(value: object, what: str) -> float | None:
    """``value`` as a limit in seconds; None means no limit.

    Args:
        value: as given.
        what: where, for the message: ``[run] timeout``.

    Raises:
        StudyError: it is not a finite number above 0.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise StudyError(f"{what} is the longest a training may take, in seconds above 0, not {value!r}")
    return float(value)
