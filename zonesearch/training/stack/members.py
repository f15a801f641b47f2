"""A member of a stack: one training and its state."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from zonesearch.core.metric import is_usable
from zonesearch.core.seeding import stream_seed
from zonesearch.core.trials import Training
from zonesearch.training.batch_rules import tied_rate
from zonesearch.training.data import Split
from zonesearch.training.early_stopping import EarlyStopping
from zonesearch.training.evaluations import evaluate_every, is_evaluated, is_regular
from zonesearch.training.loop import CURVES
from zonesearch.training.networks import build, seed_dropout
from zonesearch.training.numerics import dtype_of
from zonesearch.training.schedules import Schedule, parse
from zonesearch.training.settings import Settings

__all__ = ["Member", "Snapshot", "products", "trained"]


def trained(network: nn.Module) -> list[Tensor]:
    """The parameters that are trained, in torch's order: all of them, or those of a head."""
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


@dataclass(frozen=True)
class Snapshot:
    """A network's weights: its trained parameters in torch's order, and (mean, variance) of each batch norm."""

    parameters: list[Tensor]
    norms: list[tuple[Tensor, Tensor]]

    @torch.no_grad()
    def module(self, settings: Settings, data: Split) -> nn.Module:
        """A network with these weights, in eval mode, on the device of the data."""
        device = data.train[0].device
        with torch.random.fork_rng(devices=[]):
            network = build(settings.network, data.shape, data.n_outputs)
        network.to(device, dtype_of(settings.training.precision))
        for parameter, value in zip(trained(network), self.parameters, strict=True):
            parameter.copy_(value)
        norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm1d)]
        for norm, (mean, variance) in zip(norms, self.norms, strict=True):
            assert norm.running_mean is not None
            assert norm.running_var is not None
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)
        return network.eval()


@dataclass
class Member:
    """One training under way.

    Args:
        training, settings: of the member.
        schedule: of its learning rate, relative to ``base``.
        stopping: when it ends early.
        dropout: its random stream; None without dropout.
        curve: recorded after each epoch.
        tested: the weights that the test split would see.
        right: which validation examples were correct at the best epoch so far, one bit each.
        seconds: its share of the elapsed time.
        state: ``running`` until it has ended.
        every: number of epochs between evaluations.
        passing: (curve, tested, right) of a longer training that is not evaluated at the epoch at which this one ends;
            None if it is.
    """

    training: Training
    settings: Settings
    schedule: Schedule
    base: float
    stopping: EarlyStopping | None
    dropout: torch.Generator | None = None
    curve: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in CURVES})
    tested: Snapshot | None = None
    right: bytes = b""
    seconds: float = 0.0
    state: Literal["running", "complete", "diverged"] = "running"
    every: int = 1
    passing: tuple[dict[str, list[float]], Snapshot | None, bytes] | None = None

    @classmethod
    def of(cls, training: Training, settings: Settings, stopping: EarlyStopping | None, data: Split) -> Member:
        """A member at its beginning."""
        rule = settings.training
        base = tied_rate(settings.optimizer.learning_rate, rule.batch, rule.rate_rule, rule.reference_batch)
        every = evaluate_every(settings, len(data.train[1]), len(data.validation[1]))
        return cls(training, settings, parse(rule.schedule), base, stopping, every=every)

    @property
    def hidden(self) -> tuple[int, ...]:
        """Widths of the hidden layers that are trained; a head on features has none."""
        network = self.settings.network
        return network.hidden if network.kind == "mlp" else ()

    @property
    def n_epochs(self) -> int:
        """Number of finished epochs."""
        return len(self.curve["validation_accuracy"])

    @property
    def stopped(self) -> bool:
        """Whether early stopping ends it here, whatever its length."""
        curve = self.curve
        return self.stopping is not None and self.stopping.stops(curve["validation_accuracy"], curve["validation_loss"])

    @property
    def column(self) -> tuple[Any, ...]:
        """What members of one column share: everything except the seed and the length."""
        return self.training.identity[0]

    def network(self, data: Split, study_seed: int) -> nn.Module:
        """A fresh network with the same initial weights as in the reference loop; sets the dropout stream."""
        device, seed = data.train[0].device, self.training.seed
        torch.manual_seed(stream_seed(study_seed, "weights", seed))
        network = build(self.settings.network, data.shape, data.n_outputs)
        self.dropout = seed_dropout(network, stream_seed(study_seed, "noise", seed) + 1, device)
        return network

    @property
    def is_due(self) -> bool:
        """Whether to evaluate it after the current epoch."""
        return is_evaluated(self.n_epochs + 1, self.every, self.training.epochs, self.stopping)

    def note(self, trained: Sequence[float], validated: Sequence[float] | None) -> bool:
        """Record an epoch; ends the training if it is due.

        Args:
            trained: training accuracy and loss, and the learning rate.
            validated: accuracy and loss; None without an evaluation: the last values are repeated.

        Returns:
            Whether validation is the best so far. A loss that is not finite is not recorded and ends the training.
        """
        if not all(map(math.isfinite, (*(validated or ()), *trained))) or (validated and not is_usable(validated[0])):
            self.state = "diverged"
            return False
        accuracies = self.curve["validation_accuracy"]
        carried = (accuracies[-1], self.curve["validation_loss"][-1]) if accuracies else ()
        if validated is None:
            self._add(self.curve, (*carried, *trained))
            return False
        if not is_regular(self.n_epochs + 1, self.every):
            self.passing = {name: list(values) for name, values in self.curve.items()}, self.tested, self.right
            self._add(self.passing[0], (*carried, *trained))
        better = validated[0] > max(accuracies, default=-math.inf)
        self._add(self.curve, (*validated, *trained))
        if self.stopped or len(accuracies) == self.training.epochs:
            self.state = "complete"
        return better

    @staticmethod
    def _add(curve: Mapping[str, list[float]], values: Sequence[float]) -> None:
        for name, value in zip(CURVES, values, strict=True):
            curve[name].append(value)


def products(members: Iterable[Member]) -> list[list[list[Member]]]:
    """Members as products of seeds and columns: for each product, one row of columns per seed.

    Columns are sorted by width, so that equal ones are adjacent. Members at different epochs are kept apart.
    """
    columns: dict[tuple[Any, ...], list[Member]] = {}
    for member in members:
        columns.setdefault((member.n_epochs, member.column), []).append(member)
    by_seeds: dict[tuple[Any, ...], list[list[Member]]] = {}
    for (n_epochs, _), column in columns.items():
        column.sort(key=lambda member: member.training.seed)
        by_seeds.setdefault((n_epochs, *(member.training.seed for member in column)), []).append(column)
    found = []
    for _, group in sorted(by_seeds.items()):
        group.sort(key=lambda column: (column[0].settings.network.hidden, column[0].training.key))
        found.append([list(row) for row in zip(*group, strict=True)])
    return found
