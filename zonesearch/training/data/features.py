"""Features that the frozen part of a network computes for a part of the data, in place of its examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

__all__ = ["Features"]


@dataclass(frozen=True, eq=False)
class Features:
    """Features of examples, which a network takes instead: it is called with an empty tensor, followed by the features.

    Args:
        tensors: their first dimension is examples, all of the first version, then all of the next; on the device, in
            host memory, or in a mapped file.
        device: where batches go.
        rows: indices of these examples, in order; None for all.
        n_versions: of each example, where augmentations are drawn in advance.
        version: the one that is seen.
    """

    tensors: tuple[Tensor, ...]
    device: torch.device
    rows: Tensor | None = None
    n_versions: int = 1
    version: int = 0

    def __len__(self) -> int:
        return self._n if self.rows is None else len(self.rows)

    @property
    def _n(self) -> int:
        """Number of examples in a version."""
        return len(self.tensors[0]) // self.n_versions

    @property
    def is_cuda(self) -> bool:
        """Whether batches go to a GPU."""
        return self.device.type == "cuda"

    def part(self, indices: Tensor) -> Features:
        """The features at ``indices``; nothing is copied."""
        place = indices.to(self.tensors[0].device)
        return replace(self, rows=place if self.rows is None else self.rows[place])

    def at(self, epoch: int) -> Features:
        """The features of the version that an epoch sees, counted from 0; nothing is copied."""
        return self if self.n_versions == 1 else replace(self, version=epoch % self.n_versions)

    def batch(self, indices: Tensor | Sequence[int] | range) -> tuple[tuple[Tensor, ...], None]:
        """A copy of the batch at ``indices``, as a network takes it."""
        chosen = indices if isinstance(indices, Tensor) else torch.tensor(list(indices))
        chosen = chosen.to(self.tensors[0].device)
        if self.rows is not None:
            chosen = self.rows[chosen]
        if self.version:
            chosen = chosen + self.version * self._n
        found = tuple(tensor[chosen].to(self.device) for tensor in self.tensors)
        return (torch.empty(len(chosen), 0, device=self.device), *found), None

    def pieces(self, n: int) -> Iterator[tuple[Tensor, ...]]:
        """All features in order, ``n`` at a time."""
        for start in range(0, len(self), n):
            yield self.batch(range(start, min(start + n, len(self))))[0]
