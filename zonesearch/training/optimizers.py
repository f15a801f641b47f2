"""Optimizers by name, all from torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from zonesearch.errors import ObjectiveError, did_you_mean
from zonesearch.training.settings import OptimizerSettings

__all__ = ["NAMES", "build_optimizer", "check_optimizer"]

NAMES = ("adam", "adamw", "sgd", "momentum", "nesterov", "rmsprop", "adagrad", "adadelta", "lbfgs")


def check_optimizer(settings: OptimizerSettings) -> None:
    """Refuse settings that cannot be built.

    Raises:
        ObjectiveError: naming the setting, its value and the mend.
    """
    if settings.name not in NAMES:
        raise ObjectiveError(f'optimizer "{settings.name}" is unknown; {did_you_mean(settings.name, NAMES)}')
    if not settings.learning_rate > 0:
        raise ObjectiveError(f"learning_rate must be above 0, not {settings.learning_rate}")
    for name in ("weight_decay", "eps"):
        if getattr(settings, name) < 0:
            raise ObjectiveError(f"{name} must be 0 or more, not {getattr(settings, name)}")
    for name in ("momentum", "dampening", "beta1", "beta2", "decay"):
        if not 0 <= getattr(settings, name) < 1:
            raise ObjectiveError(f"{name} must be 0 or more and below 1, not {getattr(settings, name)}")
    if settings.looks_ahead and not (settings.inertia > 0 and settings.dampening == 0):
        raise ObjectiveError("nesterov needs momentum above 0 and no dampening")
    if settings.name == "lbfgs" and (settings.weight_decay or min(settings.history, settings.iterations) < 1):
        raise ObjectiveError("lbfgs needs history and iterations of at least 1, and has no weight_decay")


def build_optimizer(
    settings: OptimizerSettings, parameters: Iterable[nn.Parameter] | list[dict[str, Any]]
) -> torch.optim.Optimizer:
    """The optimizer of ``parameters`` or of parameter groups; fused if torch supports it."""
    lr, decay = settings.learning_rate, settings.weight_decay
    match settings.name:
        case "adam" | "adamw":
            cls = torch.optim.Adam if settings.name == "adam" else torch.optim.AdamW
            betas = (settings.beta1, settings.beta2)
            return cls(parameters, lr, betas, settings.epsilon, weight_decay=decay, fused=True)
        case "sgd" | "momentum" | "nesterov":
            return torch.optim.SGD(
                parameters,
                lr,
                settings.inertia,
                settings.dampening,
                weight_decay=decay,
                nesterov=settings.looks_ahead,
                fused=True,
            )
        case "rmsprop":
            return torch.optim.RMSprop(
                parameters,
                lr,
                settings.forgetting,
                settings.epsilon,
                weight_decay=decay,
                momentum=settings.momentum,
            )
        case "adagrad":
            return torch.optim.Adagrad(parameters, lr, weight_decay=decay, eps=settings.epsilon)
        case "adadelta":
            return torch.optim.Adadelta(
                parameters, lr, rho=settings.forgetting, eps=settings.epsilon, weight_decay=decay
            )
    return torch.optim.LBFGS(
        parameters,
        lr,
        max_iter=settings.iterations,
        history_size=settings.history,
        line_search_fn="strong_wolfe",
    )
