"""One better network out of one training: the mean of its weights along the way, or an ensemble of its snapshots.

Weight averaging (SWA, Izmailov et al. 2018) is the running mean of the weights once the network has come near an
optimum; torch's ``swa_utils`` does the arithmetic. Batch-norm statistics of a mean are wrong and are measured anew
before it is evaluated. Snapshot ensembles (Huang et al. 2017) and fast geometric ensembles (Garipov et al. 2018) keep
the networks instead. Which epochs count is said by the schedule where it has cycles (``swa``, ``snapshot``,
``fge``, ``sgdr``, the triangles); under any other schedule, by ``start`` and ``every``.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, update_bn

from zonesearch.errors import StudyError
from zonesearch.training.ensembles import Ensemble
from zonesearch.training.technique import Hooks, Run, check_table

__all__ = ["Averaging", "has_batch_norm", "refresh_batch_norm"]

_REFRESH_BATCH = 256


@dataclass(frozen=True)
class Averaging:
    """The table ``[averaging]``.

    Args:
        kind: ``weights`` (one network, the mean) or ``ensemble`` (all of them, the mean of their answers).
        start: share of the training after which members are taken; by default 0.75, or as the schedule says.
        every: epochs between members under a schedule without cycles.
        keep: an ensemble holds so many of the last members; all by default.
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

    @classmethod
    def from_table(cls, table: dict[str, Any]) -> Averaging:
        """Read the table.

        Raises:
            StudyError: for an unknown key or a wrong value.
        """
        check_table(cls, table, "averaging")
        return cls(**table)

    def points(self, run: Run) -> tuple[int, ...]:
        """After which epochs a member is taken, counted from 1."""
        cycles = run.schedule.store_points(run.epochs)
        if cycles is not None:
            return tuple(point for point in cycles if point >= (self.start or 0.0) * run.epochs)
        first = (0.75 if self.start is None else self.start) * run.epochs
        return tuple(point for point in range(self.every, run.epochs + 1, self.every) if point >= first)

    def begin(self, run: Run) -> Hooks:
        """The hooks of one training.

        Raises:
            StudyError: when the training is too short for a single member.
        """
        points = self.points(run)
        if not points:
            raise StudyError(f"[averaging] takes no member within {run.epochs} epochs; begin earlier or train longer")
        return _MeanWeights(points) if self.kind == "weights" else _Snapshots(points, self.keep)


class _MeanWeights(Hooks):
    """Judges the mean of the weights from the first member on."""

    def __init__(self, points: tuple[int, ...]) -> None:
        self._points = points
        self._mean: AveragedModel | None = None

    def after_epoch(self, run: Run) -> None:
        if run.epoch in self._points:
            if self._mean is None:
                self._mean = AveragedModel(run.network)
            self._mean.update_parameters(run.network)
            refresh_batch_norm(self._mean.module, run.inputs)

    def judged(self, run: Run, network: nn.Module) -> nn.Module:
        return network if self._mean is None else self._mean.module.eval()


class _Snapshots(Hooks):
    """Judges the ensemble of the networks stored so far."""

    def __init__(self, points: tuple[int, ...], keep: int | None) -> None:
        self._points = points
        self._keep = keep
        self._members: list[nn.Module] = []

    def after_epoch(self, run: Run) -> None:
        if run.epoch in self._points:
            self._members.append(copy.deepcopy(run.network).requires_grad_(False))
            self._members = self._members[-(self._keep or len(self._members)) :]

    def judged(self, run: Run, network: nn.Module) -> nn.Module:
        return Ensemble(self._members) if self._members else network


def has_batch_norm(network: nn.Module) -> bool:
    """Whether there are running statistics to refresh."""
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())


def refresh_batch_norm(network: nn.Module, inputs: Tensor, batch: int = _REFRESH_BATCH) -> None:
    """Measure all batch-norm statistics anew with one pass over ``inputs``; nothing happens without batch norm.

    torch's ``update_bn`` counts every batch alike, so the batches are of one size; the rest that does not fill
    one (less than a batch) is left out.
    """
    if not has_batch_norm(network):
        return
    size = min(batch, len(inputs))
    with torch.no_grad():
        update_bn(torch.split(inputs[: len(inputs) // size * size], size), network)
