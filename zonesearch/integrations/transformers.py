"""A callback with which Hugging Face's ``Trainer`` reports to a search.

def objective(params, seed, epochs):
    settings = TrainingArguments(..., num_train_epochs=epochs, seed=seed, eval_strategy="epoch",
                                 learning_rate=params["learning_rate"])
    Trainer(make_model(), settings, ..., callbacks=[Report("accuracy")]).train()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zonesearch.integrations.reports import Reporter, framework_missing

if TYPE_CHECKING:
    TrainerCallback = object
else:
    try:
        from transformers import TrainerCallback
    except ImportError as error:
        raise framework_missing("transformers", "transformers", error) from error

__all__ = ["Report"]

_PREFIX = "eval_"


class Report(TrainerCallback):
    """Reports an evaluation metric after every epoch, and stops the trainer when the search wants no more epochs.

    Set ``eval_strategy="epoch"``. With evaluations at other times, the first one at or after the end of an epoch counts
    for it.

    Args:
        monitor: ``loss``, or a name returned by ``compute_metrics``; with or without the prefix ``eval_``.
    """

    def __init__(self, monitor: str = "loss") -> None:
        self._reporter = Reporter(monitor if monitor.startswith(_PREFIX) else _PREFIX + monitor)
        self._n_reported = 0

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **others: Any) -> Any:
        """After an evaluation; called by the trainer."""
        n_epochs = int((state.epoch or 0) + 1e-6)
        while self._n_reported < n_epochs:
            self._n_reported += 1
            if not self._reporter.report(metrics or {}, self._n_reported):
                control.should_training_stop = True
        return control
