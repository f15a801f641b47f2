"""Optimizers by name, all of them torch's own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from zonesearch.errors import ObjectiveError, did_you_mean
from zonesearch.training.settings import OptimizerSettings

__all__ = ["NAMES", "build_optimizer", "check_optimizer"]

NAMES = ("adam", "adamw", "sgd", "rmsprop", "adagrad", "adadelta")


def check_optimizer(settings: OptimizerSettings) -> None:
    """Say what cannot be built.

    Raises:
        ObjectiveError: naming the setting, its value and the mend.
    """
    if settings.name not in NAMES:
        raise ObjectiveError(f'optimizer "{settings.name}" is unknown; {did_you_mean(settings.name, NAMES)}')
    if not settings.learning_rate > 0:
        raise ObjectiveError(f"learning_rate must be above 0, not {settings.learning_rate}")
    if settings.weight_decay < 0:
        raise ObjectiveError(f"weight_decay must be 0 or more, not {settings.weight_decay}")
    if settings.nesterov and not settings.momentum > 0:
        raise ObjectiveError("nesterov = true needs momentum above 0")


def build_optimizer(
    settings: OptimizerSettings, parameters: Iterable[nn.Parameter] | list[dict[str, Any]]
) -> torch.optim.Optimizer:
    """The optimizer of ``parameters``, or of groups of them; fused into one pass where torch has that."""
    lr, decay = settings.learning_rate, settings.weight_decay
    match settings.name:
        case "adam":
            return torch.optim.Adam(parameters, lr, weight_decay=decay, fused=True)
        case "adamw":
            return torch.optim.AdamW(parameters, lr, weight_decay=decay, fused=True)
        case "sgd":
            return torch.optim.SGD(
                parameters, lr, settings.momentum, weight_decay=decay, nesterov=settings.nesterov, fused=True
            )
        case "rmsprop":
            return torch.optim.RMSprop(parameters, lr, weight_decay=decay, momentum=settings.momentum)
        case "adagrad":
            return torch.optim.Adagrad(parameters, lr, weight_decay=decay)
    return torch.optim.Adadelta(parameters, lr, weight_decay=decay)
