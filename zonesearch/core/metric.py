"""The metric that a search optimizes, and which of two values is better.

A value is recorded and shown with its own sign and unit everywhere. Code that ranks compares *scores*, for which larger
is always better; code that records, prints or draws uses values. Nothing else deals with directions.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from zonesearch.errors import StudyError, did_you_mean

__all__ = ["ACCURACY", "SPELLINGS", "Direction", "Metric", "is_usable"]

Direction = Literal["maximize", "minimize"]

_KEYS = ("name", "direction", "unit")
_LARGEST = 1e100
SPELLINGS: dict[str, Direction] = {
    "maximize": "maximize",
    "maximise": "maximize",
    "minimize": "minimize",
    "minimise": "minimize",
}
_MINIMIZED = frozenset(
    [
        "bits_per_byte",
        "brier",
        "brier_score",
        "cer",
        "cross_entropy",
        "crossentropy",
        "deviance",
        "error",
        "error_rate",
        "errors",
        "fid",
        "hinge",
        "latency",
        "log_loss",
        "logloss",
        "loss",
        "losses",
        "mae",
        "mape",
        "mase",
        "max_error",
        "mean_absolute_error",
        "mean_squared_error",
        "median_absolute_error",
        "mse",
        "msle",
        "negative_log_likelihood",
        "nll",
        "nrmse",
        "perplexity",
        "ppl",
        "regret",
        "rmse",
        "rmsle",
        "rmspe",
        "root_mean_squared_error",
        "root_mean_squared_log_error",
        "runtime",
        "smape",
        "wape",
        "wer",
    ]
)
"""Known metrics that are minimized; all others are maximized unless a direction is given."""

_LOSSES = frozenset({"error", "errors", "loss", "losses", "latency", "mae", "mape", "mse", "perplexity", "rmse"})
"""Endings of metrics that are minimized whatever precedes them: ``huber_loss``, ``classification error``."""

_OF_WHAT = frozenset(
    [
        "average",
        "avg",
        "best",
        "cv",
        "dev",
        "eval",
        "final",
        "held_out",
        "holdout",
        "last",
        "mean",
        "median",
        "oob",
        "out_of_fold",
        "test",
        "train",
        "training",
        "val",
        "valid",
        "validation",
    ]
)
"""Prefixes that only say on which data, or how, a metric was computed: ``val_rmse``, ``mean_test_mae``."""

_IN_WHAT = frozenset(
    ["gb", "h", "hours", "kb", "mb", "min", "minutes", "ms", "ns", "percent", "s", "sec", "seconds", "us"]
)
"""Units at the end of a name: ``latency_ms``."""

_TURNED = ("neg", "negated")
"""Prefix of a negated loss, as in scikit-learn (``neg_log_loss``)."""

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W_A-Z]+")


def _known_direction(name: str) -> Direction:
    """The direction of a metric according to its name."""
    words = [word.lower() for word in _WORDS.findall(name)]
    while len(words) > 1 and words[-1] in _IN_WHAT | _OF_WHAT:
        words = words[:-1]
    while len(words) > 1 and words[0] in _OF_WHAT and "_".join(words) not in _MINIMIZED:
        words = words[1:]
    if not words:
        return "maximize"
    less = "_".join(words) in _MINIMIZED or words[-1] in _LOSSES
    return "minimize" if less and words[0] not in _TURNED else "maximize"


@dataclass(frozen=True)
class Metric:
    """What is searched.

    Args:
        name: in tables, CSV columns, reports and dashboards.
        direction: "maximize" or "minimize"; None derives it from the name (losses and errors such as ``rmse``,
            ``val_rmse`` and ``huber_loss`` are minimized; everything else is maximized).
        unit: shown after a value, such as ``ms``; values are never converted. Empty for none.

    Raises:
        StudyError: a name, direction or unit is invalid.
    """

    name: str = "accuracy"
    direction: Direction | None = None
    unit: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise StudyError(f"a metric needs a name, not {self.name!r}")
        if not isinstance(self.unit, str):
            raise StudyError(f"the unit of a metric is a string, not {self.unit!r}")
        given = self.direction
        if given is None:
            given = _known_direction(self.name)
        if not isinstance(given, str) or given not in SPELLINGS:
            raise StudyError(f'the direction of a metric is "maximize" or "minimize", not {given!r}')
        object.__setattr__(self, "direction", SPELLINGS[given])

    @classmethod
    def parse(cls, given: Metric | str | Mapping[str, Any], direction: str | None = None) -> Metric:
        """A metric from its name, or from a table with ``name``, ``direction`` and ``unit``.

        Raises:
            StudyError: naming the key, its value and the mend.
        """
        if isinstance(given, Metric):
            if direction is not None and SPELLINGS.get(direction) != given.direction:
                raise StudyError(f"metric {given.name} is to be {given.direction}d, but direction is {direction!r}")
            return given
        if isinstance(given, str):
            return cls(given, direction)  # type: ignore[arg-type]
        if not isinstance(given, Mapping):
            raise StudyError(f"a metric is a name, or a table with name, direction and unit, not {given!r}")
        for key in given:
            if key not in _KEYS:
                raise StudyError(f'[metric] has no key "{key}"; {did_you_mean(str(key), _KEYS)}')
        return cls(given.get("name", "accuracy"), given.get("direction", direction), given.get("unit", ""))

    @property
    def _plain_name(self) -> str:
        return self.name.strip().lower().replace(" ", "_").replace("-", "_")

    @property
    def maximized(self) -> bool:
        """Whether more is better."""
        return self.direction == "maximize"

    @property
    def is_share(self) -> bool:
        """Whether values are fractions (0..1) that are shown in per cent: accuracies without a unit."""
        return not self.unit and self._plain_name.endswith("accuracy")

    def score(self, value: float) -> float:
        """``value`` as a score, for which larger is better."""
        return value if self.maximized else -value

    def value(self, score: float) -> float:
        """The value of a score: the inverse of :meth:`score`."""
        return score if self.maximized else -score

    def better(self, a: float, b: float) -> bool:
        """Whether ``a`` is better than ``b``; never for NaN."""
        return a > b if self.maximized else a < b

    def best(self, values: Iterable[float]) -> float:
        """The best of ``values``, which must not be empty or contain NaN."""
        return max(values) if self.maximized else min(values)

    def text(self, value: float, half_width: float = math.nan) -> str:
        """``98.31 % ± 0.08`` for a share, four significant digits and the unit for any other value.

        An interval of a share that would reach below 0 or beyond 100 % is cut there: ``97.00 % (84.30 to 100.00)``.
        A value outside 0..1 is not a fraction, whatever its metric's name, and is shown unchanged.
        """
        if self.is_share and 0.0 <= value <= 1.0:
            shown = f"{100 * value:.2f} %"
            if not math.isfinite(half_width):
                return shown
            low, high = value - half_width, value + half_width
            if low < 0.0 or high > 1.0:
                return f"{shown} ({100 * max(low, 0.0):.2f} to {100 * min(high, 1.0):.2f})"
            return f"{shown} ± {100 * half_width:.2f}"
        shown = f"{value:.4g}" + (f" ± {half_width:.2g}" if math.isfinite(half_width) else "")
        return f"{shown} {self.unit}" if self.unit else shown

    def shares(self, values: Iterable[float]) -> bool:
        """Whether ``values`` are shown in per cent: fractions, all within 0..1, ignoring NaN."""
        return self.is_share and all(0.0 <= value <= 1.0 for value in values if math.isfinite(value))

    def gap_text(self, difference: float, sign: str = "+", share: bool = True) -> str:
        """A difference of two values as text: ``+0.35 points`` for fractions, otherwise ``+0.35`` and the unit.

        Args:
            difference: in the metric's own unit.
            sign: as in a format specification: ``+`` always shows it; empty only shows a minus.
            share: whether the two values are themselves shown in per cent (see :meth:`shares`).
        """
        if self.is_share and share:
            return f"{100 * difference:{sign}.2f} points"
        shown = f"{difference:{sign}.3g}"
        return f"{shown} {self.unit}" if self.unit else shown

    def called(self, name: object, directed: bool = True) -> Metric:
        """This metric under another name; keeps its direction if ``directed``, otherwise derives it from the name.

        Raises:
            StudyError: the name is invalid.
        """
        return Metric(name, self.direction if directed else None, self.unit)  # type: ignore[arg-type]

    def identity(self) -> dict[str, Any]:
        """Its part of an experiment's identity: nothing for accuracy, otherwise its name and direction."""
        described = {"name": self.name, "direction": str(self.direction)}
        return {} if (self.name, self.direction) == (ACCURACY.name, ACCURACY.direction) else {"metric": described}

    def describe(self) -> dict[str, str]:
        """The metric as plain data, which :meth:`parse` reads back."""
        unit = {"unit": self.unit} if self.unit else {}
        return {"name": self.name, "direction": str(self.direction), **unit}


ACCURACY = Metric()
"""The default metric: the fraction of correct answers, maximized."""


def is_usable(value: float) -> bool:
    """Whether a value can be compared with others: finite, and at most 1e100, so that its square is finite too.

    A training with any other value has diverged.
    """
    return -_LARGEST <= value <= _LARGEST
