"""The optimizer's step for all members of a stack at once: torch's own arithmetic on flat buffers.

The reference loop uses torch's optimizers; these functions do the same arithmetic on the stack's buffers, without
torch's bookkeeping: in a fused pass if torch has one, otherwise by in-place operations in torch's order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zonesearch.training.settings import OptimizerSettings

__all__ = ["UPDATES", "Count", "Update", "clip"]

Tensors = list[Tensor]
Rate = float | Tensor


@dataclass
class Count:
    """The number of a step, counted from 1, also on the device, where the optimizer's kernel reads it without a copy.

    Args:
        on_device: a scalar of float32.
        number: the same on the host.
    """

    on_device: Tensor
    number: int = 0

    def set(self, number: int) -> None:
        """Set the number."""
        self.number = number
        self.on_device.fill_(number)


Step = Callable[[Tensors, Tensors, list[Tensors], OptimizerSettings, Any, Count], None]


@dataclass(frozen=True)
class Update:
    """An optimizer.

    Args:
        n_buffers: number of state values per parameter.
        step: called with (parameters, gradients, the tensors of each buffer, settings, rate, step), updates in place.
            The step counts from 1; ``rate`` replaces the learning rate in the settings.
        takes_tensors: whether ``rate`` may also be a float32 scalar on the device of the weights.
    """

    n_buffers: int
    step: Step
    takes_tensors: bool = False


def _adam(decoupled: bool) -> Step:
    fused = torch._fused_adamw_ if decoupled else torch._fused_adam_

    def update(p: Tensors, g: Tensors, buffers: list[Tensors], o: OptimizerSettings, rate: Rate, step: Count) -> None:
        mean, square = buffers
        fused(
            p, g, mean, square, [], [step.on_device] * len(p), lr=rate, beta1=o.beta1, beta2=o.beta2,
            weight_decay=o.weight_decay, eps=o.epsilon, amsgrad=False, maximize=False,
        )  # fmt: skip

    return update


def _sgd(p: Tensors, g: Tensors, buffers: list[Tensors], o: OptimizerSettings, rate: Rate, step: Count) -> None:
    momentum = o.inertia
    torch._fused_sgd_(
        p, g, buffers[0] if momentum else [], weight_decay=o.weight_decay, momentum=momentum, lr=rate,
        dampening=o.dampening, nesterov=o.looks_ahead, maximize=False,
        is_first_step=bool(momentum) and step.number == 1,
    )  # fmt: skip


def _decayed(p: Tensors, g: Tensors, o: OptimizerSettings) -> Tensors:
    return list(torch._foreach_add(g, p, alpha=o.weight_decay)) if o.weight_decay else g


def _adagrad(p: Tensors, g: Tensors, buffers: list[Tensors], o: OptimizerSettings, rate: float, step: Count) -> None:
    for w, d, total in zip(p, _decayed(p, g, o), buffers[0], strict=True):
        total.addcmul_(d, d)
        w.addcdiv_(d, total.sqrt().add_(o.epsilon), value=-rate)


def _rmsprop(p: Tensors, g: Tensors, buffers: list[Tensors], o: OptimizerSettings, rate: float, step: Count) -> None:
    for w, d, square, velocity in zip(p, _decayed(p, g, o), *buffers, strict=True):
        square.mul_(o.forgetting).addcmul_(d, d, value=1 - o.forgetting)
        size = square.sqrt().add_(o.epsilon)
        if o.momentum:
            velocity.mul_(o.momentum).addcdiv_(d, size)
            w.add_(velocity, alpha=-rate)
        else:
            w.addcdiv_(d, size, value=-rate)


def _adadelta(p: Tensors, g: Tensors, buffers: list[Tensors], o: OptimizerSettings, rate: float, step: Count) -> None:
    for w, d, square, moved in zip(p, _decayed(p, g, o), *buffers, strict=True):
        square.mul_(o.forgetting).addcmul_(d, d, value=1 - o.forgetting)
        delta = moved.add(o.epsilon).sqrt_().div_(square.add(o.epsilon).sqrt_()).mul_(d)
        moved.mul_(o.forgetting).addcmul_(delta, delta, value=1 - o.forgetting)
        w.add_(delta, alpha=-rate)


UPDATES = {
    "adam": Update(2, _adam(decoupled=False), takes_tensors=True),
    "adamw": Update(2, _adam(decoupled=True), takes_tensors=True),
    "sgd": Update(1, _sgd, takes_tensors=True),
    "momentum": Update(1, _sgd, takes_tensors=True),
    "nesterov": Update(1, _sgd, takes_tensors=True),
    "rmsprop": Update(2, _rmsprop),
    "adagrad": Update(1, _adagrad),
    "adadelta": Update(2, _adadelta),
}
"""By the optimizer's name; all others are trained in the reference loop."""


def clip(gradients: Tensors, limit: float) -> None:
    """Scale one member's gradients to a norm of at most ``limit``, as ``torch.nn.utils.clip_grad_norm_`` does."""
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    torch._foreach_mul_(gradients, torch.clamp(limit / (norm + 1e-6), max=1.0))  # not needed on the host
