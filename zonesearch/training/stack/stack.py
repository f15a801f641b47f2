"""A running product of seeds and columns: its buffers, an epoch of steps, and its evaluation."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from zonesearch.core.seeding import stream_seed
from zonesearch.training.batch_rules import steps_in_epoch
from zonesearch.training.data import Split
from zonesearch.training.networks.dropout import draw_kept
from zonesearch.training.numerics import dtype_of
from zonesearch.training.order import epoch_order
from zonesearch.training.progress import as_bytes, as_tensor
from zonesearch.training.replay import EAGER, is_worth
from zonesearch.training.stack.activations import ACTIVATIONS
from zonesearch.training.stack.judging import judge
from zonesearch.training.stack.layout import Layout
from zonesearch.training.stack.members import Member, Snapshot, trained
from zonesearch.training.stack.network import Network, infer, make_norms
from zonesearch.training.stack.quick import Quick, is_quick
from zonesearch.training.stack.recorded import Descend, Recorded, add_up
from zonesearch.training.stack.updates import UPDATES, Count, clip

__all__ = ["Prepared", "Stack"]

_CHUNK = 4_000_000  # numbers of the scores that are kept until they are counted


@dataclass(frozen=True)
class Prepared:
    """A data set for stacks: flattened examples, in the type of the products.

    Args:
        train, validation, test: (inputs of shape (n, inputs), labels of shape (n,)).
        n_classes: number of classes.
        n: number of training examples in an epoch; where there are several versions of each, all of the first version
            come first.
    """

    train: tuple[Tensor, Tensor]
    validation: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    n_classes: int
    n: int

    @classmethod
    def of(cls, data: Split, precision: str, n: int) -> Prepared:
        """From a split with ``n`` examples in an epoch; it is copied only where its type changes."""
        dtype = torch.bfloat16 if precision == "bf16" else dtype_of(precision)
        parts = []
        for x, y in (data.train, data.validation, data.test):
            assert isinstance(x, Tensor)
            parts.append((x.flatten(1).to(dtype), y))
        train, validation, test = parts
        return cls(train, validation, test, data.n_classes, n)

    def first(self, epoch: int) -> int:
        """The index at which the examples of an epoch begin, counted from 0."""
        return epoch * self.n % len(self.train[1])


@dataclass(frozen=True)
class _Group:
    """Members that the optimizer treats alike for now: their tensors, and a learning rate."""

    member: Member
    parameters: list[Tensor]
    gradients: list[Tensor]
    buffers: list[list[Tensor]]
    rate: float | None

    def rate_at(self, step: int, n_steps: int) -> float:
        """The rate of a step; asked of the schedule unless it stays the same for the epoch."""
        if self.rate is not None:
            return self.rate
        member = self.member
        history = member.curve["validation_accuracy"]
        return member.schedule.rate(member.base, step, n_steps, member.training.epochs, history)


class Stack:
    """Networks under way.

    Args:
        grid: the members, for each seed a row of columns.
        data: prepared.
        n_steps: finished so far.
    """

    def __init__(self, grid: list[list[Member]], data: Prepared, n_steps: int = 0) -> None:
        self.grid = grid
        self.n_steps = n_steps
        self._data = data
        first = grid[0][0].settings
        widths = tuple(member.hidden for member in grid[0])
        n_inputs = data.train[0].shape[1]
        self.layout = Layout(len(grid), widths, n_inputs, data.n_classes, first.network.batch_norm)
        self._batch = first.training.batch
        self._fixed_steps = first.training.steps_per_epoch
        self._activation = ACTIVATIONS[first.network.activation]
        self._update = UPDATES[first.optimizer.name]
        device = data.train[0].device
        kept = dtype_of(first.training.precision)
        self.flat = torch.zeros(self.layout.n_numbers, dtype=kept, device=device)
        self._gradients = torch.zeros_like(self.flat)
        self.buffers = [torch.zeros_like(self.flat) for _ in range(self._update.n_buffers)]
        self._low = data.train[0].dtype != kept  # products are computed in another type than weights are kept in
        self._weights = self.flat.to(data.train[0].dtype) if self._low else self.flat
        self._products = torch.zeros_like(self._weights) if self._low else self._gradients
        self._norms = make_norms(self.layout, self._weights, self._products)
        self._networks: dict[int, Network] = {}
        self._quick: dict[int, Quick | None] = {}
        self._recorded: Recorded | None = None
        self._count = Count(torch.zeros((), device=device))
        self.orders = [torch.Generator() for _ in grid]
        self._dropout = any(member.settings.network.dropout for row in grid for member in row)
        self._clips = any(member.settings.training.clip for row in grid for member in row)

    @classmethod
    def fresh(cls, grid: list[list[Member]], data: Split, prepared: Prepared, study_seed: int) -> Stack:
        """A stack at its beginning."""
        stack = cls(grid, prepared)
        heads: dict[int, Sequence[Tensor]] = {}  # of a seed all are alike, and a backbone takes long to build
        for (seed, column), member in stack.places():
            parameters = heads.get(seed) or trained(member.network(data, study_seed))
            if not member.hidden:
                heads[seed] = parameters
            stack._fill(seed, column, parameters)
        for row, order in zip(grid, stack.orders, strict=True):
            order.manual_seed(stream_seed(study_seed, "order", row[0].training.seed))
        return stack

    def part(self, grid: list[list[Member]]) -> Stack:
        """A stack of some of the members, which continues from the present state."""
        stack = Stack(grid, self._data, self.n_steps)
        old = {id(member): place for place, member in self.places()}
        for place, member in stack.places():
            whence = old[id(member)]
            for mine, theirs in zip([stack.flat, *stack.buffers], [self.flat, *self.buffers], strict=True):
                for a, b in zip(stack.layout.member(mine, *place), self.layout.member(theirs, *whence), strict=True):
                    a.copy_(b)
            for now, before in zip(stack._statistics(*place), self._statistics(*whence), strict=True):
                now[0].copy_(before[0])
                now[1].copy_(before[1])
        seeds = {row[0].training.seed: order for row, order in zip(self.grid, self.orders, strict=True)}
        for row, order in zip(grid, stack.orders, strict=True):
            order.set_state(seeds[row[0].training.seed].get_state())
        return stack

    def close(self) -> None:
        """Take no more steps: what is recorded of them refers to the stack, and would keep its memory for long."""
        self._recorded = None

    def places(self) -> Iterator[tuple[tuple[int, int], Member]]:
        """((seed, column), member) of all members."""
        for seed, column in product(range(self.layout.n_seeds), range(self.layout.n_columns)):
            yield (seed, column), self.grid[seed][column]

    # -- weights in and out

    def _fill(self, seed: int, column: int, parameters: Sequence[Tensor]) -> None:
        for place, parameter in zip(self.layout.member(self.flat, seed, column), parameters, strict=True):
            place.copy_(parameter.detach())

    def _statistics(self, seed: int, column: int) -> list[tuple[Tensor, Tensor]]:
        """(mean, variance) of each batch norm of a member, as views."""
        if not self._norms:
            return []
        low = sum(widths[0] for widths in self.layout.widths[:column])
        high = low + self.layout.widths[column][0]
        found = [(self._norms[0].mean[seed, low:high], self._norms[0].variance[seed, low:high])]
        left = iter(self._norms[1:])
        for block in self.layout.blocks:
            for norm in [next(left) for _ in block.norms]:
                if block.column <= column < block.column + block.n_columns:
                    row = seed * block.n_columns + column - block.column
                    found.append((norm.mean[row], norm.variance[row]))
        return found

    def snapshot(self, seed: int, column: int) -> Snapshot:
        """A copy of a member's weights as they are."""
        parameters = [tensor.clone() for tensor in self.layout.member(self.flat, seed, column)]
        return Snapshot(parameters, [(m.clone(), v.clone()) for m, v in self._statistics(seed, column)])

    def state(self, seed: int, column: int) -> dict[str, Any]:
        """Everything that a longer training of a member needs to continue from here."""
        member, now = self.grid[seed][column], self.snapshot(seed, column)
        curve, tested, right = member.passing or (member.curve, member.tested, member.right)
        return {
            "step": self.n_steps,
            "curve": curve,
            "right": as_tensor(right),
            "parameters": now.parameters,
            "norms": now.norms,
            "buffers": [[t.clone() for t in self.layout.member(flat, seed, column)] for flat in self.buffers],
            "tested": None if tested is None else (tested.parameters, tested.norms),
            "order": self.orders[seed].get_state(),
            "dropout": None if member.dropout is None else member.dropout.get_state(),
        }

    def resume(self, seed: int, column: int, state: dict[str, Any]) -> None:
        """Bring a member, whose curve was taken from the state already, to a kept state."""
        member = self.grid[seed][column]
        self._fill(seed, column, state["parameters"])
        member.right = as_bytes(state["right"])
        for flat, tensors in zip(self.buffers, state["buffers"], strict=True):
            for place, tensor in zip(self.layout.member(flat, seed, column), tensors, strict=True):
                place.copy_(tensor)
        for mine, kept in zip(self._statistics(seed, column), state["norms"], strict=True):
            mine[0].copy_(kept[0])
            mine[1].copy_(kept[1])
        if state["tested"] is not None:
            member.tested = Snapshot(*state["tested"])
        self.orders[seed].set_state(state["order"])
        if member.dropout is not None:
            member.dropout.set_state(state["dropout"])
        self.n_steps = state["step"]

    # -- an epoch

    def epoch(self) -> tuple[list[float], list[float], list[float]]:
        """One epoch of steps; mean training loss, accuracy and last learning rate of each row of ``rows``."""
        labels = self._data.train[1]
        n, batch = self._data.n, self._batch
        n_steps = steps_in_epoch(n, batch, self._fixed_steps)
        order = torch.stack([epoch_order(n, batch, n_steps, order) for order in self.orders]).to(labels.device)
        order += self._data.first(self.grid[0][0].n_epochs)
        if self._low:
            self._weights.copy_(self.flat)
        groups = self._groups(n_steps)
        shape = self.layout.by_seed
        loss = torch.zeros(shape, dtype=torch.float64, device=labels.device)
        right = torch.zeros(shape, dtype=torch.int64, device=labels.device)
        seen = order.shape[1]
        whole = seen // batch * batch
        per_step = self.layout.n_members * self._data.n_classes * batch
        steps = max(1, _CHUNK // per_step)
        for start in range(0, whole, steps * batch):
            self._steps(order[:, start : min(start + steps * batch, whole)], batch, groups, n_steps, loss, right)
        left = order[:, whole:]
        if left.shape[1] == 1 and self._norms:  # one example has no variance to normalise by
            for seed, one in enumerate(left):
                scores = infer(self.layout, self._weights, self._norms, self._activation, self._data.train[0][one])
                answers = scores.view(*shape, self._data.n_classes, 1)[:, seed].argmax(-2)
                right[:, seed] += answers.eq(labels[one]).sum(-1)
        elif left.shape[1]:
            self._steps(left, left.shape[1], groups, n_steps, loss, right)
        rates = [0.0] * self.layout.n_members
        place_of = {id(member): self.layout.row(*place) for place, member in self.places()}
        for group, members in groups:
            rate = group.rate_at(self.n_steps - 1, n_steps)
            for member in members:
                rates[place_of[id(member)]] = rate
        return (loss.flatten() / seen).tolist(), (right.flatten().double() / seen).tolist(), rates

    def _steps(
        self,
        order: Tensor,
        batch: int,
        groups: Sequence[tuple[_Group, list[Member]]],
        n_steps: int,
        loss: Tensor,
        right: Tensor,
    ) -> None:
        """Steps over ``order``, (seeds, a multiple of the batch) indices; adds to loss and right answers."""
        n = order.shape[1] // batch
        left = max(member.training.epochs - member.n_epochs for _, member in self.places()) * n_steps
        if n <= EAGER or not self._update.takes_tensors or not is_worth(left, self.flat):
            return self._one_by_one(order, batch, groups, n_steps, loss, right)
        recorded = self._recorded
        key = batch, tuple((tuple(map(id, members)), group.member.settings.optimizer) for group, members in groups)
        if recorded is None or recorded.key != key or recorded.n_steps < n:
            self._one_by_one(order[:, : EAGER * batch], batch, groups, n_steps, loss, right)
            order, n = order[:, EAGER * batch :], n - EAGER
            recorded = self._recorded = self._record(key, n_steps, batch, groups)
        rates = [[group.rate_at(self.n_steps + i, n_steps) for group, _ in groups] for i in range(n)]
        examples = order.view(self.layout.n_seeds, n, batch).transpose(0, 1).reshape(n, -1)
        recorded.take(examples, rates, loss, right)
        self.n_steps += n
        self._count.number = self.n_steps
        return None

    def _record(
        self, key: Hashable, n_steps: int, batch: int, groups: Sequence[tuple[_Group, list[Member]]]
    ) -> Recorded:
        """Record the step after those that were taken."""

        def update(rates: Tensor) -> None:
            self._count.on_device.add_(1)
            self._update_weights(groups, rates.unbind())

        generators = [member.dropout for _, member in self.places() if member.dropout is not None]
        return Recorded(
            key, n_steps, self.layout, self._data.train[1], self._data.n_classes, batch, len(groups), self.flat,
            self._pass(batch), update, generators,
        )  # fmt: skip

    def _one_by_one(
        self,
        order: Tensor,
        batch: int,
        groups: Sequence[tuple[_Group, list[Member]]],
        n_steps: int,
        loss: Tensor,
        right: Tensor,
    ) -> None:
        """As :meth:`_steps`."""
        layout = self.layout
        n_seeds, k = layout.n_seeds, self._data.n_classes
        n = order.shape[1] // batch
        chosen = order.view(n_seeds, n, batch).transpose(0, 1)
        labels = self._data.train[1][chosen]
        wanted = functional.one_hot(labels, k).transpose(2, 3).to(self.flat.dtype)[:, :, None]
        scores = self.flat.new_empty(n, layout.n_members, k, batch)
        turns = zip(chosen.reshape(n, -1).unbind(0), wanted.unbind(0), scores.unbind(0), strict=True)
        quick = self._quickly(batch)
        with np.errstate(all="ignore"):  # what diverges is seen in its loss
            descend = self._pass(batch) if quick is None else quick.step
            for turn in turns:
                descend(*(turn if quick is None else (each.numpy() for each in turn)))
                self.n_steps += 1
                self._count.set(self.n_steps)
                self._update_weights(groups, [group.rate_at(self.n_steps - 1, n_steps) for group, _ in groups])
        add_up(layout, scores, labels, loss, right)

    def _pass(self, batch: int) -> Descend:
        network = self._network(batch)
        low = network.g.new_empty(network.g.shape) if self._low else None
        g = self.flat.new_empty(network.g.shape) if self._low else network.g
        by_seed = g.view(*self.layout.by_seed, self._data.n_classes, batch)
        inputs = self._data.train[0]
        share = 1 / batch

        def descend(these: Tensor, ones: Tensor, score: Tensor) -> None:
            torch.index_select(inputs, 0, these, out=network.x)
            if self._dropout:
                self._drop(network)
            if low is None:
                network.forward(score)
            else:
                network.forward(low)
                score.copy_(low)
            torch.softmax(score, 1, out=g)
            by_seed.sub_(ones)
            g.mul_(share)
            if self._low:
                network.g.copy_(g)
            network.backward()
            if self._low:
                self._gradients.copy_(self._products)

        return descend

    def _update_weights(
        self, groups: Sequence[tuple[_Group, list[Member]]], rates: Sequence[float] | Sequence[Tensor]
    ) -> None:
        """The optimizer's step, from the gradients, with a rate for each group."""
        if self._clips:
            self._clip()
        update = self._update.step
        for (group, _), rate in zip(groups, rates, strict=True):
            settings = group.member.settings.optimizer
            update(group.parameters, group.gradients, group.buffers, settings, rate, self._count)
        if self._low:
            self._weights.copy_(self.flat)

    def _network(self, batch: int) -> Network:
        if batch not in self._networks:
            self._networks[batch] = Network(
                self.layout, self._weights, self._products, self._norms, self._activation, batch, self._dropout
            )
        return self._networks[batch]

    def _quickly(self, batch: int) -> Quick | None:
        if batch not in self._quick:
            layout, name = self.layout, self.grid[0][0].settings.network.activation
            fits = not self._low and is_quick(layout, self._weights, name, batch, self._dropout)
            inputs = self._data.train[0]
            quick = Quick(layout, self._weights, self._products, name, batch, inputs) if fits else None
            self._quick[batch] = quick
        return self._quick[batch]

    def _drop(self, network: Network) -> None:
        """Fill the masks of a batch, each member from its own stream."""
        for block, masks in zip(self.layout.blocks, network.masks, strict=True):
            for (seed, column), member in self.places():
                place = column - block.column
                if member.dropout is not None and 0 <= place < block.n_columns:
                    for mask in masks:
                        kept = torch.empty(mask.shape[2:], device=mask.device)
                        mask[seed, place] = draw_kept(kept, member.settings.network.dropout, member.dropout)

    def _clip(self) -> None:
        for place, member in self.places():
            if member.settings.training.clip:
                clip(self.layout.member(self._gradients, *place), member.settings.training.clip)

    def _groups(self, n_steps: int) -> list[tuple[_Group, list[Member]]]:
        """Members by what the optimizer does with them in this epoch: one group where nothing differs."""
        found: dict[tuple[Any, ...], list[tuple[tuple[int, int], Member]]] = {}
        rates: dict[tuple[Any, ...], float | None] = {}
        for place, member in self.places():
            schedule, epochs, history = member.schedule, member.training.epochs, member.curve["validation_accuracy"]
            rate = None
            own: Any = (schedule, member.base, epochs, tuple(history) if schedule.uses_history else ())
            if not schedule.within_epoch:
                own = rate = schedule.rate(member.base, self.n_steps, n_steps, epochs, history)
            key = (own, replace(member.settings.optimizer, learning_rate=1.0))
            rates[key] = rate
            found.setdefault(key, []).append((place, member))
        groups = []
        for key, placed in found.items():
            places, members = [place for place, _ in placed], [member for _, member in placed]
            tensors = [self.layout.members(flat, places) for flat in (self.flat, self._gradients, *self.buffers)]
            groups.append((_Group(members[0], tensors[0], tensors[1], tensors[2:], rates[key]), members))
        return groups

    # -- evaluation

    def evaluate(self) -> tuple[list[float], list[float], list[bytes]]:
        """Mean validation loss and accuracy of each row, and its right answers, a bit each."""
        if self._low:
            self._weights.copy_(self.flat)
        return judge(self.layout, self._weights, self._norms, self._activation, *self._data.validation)

    def test(self, member: Member) -> tuple[float, bytes]:
        """Test accuracy of the weights that a member keeps to be tested, and the right answers, a bit each."""
        assert member.tested is not None
        layout = Layout(1, (member.hidden,), self.layout.n_inputs, self.layout.n_classes,
                        self.layout.batch_norm)  # fmt: skip
        flat = self.flat.new_zeros(layout.n_numbers)
        for place, tensor in zip(layout.member(flat, 0, 0), member.tested.parameters, strict=True):
            place.copy_(tensor)
        weights = flat.to(self._weights.dtype)
        norms = make_norms(layout, weights, weights)
        for norm, (mean, variance) in zip(norms, member.tested.norms, strict=True):
            norm.mean.copy_(mean)
            norm.variance.copy_(variance)
        _, accuracy, right = judge(layout, weights, norms, self._activation, *self._data.test)
        return accuracy[0], right[0]
