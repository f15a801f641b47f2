"""What a stack can train; everything else is trained in the reference loop."""

from __future__ import annotations

from zonesearch.training.losses import is_default
from zonesearch.training.metrics import measure_of
from zonesearch.training.schedules import Sweep, parse
from zonesearch.training.settings import Settings
from zonesearch.training.stack.activations import ACTIVATIONS
from zonesearch.training.stack.updates import UPDATES
from zonesearch.training.techniques import Techniques

__all__ = ["is_plain", "is_stackable"]


def is_plain(settings: Settings, techniques: Techniques) -> bool:
    """Whether it classifies by the default loss and counts right answers, with nothing around the optimizer's steps but
    early stopping; by an optimizer that makes one step a batch.
    """
    return (
        settings.optimizer.name in UPDATES
        and not techniques.beyond_stopping
        and is_default(settings)
        and measure_of(settings).counts
        and not isinstance(parse(settings.training.schedule), Sweep)
    )


def is_stackable(settings: Settings, techniques: Techniques) -> bool:
    """Whether a training with these settings can be a member of a stack."""
    network = settings.network
    return (
        settings.training.stack
        and network.kind == "mlp"
        and network.base_width == 0
        and network.activation in ACTIVATIONS
        and settings.augmentation.n_versions > 0
        and is_plain(settings, techniques)
    )
