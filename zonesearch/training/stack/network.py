"""A stack's forward and backward pass, written by hand.

Matrices have features first, (seed, neuron, example): the members' neurons are then contiguous, and for small batches
products are two to three times as fast as with examples first. Everything is written into buffers that are allocated
once per batch size; nothing is allocated during training.

With g the gradient of the mean loss by the scores, softmax(scores) - onehot over the batch size, a layer
z = W x + b, h = f(z) has dW = dz x', db = sum dz, dx = W' dz, dz = f'(z) dh (Rumelhart, Hinton & Williams 1986).
Batch norm is differentiated as in Ioffe & Szegedy 2015, section 3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from zonesearch.training.stack.activations import Activation
from zonesearch.training.stack.layout import Block, Layout

__all__ = ["Network", "Norm", "infer", "make_norms"]

_EPS = 1e-5  # torch's batch-norm default
_MOMENTUM = 0.1


class Norm:
    """Batch norm of one hidden layer: parameters and gradients, views of shape (n, neurons), running statistics."""

    def __init__(self, scale: Tensor, shift: Tensor, scale_gradient: Tensor, shift_gradient: Tensor) -> None:
        self.scale, self.shift = scale, shift
        self.scale_gradient, self.shift_gradient = scale_gradient, shift_gradient
        self.mean = torch.zeros_like(scale, dtype=torch.float32 if scale.dtype != torch.float64 else scale.dtype)
        self.variance = torch.ones_like(self.mean)
        self._centred = self._deviation = torch.empty(0)

    def forward(self, z: Tensor) -> Tensor:
        """Normalise z, (n, neurons, batch), by batch statistics; updates the running ones."""
        n = z.shape[-1]
        variance, mean = torch.var_mean(z.to(self.mean.dtype), -1, correction=0)
        self.mean.lerp_(mean, _MOMENTUM)
        self.variance.lerp_(variance * (n / (n - 1)), _MOMENTUM)
        self._deviation = (variance + _EPS).rsqrt_().to(z.dtype)[..., None]
        self._centred = (z - mean.to(z.dtype)[..., None]).mul_(self._deviation)
        return torch.addcmul(self.shift[..., None], self._centred, self.scale[..., None])

    def infer(self, z: Tensor) -> Tensor:
        """Normalise by the running statistics."""
        scale = self.scale * (self.variance + _EPS).rsqrt().to(z.dtype)
        return torch.addcmul((self.shift - self.mean.to(z.dtype) * scale)[..., None], z, scale[..., None])

    def backward(self, d: Tensor) -> Tensor:
        """The gradient of z from that of the output; writes the parameters' gradients."""
        torch.sum(d, -1, out=self.shift_gradient)
        torch.sum(d * self._centred, -1, out=self.scale_gradient)
        n = d.shape[-1]
        mean, along = self.shift_gradient[..., None] / n, self.scale_gradient[..., None] / n
        return (d - mean - self._centred * along).mul_(self._deviation * self.scale[..., None])


class _Hidden:
    """A hidden layer of several members at once, with its buffers for one batch size.

    Args:
        parameters, gradients: (weight, bias) views of shapes (n, neurons, inputs) and (n, neurons).
        norm: batch norm before the activation.
        mask: factors of dropout, of shape (n, neurons, batch); None without dropout.
        d: buffer for the gradient of the output.
    """

    def __init__(
        self,
        parameters: tuple[Tensor, Tensor],
        gradients: tuple[Tensor, Tensor],
        norm: Norm | None,
        activation: Activation,
        batch: int,
        dropout: bool,
    ) -> None:
        self._weight, self._bias = parameters[0], parameters[1][..., None]
        self._weight_gradient, self._bias_gradient = gradients
        self._norm, self._activation = norm, activation
        shape = (*parameters[1].shape, batch)
        self._z = self._normed = self._weight.new_empty(shape)
        apart = norm is not None or not activation.in_place
        self._a = torch.empty_like(self._z) if apart else self._z
        self.mask = torch.ones_like(self._z) if dropout else None
        self.h = torch.empty_like(self._z) if dropout else self._a
        self.d = torch.empty_like(self._z)
        self._back = self._weight.transpose(1, 2)

    def forward(self, xt: Tensor) -> None:
        """Compute ``h`` from inputs of shape (n, inputs, batch)."""
        torch.baddbmm(self._bias, self._weight, xt, out=self._z)
        if self._norm is not None:
            self._normed = self._norm.forward(self._z)
        self._activation.forward(self._normed, self._a)
        if self.mask is not None:
            torch.mul(self._a, self.mask, out=self.h)

    def backward(self, x: Tensor) -> None:
        """Gradients of the parameters, and ``d`` of z; inputs of shape (n, batch, inputs)."""
        if self.mask is not None:
            self.d.mul_(self.mask)
        self._activation.backward(self.d, self._normed, self._a, self.d)
        if self._norm is not None:
            self.d.copy_(self._norm.backward(self.d))
        torch.bmm(self.d, x, out=self._weight_gradient)
        torch.sum(self.d, -1, out=self._bias_gradient)

    def back_to(self, out: Tensor) -> None:
        """The gradient of the inputs, from ``d`` of z."""
        torch.bmm(self._back, self.d, out=out)


class Network:
    """The passes of a stack for one batch size.

    Args:
        layout: of the members.
        weights, gradients: flat buffers in the type of the products.
        norms: of the joined first layer, then of each block's further hidden layers.
        activation: of all hidden layers.
        batch: examples per seed.
        dropout: whether ``masks`` must be filled before each pass.
    """

    def __init__(
        self,
        layout: Layout,
        weights: Tensor,
        gradients: Tensor,
        norms: Sequence[Norm],
        activation: Activation,
        batch: int,
        dropout: bool,
    ) -> None:
        n_seeds = layout.n_seeds
        self.x = weights.new_empty(n_seeds * batch, layout.n_inputs)
        self._x = self.x.view(n_seeds, batch, layout.n_inputs)
        self._xt = self._x.transpose(1, 2)
        self.g = weights.new_empty(layout.n_members, layout.n_classes, batch)
        of = [slot.of(weights) for slot in layout.first], [slot.of(gradients) for slot in layout.first]
        left = iter(norms)
        norm = next(left) if layout.batch_norm else None
        self._linear = None if layout.blocks else _Linear((of[0][0], of[0][1]), (of[1][0], of[1][1]), self.g)
        self._first = _Hidden((of[0][0], of[0][1]), (of[1][0], of[1][1]), norm, activation, batch, dropout)
        self._blocks = [
            _BlockPass(layout, block, weights, gradients, left, activation, batch, dropout, self._first, self.g)
            for block in layout.blocks
        ]

    @property
    def masks(self) -> list[tuple[Tensor, ...]]:
        """For each block the masks of its hidden layers, each of shape (seeds, columns, neurons, batch)."""
        return [block.masks for block in self._blocks]

    def forward(self, scores: Tensor) -> None:
        """Scores of the batch in ``x``, (members, classes, batch), written to ``scores`` in the order of the rows."""
        if self._linear is not None:
            self._linear.forward(self._xt, scores)
            return
        self._first.forward(self._xt)
        for block in self._blocks:
            block.forward(scores)

    def backward(self) -> None:
        """Compute all gradients from that of the scores in ``g``."""
        if self._linear is not None:
            self._linear.backward(self._x)
            return
        for block in self._blocks:
            block.backward()
        self._first.backward(self._x)


class _Linear:
    """Linear layers from inputs to scores, those of a seed as one matrix, where a network has no hidden ones.

    Args:
        parameters, gradients: (weight, bias) views of shapes (seeds, columns x classes, inputs) and without inputs.
        g: the gradient of the scores, (members, classes, batch).
    """

    def __init__(self, parameters: tuple[Tensor, Tensor], gradients: tuple[Tensor, Tensor], g: Tensor) -> None:
        self._weight, self._bias = parameters[0], parameters[1][..., None]
        self._weight_gradient, self._bias_gradient = gradients
        self._shape = (*parameters[1].shape, g.shape[-1])
        self._g = g.view(self._shape)

    def forward(self, xt: Tensor, scores: Tensor) -> None:
        """Scores of inputs of shape (seeds, inputs, batch)."""
        torch.baddbmm(self._bias, self._weight, xt, out=scores.view(self._shape))

    def backward(self, x: Tensor) -> None:
        """Gradients of the parameters; inputs of shape (seeds, batch, inputs)."""
        torch.bmm(self._g, x, out=self._weight_gradient)
        torch.sum(self._g, -1, out=self._bias_gradient)


class _BlockPass:
    """The layers after the first one, for the columns of a block."""

    def __init__(
        self,
        layout: Layout,
        block: Block,
        weights: Tensor,
        gradients: Tensor,
        norms: Iterator[Norm],
        activation: Activation,
        batch: int,
        dropout: bool,
        first: _Hidden,
        g: Tensor,
    ) -> None:
        n = layout.n_seeds * block.n_columns
        self._rows = slice(block.column * layout.n_seeds, block.column * layout.n_seeds + n)
        width = block.widths[0]

        def mine(whole: Tensor) -> Tensor:
            part = whole[:, block.neurons]
            return part if block.n_columns == 1 else part.view(n, width, batch)

        self._h, self._d = mine(first.h), mine(first.d)
        pairs = [
            tuple(
                (layer[0].of(flat).view(n, *layer[0].shape[2:]), layer[1].of(flat).view(n, *layer[1].shape[2:]))
                for layer in block.layers
            )
            for flat in (weights, gradients)
        ]
        self._hidden = [
            _Hidden(parameters, gradient, next(norms) if block.norms else None, activation, batch, dropout)
            for parameters, gradient in zip(pairs[0][:-1], pairs[1][:-1], strict=True)
        ]
        self._weight, self._bias = pairs[0][-1][0], pairs[0][-1][1][..., None]
        self._weight_gradient, self._bias_gradient = pairs[1][-1]
        self._back = self._weight.transpose(1, 2)
        self._g = g[self._rows]
        self._inputs = [self._h, *(layer.h for layer in self._hidden)]
        self._transposed = [h.transpose(1, 2) for h in self._inputs]
        self._into = [self._d, *(layer.d for layer in self._hidden)]
        unfold = (layout.n_seeds, block.n_columns, -1, batch)
        self.masks: tuple[Tensor, ...] = ()
        if dropout:
            assert first.mask is not None
            masks = [mine(first.mask), *(layer.mask for layer in self._hidden if layer.mask is not None)]
            self.masks = tuple(mask.view(unfold) if mask.is_contiguous() else mask[:, None] for mask in masks)

    def forward(self, scores: Tensor) -> None:
        for layer, h in zip(self._hidden, self._inputs, strict=False):
            layer.forward(h)
        torch.baddbmm(self._bias, self._weight, self._inputs[-1], out=scores[self._rows])

    def backward(self) -> None:
        torch.bmm(self._g, self._transposed[-1], out=self._weight_gradient)
        torch.sum(self._g, -1, out=self._bias_gradient)
        torch.bmm(self._back, self._g, out=self._into[-1])
        for i in range(len(self._hidden) - 1, -1, -1):
            self._hidden[i].backward(self._transposed[i])
            self._hidden[i].back_to(self._into[i])


def make_norms(layout: Layout, weights: Tensor, gradients: Tensor) -> list[Norm]:
    """Batch norm of the joined first layer, then of each block's further hidden layers; empty without."""
    if not layout.batch_norm:
        return []
    flats = (weights, gradients)
    scale, shift = ([slot.of(flat) for flat in flats] for slot in layout.first[2:])
    norms = [Norm(scale[0], shift[0], scale[1], shift[1])]
    for block in layout.blocks:
        for slots in block.norms:
            views = [slot.of(flat).view(-1, slot.shape[-1]) for flat in flats for slot in slots]
            norms.append(Norm(*views))
    return norms


def infer(layout: Layout, weights: Tensor, norms: Sequence[Norm], activation: Activation, inputs: Tensor) -> Tensor:
    """Scores of all members in eval mode: (members, classes, examples).

    Args:
        inputs: of shape (examples, inputs), the same for all members.
    """
    n = len(inputs)
    left = iter(norms)

    def hidden(z: Tensor) -> Tensor:
        if layout.batch_norm:
            z = next(left).infer(z)
        out = z if activation.in_place else torch.empty_like(z)
        activation.forward(z, out)
        return out

    weight, bias = (slot.of(weights).view(-1, *slot.shape[2:]) for slot in layout.first[:2])
    if not layout.blocks:
        return torch.addmm(bias[:, None], weight, inputs.t()).view(layout.n_members, layout.n_classes, n)
    first = hidden(torch.addmm(bias[:, None], weight, inputs.t()).view(layout.n_seeds, -1, n))
    scores = weights.new_empty(layout.n_members, layout.n_classes, n)
    for block in layout.blocks:
        m = layout.n_seeds * block.n_columns
        h = first[:, block.neurons].reshape(m, block.widths[0], n)
        for i, layer in enumerate(block.layers):
            weight, bias = (slot.of(weights).view(m, *slot.shape[2:]) for slot in layer)
            h = torch.baddbmm(bias[..., None], weight, h)
            if i < len(block.layers) - 1:
                h = hidden(h)
        rows = block.column * layout.n_seeds
        scores[rows : rows + m] = h
    return scores
