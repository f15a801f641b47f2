"""The same passes for small networks with numpy, on the same buffers that torch trains.

A step of a network of 64 neurons on 4 examples consists of some twenty library calls whose arithmetic takes a
microsecond altogether. A torch call costs three to five microseconds, a numpy call half a microsecond, so small stacks
take less than half the time this way (``docs/performance.md``). The arithmetic is that of
:mod:`zonesearch.training.stack.network`, and results agree within rounding. Only the plain case is supported: relu and
tanh, no batch norm, no dropout.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zonesearch.training.stack.layout import Block, Layout

__all__ = ["Quick", "is_quick"]

Numbers = NDArray[np.floating]

_MOST = 1_000_000  # multiplications per forward pass: beyond this, torch's faster products outweigh its calls
_NARROW, _MOST_NARROW = 8, 8_000_000  # for small batches, with which numpy's products keep up longer


@dataclass(frozen=True)
class _Activation:
    """``forward(z)`` in place; ``backward(d, a, free)`` turns d into the gradient of z, using the buffer ``free``."""

    forward: Callable[[Numbers], object]
    backward: Callable[[Numbers, Numbers, Numbers], object]


def _relu_backward(d: Numbers, a: Numbers, free: Numbers) -> None:
    np.greater(a, 0, out=free)
    np.multiply(d, free, out=d)


def _tanh_backward(d: Numbers, a: Numbers, free: Numbers) -> None:
    np.multiply(a, a, out=free)
    np.subtract(1, free, out=free)
    np.multiply(d, free, out=d)


_ACTIVATIONS = {
    "relu": _Activation(lambda z: np.maximum(z, 0, out=z), _relu_backward),
    "tanh": _Activation(lambda z: np.tanh(z, out=z), _tanh_backward),
}


def is_quick(layout: Layout, weights: Tensor, activation: str, batch: int, dropout: bool) -> bool:
    """Whether a stack uses numpy at this batch size: decided by sizes alone, never by measured time."""
    return (
        bool(layout.blocks)
        and not dropout
        and not layout.batch_norm
        and activation in _ACTIVATIONS
        and weights.device.type == "cpu"
        and weights.dtype in (torch.float32, torch.float64)
        and layout.n_numbers * batch <= (_MOST if batch > _NARROW else _MOST_NARROW)
    )


class Quick:
    """The passes of a stack for one batch size.

    Args:
        layout: of the members.
        weights, gradients: the flat buffers.
        activation: of all hidden layers, by name.
        batch: examples per seed.
        inputs: of the training split, (examples, inputs).
    """

    def __init__(
        self, layout: Layout, weights: Tensor, gradients: Tensor, activation: str, batch: int, inputs: Tensor
    ) -> None:
        self._inputs = inputs.numpy()
        flats = weights.numpy(), gradients.numpy()
        n_seeds = layout.n_seeds
        x: Numbers = np.empty((n_seeds * batch, layout.n_inputs), flats[0].dtype)
        self._x = x
        first = _Layer(
            tuple(slot.of(flat).numpy() for flat in (weights, gradients) for slot in layout.first),
            x.reshape(n_seeds, batch, -1).transpose(0, 2, 1),
            activation,
        )
        self._first = first
        shape = layout.n_members, layout.n_classes, batch
        self._g: Numbers = np.empty(shape, flats[0].dtype)
        self._by_seed = self._g.reshape(*layout.by_seed, *shape[1:])
        self._sums: Numbers = np.empty((shape[0], 1, batch), flats[0].dtype)
        self._share = flats[0].dtype.type(1 / batch)
        self._blocks = [_Rest(layout, block, weights, gradients, activation, first, self._g) for block in layout.blocks]

    def step(self, chosen: NDArray[np.int64], wanted: Numbers, scores: Numbers) -> None:
        """Scores and gradients of a batch.

        Args:
            chosen: indices of the examples, (seeds x batch,).
            wanted: one-hot targets, in the layout of the scores by seed.
            scores: output, of shape (members, classes, batch).
        """
        self._inputs.take(chosen, 0, out=self._x, mode="clip")  # the fast mode; every index is within bounds
        self._first.forward()
        for block in self._blocks:
            block.forward(scores)
        g, sums = self._g, self._sums
        np.maximum.reduce(scores, axis=1, keepdims=True, out=sums)
        np.subtract(scores, sums, out=g)
        np.exp(g, out=g)
        np.add.reduce(g, axis=1, keepdims=True, out=sums)
        np.divide(g, sums, out=g)
        np.subtract(self._by_seed, wanted, out=self._by_seed)
        np.multiply(g, self._share, out=g)
        for block in self._blocks:
            block.backward()
        self._first.backward()


class _Layer:
    """A linear layer, followed by an activation if there is one.

    Args:
        parameters: weight (n, neurons, inputs) and bias (n, neurons), and their gradients.
        inputs: (n, inputs, batch), the buffer that will hold them.
        activation: by name; None for the scores.
    """

    def __init__(self, parameters: tuple[Numbers, ...], inputs: Numbers, activation: str | None) -> None:
        self._weight, self._bias = parameters[0], parameters[1][..., None]
        self._weight_gradient, self._bias_gradient = parameters[2:]
        self._inputs, self._turned = inputs, inputs.transpose(0, 2, 1)
        self._back = self._weight.transpose(0, 2, 1)
        self._activation = None if activation is None else _ACTIVATIONS[activation]
        shape = (*self._bias.shape[:2], inputs.shape[-1])
        self.h: Numbers = np.empty(shape, self._weight.dtype)
        self.d: Numbers = np.empty(shape, self._weight.dtype)
        self._free: Numbers = np.empty(shape, self._weight.dtype)

    def forward(self, out: Numbers | None = None) -> None:
        """Write ``h``, or ``out`` instead."""
        h = self.h if out is None else out
        np.matmul(self._weight, self._inputs, out=h)
        np.add(h, self._bias, out=h)
        if self._activation is not None:
            self._activation.forward(h)

    def backward(self) -> None:
        """Gradients of the parameters, from that of the output in ``d``."""
        if self._activation is not None:
            self._activation.backward(self.d, self.h, self._free)
        np.matmul(self.d, self._turned, out=self._weight_gradient)
        np.add.reduce(self.d, axis=-1, out=self._bias_gradient)

    def back_to(self, out: Numbers) -> None:
        """The gradient of the inputs, after :meth:`backward`."""
        np.matmul(self._back, self.d, out=out)


class _Rest:
    """The layers after the first one, for the columns of a block."""

    def __init__(
        self,
        layout: Layout,
        block: Block,
        weights: Tensor,
        gradients: Tensor,
        activation: str,
        first: _Layer,
        g: Numbers,
    ) -> None:
        n = layout.n_seeds * block.n_columns
        self._rows = slice(block.column * layout.n_seeds, block.column * layout.n_seeds + n)

        def mine(whole: Numbers) -> Numbers:
            part = whole[:, block.neurons]
            return part if block.n_columns == 1 else part.reshape(n, block.widths[0], -1)

        h, self._into = mine(first.h), [mine(first.d)]
        self._layers: list[_Layer] = []
        for i, layer in enumerate(block.layers):
            views = tuple(
                slot.of(flat).view(n, *slot.shape[2:]).numpy() for flat in (weights, gradients) for slot in layer
            )
            is_last = i == len(block.layers) - 1
            made = _Layer(views, h, None if is_last else activation)
            self._layers.append(made)
            self._into.append(made.d)
            h = made.h
        self._layers[-1].d = g[self._rows]

    def forward(self, scores: Numbers) -> None:
        for layer in self._layers[:-1]:
            layer.forward()
        self._layers[-1].forward(scores[self._rows])

    def backward(self) -> None:
        for layer, into in zip(reversed(self._layers), reversed(self._into[:-1]), strict=True):
            layer.backward()
            layer.back_to(into)
