"""One epoch of steps, and the evaluation of a network on a split."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from zonesearch.training.averaging import has_batch_norm
from zonesearch.training.data.collate import Inputs, batch_of, pieces
from zonesearch.training.metrics import CLASSIFICATION, Measure
from zonesearch.training.order import epoch_order
from zonesearch.training.step import gradients, scores_of, update
from zonesearch.training.technique import Run

__all__ = ["Examined", "descend", "evaluate", "examine", "right_answers", "steps"]

_EVALUATION_BATCH = 4096


def descend(run: Run) -> tuple[float, float]:
    """Run one epoch of steps; returns mean training loss and score, as measured during the epoch."""
    loss_sum = torch.zeros((), dtype=torch.float64, device=run.labels.device)
    outputs, labels = [], []
    for loss, scores, wanted in steps(run):
        if loss is not None:
            loss_sum += loss * len(wanted)
        outputs.append(scores)
        labels.append(wanted)
    y = torch.cat(labels)
    return float(loss_sum) / len(y), run.measure.score(torch.cat(outputs).float(), y)


def steps(run: Run, limit: int | None = None) -> Iterator[tuple[Tensor | None, Tensor, Tensor]]:
    """The steps of an epoch, one at a time; the weights change when the iterator advances.

    Args:
        run: its ``order`` generator draws a new permutation for every pass over the data.
        limit: the most steps to take.

    Yields:
        Mean loss, scores and labels of each batch, before its step. With batch norm, a batch of one example has no
            variance: it is yielded without a loss and without a step.
    """
    device, batch, n_steps = run.labels.device, run.batch, run.steps_per_epoch
    permutation = epoch_order(len(run.labels), batch, n_steps, run.order).to(device)
    history = run.scores
    run.network.train()
    skip_single = has_batch_norm(run.network)
    first = run.epoch * n_steps
    n_steps_now = n_steps if limit is None else min(limit, n_steps)
    drawn = None
    if run.augmentation is not None:
        sizes = [len(chosen) for chosen in torch.split(permutation, batch)[:n_steps_now]]
        drawn = run.augmentation.ahead(sizes, device)
    for i in range(n_steps_now):
        rate = run.schedule.rate(run.base_rate, first + i, n_steps, run.epochs, history)
        for group in run.optimizer.param_groups:
            group["lr"] = rate * group.get("lr_scale", 1.0)
        x, wanted = batch_of(run.inputs, run.labels, permutation[i * batch : (i + 1) * batch])
        if run.augmentation is not None and drawn is not None:
            assert isinstance(x, Tensor)
            x = run.augmentation(x, drawn[i])
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
