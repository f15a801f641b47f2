"""One better network out of one training: the mean of its weights along the way, or an ensemble of its snapshots.

Weight averaging (SWA, Izmailov et al. 2018) is the running mean of the weights once the network has come near an
optimum; torch's ``swa_utils`` does the arithmetic. The batch-norm statistics of averaged weights are wrong, so they are
recomputed before evaluation. Snapshot ensembles (Huang et al. 2017) and fast geometric ensembles (Garipov et al. 2018)
keep the networks instead. Which epochs count is determined by the schedule if it has cycles (``swa``, ``snapshot``,
``fge``, ``sgdr``, the triangles); under any other schedule, by ``start`` and ``every``.

From the first member on, the average is evaluated instead of the network itself, and only these epochs compete for the
best epoch. A training that ended before its first member was never averaged, and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from zonesearch.errors import StudyError
from zonesearch.training.augmentation import Drawn
from zonesearch.training.data.collate import Batch, Inputs
from zonesearch.training.data.collate import forward as answers
from zonesearch.training.ensembles import Ensemble
from zonesearch.training.networks.twins import load_whole_state, twin, whole_state
from zonesearch.training.schedules import Schedule
from zonesearch.training.schedules.members import members
from zonesearch.training.step import scores_of
from zonesearch.training.technique import Hooks, Run, check_table

__all__ = ["Averaging", "has_batch_norm", "refresh_batch_norm", "statistics_pass"]

_REFRESH_BATCH = 256


@dataclass(frozen=True)
class Averaging:
    """The table ``[averaging]``.

    Args:
        kind: ``weights`` (one network, the mean) or ``ensemble`` (all of them, the mean of their predictions).
        start: fraction of the training after which members are taken; by default 0.75, or what the schedule specifies.
        every: epochs between members under a schedule without cycles.
        keep: number of most recent members that an ensemble holds; all by default.
    """

    kind: str = "weights"
    start: float | None = None
    every: int = 1
    keep: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("weights", "ensemble"):
            raise StudyError(f'[averaging] kind is "weights" or "ensemble", not {self.kind!r}')
        if self.start is not None and not 0 <= self.start < 1:
            raise StudyError(f"[averaging] start is a share of the training, 0 to below 1, not {self.start}")
        if self.every < 1 or (self.keep is not None and self.keep < 1):
            raise StudyError(f"[averaging] every and keep must be at least 1, not {self.every} and {self.keep}")
        if self.keep is not None and self.kind == "weights":
            raise StudyError("[averaging] keep is for an ensemble: a mean of weights holds all of them; leave keep out")

    @classmethod
    def from_table(cls, table: dict[str, Any]) -> Averaging:
        """Read the table.

        Raises:
            StudyError: for an unknown key or a wrong value.
        """
        check_table(cls, table, "averaging")
        return cls(**table)

    def points(self, run: Run) -> tuple[int, ...]:
        """The epochs, counted from 1, after which a member is taken.

        Raises:
            StudyError: the schedule's cycles do not end at epoch boundaries.
        """
        return self.points_of(run.schedule, run.epochs, run.steps_per_epoch, run.base_rate)

    def points_of(self, schedule: Schedule, epochs: int, steps_per_epoch: int, base: float) -> tuple[int, ...]:
        """As :meth:`points`, before anything trains."""
        cycles = members(schedule, epochs, steps_per_epoch, base)
        if cycles is not None:
            if self.every > 1:
                raise StudyError(
                    f'every = {self.every} is for a schedule without cycles, but "{schedule}" says itself when '
                    f"members are taken; leave out every"
                )
            return tuple(point for point in cycles if point >= (self.start or 0.0) * epochs)
        first = (0.75 if self.start is None else self.start) * epochs
        return tuple(point for point in range(self.every, epochs + 1, self.every) if point >= first)

    def looks_at_length(self, schedule: Schedule) -> bool:
        """Whether a shorter training takes different members than the beginning of a longer one."""
        if self.start is None:
            return not schedule.has_members
        return self.start > 0

    def begin(self, run: Run) -> Hooks:
        """The hooks of one training.

        Raises:
            StudyError: when the training is too short for a single member.
        """
        points = self.points(run)
        if not points:
            raise StudyError(f"[averaging] takes no member within {run.epochs} epochs; begin earlier or train longer")
        return _MeanWeights(points) if self.kind == "weights" else _Snapshots(points, self.keep)


class _Members(Hooks):
    """What both kinds share: when to take a member."""

    def __init__(self, points: tuple[int, ...]) -> None:
        self.points = points

    def after_epoch(self, run: Run) -> None:
        if run.epoch in self.points:
            self.take(run)

    def take(self, run: Run) -> None:
        """Take the network in its present state as a member."""
        raise NotImplementedError


class _MeanWeights(_Members):
    """Evaluates the mean of the weights from the first member on."""

    _mean: AveragedModel | None = None

    def take(self, run: Run) -> None:
        if self._mean is None:
            self._mean = AveragedModel(twin(run.network))
        self._mean.update_parameters(run.network)
        statistics_pass(self._mean.module, run)

    def judged(self, run: Run, network: nn.Module) -> nn.Module:
        return network if self._mean is None else self._mean.module.eval()

    def state(self) -> Any:
        return None if self._mean is None else whole_state(self._mean)

    def load(self, state: Any, run: Run) -> None:
        if state is not None:
            self._mean = AveragedModel(twin(run.network))
            load_whole_state(self._mean, state)


class _Snapshots(_Members):
    """Evaluates the ensemble of the networks stored so far."""

    def __init__(self, points: tuple[int, ...], keep: int | None) -> None:
        super().__init__(points)
        self._keep = keep
        self._members: list[nn.Module] = []

    def take(self, run: Run) -> None:
        self._members.append(twin(run.network).requires_grad_(False))
        self._members = self._members[-(self._keep or len(self._members)) :]

    def judged(self, run: Run, network: nn.Module) -> nn.Module:
        return Ensemble(self._members, run.classes) if self._members else network

    def state(self) -> Any:
        return [whole_state(member) for member in self._members]

    def load(self, state: Any, run: Run) -> None:
        for whole in state or ():
            member = twin(run.network).requires_grad_(False)
            load_whole_state(member, whole)
            self._members.append(member)


def has_batch_norm(network: nn.Module) -> bool:
    """Whether there are running statistics to refresh."""
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())


def statistics_pass(network: nn.Module, run: Run) -> None:
    """Recompute the batch-norm statistics of ``network`` on the training inputs of ``run``, as the run sees them.

    The inputs are augmented in the same way and computed in the same precision; the training's random streams do not
    advance.
    """
    drawn: Iterator[Drawn] = iter(())
    augmentation = None if run.augmentation is None else run.augmentation.twin()
    if augmentation is not None and isinstance(run.inputs, Tensor):
        size, count = _batches(run.inputs, _REFRESH_BATCH)
        batches = torch.split(torch.arange(count * size), size)
        drawn = iter(augmentation.of_batches(batches, run.inputs.device, run.epoch))

    def forward(x: Batch) -> None:
        if augmentation is not None and isinstance(x, Tensor):
            x = augmentation(x, next(drawn))
        scores_of(network, x, run.precision)

    refresh_batch_norm(network, run.seen, forward=forward)


def _batches(inputs: Inputs, batch: int) -> tuple[int, int]:
    """The size of each batch of a pass, and how many there are."""
    size = min(batch, len(inputs))
    return size, len(inputs) // size


class _PlainMean:
    """Gives a norm the momentum 1 / k in its k-th batch, so that its statistics are the plain mean over the batches.

    That is what a momentum of None asks for too, but then a norm reads its count of batches from the device, and every
    layer of every batch waits for a GPU.
    """

    def __init__(self) -> None:
        self._n_batches = 0

    def __call__(self, norm: nn.Module, inputs: object) -> None:
        if norm.training:
            self._n_batches += 1
            norm.momentum = 1.0 / self._n_batches  # type: ignore[assignment]


@torch.no_grad()
def refresh_batch_norm(
    network: nn.Module, inputs: Inputs, batch: int = _REFRESH_BATCH, forward: Callable[[Batch], object] | None = None
) -> None:
    """Recompute batch-norm statistics with one pass over ``inputs``; does nothing without batch norm.

    Only norms that training updates are recomputed: those that are in training mode when the network is, and stay so
    during the forward pass. Frozen norms keep their statistics. All other modules are in eval mode, as they will be
    when the network is evaluated, so nothing is drawn and nothing else changes. All batches have the same size, since
    each has the same weight; the remainder (less than a batch) is left out.
    """
    modes = {module: module.training for module in network.modules()}
    network.train()
    norms = [
        module for module in network.modules()
        if isinstance(module, nn.modules.batchnorm._NormBase) and module.training and module.running_mean is not None
    ]  # fmt: skip
    network.eval()
    if norms:
        momenta = [norm.momentum for norm in norms]
        before = [{name: buffer.clone() for name, buffer in norm.named_buffers()} for norm in norms]
        for norm in norms:
            norm.train()
            norm.reset_running_stats()
        hooks = [norm.register_forward_pre_hook(_PlainMean()) for norm in norms]
        size, count = _batches(inputs, batch)
        for start in range(0, count * size, size):
            x = (
                inputs[start : start + size]
                if isinstance(inputs, Tensor)
                else inputs.batch(range(start, start + size))[0]
            )
            if forward is None:
                answers(network, x)
            else:
                forward(x)
        for hook in hooks:
            hook.remove()
        for norm, momentum, came_with in zip(norms, momenta, before, strict=True):
            norm.momentum = momentum
            if not norm.num_batches_tracked:  # the network skipped it, or froze it during the forward pass
                for name, buffer in came_with.items():
                    norm.get_buffer(name).copy_(buffer)
    for module, mode in modes.items():
        module.training = mode
