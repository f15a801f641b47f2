"""How a training is evaluated: its loss, and the metric that is recorded.

The default is classification with cross-entropy and accuracy. Values keep their own sign; the metric says which of two
is better.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from zonesearch.core.measured import BUILT_IN, is_own, measured_metric
from zonesearch.core.metric import ACCURACY, SPELLINGS, Metric
from zonesearch.core.plugins import registered
from zonesearch.errors import ObjectiveError, did_you_mean
from zonesearch.training.losses import CrossEntropy, WeightedLoss, class_weights, loss_of
from zonesearch.training.networks.factory import imported
from zonesearch.training.scores import OF_SCIKIT_LEARN
from zonesearch.training.settings import Settings

__all__ = ["CLASSIFICATION", "METRICS", "Measure", "check_measured", "check_metric", "measure_of"]

Score = Callable[[Tensor, Tensor], float]


@dataclass(frozen=True)
class Measure:
    """Loss and metric.

    Args:
        loss: mean loss of (outputs, targets), a scalar; ``reduction="sum"`` sums over examples, each with the weight of
            its class.
        score: the metric of all outputs (n, scores) and targets (n,) of a split, in its own sign.
        counts: whether the score is a fraction of n correct answers, with a binomial error.
        metric: says which of two values is better.
    """

    loss: WeightedLoss
    score: Score
    counts: bool = False
    metric: Metric = ACCURACY

    def weight(self, targets: Tensor) -> float:
        """The divisor for the mean of summed losses: the number of examples, or the sum of their weights."""
        return self.loss.weight(targets)


def _accuracy(outputs: Tensor, targets: Tensor) -> float:
    return int((outputs.argmax(1) == targets).sum()) / len(targets)


def _balanced(outputs: Tensor, targets: Tensor) -> float:
    """Mean recall over the classes."""
    right = (outputs.argmax(1) == targets).double()
    n = torch.bincount(targets).double()
    found = torch.bincount(targets, weights=right)
    return float((found[n > 0] / n[n > 0]).mean())


def _r2(outputs: Tensor, targets: Tensor) -> float:
    """1 - residual sum of squares / total sum of squares."""
    y, t = outputs.squeeze(-1).double(), targets.double()
    return float(1 - (y - t).square().sum() / (t - t.mean()).square().sum())


def _mae(outputs: Tensor, targets: Tensor) -> float:
    return float((outputs.squeeze(-1).double() - targets.double()).abs().mean())


def _rmse(outputs: Tensor, targets: Tensor) -> float:
    return float((outputs.squeeze(-1).double() - targets.double()).square().mean().sqrt())


METRICS: dict[str, Score] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced,
    **OF_SCIKIT_LEARN,
    "r2": _r2,
    "mae": _mae,
    "rmse": _rmse,
}
"""Built-in metrics by name."""

CLASSIFICATION = Measure(WeightedLoss(CrossEntropy()), _accuracy, counts=True)


@dataclass(frozen=True)
class _Own:
    """A user's metric of outputs and targets in the units of the data, both on the CPU."""

    path: str
    mean: float
    deviation: float

    def __call__(self, outputs: Tensor, targets: Tensor) -> float:
        value: Any = imported(self.path, "[training] metric", "metrics")(self._units(outputs), self._units(targets))
        try:
            return float(value)
        except (TypeError, ValueError, RuntimeError):
            raise ObjectiveError(f"metric {self.path} must give a number, but gave {value!r:.60}") from None

    def _units(self, values: Tensor) -> Tensor:
        values = values.detach().float().cpu() if values.is_floating_point() else values.cpu()
        return values * self.deviation + self.mean if self.deviation != 1 or self.mean else values


@dataclass(frozen=True)
class _Scaled:
    """An error in the units of the target, which was standardised for training."""

    score: Score
    deviation: float

    def __call__(self, outputs: Tensor, targets: Tensor) -> float:
        return self.score(outputs, targets) * self.deviation


@cache
def _measure(task: str, metric: str, direction: str, scale: tuple[float, float], loss: WeightedLoss) -> Measure:
    searched = measured_metric(task, metric, direction if is_own(metric) else "")
    if is_own(metric):
        return Measure(loss, _Own(metric, *scale), metric=searched)
    if searched.name == "accuracy":
        return replace(CLASSIFICATION, loss=loss)
    score = METRICS[searched.name]
    if searched.name in ("mae", "rmse"):
        score = _Scaled(score, scale[1])
    return Measure(loss, score, metric=searched)


def measure_of(
    settings: Settings, scale: tuple[float, float] = (0.0, 1.0), labels: Tensor | None = None, n_classes: int = 0
) -> Measure:
    """The measure that the settings name.

    Args:
        settings: already checked.
        scale: mean and standard deviation by which targets were standardised.
        labels: of the training part, for balanced class weights; without them all classes have the same weight.
        n_classes: number of classes.
    """
    loss = loss_of(settings, class_weights(settings, labels, n_classes))
    return _measure(settings.data.task, settings.training.metric, settings.training.direction, scale, loss)


def check_measured(settings: Settings, validation: Tensor, test: Tensor) -> None:
    """Refuse a metric that cannot be computed on the validation or the test part.

    Raises:
        ObjectiveError: the metric needs several classes, and a part has only one.
    """
    if settings.training.metric in ("roc_auc", "average_precision"):
        for name, labels in (("validation", validation), ("test", test)):
            if len(torch.unique(labels)) < 2:
                raise ObjectiveError(
                    f'metric "{settings.training.metric}" needs two classes, but the {name} part has only one; give it '
                    "more examples"
                )


def check_metric(settings: Settings) -> None:
    """Refuse a metric that cannot be computed.

    Raises:
        ObjectiveError: naming the setting, its value and the mend.
    """
    task, metric = settings.data.task, settings.training.metric
    if task not in ("classification", "regression"):
        raise ObjectiveError(f'[data] task is "classification" or "regression", not "{task}"')
    if settings.training.direction and settings.training.direction not in SPELLINGS:
        raise ObjectiveError(f'direction is "maximise" or "minimise", not "{settings.training.direction}"')
    if is_own(metric):
        imported(metric, "[training] metric", "metrics")
    elif metric and metric not in BUILT_IN:
        known = [*BUILT_IN, *registered("metrics")]
        raise ObjectiveError(
            f'unknown metric "{metric}"; {did_you_mean(metric, known)} (or give "package.module:function")'
        )
    elif metric in OF_SCIKIT_LEARN and find_spec("sklearn") is None:
        raise ObjectiveError(f"metric \"{metric}\" needs scikit-learn: pip install 'zonesearch[sklearn]'")
    elif metric and BUILT_IN[metric] != task:
        raise ObjectiveError(f'metric "{metric}" is for {BUILT_IN[metric]}, but [data] task is "{task}"')
