"""Features that the frozen part of a network computes for a part of the data, in place of its examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Features"]


@dataclass(frozen=True, eq=False)
class Features:
    """Features of examples, which a network takes instead: it is called with an empty tensor, followed by the features.

    Args:
        tensors: their first dimension is examples; on the device, in host memory, or in a mapped file.
        device: where batches go.
        rows: indices of these examples, in order; None for all.
    """

    tensors: tuple[Tensor, ...]
    device: torch.device
    rows: Tensor | None = None

    def __len__(self) -> int:
        return len(self.tensors[0] if self.rows is None else self.rows)

    @property
    def is_cuda(self) -> bool:
        """Whether batches go to a GPU."""
        return self.device.type == "cuda"

    def part(self, indices: Tensor) -> Features:
        """The features at ``indices``; nothing is copied."""
        place = indices.to(self.tensors[0].device)
        return Features(self.tensors, self.device, place if self.rows is None else self.rows[place])

    def batch(self, indices: Tensor | Sequence[int] | range) -> tuple[tuple[Tensor, ...], None]:
        """A copy of the batch at ``indices``, as a network takes it."""
        chosen = indices if isinstance(indices, Tensor) else torch.tensor(list(indices))
        chosen = chosen.to(self.tensors[0].device)
        if self.rows is not None:
            chosen = self.rows[chosen]
        found = tuple(tensor[chosen].to(self.device) for tensor in self.tensors)
        return (torch.empty(len(chosen), 0, device=self.device), *found), None

    def pieces(self, n: int) -> Iterator[tuple[Tensor, ...]]:
        """All features in order, ``n`` at a time."""
        for start in range(0, len(self), n):
            yield self.batch(range(start, min(start + n, len(self))))[0]
