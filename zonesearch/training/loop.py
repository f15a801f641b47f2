"""The reference loop: one network, plain and short; what any faster way of training is tested against."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from zonesearch.domain.seeding import stream_seed
from zonesearch.domain.trials import Training, Trial
from zonesearch.training.batch_rules import steps_in_epoch, tied_rate
from zonesearch.training.data import Split
from zonesearch.training.lr_range import sweep_losses
from zonesearch.training.networks import build
from zonesearch.training.optimizers import build_optimizer
from zonesearch.training.schedules import Sweep, parse
from zonesearch.training.settings import Settings
from zonesearch.training.technique import Hooks, Run, judged
from zonesearch.training.techniques import Techniques
from zonesearch.training.width_transfer import transfer_width

__all__ = ["begin_run", "evaluate", "train_epochs", "train_one"]

_EVALUATION_BATCH = 4096


def train_one(
    training: Training,
    settings: Settings,
    data: Split,
    study_seed: int,
    report: Callable[[float], None],
    techniques: Techniques | None = None,
) -> Trial:
    """Train one network and evaluate it after each epoch.

    Weights come from the stream ``weights`` of the training's seed, the order of the data from ``order``: two trainings
    with the same seed index see the same batches. A loss that is no longer finite ends the training as diverged.
    Under the schedule ``sweep`` the training is a range test: its curve is the loss of every step.

    Args:
        training: gives seed, epochs and whether to measure the test split, as the setting ``tested`` says.
        settings: of this training, its params applied.
        data: on the device where it is to be trained.
        study_seed: the seed of the study.
        report: is told the share that is done.
        techniques: what happens around the steps; nothing by default.
    """
    start = time.perf_counter()
    device = data.train[0].device
    curve: dict[str, list[float]] = {}
    test_accuracy = None
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(stream_seed(study_seed, "weights", training.seed))
        order = torch.Generator().manual_seed(stream_seed(study_seed, "order", training.seed))
        run = begin_run(training, settings, data, study_seed)
        if isinstance(run.schedule, Sweep):
            losses = sweep_losses(
                run.network, run.optimizer, run.loss, run.inputs, run.labels, run.schedule.rates(), run.batch, order
            )
            curve["step_loss"] = [loss for loss in losses if math.isfinite(loss)]
            validation_loss, accuracy = evaluate(run.network, *data.validation)
            complete = len(curve["step_loss"]) == run.schedule.n_steps and math.isfinite(validation_loss)
        else:
            techniques = techniques or Techniques()
            tested = train_epochs(run, settings, data, order, techniques, curve, report, keep=training.test)
            complete = len(curve["validation_accuracy"]) == run.epoch
            accuracy = max(curve["validation_accuracy"], default=math.nan)
            if tested is not None and complete:
                test_accuracy = evaluate(tested, *data.test)[1]
    return Trial(
        training=training,
        state="complete" if complete else "diverged",
        accuracy=accuracy if complete else None,
        curve=curve,
        test_accuracy=test_accuracy,
        seconds=time.perf_counter() - start,
        n_parameters=sum(parameter.numel() for parameter in run.network.parameters()),
        n_validation=len(data.validation[1]),
        n_test=len(data.test[1]),
        provenance={"device": _device_name(device), "precision": "float32", "stacked": False},
    )


def begin_run(training: Training, settings: Settings, data: Split, study_seed: int) -> Run:
    """A fresh network with its optimizer; weights from torch's current random state."""
    inputs, labels = data.train
    batch, rule = settings.training.batch, settings.training
    base = tied_rate(settings.optimizer.learning_rate, batch, rule.rate_rule, rule.reference_batch)
    network = build(settings.network, data.n_inputs, data.n_classes).to(inputs.device)
    base_width = settings.network.base_width
    adaptive = settings.optimizer.name != "sgd"
    groups = transfer_width(network, base_width, base, adaptive) if base_width else network.parameters()
    optimizer = build_optimizer(settings.optimizer, groups)
    for group in optimizer.param_groups:
        group["lr"] = base * group.get("lr_scale", 1.0)
    generator = torch.Generator().manual_seed(stream_seed(study_seed, "noise", training.seed))
    schedule = parse(settings.training.schedule)
    return Run(
        network, optimizer, functional.cross_entropy, inputs, labels, batch, training.epochs, schedule, generator, base
    )


def train_epochs(
    run: Run,
    settings: Settings,
    data: Split,
    order: torch.Generator,
    techniques: Techniques,
    curve: dict[str, list[float]],
    report: Callable[[float], None],
    keep: bool,
) -> nn.Module | None:
    """All epochs, noted in ``curve``; gives the network to be tested, if one is to be kept.

    A training that diverges ends in its middle: ``curve`` has fewer epochs than were begun.
    """
    hooks = techniques.begin(run)
    names = ("validation_accuracy", "validation_loss", "train_accuracy", "train_loss", "learning_rate")
    curve.update({name: [] for name in names})
    validation = curve["validation_accuracy"]
    tested: nn.Module | None = None
    n_steps = steps_in_epoch(len(run.labels), run.batch, settings.training.steps_per_epoch)
    for epoch in range(run.epochs):
        run.epoch = epoch
        if any(hook.instead_of_epoch(run) for hook in hooks):
            train_loss, train_accuracy = evaluate(run.network, run.inputs, run.labels)
        else:
            skip_single = settings.network.batch_norm
            train_loss, train_accuracy = _descend(run, hooks, order, n_steps, validation, skip_single)
        run.epoch = epoch + 1
        for hook in hooks:
            hook.after_epoch(run)
        network = judged(hooks, run)
        validation_loss, validation_accuracy = evaluate(network, *data.validation)
        if not (math.isfinite(train_loss) and math.isfinite(validation_loss)):
            break
        better = validation_accuracy > max(validation, default=-1.0)
        if keep and (better or settings.training.tested == "last"):
            tested = copy.deepcopy(network)
        noted = (validation_accuracy, validation_loss, train_accuracy, train_loss, run.learning_rate)
        for name, value in zip(names, noted, strict=True):
            curve[name].append(value)
        report((epoch + 1) / run.epochs)
        stopping = techniques.early_stopping
        if stopping is not None and stopping.stops(validation, curve["validation_loss"]):
            break
    curve.update(run.curve)
    return tested


def _descend(
    run: Run, hooks: Sequence[Hooks], order: torch.Generator, n_steps: int, history: Sequence[float], skip_single: bool
) -> tuple[float, float]:
    """One epoch of steps; mean training loss and accuracy as they were on the way.

    Args:
        order: draws the order of the data, a new one for every pass that the steps need.
        history: validation accuracies so far, for the schedule.
        skip_single: leave out a last batch of one example, which has no variance to normalise by.
    """
    device, batch, n = run.inputs.device, run.batch, len(run.labels)
    n_passes = 1 if n_steps == steps_in_epoch(n, batch) else math.ceil(n_steps * batch / n)
    permutation = torch.cat([torch.randperm(n, generator=order) for _ in range(n_passes)])[: n_steps * batch].to(device)
    x, y = run.inputs[permutation], run.labels[permutation]
    loss_sum = torch.zeros((), device=device)
    n_right = torch.zeros((), device=device, dtype=torch.int64)
    run.network.train()
    first = run.epoch * n_steps
    for i in range(n_steps):
        rate = run.schedule.rate(run.base_rate, first + i, n_steps, run.epochs, history)
        for group in run.optimizer.param_groups:
            group["lr"] = rate * group.get("lr_scale", 1.0)
        these, wanted = x[i * batch : (i + 1) * batch], y[i * batch : (i + 1) * batch]
        if skip_single and len(wanted) == 1:
            continue
        scores = run.network(these)
        loss = functional.cross_entropy(scores, wanted)
        run.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for hook in hooks:
            hook.before_step(run)
        run.optimizer.step()
        run.step += 1
        loss_sum += loss.detach() * len(wanted)
        n_right += (scores.detach().argmax(1) == wanted).sum()
    return float(loss_sum) / len(y), int(n_right) / len(y)


@torch.no_grad()
def evaluate(network: nn.Module, inputs: Tensor, labels: Tensor) -> tuple[float, float]:
    """Mean cross-entropy and accuracy on a split."""
    network.eval()
    loss, n_right = 0.0, 0
    for x, y in zip(torch.split(inputs, _EVALUATION_BATCH), torch.split(labels, _EVALUATION_BATCH), strict=True):
        scores = network(x)
        loss += float(functional.cross_entropy(scores, y, reduction="sum"))
        n_right += int((scores.argmax(1) == y).sum())
    return loss / len(labels), n_right / len(labels)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
