"""The learning-rate range test (Smith 2015) on any network: raise the rate after every minibatch, note the loss.

It is an ordinary training under the schedule ``sweep``: the same steps, on full minibatches. What a study does between
epochs (averaging, early stopping, evolution's phases) plays no part in it, and it says so. The reading of the losses,
without torch, is in :mod:`zonesearch.statistics.lr_range`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from zonesearch.core.objective import Job, Objective
from zonesearch.core.seeding import stream_seed
from zonesearch.core.trials import Training
from zonesearch.errors import ObjectiveError
from zonesearch.statistics.lr_range import RateRange, Sweep, read_sweep, sweep_rates
from zonesearch.training.epoch import steps
from zonesearch.training.schedules import Schedule
from zonesearch.training.schedules.sweep import Sweep as SweepSchedule
from zonesearch.training.technique import Loss, Run

__all__ = ["lr_range", "range_test", "sweep_losses", "swept"]

EXPLOSION = 4.0
"""A loss so many times the first one ends a sweep."""

_LOW, _HIGH = 1e-6, 10.0  # rates of steps

Start = Callable[[int], tuple[nn.Module, torch.optim.Optimizer]]
"""A seed in; a fresh network and its optimizer out."""


@runtime_checkable
class Tied(Protocol):
    """An objective that knows a batch rule."""

    def rate_tie(self, params: Mapping[str, Any]) -> float:
        """What the batch rule multiplies the learning rate of a training with ``params`` by."""
        ...


def lr_range(
    recipe: Objective,
    params: Mapping[str, Any] | None = None,
    *,
    seeds: Sequence[int] = range(5),
    low: float | None = None,
    high: float | None = None,
    n_steps: int = 175,
    sweep: Sweep = "exponential",
    report: Callable[[float], None] = lambda share: None,
) -> RateRange:
    """The range test of a recipe at ``params``; nothing is stored.

    Args:
        recipe: an objective whose trainings follow a schedule and note the loss of every step of a sweep.
        params: the point of the space where the test is made.
        low, high: learning rates of the study, before its batch rule; by default the steps' own rates, behind it, go
            from 1e-6 to 10.
        seeds, n_steps, sweep: as in :func:`range_test`.
        report: is told the share that is done.

    Raises:
        StudyError: for a range that is none, or a training that diverges at once.
        ObjectiveError: for params that cannot work, or an objective that knows no sweep.
    """
    tie = recipe.rate_tie(params or {}) if isinstance(recipe, Tied) else 1.0
    rims = (_LOW / tie if low is None else low, _HIGH / tie if high is None else high)
    schedule = SweepSchedule(*rims, n_steps, sweep)
    wanted = {**(params or {}), "schedule": str(schedule)}
    recipe.check(wanted)
    losses: list[Sequence[float]] = []
    notes: list[str] = []
    for i, seed in enumerate(seeds):
        for trial in recipe.train(Job((Training(wanted, seed, 1),)), lambda share: None):
            if trial.error:
                raise ObjectiveError(f"the range test with seed {seed} failed: {trial.error.strip().splitlines()[-1]}")
            if "step_loss" not in trial.curve:
                raise ObjectiveError(
                    "this objective does not record the loss of each step, so a range test is not possible"
                )
            losses.append(trial.curve["step_loss"])
            notes += trial.provenance.get("notes", ())
        report((i + 1) / len(seeds))
    found = read_sweep(schedule.rates(), losses)
    said = (note.removesuffix(".") for note in dict.fromkeys(notes))
    return replace(found, tie=tie, warnings=(*found.warnings, *said))


def range_test(
    start: Start,
    loss: Loss,
    inputs: Tensor,
    labels: Tensor,
    *,
    batch: int = 64,
    low: float = 1e-6,
    high: float = 1.0,
    n_steps: int = 150,
    sweep: Sweep = "exponential",
    seeds: Sequence[int] = range(5),
    study_seed: int = 0,
) -> RateRange:
    """Sweep the rate from ``low`` to ``high`` with a fresh network for every seed, and read the result.

    Args:
        start: makes a network and its optimizer from a seed; the ratio of the rates of the optimizer's parameter
            groups is kept.
        loss: of (outputs, labels), a scalar.
        inputs, labels: the training split, first dimension examples, in memory and on the network's device.
        batch: examples a step.
        n_steps: about 25 a decade are enough. A slower sweep trains the network along the way and so
            suggests lower rates.
        seeds: one sweep each; the losses are averaged.
        study_seed: with a seed it gives the order of the data.

    Raises:
        StudyError: for a range that is none, or a training that diverges at once.
    """
    rates = sweep_rates(low, high, n_steps, sweep)
    losses = []
    for seed in seeds:
        network, optimizer = start(seed)
        generator = torch.Generator().manual_seed(stream_seed(study_seed, "order", seed))
        losses.append(sweep_losses(network, optimizer, loss, inputs, labels, rates, batch, generator))
    return read_sweep(rates, losses)


def sweep_losses(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Loss,
    inputs: Tensor,
    labels: Tensor,
    rates: Sequence[float],
    batch: int,
    generator: torch.Generator,
    explosion: float = EXPLOSION,
) -> list[float]:
    """The loss on each minibatch before its step with ``rates[i]``; ends early when it explodes. Trains ``network``."""
    first = optimizer.param_groups[0]["lr"]
    for group in optimizer.param_groups:
        group["lr_scale"] = group["lr"] / first
    schedule, batch = _Given(tuple(rates)), min(batch, len(inputs))
    unused = torch.Generator()
    run = Run(network, optimizer, loss, inputs, labels, batch, 1, schedule, unused, first, order=generator)
    return swept(run, len(rates), explosion)


def swept(run: Run, n_steps: int, explosion: float = EXPLOSION) -> list[float]:
    """The loss of each of ``n_steps`` steps, before it is taken; ends early when it explodes.

    Args:
        run: at its beginning, under a schedule that gives the rate of every step. An epoch is a pass over the full
            minibatches; a smaller last one would be noise in the curve.
        n_steps: steps wanted.
        explosion: a loss so many times the first one ends the sweep, as one that is not finite does.
    """
    run.fixed_steps = run.fixed_steps or max(1, len(run.labels) // run.batch)
    losses: list[float] = []
    while len(losses) < n_steps:
        before = len(losses)
        for loss, _, _ in steps(run, n_steps - len(losses)):
            if loss is None:
                continue
            losses.append(float(loss))
            if not losses[-1] <= explosion * losses[0] or not math.isfinite(losses[0]):
                return losses
        if len(losses) == before:
            return losses  # batches of one example under batch norm: there is no step to take
        run.epoch += 1
    return losses


@dataclass(frozen=True)
class _Given(Schedule):
    """Rates one by one."""

    rates: tuple[float, ...]

    def rate(self, base: float, step: int, steps_per_epoch: int, epochs: float, history: Sequence[float] = ()) -> float:
        return self.rates[step]
