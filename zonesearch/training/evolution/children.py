"""Children of a network: flat weight vectors that are evaluated together, as one stacked program.

The weights that evolve are those that gradient descent trains; frozen ones stay as they are.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from zonesearch.training.data.collate import Batch, Inputs, pieces
from zonesearch.training.memory import is_out_of_memory
from zonesearch.training.numerics import autocast
from zonesearch.training.step import flat_gradient
from zonesearch.training.technique import Loss

__all__ = ["Judge", "same_norm"]


class Judge:
    """Loss and accuracy of weight vectors on fixed data.

    Args:
        network: provides the architecture, and the batch-norm statistics of all children; evaluated in eval mode.
        loss: mean loss of (outputs, labels).
        inputs, labels: the data for evaluation.
        batch: examples at a time.
        precision: of products.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: Loss,
        inputs: Inputs,
        labels: Tensor,
        batch: int = 1024,
        precision: str = "float32",
    ) -> None:
        self._network = network
        self._precision = precision
        self._loss = loss
        self._inputs, self._labels = inputs, labels
        self._batch = batch
        self._stacks = True
        self._shapes = {name: p.shape for name, p in network.named_parameters() if p.requires_grad}
        self._parameters = [p for p in network.parameters() if p.requires_grad]

    def weights(self) -> Tensor:
        """The network's own weights as one flat vector, shape (d,)."""
        return torch.cat([parameter.detach().reshape(-1) for parameter in self._parameters])

    def settle(self, weights: Tensor) -> None:
        """Give the network these weights."""
        with torch.no_grad():  # in place: a weight that became a view of the vector would be computed differently
            pieces = torch.split(weights, [parameter.numel() for parameter in self._parameters])
            for parameter, piece in zip(self._parameters, pieces, strict=True):
                parameter.copy_(piece.view_as(parameter))

    @torch.no_grad()
    def __call__(self, children: Tensor) -> tuple[Tensor, Tensor]:
        """Losses and accuracies of ``children``, shape (n, d): two tensors of shape (n,)."""
        self._network.eval()
        stacked = self._unflatten(children)
        buffers = dict(self._network.named_buffers())

        def one(weights: dict[str, Tensor], inputs: Batch, labels: Tensor) -> tuple[Tensor, Tensor]:
            with autocast(self._precision, labels.device):
                handed = inputs if isinstance(inputs, tuple) else (inputs,)
                outputs = functional_call(self._network, {**weights, **buffers}, handed)
                loss = self._loss(outputs, labels)
                if labels.is_floating_point():  # regression values are neither right nor wrong
                    return loss, torch.zeros_like(loss, dtype=torch.float32)
                return loss, (outputs.argmax(1) == labels).float().mean()

        losses = children.new_zeros(len(children))
        accuracies = children.new_zeros(len(children))
        for inputs, labels in self._batches():
            loss, accuracy = self._of_each(one, stacked, inputs, labels)
            share = len(labels) / len(self._labels)
            losses, accuracies = losses + share * loss, accuracies + share * accuracy
        return losses, accuracies

    def gradient(self) -> Tensor:
        """Gradient of the mean loss at the network's own weights, in eval mode, flat, shape (d,)."""
        self._network.eval()
        total = torch.zeros_like(self.weights())
        for inputs, labels in self._batches():
            share = len(labels) / len(self._labels)

            def loss(outputs: Tensor, wanted: Tensor, share: float = share) -> Tensor:
                return self._loss(outputs, wanted) * share

            total += flat_gradient(self._network, loss, inputs, labels, self._parameters, self._precision)
        return total

    def _of_each(
        self, one: Callable[..., tuple[Tensor, Tensor]], stacked: dict[str, Tensor], inputs: Batch, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Loss and accuracy of each child: as one stacked program, or one after the other if torch cannot vectorise the
        user's network or loss.
        """
        if self._stacks:
            try:
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", "There is a performance drop", UserWarning)
                    return vmap(one, in_dims=(0, None, None))(stacked, inputs, labels)
            except RuntimeError as error:
                if is_out_of_memory(error):
                    raise
                self._stacks = False
        n = len(next(iter(stacked.values())))
        found = [one({name: piece[i] for name, piece in stacked.items()}, inputs, labels) for i in range(n)]
        return torch.stack([loss for loss, _ in found]), torch.stack([accuracy for _, accuracy in found])

    def _batches(self) -> Iterator[tuple[Batch, Tensor]]:
        return pieces(self._inputs, self._labels, self._batch)

    def _unflatten(self, children: Tensor) -> dict[str, Tensor]:
        pieces = torch.split(children, [shape.numel() for shape in self._shapes.values()], dim=1)
        return {
            name: piece.view(len(children), *shape)
            for (name, shape), piece in zip(self._shapes.items(), pieces, strict=True)
        }


def same_norm(update: Tensor, generator: torch.Generator) -> Tensor:
    """Noise in a random direction with the norm of ``update``: the control for an informed update."""
    noise = torch.randn(update.shape, generator=generator).to(update)
    noise *= update.norm() / noise.norm()
    return noise
