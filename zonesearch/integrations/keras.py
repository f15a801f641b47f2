"""A Keras 3 callback that reports to a search, for every backend.

def objective(params, seed, epochs):
    keras.utils.set_random_seed(seed)
    model = make_model(params["width"])
    model.fit(x, y, epochs=epochs, validation_data=held_out, callbacks=[Report("val_accuracy")])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zonesearch.integrations.reports import Reporter, framework_missing

if TYPE_CHECKING:
    Callback = object
else:
    try:
        from keras.callbacks import Callback
    except ImportError as error:
        raise framework_missing("Keras", "keras", error) from error

__all__ = ["Report"]


class Report(Callback):
    """Reports a metric after every epoch, and stops the training when the search wants no more epochs.

    Args:
        monitor: its name in the logs, for example ``val_accuracy`` or ``val_loss``.
    """

    model: Any

    def __init__(self, monitor: str = "val_accuracy") -> None:
        super().__init__()
        self._reporter = Reporter(monitor)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """After an epoch and its validation; called by ``fit``."""
        if not self._reporter.report(logs or {}, epoch + 1):
            self.model.stop_training = True
