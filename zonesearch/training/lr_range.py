"""The learning-rate range test (Smith 2015) on any network: raise the rate after every minibatch and record the loss.

It is an ordinary training under the schedule ``sweep``, with the same steps on full minibatches. What a study does
between epochs (averaging, early stopping, evolution) is skipped, with a warning. The losses are interpreted, without
torch, in :mod:`zonesearch.statistics.lr_range`.
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
"""A sweep ends when the loss is this many times the first one."""

_LOW, _HIGH = 1e-6, 10.0  # learning rates per step

Start = Callable[[int], tuple[nn.Module, torch.optim.Optimizer]]
"""From a seed to a fresh network and its optimizer."""


@runtime_checkable
class Tied(Protocol):
    """An objective with a batch rule."""

    def rate_tie(self, params: Mapping[str, Any]) -> float:
        """The factor by which the batch rule multiplies the learning rate of a training with ``params``."""
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
        recipe: an objective whose trainings follow a schedule and record the loss of every step of a sweep.
        params: the point of the space at which to test.
        low, high: learning rates before the batch rule is applied; by default the rates after it range from 1e-6 to 10.
        seeds, n_steps, sweep: as in :func:`range_test`.
        report: called with the completed fraction.

    Raises:
        StudyError: for a range that is none, or a training that diverges at once.
        ObjectiveError: params cannot work, or the objective does not support sweeps.
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
        start: creates a network and its optimizer from a seed; the ratios between the rates of parameter groups are
            kept.
        loss: of (outputs, labels), a scalar.
        inputs, labels: the training split, first dimension examples, in memory and on the network's device.
        batch: examples per step.
        n_steps: about 25 per decade are enough. A slower sweep trains the network along the way and so suggests lower
            rates.
        seeds: one sweep per seed; the losses are averaged.
        study_seed: determines, together with a seed, the order of the data.

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
    """The loss on each minibatch before the step with ``rates[i]``; ends early if it explodes. Trains ``network``."""
    first = optimizer.param_groups[0]["lr"]
    for group in optimizer.param_groups:
        group["lr_scale"] = group["lr"] / first
    schedule, batch = _Given(tuple(rates)), min(batch, len(inputs))
    unused = torch.Generator()
    run = Run(network, optimizer, loss, inputs, labels, batch, 1, schedule, unused, first, order=generator)
    return swept(run, len(rates), explosion)


def swept(run: Run, n_steps: int, explosion: float = EXPLOSION) -> list[float]:
    """The loss before each of ``n_steps`` steps; ends early if it explodes.

    Args:
        run: at its beginning, with a schedule that gives the rate of every step. An epoch is a pass over full
            minibatches; a smaller last one would add noise to the curve.
        n_steps: number of steps.
        explosion: the sweep ends when the loss is this many times the first one, or is not finite.
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
            return losses  # batches of one example with batch norm: no step can be taken
        run.epoch += 1
    return losses


@dataclass(frozen=True)
class _Given(Schedule):
    """A given list of rates."""

    rates: tuple[float, ...]

    def rate(self, base: float, step: int, steps_per_epoch: int, epochs: float, history: Sequence[float] = ()) -> float:
        return self.rates[step]
