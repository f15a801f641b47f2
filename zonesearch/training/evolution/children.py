"""Children of a network: flat weight vectors that are judged side by side, as one stacked program."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from zonesearch.training.technique import Loss

__all__ = ["Judge", "same_norm"]


class Judge:
    """Loss and accuracy of weight vectors on fixed data.

    Args:
        network: gives the architecture, and its batch-norm statistics to all children; judged in eval mode.
        loss: mean loss of (outputs, labels).
        inputs, labels: what is judged on.
        batch: examples at a time.
    """

    def __init__(self, network: nn.Module, loss: Loss, inputs: Tensor, labels: Tensor, batch: int = 1024) -> None:
        self._network = network
        self._loss = loss
        self._inputs, self._labels = inputs, labels
        self._batch = batch
        self._shapes = {name: p.shape for name, p in network.named_parameters()}

    def weights(self) -> Tensor:
        """The network's own weights as one flat vector, shape (d,)."""
        return parameters_to_vector(self._network.parameters()).detach()

    def settle(self, weights: Tensor) -> None:
        """Give the network these weights."""
        with torch.no_grad():
            vector_to_parameters(weights, self._network.parameters())

    @torch.no_grad()
    def __call__(self, children: Tensor) -> tuple[Tensor, Tensor]:
        """Losses and accuracies of ``children``, shape (n, d): two tensors of shape (n,)."""
        self._network.eval()
        stacked = self._unflatten(children)
        buffers = dict(self._network.named_buffers())

        def one(weights: dict[str, Tensor], inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
            outputs = functional_call(self._network, {**weights, **buffers}, (inputs,))
            return self._loss(outputs, labels), (outputs.argmax(1) == labels).float().mean()

        losses = children.new_zeros(len(children))
        accuracies = children.new_zeros(len(children))
        for inputs, labels in self._batches():
            loss, accuracy = vmap(one, in_dims=(0, None, None))(stacked, inputs, labels)
            share = len(inputs) / len(self._inputs)
            losses, accuracies = losses + share * loss, accuracies + share * accuracy
        return losses, accuracies

    def gradient(self) -> Tensor:
        """Gradient of the mean loss at the network's own weights, in eval mode, flat, shape (d,)."""
        self._network.eval()
        parameters = list(self._network.parameters())
        total = torch.zeros(sum(p.numel() for p in parameters), device=parameters[0].device)
        for inputs, labels in self._batches():
            loss = self._loss(self._network(inputs), labels) * (len(inputs) / len(self._inputs))
            gradients = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
            total += torch.cat([g.flatten() for g in gradients])
        return total

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        return zip(torch.split(self._inputs, self._batch), torch.split(self._labels, self._batch), strict=True)

    def _unflatten(self, children: Tensor) -> dict[str, Tensor]:
        pieces = torch.split(children, [shape.numel() for shape in self._shapes.values()], dim=1)
        return {
            name: piece.view(len(children), *shape)
            for (name, shape), piece in zip(self._shapes.items(), pieces, strict=True)
        }


def same_norm(update: Tensor, generator: torch.Generator) -> Tensor:
    """Noise in a random direction, as long as ``update``: the control of an update that claims to know where to go."""
    noise = torch.randn(update.shape, generator=generator).to(update)
    noise *= update.norm() / noise.norm()
    return noise
