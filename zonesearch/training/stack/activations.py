"""Activations and their derivatives without allocation: torch's own kernels with ``out=``.

Each works in place or writes to another buffer; its backward turns the gradient of the output into that of the input z.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["ACTIVATIONS", "Activation"]

_aten = torch.ops.aten


@dataclass(frozen=True)
class Activation:
    """An activation.

    Args:
        forward: (z, out): writes the activation of z to ``out``, which may be z where ``in_place``.
        backward: (gradient, z, activation, out): writes the gradient of z; ``out`` may be ``gradient``.
        in_place: whether z is not needed again.
    """

    forward: Callable[[Tensor, Tensor], object]
    backward: Callable[[Tensor, Tensor, Tensor, Tensor], object]
    in_place: bool


ACTIVATIONS = {
    "relu": Activation(
        lambda z, out: torch.clamp_min(z, 0, out=out),
        lambda d, z, a, out: _aten.threshold_backward.grad_input(d, a, 0, grad_input=out),
        in_place=True,
    ),
    "tanh": Activation(
        lambda z, out: torch.tanh(z, out=out),
        lambda d, z, a, out: _aten.tanh_backward.grad_input(d, a, grad_input=out),
        in_place=True,
    ),
    "sigmoid": Activation(
        lambda z, out: torch.sigmoid(z, out=out),
        lambda d, z, a, out: _aten.sigmoid_backward.grad_input(d, a, grad_input=out),
        in_place=True,
    ),
    "gelu": Activation(
        lambda z, out: _aten.gelu.out(z, out=out),
        lambda d, z, a, out: _aten.gelu_backward.grad_input(d, z, grad_input=out),
        in_place=False,
    ),
    "silu": Activation(
        lambda z, out: _aten.silu.out(z, out=out),
        lambda d, z, a, out: _aten.silu_backward.grad_input(d, z, grad_input=out),
        in_place=False,
    ),
}
