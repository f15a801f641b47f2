"""Lightning (``lightning.pytorch`` or ``pytorch_lightning``) callback that reports to a search.

def objective(params, seed, epochs):
    seed_everything(seed)
    trainer = Trainer(max_epochs=epochs, callbacks=[Report("val_accuracy")])
    trainer.fit(Net(params["width"]), train_loader, validation_loader)
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from zonesearch.integrations.reports import Reporter, framework_missing

if TYPE_CHECKING:
    Callback = object
else:
    try:  # whichever of the two packages the user's program imports
        if "pytorch_lightning" in sys.modules and "lightning" not in sys.modules:
            raise ImportError
        from lightning.pytorch.callbacks import Callback
    except ImportError:
        try:
            from pytorch_lightning.callbacks import Callback
        except ImportError as error:
            raise framework_missing("Lightning", "lightning", error) from error

__all__ = ["Report"]


class Report(Callback):
    """Reports a logged metric after every epoch, and stops the trainer when the search wants no more epochs.

    An epoch without validation repeats the value of the last one.

    Args:
        monitor: the name under which the module logs it, for example ``val_accuracy``.
    """

    def __init__(self, monitor: str) -> None:
        super().__init__()
        self._reporter = Reporter(monitor)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """After the epoch's validation; called by the trainer."""
        goes_on = self._reporter.report(trainer.callback_metrics, trainer.current_epoch + 1)
        if not trainer.strategy.broadcast(goes_on):  # only one of several processes belongs to the search
            trainer.should_stop = True
