"""The loss that a training minimises: a built-in one by name, as ``cross_entropy(label_smoothing=0.1)``, or the user's.

The built-in losses are torch's. A loss is a frozen value, so that a recipe can be compared, pickled and described.
Class weights multiply the loss of each example, and a mean is divided by their sum, as in torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache, lru_cache
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from zonesearch.core.calls import parse_call
from zonesearch.core.tables import hints, value
from zonesearch.errors import ObjectiveError, did_you_mean
from zonesearch.training.networks.factory import imported
from zonesearch.training.settings import Settings

__all__ = [
    "LOSSES",
    "OF_TASK",
    "check_loss",
    "check_own_loss",
    "class_weights",
    "is_default",
    "is_task_loss",
    "loss_of",
]

Weights = tuple[float, ...]
"""One weight per class; empty if all classes have the same."""


@dataclass(frozen=True)
class CrossEntropy:
    """Cross-entropy of scores of shape (n, classes) and class numbers of shape (n,).

    Args:
        label_smoothing: fraction of the target that is spread over all classes (Szegedy et al. 2016, section 7).
    """

    label_smoothing: float = 0.0
    task: ClassVar[str] = "classification"

    def __post_init__(self) -> None:
        _check_share("label_smoothing", self.label_smoothing)

    def of(self, outputs: Tensor, targets: Tensor, weights: Tensor | None, reduction: str) -> Tensor:
        """The mean, or the sum over the examples."""
        return functional.cross_entropy(
            outputs, targets, weights, reduction=reduction, label_smoothing=self.label_smoothing
        )


@dataclass(frozen=True)
class Bce:
    """Binary cross-entropy of two classes; the logit of the second class is the difference of their scores.

    Args:
        pos_weight: relative weight of examples of the second class.
        label_smoothing: targets are half of this away from 0 and 1.
    """

    pos_weight: float = 1.0
    label_smoothing: float = 0.0
    task: ClassVar[str] = "classification"

    def __post_init__(self) -> None:
        _check_share("label_smoothing", self.label_smoothing)
        if not self.pos_weight > 0:
            raise ValueError(f"pos_weight must be above 0, not {self.pos_weight}")

    def of(self, outputs: Tensor, targets: Tensor, weights: Tensor | None, reduction: str) -> Tensor:
        """The mean, or the sum over the examples."""
        logits = outputs[..., 1] - outputs[..., 0]
        wanted = targets.to(logits.dtype) * (1 - self.label_smoothing) + self.label_smoothing / 2
        counts = None if weights is None else weights[targets]
        total = functional.binary_cross_entropy_with_logits(
            logits, wanted, counts, reduction="sum", pos_weight=logits.new_tensor(self.pos_weight)
        )
        return total if reduction == "sum" else total / (len(targets) if counts is None else counts.sum())


@dataclass(frozen=True)
class Mse:
    """Mean squared error."""

    task: ClassVar[str] = "regression"

    def of(self, outputs: Tensor, targets: Tensor, weights: Tensor | None, reduction: str) -> Tensor:
        """The mean, or the sum over the examples."""
        return functional.mse_loss(outputs.squeeze(-1), targets.to(outputs.dtype), reduction=reduction)


@dataclass(frozen=True)
class L1:
    """Mean absolute error."""

    task: ClassVar[str] = "regression"

    def of(self, outputs: Tensor, targets: Tensor, weights: Tensor | None, reduction: str) -> Tensor:
        """The mean, or the sum over the examples."""
        return functional.l1_loss(outputs.squeeze(-1), targets.to(outputs.dtype), reduction=reduction)


@dataclass(frozen=True)
class Huber:
    """Squared error for small errors, absolute error for large ones (Huber 1964).

    Args:
        delta: where one becomes the other, in standard deviations of the target.
    """

    delta: float = 1.0
    task: ClassVar[str] = "regression"

    def __post_init__(self) -> None:
        if not self.delta > 0:
            raise ValueError(f"delta must be above 0, not {self.delta}")

    def of(self, outputs: Tensor, targets: Tensor, weights: Tensor | None, reduction: str) -> Tensor:
        """The mean, or the sum over the examples."""
        return functional.huber_loss(
            outputs.squeeze(-1), targets.to(outputs.dtype), reduction=reduction, delta=self.delta
        )


@dataclass(frozen=True)
class Own:
    """A user's function from ``(outputs, targets)`` to the mean loss of a batch, or to the loss of each example.

    Outputs have shape (n, classes), for a regression (n,); targets have shape (n,): class numbers 0, 1, ..., or
    standardised values. A torch loss class (``torch.nn:MultiMarginLoss``) is created with its defaults.
    """

    path: str
    task: str

    def of(self, outputs: Tensor, targets: Tensor, weights: Tensor | None, reduction: str) -> Tensor:
        """The mean, or the mean times the number of examples."""
        given = outputs.reshape(targets.shape) if self.task == "regression" else outputs
        found: Any = _callable(self.path)(given, targets)
        if isinstance(found, Tensor) and found.shape == targets.shape:
            found = found.mean()
        if not isinstance(found, Tensor) or found.numel() != 1:
            shown = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
            raise ObjectiveError(
                f"[training] loss = {self.path} must give a tensor of one number, the mean loss of a batch, not {shown}"
            )
        mean: Tensor = found.reshape(())
        return mean * len(targets) if reduction == "sum" else mean


Kind = CrossEntropy | Bce | Mse | L1 | Huber | Own

LOSSES: Mapping[str, type[Any]] = {"cross_entropy": CrossEntropy, "bce": Bce, "mse": Mse, "l1": L1, "huber": Huber}
"""Built-in losses by name."""

OF_TASK = {"classification": "cross_entropy", "regression": "mse"}


@dataclass(frozen=True)
class WeightedLoss:
    """A loss with class weights.

    Args:
        kind: the loss.
        weights: of the classes; empty if all are equal.
    """

    kind: Kind
    weights: Weights = ()

    def __call__(self, outputs: Tensor, targets: Tensor, reduction: str = "mean") -> Tensor:
        """A scalar: the mean (divided by the sum of the weights, if any), or the sum."""
        return self.kind.of(outputs, targets, self._tensor(outputs), reduction)

    def weight(self, targets: Tensor) -> float:
        """The sum of the examples' weights, by which a sum is divided for the mean."""
        if not self.weights:
            return float(len(targets))
        return float(_tensor(self.weights, targets.device, torch.float64)[targets].sum())

    def _tensor(self, outputs: Tensor) -> Tensor | None:
        dtype = torch.float32 if outputs.dtype == torch.bfloat16 else outputs.dtype
        return _tensor(self.weights, outputs.device, dtype) if self.weights else None


@lru_cache(maxsize=64)
def _tensor(weights: Weights, device: torch.device, dtype: torch.dtype) -> Tensor:
    return torch.tensor(weights, device=device, dtype=dtype)


def loss_of(settings: Settings, weights: Weights = ()) -> WeightedLoss:
    """The loss that the settings name.

    Args:
        settings: of the training.
        weights: of the classes.

    Raises:
        ObjectiveError: naming the loss or argument that is unknown or out of range, and the closest valid one.
    """
    return WeightedLoss(_kind(settings.training.loss, settings.data.task), weights)


@cache
def _kind(text: str, task: str) -> Kind:
    if ":" in text:
        return Own(text, task)
    place = "[training] loss"
    try:
        name, given, named = parse_call(text or OF_TASK[task])
    except ValueError:
        raise ObjectiveError(
            f'{place} = "{text}" is neither a name nor a call such as cross_entropy(label_smoothing=0.1), nor '
            '"package.module:function"'
        ) from None
    if name not in LOSSES:
        raise ObjectiveError(
            f'{place}: unknown loss "{name}"; {did_you_mean(name, LOSSES)} (or give "package.module:function")'
        )
    cls = LOSSES[name]
    if cls.task != task:
        raise ObjectiveError(f'{place} = "{text}" is for a {cls.task}, but [data] task is "{task}"')
    keys = [field.name for field in fields(cls)]
    if len(given) > len(keys):
        raise ObjectiveError(f'{place} = "{text}": {name} takes {", ".join(keys) or "nothing"}')
    arguments = {**dict(zip(keys, given, strict=False)), **named}
    for key in arguments:
        if key not in keys:
            raise ObjectiveError(f'{place}: {name} has no argument "{key}"; {did_you_mean(key, keys)}')
    read = {
        key: value(hints(cls)[key], each, f"{place} {key}", error=ObjectiveError) for key, each in arguments.items()
    }
    try:
        made: Kind = cls(**read)
    except ValueError as error:
        raise ObjectiveError(f'{place} = "{text}": {error}') from None
    return made


def is_task_loss(settings: Settings) -> bool:
    """Whether the loss is the task's default, however it is written."""
    return _kind(settings.training.loss, settings.data.task) == _kind("", settings.data.task)


def is_default(settings: Settings) -> bool:
    """Whether the loss is the task's default without class weights: what a stack can compute."""
    return is_task_loss(settings) and not settings.training.class_weights


def class_weights(settings: Settings, labels: Tensor | None, n_classes: int) -> Weights:
    """One weight per class, as ``class_weights`` says.

    ``balanced`` is n / (n_classes n_c), as in scikit-learn: all classes have the same total weight, and the mean weight
    of an example is 1.

    Args:
        settings: already checked.
        labels: of the training part, counted for ``balanced``.
        n_classes: number of classes.
    """
    given = settings.training.class_weights
    if not given:
        return ()
    if given == "balanced":
        if labels is None:
            return ()
        counts = torch.bincount(labels.cpu(), minlength=n_classes).clamp(min=1).double()
        return tuple((len(labels) / (n_classes * counts)).tolist())
    return tuple(float(weight) for weight in given)


def check_loss(settings: Settings, n_classes: int) -> None:
    """Refuse a loss that cannot be used.

    Args:
        settings: of a training.
        n_classes: of the data; 0 for a regression.

    Raises:
        ObjectiveError: naming the setting, its value and the mend.
    """
    text, given = settings.training.loss, settings.training.class_weights
    if ":" in text:
        imported(text, "[training] loss")
    kind = _kind(text, settings.data.task)
    if isinstance(kind, Bce) and n_classes != 2:
        raise ObjectiveError(f"[training] loss = bce is for two classes, but the data have {n_classes}; cross_entropy "
                             "is for any number")  # fmt: skip
    if not given:
        return
    if not isinstance(kind, CrossEntropy | Bce):
        raise ObjectiveError(
            f"[training] class_weights are for cross_entropy and bce, not of {text or 'a regression'}; leave them out"
        )
    if isinstance(given, str):
        if given != "balanced":
            raise ObjectiveError(f'[training] class_weights is "balanced" or a list of numbers, not "{given}"')
    elif len(given) != n_classes or not all(0 < weight < float("inf") for weight in given):
        raise ObjectiveError(
            f"[training] class_weights must be {n_classes} numbers above 0, one for each class, not {list(given)}"
        )


def check_own_loss(loss: WeightedLoss, outputs: Tensor, targets: Tensor) -> None:
    """Check a user's loss before the first step.

    Args:
        loss: the user's.
        outputs, targets: of a few examples.

    Raises:
        ObjectiveError: it does not return a single number, or one without a gradient.
    """
    if isinstance(loss.kind, Own) and not loss(outputs, targets).requires_grad:
        raise ObjectiveError(
            f"[training] loss = {loss.kind.path} gives a number without a gradient; compute it by operations of torch "
            "on the outputs"
        )


@cache
def _callable(path: str) -> Any:
    found: Any = imported(path, "[training] loss")
    return found() if isinstance(found, type) and issubclass(found, nn.Module) else found


def _check_share(name: str, given: float) -> None:
    if not 0 <= given < 1:
        raise ValueError(f"{name} is a share, 0 to below 1, not {given}")
