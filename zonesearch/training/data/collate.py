"""Variable-length examples, batched by a function of the user: ``[data] collate``.

The function is what ``torch.utils.data.DataLoader`` calls ``collate_fn``: it takes a list of (input, target) examples
as the data set has them and returns a batch (inputs, targets). The inputs are a tensor, or a tuple of tensors that are
passed to the network as separate arguments. The targets that it receives are already class numbers 0 to n_classes - 1
(standardised for a regression). It may reorder a batch, since the targets that it returns are used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from zonesearch.errors import ObjectiveError
from zonesearch.training.data.features import Features
from zonesearch.training.networks.factory import imported

__all__ = ["Batch", "Collated", "Inputs", "batch_of", "forward", "part_of", "pieces"]

Batch = Tensor | tuple[Tensor, ...]
"""Inputs of a batch as a network takes them."""

_PIECE = 256  # collated examples evaluated at a time: they may be padded to the longest


@dataclass(frozen=True, eq=False)
class Collated:
    """Examples that a function makes batches of.

    Args:
        items: the examples without their targets; each a tuple of one or several inputs.
        targets: of all examples, on the device.
        path: of the function.
        dtype: of floating-point values.
        kept: all batches of :meth:`pieces`.
    """

    items: Sequence[tuple[Any, ...]]
    targets: Tensor
    path: str
    dtype: torch.dtype = torch.float32
    kept: list[tuple[Batch, Tensor]] = field(default_factory=list, repr=False)

    def __len__(self) -> int:
        return len(self.items)

    @property
    def device(self) -> torch.device:
        """Where batches go."""
        return self.targets.device

    @property
    def is_cuda(self) -> bool:
        """Whether batches go to a GPU."""
        return self.device.type == "cuda"

    def part(self, indices: Tensor) -> Collated:
        """The examples at ``indices``."""
        return Collated(
            [self.items[i] for i in indices.tolist()],
            self.targets[indices.to(self.device)],
            self.path,
            self.dtype,
        )

    def batch(self, indices: Sequence[int]) -> tuple[Batch, Tensor]:
        """The batch of ``indices``: inputs and targets, in the order that the function gives, on the device.

        Raises:
            ObjectiveError: the function raises, or does not return a batch.
        """
        function = imported(self.path, "[data] collate")
        wanted = self.targets[list(indices)].cpu()
        examples = [(*self.items[i], target) for i, target in zip(indices, wanted.tolist(), strict=True)]
        try:
            made = function(examples)
        except Exception as error:  # a user's function may raise anything
            raise ObjectiveError(
                f"[data] collate = {self.path} ended in {type(error).__name__}: {error}; it is given a list of "
                "(input, target) and must return (inputs, targets)"
            ) from error
        inputs, given = self._read(made)
        given = given.reshape(-1) if given.shape == (len(wanted), 1) else given
        if given.shape != wanted.shape or not _alike(given, wanted):
            raise ObjectiveError(
                f"[data] collate = {self.path} must return the targets that it was given, {len(wanted)} of them, "
                f"in the order of its inputs; it returned {_shown(given)} for {_shown(wanted)}"
            )
        moved = tuple(self._moved(tensor) for tensor in inputs)
        return (moved[0] if len(moved) == 1 else moved), given.to(self.device, self.targets.dtype)

    def pieces(self) -> list[tuple[Batch, Tensor]]:
        """All examples in their order, a few at a time; collated once."""
        if not self.kept:
            starts = range(0, len(self), _PIECE)
            self.kept[:] = [self.batch(range(start, min(start + _PIECE, len(self)))) for start in starts]
        return self.kept

    def _read(self, made: Any) -> tuple[tuple[Tensor, ...], Tensor]:
        parts = list(made) if isinstance(made, list | tuple) else []
        if len(parts) == 2 and isinstance(parts[0], list | tuple):
            parts = [*parts[0], parts[1]]
        if len(parts) < 2 or not all(isinstance(part, Tensor) for part in parts):
            kinds = ", ".join(type(part).__name__ for part in parts) or type(made).__name__
            raise ObjectiveError(
                f"[data] collate = {self.path} must return (inputs, targets), the inputs a tensor or a "
                f"tuple of tensors, "
                f"not ({kinds})"
            )
        return tuple(parts[:-1]), parts[-1]

    def _moved(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device, self.dtype if tensor.is_floating_point() else tensor.dtype)


Inputs = Tensor | Collated | Features
"""Inputs of a part of the data: a tensor whose first dimension is examples, examples that are collated later, or
features that the frozen part of a network computes.
"""


def batch_of(inputs: Inputs, targets: Tensor, indices: Tensor) -> tuple[Batch, Tensor]:
    """The examples of ``indices`` as a batch: inputs and targets."""
    if isinstance(inputs, Collated):
        return inputs.batch(indices.tolist())
    if isinstance(inputs, Features):
        return inputs.batch(indices)[0], targets[indices]
    return inputs[indices], targets[indices]


def part_of(inputs: Inputs, indices: Tensor) -> Inputs:
    """The examples at ``indices``, as a part of the data."""
    return inputs[indices] if isinstance(inputs, Tensor) else inputs.part(indices)


def pieces(inputs: Inputs, targets: Tensor, n: int) -> Iterator[tuple[Batch, Tensor]]:
    """All examples in order, ``n`` at a time (fewer if they are collated): inputs and targets."""
    if isinstance(inputs, Collated):
        yield from inputs.pieces()
    elif isinstance(inputs, Features):
        yield from zip(inputs.pieces(n), torch.split(targets, n), strict=True)
    else:
        yield from zip(torch.split(inputs, n), torch.split(targets, n), strict=True)


def forward(network: nn.Module, x: Batch) -> Tensor:
    """The outputs of a network for a batch; several inputs are passed as separate arguments."""
    found: Tensor = network(*x) if isinstance(x, tuple) else network(x)
    return found


def _alike(given: Tensor, wanted: Tensor) -> bool:
    """Whether both hold the same numbers, in any order."""
    a, b = (torch.sort(tensor.detach().cpu().double()).values for tensor in (given, wanted))
    return bool(torch.allclose(a, b, rtol=1e-6, atol=1e-6))


def _shown(values: Tensor) -> str:
    return f"{values.flatten()[:5].tolist()}{'...' if values.numel() > 5 else ''}"
