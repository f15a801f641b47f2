"""Whether a training looks at how long it will be: then its beginning is no shorter training.

A rate that falls to zero at the last step, or an average that begins after three quarters, makes 3 epochs another
experiment than the first 3 of 6. What says nothing of the length, a constant rate or gradient noise, does not.
"""

from __future__ import annotations

from zonesearch.training.schedules import parse
from zonesearch.training.settings import Settings
from zonesearch.training.techniques import Techniques

__all__ = ["looks_at_length"]


def looks_at_length(settings: Settings, techniques: Techniques) -> bool:
    """Whether anything in a training of these settings depends on its length.

    A technique says so of itself by an attribute ``uses_horizon``, as schedules do; averaging always does: its members
    are taken after a share of the training, and only epochs that have an average compete.

    Raises:
        StudyError: for a schedule that cannot be read.
    """
    if parse(settings.training.schedule).uses_horizon or techniques.averaging is not None:
        return True
    return any(getattr(technique, "uses_horizon", False) for technique in vars(techniques).values())
