"""One epoch of steps, and the evaluation of a network on a split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from zonesearch.training.augmentation import Drawn
from zonesearch.training.averaging import has_batch_norm
from zonesearch.training.data.collate import Inputs, batch_of, pieces
from zonesearch.training.metrics import CLASSIFICATION, Measure
from zonesearch.training.order import epoch_order
from zonesearch.training.recorded_steps import RecordedSteps, is_recordable
from zonesearch.training.replay import EAGER
from zonesearch.training.step import gradients, scores_of, update
from zonesearch.training.technique import Run

__all__ = ["Examined", "descend", "evaluate", "examine", "right_answers", "steps"]

_EVALUATION_BATCH = 4096


def descend(run: Run) -> tuple[float, float]:
    """Run one epoch of steps; returns mean training loss and score, as measured during the epoch."""
    plan = _plan(run)
    n_whole = min(len(plan.order) // run.batch, plan.n_steps)
    taken: list[_Taken] = []
    left = (run.epochs - run.epoch) * plan.n_steps
    done = 0
    if n_whole > EAGER and is_recordable(run, left):
        recorded = run.recorded
        if not (isinstance(recorded, RecordedSteps) and recorded.fits(run)):
            taken.append(_summed(run, _one_by_one(run, plan, range(EAGER))))
            done, recorded = EAGER, None
            if taken[0].scores.dtype in (torch.float32, torch.bfloat16):
                recorded = run.recorded = RecordedSteps.of(run, plan.n_steps, taken[0].scores, plan.drawn)
        if isinstance(recorded, RecordedSteps):
            rows = range(done, n_whole)
            examples = plan.order[done * run.batch : n_whole * run.batch].view(len(rows), run.batch)
            rates = [_set_rate(run, plan, i) for i in rows]
            drawn = None if plan.drawn is None else plan.drawn[done:n_whole]
            taken.append(_Taken(*recorded.take(run, examples, rates, drawn)))
            done = n_whole
    if done < plan.n_steps:
        taken.append(_summed(run, _one_by_one(run, plan, range(done, plan.n_steps))))
    y = torch.cat([each.labels for each in taken])
    loss = sum(float(each.loss) for each in taken)
    return loss / len(y), run.measure.score(torch.cat([each.scores for each in taken]).float(), y)


def steps(run: Run, limit: int | None = None) -> Iterator[tuple[Tensor | None, Tensor, Tensor]]:
    """The steps of an epoch, one at a time; the weights change when the iterator advances.

    Args:
        run: its ``order`` generator draws a new permutation for every pass over the data.
        limit: the most steps to take.

    Yields:
        Mean loss, scores and labels of each batch, before its step. With batch norm, a batch of one example has no
            variance: it is yielded without a loss and without a step.
    """
    plan = _plan(run, limit)
    yield from _one_by_one(run, plan, range(plan.n_steps if limit is None else min(limit, plan.n_steps)))


@dataclass(frozen=True)
class _Plan:
    """An epoch before its first step.

    Args:
        order: indices of examples, in the order in which they are seen.
        drawn: for each step, what augmentation does; None without.
        n_steps: of the epoch.
        history: the scores so far.
    """

    order: Tensor
    drawn: list[Drawn] | None
    n_steps: int
    history: list[float]


@dataclass(frozen=True)
class _Taken:
    """Steps that were taken: the sum of their losses over the examples, all scores and labels."""

    loss: Tensor
    scores: Tensor
    labels: Tensor


def _plan(run: Run, limit: int | None = None) -> _Plan:
    device, batch, n_steps = run.labels.device, run.batch, run.steps_per_epoch
    order = epoch_order(len(run.labels), batch, n_steps, run.order).to(device)
    drawn = None
    if run.augmentation is not None:
        batches = torch.split(order, batch)[: n_steps if limit is None else limit]
        drawn = run.augmentation.of_batches(batches, device, run.epoch)
    return _Plan(order, drawn, n_steps, run.scores)


def _summed(run: Run, taken: Iterable[tuple[Tensor | None, Tensor, Tensor]]) -> _Taken:
    loss_sum = torch.zeros((), dtype=torch.float64, device=run.labels.device)
    outputs, labels = [], []
    for loss, scores, wanted in taken:
        if loss is not None:
            loss_sum += loss * len(wanted)
        outputs.append(scores)
        labels.append(wanted)
    return _Taken(loss_sum, torch.cat(outputs), torch.cat(labels))


def _set_rate(run: Run, plan: _Plan, i: int) -> list[float]:
    """Set the learning rates of step ``i`` of an epoch; gives that of every group of parameters."""
    step = run.epoch * plan.n_steps + i
    rate = run.schedule.rate(run.base_rate, step, plan.n_steps, run.epochs, plan.history)
    for group in run.optimizer.param_groups:
        group["lr"] = rate * group.get("lr_scale", 1.0)
    return [group["lr"] for group in run.optimizer.param_groups]


def _one_by_one(run: Run, plan: _Plan, which: Iterable[int]) -> Iterator[tuple[Tensor | None, Tensor, Tensor]]:
    """Those steps of an epoch, as :func:`steps` gives them."""
    run.network.train()
    skip_single = has_batch_norm(run.network)
    inputs = run.seen
    for i in which:
        _set_rate(run, plan, i)
        x, wanted = batch_of(inputs, run.labels, plan.order[i * run.batch : (i + 1) * run.batch])
        if run.augmentation is not None and plan.drawn is not None:
            assert isinstance(x, Tensor)
            x = run.augmentation(x, plan.drawn[i])
        if skip_single and len(wanted) == 1:
            scores = scores_of(run.network.eval(), x, run.precision)
            run.network.train()
            yield None, scores, wanted
            continue
        loss, scores = gradients(run, x, wanted)
        yield loss, scores, wanted
        update(run, x, wanted)


def evaluate(
    network: nn.Module, inputs: Inputs, labels: Tensor, measure: Measure = CLASSIFICATION, precision: str = "float32"
) -> tuple[float, float]:
    """Mean loss and score on a split; for classification, cross-entropy and accuracy."""
    seen = examine(network, inputs, labels, measure, precision)
    return seen.loss, seen.value


@dataclass(frozen=True)
class Examined:
    """The evaluation of a network on a split.

    Args:
        loss: mean over the examples.
        value: the metric.
        outputs, labels: of all examples, in the order of evaluation.
    """

    loss: float
    value: float
    outputs: Tensor
    labels: Tensor


@torch.no_grad()
def examine(network: nn.Module, inputs: Inputs, labels: Tensor, measure: Measure, precision: str) -> Examined:
    """As :func:`evaluate`, together with the outputs."""
    network.eval()
    loss, weight = 0.0, 0.0
    parts, wanted = [], []
    for x, y in pieces(inputs, labels, _EVALUATION_BATCH):
        scores = scores_of(network, x, precision)
        loss += float(measure.loss(scores, y, reduction="sum"))
        weight += measure.weight(y)
        parts.append(scores)
        wanted.append(y)
    outputs, judged = torch.cat(parts), torch.cat(wanted)
    return Examined(loss / weight, measure.score(outputs, judged), outputs, judged)


def right_answers(outputs: Tensor, labels: Tensor, measure: Measure) -> bytes:
    """Which examples are classified correctly, one bit each; empty if the metric does not count correct answers."""
    if not measure.counts:
        return b""
    return np.packbits(outputs.argmax(1).eq(labels).cpu().numpy()).tobytes()
