"""The memory layout of a stack: networks of several widths and seeds in one flat buffer.

A stack is a product of ``n_seeds`` seeds, each with its own order of the data, and columns, networks with their own
widths and settings. The members of one seed see the same batch, so their first layers form one matrix; columns of equal
widths form a *block*, whose further layers form batched matrices. Everything is in one buffer, so that one pass of the
optimizer updates every member.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

from torch import Tensor

__all__ = ["Block", "Layout", "Slot"]

_ALIGN = 16  # values: 64 bytes of float32, a cache line


@dataclass(frozen=True)
class Slot:
    """One tensor in a flat buffer, starting at element ``offset``; its first dimension is the seed."""

    offset: int
    shape: tuple[int, ...]

    @property
    def end(self) -> int:
        """Where the next slot may begin."""
        return self.offset + -(-prod(self.shape) // _ALIGN) * _ALIGN

    def of(self, flat: Tensor) -> Tensor:
        """The tensor, a view of ``flat``."""
        return flat[self.offset : self.offset + prod(self.shape)].view(self.shape)


@dataclass(frozen=True)
class Block:
    """Columns of equal widths.

    Args:
        widths: of their hidden layers.
        n_columns: number of columns.
        column: index of the first one.
        neuron: index of its first neuron in the joined first layer.
        layers: (weight, bias) of each layer after the first, with the output layer last.
        norms: (scale, shift) of each hidden layer after the first; empty without batch norm.
    """

    widths: tuple[int, ...]
    n_columns: int
    column: int
    neuron: int
    layers: tuple[tuple[Slot, Slot], ...]
    norms: tuple[tuple[Slot, Slot], ...]

    @property
    def neurons(self) -> slice:
        """Its part of the joined first layer."""
        return slice(self.neuron, self.neuron + self.n_columns * self.widths[0])


@dataclass(frozen=True)
class Layout:
    """The slots of a stack of feed-forward networks.

    Args:
        n_seeds: number of seeds.
        widths: for each column the widths of its hidden layers; all columns have the same number of layers. Without
            hidden layers, each column is a linear layer from inputs to scores: the first layer is the last, and there
            are no blocks.
        n_inputs, n_classes: of all members.
        batch_norm: whether hidden layers are normalised.
    """

    n_seeds: int
    widths: tuple[tuple[int, ...], ...]
    n_inputs: int
    n_classes: int
    batch_norm: bool = False

    @property
    def n_columns(self) -> int:
        return len(self.widths)

    @property
    def n_members(self) -> int:
        return self.n_seeds * self.n_columns

    @property
    def n_neurons(self) -> int:
        """Neurons of the joined first layer, per seed."""
        return sum((*widths, self.n_classes)[0] for widths in self.widths)

    @cached_property
    def first(self) -> tuple[Slot, ...]:
        """The joined first layer: weight, bias, and with batch norm scale and shift."""
        n = self.n_neurons
        shapes: list[tuple[int, ...]] = [(n, self.n_inputs)] + [(n,)] * (3 if self.batch_norm else 1)
        return self._slots(0, [(self.n_seeds, *shape) for shape in shapes])

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The columns, grouped into blocks that can be batched matrices."""
        if not self.widths[0]:
            return ()
        # With several blocks and seeds, columns are not evenly spaced in the first layer: each is its own block.
        joinable = self.n_seeds == 1 or len(set(self.widths)) == 1
        blocks: list[Block] = []
        end, column, neuron = self.first[-1].end, 0, 0
        while column < self.n_columns:
            widths, n = self.widths[column], 1
            while joinable and column + n < self.n_columns and self.widths[column + n] == widths:
                n += 1
            outs = (*widths[1:], self.n_classes)
            shapes: list[tuple[int, ...]] = []
            for n_in, n_out in zip(widths, outs, strict=True):
                shapes += [(n_out, n_in), (n_out,)]
            n_linear = len(shapes)
            if self.batch_norm:
                shapes += [(width,) for width in widths[1:] for _ in range(2)]
            slots = self._slots(end, [(self.n_seeds, n, *shape) for shape in shapes])
            pairs = tuple(zip(slots[::2], slots[1::2], strict=True))
            blocks.append(Block(widths, n, column, neuron, pairs[: n_linear // 2], pairs[n_linear // 2 :]))
            end, column, neuron = slots[-1].end, column + n, neuron + n * widths[0]
        return tuple(blocks)

    @staticmethod
    def _slots(start: int, shapes: Iterable[tuple[int, ...]]) -> tuple[Slot, ...]:
        slots: list[Slot] = []
        for shape in shapes:
            slots.append(Slot(slots[-1].end if slots else start, shape))
        return tuple(slots)

    @property
    def n_numbers(self) -> int:
        """Length of the flat buffer."""
        if not self.blocks:
            return self.first[-1].end
        last = self.blocks[-1]
        return (last.norms or last.layers)[-1][-1].end

    @property
    def by_seed(self) -> tuple[int, int, int]:
        """The shape of the members' rows (of scores): (outer, seeds, inner); either outer or inner is 1."""
        if not self.blocks or (len(self.blocks) == 1 and self.n_seeds > 1):
            return 1, self.n_seeds, self.n_columns
        return self.n_columns, self.n_seeds, 1

    def row(self, seed: int, column: int) -> int:
        """The row of a member in the scores of all."""
        outer, n_seeds, inner = self.by_seed
        return seed * inner + column if outer == 1 else column * n_seeds + seed

    def member(self, flat: Tensor, seed: int, column: int) -> list[Tensor]:
        """The parameters of one member as views of ``flat``, in the order of ``nn.Module.parameters``."""
        if not self.blocks:
            k = self.n_classes
            return [slot.of(flat)[seed, column * k : (column + 1) * k] for slot in self.first]
        block = next(b for b in self.blocks if b.column <= column < b.column + b.n_columns)
        place = column - block.column
        low = block.neuron + place * block.widths[0]
        ordered = [slot.of(flat)[seed, low : low + block.widths[0]] for slot in self.first]
        for i, layer in enumerate(block.layers):
            ordered += [slot.of(flat)[seed, place] for slot in layer]
            if i < len(block.norms):
                ordered += [slot.of(flat)[seed, place] for slot in block.norms[i]]
        return ordered

    def members(self, flat: Tensor, places: Sequence[tuple[int, int]]) -> list[Tensor]:
        """The parameters of several members, concatenated; ``flat`` itself if that is all of them."""
        if len(places) == self.n_members:
            return [flat]
        return [tensor for seed, column in places for tensor in self.member(flat, seed, column)]
