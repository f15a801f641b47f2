"""A training under way, and the face between it and the techniques around it: averaging, evolution, gradient noise.

A technique is frozen settings, read from a table of the study file. When a training starts it gives hooks that live
as long as the training; the loop calls them and knows nothing more.
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
from zonesearch.training.metrics import CLASSIFICATION, Measure
from zonesearch.training.schedules import Schedule

__all__ = ["Hooks", "Loss", "Run", "Technique", "check_table", "judged", "take_part"]

Loss = Callable[[Tensor, Tensor], Tensor]
"""Mean loss of (outputs, labels), a scalar."""


@dataclass
class Run:
    """A training under way with its history: all that decides how it goes on.

    Args:
        network: is trained in place.
        optimizer: of its parameters; its groups hold the current learning rate.
        loss: mean loss of (outputs, labels).
        inputs, labels: the training split that descent uses; a technique may take a part away when it starts.
        batch: examples a step.
        epochs: the length of the whole training.
        schedule: of the learning rate.
        generator: of all randomness of techniques.
        base_rate: the learning rate that the schedule starts from.
        augmentation: changes the inputs of each batch; None leaves them.
        step: optimizer steps taken so far.
        epoch: epochs finished so far.
        curve: what was noted, one number an epoch under a name; techniques add theirs.
        measure: what the training is judged by.
        classes: whether outputs are scores of classes; of a regression they are not.
        precision: of products.
        clip: the largest norm of a gradient; 0: any.
        fixed_steps: steps of an epoch; 0: one pass over the data.
        order: draws the order of the data.
        hooks: of the techniques, in the order in which they are called.
        validation: inputs and labels of the validation split, as the network takes them.
        tested: a copy of the network that validation chose so far; None where none is kept.
        averaged_from: the epoch, counted from 1, after which an average or an ensemble was first judged in place of
            the network; None while there is none.
        right: which validation examples were answered rightly at the best epoch so far, a bit each.
        notes: sentences the user should read.
        evaluate_every: after every how many epochs validation is asked.
        passing: what validation has said to a longer training that passes the end of this one without asking; empty
            where it asks there too.
        recorded: a step of descent as a GPU repeats it (:mod:`zonesearch.training.recorded_steps`).
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
        """Optimizer steps in an epoch of descent."""
        return steps_in_epoch(len(self.labels), self.batch, self.fixed_steps)

    @property
    def scores(self) -> list[float]:
        """The metric on the validation split after each finished epoch, turned so that larger is better."""
        return [self.measure.metric.score(value) for value in self.curve.get("validation_accuracy", ())]

    @property
    def counted(self) -> slice:
        """The epochs that compete for the best one: from the first average on, those with an average."""
        return slice((self.averaged_from or 1) - 1, None)

    @property
    def learning_rate(self) -> float:
        """The present one, before it is scaled for a parameter group."""
        group = self.optimizer.param_groups[0]
        return float(group["lr"] / group.get("lr_scale", 1.0))


class Hooks:
    """What a technique does during one training; by default nothing.

    What a technique remembers of the training is its ``state``, plain data and tensors, so that a training can go on
    from it; it draws from ``run.generator`` alone.
    """

    def before_step(self, run: Run) -> None:
        """Gradients are there, the step is not taken yet."""

    def instead_of_epoch(self, run: Run) -> bool:
        """Whether the technique has done the work of epoch ``run.epoch`` (counted from 0) itself."""
        return False

    def after_epoch(self, run: Run) -> None:
        """``run.epoch`` epochs are finished, the last one is not evaluated yet."""

    def judged(self, run: Run, network: nn.Module) -> nn.Module:
        """The network that is evaluated in place of ``network``: in eval mode, giving scores per class."""
        return network

    def state(self) -> Any:
        """What is remembered; None for nothing."""
        return None

    def load(self, state: Any, run: Run) -> None:
        """Remember what ``state`` says; the network of ``run`` has its weights already."""


class Technique(Protocol):
    """Frozen settings of a technique."""

    def begin(self, run: Run) -> Hooks:
        """The hooks for one training; may take a part of the training data away from ``run``."""
        ...


def judged(hooks: Iterable[Hooks], run: Run) -> nn.Module:
    """The network to evaluate, after every hook had its say."""
    network = run.network
    for hook in hooks:
        network = hook.judged(run, network)
    return network


def take_part(run: Run, share: float) -> tuple[Inputs, Tensor]:
    """A random ``share`` of the training split, which descent then does not see: (inputs, labels)."""
    n = len(run.inputs)
    taken = round(share * n)
    if not 0 < taken < n:
        raise StudyError(f"a technique would take a share of {share} of {n} training examples, which leaves nothing")
    order = torch.randperm(n, generator=run.generator)
    mine, theirs = order[:taken].to(run.labels.device), order[taken:].to(run.labels.device)
    part = part_of(run.inputs, mine), run.labels[mine]
    run.inputs, run.labels = part_of(run.inputs, theirs), run.labels[theirs]
    run.batch = min(run.batch, len(run.labels))
    return part


def check_table(cls: type, table: Mapping[str, Any], name: str) -> None:
    """Check that the keys of ``[name]`` are fields of the dataclass ``cls``, and the values of their kinds.

    Raises:
        StudyError: naming the table, the key, and the nearest right one or what was expected.
    """
    tables.read(cls, table, f"[{name}]")
