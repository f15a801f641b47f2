"""Children of a network: flat weight vectors that are judged side by side, as one stacked program.

The weights that evolve are those that descent trains: what is frozen stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from zonesearch.training.numerics import autocast
from zonesearch.training.step import flat_gradient
from zonesearch.training.technique import Loss

__all__ = ["Judge", "same_norm"]


class Judge:
    """Loss and accuracy of weight vectors on fixed data.

    Args:
        network: gives the architecture, and its batch-norm statistics to all children; judged in eval mode.
        loss: mean loss of (outputs, labels).
        inputs, labels: what is judged on.
        batch: examples at a time.
        precision: of products.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: Loss,
        inputs: Tensor,
        labels: Tensor,
        batch: int = 1024,
        precision: str = "float32",
    ) -> None:
        self._network = network
        self._precision = precision
        self._loss = loss
        self._inputs, self._labels = inputs, labels
        self._batch = batch
        self._shapes = {name: p.shape for name, p in network.named_parameters() if p.requires_grad}
        self._parameters = [p for p in network.parameters() if p.requires_grad]

    def weights(self) -> Tensor:
        """The network's own weights as one flat vector, shape (d,)."""
        return parameters_to_vector(self._parameters).detach()

    def settle(self, weights: Tensor) -> None:
        """Give the network these weights."""
        with torch.no_grad():
            vector_to_parameters(weights, self._parameters)

    @torch.no_grad()
    def __call__(self, children: Tensor) -> tuple[Tensor, Tensor]:
        """Losses and accuracies of ``children``, shape (n, d): two tensors of shape (n,)."""
        self._network.eval()
        stacked = self._unflatten(children)
        buffers = dict(self._network.named_buffers())

        def one(weights: dict[str, Tensor], inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
            with autocast(self._precision, inputs.device):
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
        total = torch.zeros_like(self.weights())
        for inputs, labels in self._batches():
            share = len(inputs) / len(self._inputs)

            def loss(outputs: Tensor, wanted: Tensor, share: float = share) -> Tensor:
                return self._loss(outputs, wanted) * share

            total += flat_gradient(self._network, loss, inputs, labels, self._parameters, self._precision)
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
