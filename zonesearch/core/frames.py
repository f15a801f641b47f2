"""Trials as a pandas frame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from zonesearch.core.values import ChosenFloat, Value

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["frame_of"]


def frame_of(trials: Sequence[Any], value: str) -> pd.DataFrame:
    """One row per trial: see :meth:`zonesearch.core.trials.Trials.frame`.

    Args:
        trials: in the order of the rows.
        value: name of the value column.
    """
    import pandas as pd  # loading it takes longer than most other operations on trials

    columns: dict[str, Any] = {}

    def add(name: str, values: list[Any], prefix: str = "") -> None:
        while name in columns:
            name = f"{prefix}{name}"
        columns[name] = values

    for name in dict.fromkeys(name for trial in trials for name in trial.params):
        column = [trial.params.get(name) for trial in trials]
        columns[name] = pd.Series(column, dtype=object) if _kept_apart(column) else column
    for name, values in (
        (value, [trial.accuracy for trial in trials]),
        (f"test_{value}", [trial.test_accuracy for trial in trials]),
    ):
        columns[name] = [math.nan if number is None else number for number in values]
    for name in dict.fromkeys(name for trial in trials for name in trial.noted):
        add(name, [trial.noted.get(name, math.nan) for trial in trials], "noted_")
    add("seed", [trial.seed for trial in trials], "training_")
    add("epochs", [trial.epochs for trial in trials], "training_")
    add("state", [trial.state for trial in trials], "training_")
    add("seconds", [trial.seconds for trial in trials], "training_")
    add("n_parameters", [trial.n_parameters for trial in trials], "training_")
    add("key", [trial.key for trial in trials], "training_")
    return pd.DataFrame(columns)


def _kept_apart(values: Sequence[Value]) -> bool:
    """Whether pandas would change the type of some: integers beside missing values, a choice 1.0 beside 1."""
    return any(type(value) is ChosenFloat for value in values) or (
        any(value is None for value in values) and any(isinstance(value, int) for value in values)
    )
