"""The state of a running training, and the interface of techniques such as averaging, evolution and gradient noise.

A technique is a frozen set of settings, read from a table of the study file. When a training starts, it creates hooks
that live as long as the training; the loop only calls these hooks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from zonesearch.core import tables
from zonesearch.errors import StudyError
from zonesearch.training.augmentation import Augmentation
from zonesearch.training.batch_rules import steps_in_epoch
from zonesearch.training.data.collate import Inputs, part_of
from zonesearch.training.data.features import Features
from zonesearch.training.metrics import CLASSIFICATION, Measure
from zonesearch.training.schedules import Schedule

__all__ = ["Hooks", "Loss", "Run", "Technique", "check_table", "judged", "take_part"]

Loss = Callable[[Tensor, Tensor], Tensor]
"""Mean loss of (outputs, labels), a scalar."""


@dataclass
class Run:
    """A running training and its history: everything that determines how it continues.

    Args:
        network: trained in place.
        optimizer: of its parameters; its groups hold the current learning rate.
        loss: mean loss of (outputs, labels).
        inputs, labels: the training split for gradient descent; a technique may take a part of it when it starts.
        batch: examples per step.
        epochs: the length of the whole training.
        schedule: of the learning rate.
        generator: for all randomness of techniques.
        base_rate: the learning rate that the schedule starts from.
        augmentation: applied to the inputs of each batch; None for no augmentation, or if the inputs are features of
            augmented images.
        step: optimizer steps taken so far.
        epoch: epochs finished so far.
        curve: recorded values by name, one number per epoch; techniques add theirs.
        measure: loss and metric of the training.
        classes: whether outputs are class scores, as opposed to a regression.
        precision: of products.
        clip: largest gradient norm; 0: no clipping.
        fixed_steps: steps per epoch; 0: one pass over the data.
        order: draws the order of the data.
        hooks: of the techniques, in the order in which they are called.
        validation: inputs and labels of the validation split, as the network takes them.
        tested: a copy of the best network by validation so far; None if none is kept.
        averaged_from: the epoch, counted from 1, after which an average or ensemble was first evaluated in place of the
            network; None before.
        right: which validation examples were correct at the best epoch so far, one bit each.
        notes: sentences the user should read.
        evaluate_every: number of epochs between evaluations.
        passing: the validation part of the state of a longer training that is not evaluated at the epoch at which this
            one ends; empty if it is.
        recorded: a step of descent recorded for a GPU (:mod:`zonesearch.training.recorded_steps`).
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    loss: Loss
    inputs: Inputs
    labels: Tensor
    batch: int
    epochs: int
    schedule: Schedule
    generator: torch.Generator
    base_rate: float
    augmentation: Augmentation | None = None
    step: int = 0
    epoch: int = 0
    curve: dict[str, list[float]] = field(default_factory=dict)
    measure: Measure = CLASSIFICATION
    classes: bool = True
    precision: str = "float32"
    clip: float = 0.0
    fixed_steps: int = 0
    order: torch.Generator = field(default_factory=torch.Generator)
    hooks: list[Hooks] = field(default_factory=list)
    validation: tuple[Inputs, Tensor] = field(default_factory=lambda: (torch.empty(0), torch.empty(0)))
    tested: nn.Module | None = None
    averaged_from: int | None = None
    right: bytes = b""
    notes: list[str] = field(default_factory=list)
    evaluate_every: int = 1
    passing: dict[str, Any] = field(default_factory=dict)
    recorded: object = None

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in an epoch of gradient descent."""
        return steps_in_epoch(len(self.labels), self.batch, self.fixed_steps)

    @property
    def seen(self) -> Inputs:
        """The training split as epoch ``epoch`` sees it, before any augmentation of batches."""
        return self.inputs.at(self.epoch) if isinstance(self.inputs, Features) else self.inputs

    @property
    def scores(self) -> list[float]:
        """The validation score after each finished epoch; larger is better."""
        return [self.measure.metric.score(value) for value in self.curve.get("validation_accuracy", ())]

    @property
    def counted(self) -> slice:
        """The epochs that compete for the best one: from the first average on, only those with an average."""
        return slice((self.averaged_from or 1) - 1, None)

    @property
    def learning_rate(self) -> float:
        """The present learning rate, before scaling for parameter groups."""
        group = self.optimizer.param_groups[0]
        return float(group["lr"] / group.get("lr_scale", 1.0))


class Hooks:
    """What a technique does during one training; by default nothing.

    A technique keeps its memory of the training in ``state``, as plain data and tensors, so that a training can be
    continued; it draws random numbers from ``run.generator`` only.
    """

    def before_step(self, run: Run) -> None:
        """Called when gradients are available, before the step."""

    def instead_of_epoch(self, run: Run) -> bool:
        """Whether the technique has replaced epoch ``run.epoch`` (counted from 0) by its own work."""
        return False

    def after_epoch(self, run: Run) -> None:
        """Called after ``run.epoch`` epochs, before the last one is evaluated."""

    def judged(self, run: Run, network: nn.Module) -> nn.Module:
        """The network to evaluate in place of ``network``: in eval mode, returning class scores."""
        return network

    def state(self) -> Any:
        """The memory of the technique; None for nothing."""
        return None

    def load(self, state: Any, run: Run) -> None:
        """Restore ``state``; the network of ``run`` already has its weights."""


class Technique(Protocol):
    """The frozen settings of a technique."""

    def begin(self, run: Run) -> Hooks:
        """The hooks for one training; may take a part of the training data from ``run``."""
        ...


def judged(hooks: Iterable[Hooks], run: Run) -> nn.Module:
    """The network to evaluate, after every hook has been applied."""
    network = run.network
    for hook in hooks:
        network = hook.judged(run, network)
    return network


def take_part(run: Run, share: float) -> tuple[Inputs, Tensor]:
    """Take a random fraction ``share`` out of the training split: (inputs, labels)."""
    n = len(run.inputs)
    taken = round(share * n)
    if not 0 < taken < n:
        raise StudyError(f"a technique would take a share of {share} of {n} training examples, which leaves nothing")
    order = torch.randperm(n, generator=run.generator)
    mine, theirs = order[:taken].to(run.labels.device), order[taken:].to(run.labels.device)
    part = part_of(run.inputs, mine), run.labels[mine]
    run.inputs, run.labels = part_of(run.inputs, theirs), run.labels[theirs]
    run.batch = min(run.batch, len(run.labels))
    if run.augmentation is not None:
        run.augmentation = run.augmentation.part(theirs)
    return part


def check_table(cls: type, table: Mapping[str, Any], name: str) -> None:
    """Check that the keys of ``[name]`` are fields of the dataclass ``cls``, with values of the right type.

    Raises:
        StudyError: naming the table, the key, and the closest valid one or what was expected.
    """
    tables.read(cls, table, f"[{name}]")
