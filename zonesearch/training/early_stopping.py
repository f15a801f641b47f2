"""When a training stops before its last epoch: validation stopped improving, or began to get worse.

Pure functions of the validation values so far. The split that decides when to stop has, in a sense, taken part in
training, so the result is reported on the test split.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zonesearch.errors import StudyError
from zonesearch.training.technique import check_table

__all__ = ["EarlyStopping", "generalisation_loss"]


def generalisation_loss(losses: Sequence[float]) -> float:
    """100 (E_va / E_opt - 1): how far the last loss is above the lowest so far, in per cent (Prechelt 1998).

    If the lowest loss is 0, as on perfectly separated data, this is the limit: 0 while the loss stays there, infinite
    afterwards. A user's loss may be negative (a log density, say): the rise is then in per cent of its absolute value.
    """
    last, lowest = losses[-1], min(losses)
    if last == lowest:
        return 0.0
    if lowest < 0:
        return 100 * (last - lowest) / -lowest
    return 100 * (last / lowest - 1) if lowest else math.inf


@dataclass(frozen=True)
class EarlyStopping:
    """The table ``[early_stopping]``; each rule that is given may stop the training.

    Args:
        patience: stop when validation accuracy has not improved for this many epochs, counting evaluated ones.
        rise: stop when validation loss is this many per cent above its lowest value (Prechelt's GL criterion; 5 is a
            common choice).
        least: never stop before this many epochs.
        after: always stop after this many epochs: a shorter budget for one of several arms.
    """

    patience: int | None = None
    rise: float | None = None
    least: int = 1
    after: int | None = None

    def __post_init__(self) -> None:
        if self.after is not None and self.after < 1:
            raise StudyError(f"[early_stopping] after is a number of epochs, at least 1, not {self.after}")
        if self.patience is not None and self.patience < 1:
            raise StudyError(f"[early_stopping] patience must be at least 1, not {self.patience}")
        if self.rise is not None and not self.rise >= 0:
            raise StudyError(f"[early_stopping] rise is a percentage, 0 or more, not {self.rise}")

    @classmethod
    def from_table(cls, table: dict[str, Any]) -> EarlyStopping:
        """Read the table.

        Raises:
            StudyError: for an unknown key or a wrong value.
        """
        check_table(cls, table, "early_stopping")
        return cls(**table)

    def stops(self, accuracies: Sequence[float], losses: Sequence[float] = (), counted: slice = slice(None)) -> bool:
        """Whether to stop after these epochs.

        Args:
            accuracies: validation score of each finished epoch; larger is better.
            losses: validation loss of each finished epoch; needed for ``rise``.
            counted: the epochs that are compared with each other; averaged weights are a different network than the one
                before averaging began.
        """
        if self.after is not None and len(accuracies) >= self.after:
            return True
        if not accuracies or len(accuracies) < self.least:
            return False
        compared = accuracies[counted]
        best = max(range(len(compared)), key=compared.__getitem__)  # the first of equal values: a tie is no improvement
        waited = len(compared) - 1 - best
        if self.patience is not None and waited >= self.patience:
            return True
        return self.rise is not None and bool(losses) and generalisation_loss(losses[counted]) > self.rise
