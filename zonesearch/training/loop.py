"""The reference loop: one network, plain and short; what any faster way of training is tested against."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from zonesearch.domain.seeding import stream_seed
from zonesearch.domain.trials import Training, Trial
from zonesearch.training.augmentation import Augmentation
from zonesearch.training.averaging import has_batch_norm
from zonesearch.training.batch_rules import steps_in_epoch, tied_rate
from zonesearch.training.data import Split
from zonesearch.training.lr_range import sweep_losses
from zonesearch.training.metrics import CLASSIFICATION, Measure, measure_of
from zonesearch.training.networks import build, check_scores, dropout_generator, seed_dropout
from zonesearch.training.numerics import arithmetic, autocast, dtype_of
from zonesearch.training.optimizers import build_optimizer
from zonesearch.training.order import epoch_order
from zonesearch.training.schedules import Sweep, parse
from zonesearch.training.settings import Settings
from zonesearch.training.states import States
from zonesearch.training.technique import Hooks, Run, judged
from zonesearch.training.techniques import Techniques
from zonesearch.training.width_transfer import transfer_width

__all__ = ["CURVES", "begin_run", "evaluate", "train_epochs", "train_one", "where_computed"]

CURVES = ("validation_accuracy", "validation_loss", "train_accuracy", "train_loss", "learning_rate")
"""What a trial notes after every epoch."""

_EVALUATION_BATCH = 4096


def train_one(
    training: Training,
    settings: Settings,
    data: Split,
    study_seed: int,
    report: Callable[[float], None],
    techniques: Techniques | None = None,
    states: States | None = None,
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
        states: where the ends of trainings are kept, to go on from; none by default.
    """
    start = time.perf_counter()
    device = data.train[0].device
    curve: dict[str, list[float]] = {}
    test_accuracy = None
    techniques = techniques or Techniques()
    measure = measure_of(settings, data.scale)
    precision = settings.training.precision
    if states is not None and (techniques.beyond_stopping or parse(settings.training.schedule).uses_horizon):
        states = None
    with arithmetic(precision, device), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(stream_seed(study_seed, "weights", training.seed))
        order = torch.Generator().manual_seed(stream_seed(study_seed, "order", training.seed))
        run = begin_run(training, settings, data, study_seed)
        if isinstance(run.schedule, Sweep):
            losses = sweep_losses(
                run.network, run.optimizer, run.loss, run.inputs, run.labels, run.schedule.rates(), run.batch, order
            )
            curve["step_loss"] = [loss for loss in losses if math.isfinite(loss)]
            validation_loss, accuracy = evaluate(run.network, *data.validation, measure, precision)
            complete = len(curve["step_loss"]) == run.schedule.n_steps and math.isfinite(validation_loss)
        else:
            tested = train_epochs(
                run, settings, data, order, techniques, curve, report, training.test, states, training
            )
            complete = len(curve["validation_accuracy"]) == run.epoch
            accuracy = measure.metric.best(curve["validation_accuracy"]) if curve["validation_accuracy"] else math.nan
            if tested is not None and complete:
                test_accuracy = evaluate(tested, *data.test, measure, precision)[1]
    return Trial(
        training=training,
        state="complete" if complete else "diverged",
        accuracy=accuracy if complete else None,
        curve=curve,
        metric=measure.metric,
        test_accuracy=test_accuracy,
        seconds=time.perf_counter() - start,
        n_parameters=sum(parameter.numel() for parameter in run.network.parameters()),
        n_validation=len(data.validation[1]) if measure.counts else None,
        n_test=len(data.test[1]) if measure.counts else None,
        provenance={**where_computed(device, precision), "stacked": False},
    )


def begin_run(training: Training, settings: Settings, data: Split, study_seed: int) -> Run:
    """A fresh network with its optimizer; weights from torch's current random state.

    Raises:
        ObjectiveError: a network that does not fit the data.
        ValueError: nor does one that a factory made.
    """
    inputs, labels = data.train
    device, rule = inputs.device, settings.training
    batch = len(labels) if settings.optimizer.name == "lbfgs" else rule.batch
    base = tied_rate(settings.optimizer.learning_rate, batch, rule.rate_rule, rule.reference_batch)
    network = build(settings.network, data.shape, data.n_outputs).to(device, dtype_of(rule.precision))
    if settings.network.is_factory:
        check_scores(network, settings.network, inputs[:2], data.n_outputs)
    noise = stream_seed(study_seed, "noise", training.seed)
    seed_dropout(network, noise + 1, device)
    base_width = settings.network.base_width
    adaptive = settings.optimizer.name not in ("sgd", "momentum", "nesterov")
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = transfer_width(network, base_width, base, adaptive) if base_width else trained
    optimizer = build_optimizer(settings.optimizer, groups)
    for group in optimizer.param_groups:
        group["lr"] = base * group.get("lr_scale", 1.0)
    generator = torch.Generator().manual_seed(noise)
    loss = measure_of(settings, data.scale).loss
    schedule = parse(rule.schedule)
    augmentation = None
    if settings.augmentation:
        seed = stream_seed(study_seed, "augmentation", training.seed)
        augmentation = Augmentation(settings.augmentation, seed)
    epochs = training.epochs
    return Run(network, optimizer, loss, inputs, labels, batch, epochs, schedule, generator, base, augmentation)


def train_epochs(
    run: Run,
    settings: Settings,
    data: Split,
    order: torch.Generator,
    techniques: Techniques,
    curve: dict[str, list[float]],
    report: Callable[[float], None],
    keep: bool,
    states: States | None = None,
    training: Training | None = None,
) -> nn.Module | None:
    """All epochs, noted in ``curve``; gives the network to be tested, if one is to be kept.

    A training that diverges ends in its middle: ``curve`` has fewer epochs than were begun. With ``states`` it goes on
    where a shorter one of the same ``training`` ended, and leaves its own end there.
    """
    hooks = techniques.begin(run)
    curve.update({name: [] for name in CURVES})
    validation = curve["validation_accuracy"]
    measure, precision = measure_of(settings, data.scale), settings.training.precision
    tested: nn.Module | None = None
    if states is not None and training is not None:
        tested = _resume(states.load(training), run, order, curve)
    n_steps = steps_in_epoch(len(run.labels), run.batch, settings.training.steps_per_epoch)
    for epoch in range(run.epoch, run.epochs):
        run.epoch = epoch
        if any(hook.instead_of_epoch(run) for hook in hooks):
            train_loss, train_accuracy = evaluate(run.network, run.inputs, run.labels, measure, precision)
        else:
            history = list(map(measure.metric.score, validation))
            train_loss, train_accuracy = _descend(run, settings, measure, hooks, order, n_steps, history)
        run.epoch = epoch + 1
        for hook in hooks:
            hook.after_epoch(run)
        network = judged(hooks, run)
        validation_loss, validation_accuracy = evaluate(network, *data.validation, measure, precision)
        if not all(map(math.isfinite, (train_loss, validation_loss, validation_accuracy))):
            break
        better = not validation or measure.metric.better(validation_accuracy, measure.metric.best(validation))
        if (keep or states is not None) and (better or settings.training.tested == "last"):
            tested = copy.deepcopy(network)
        noted = (validation_accuracy, validation_loss, train_accuracy, train_loss, run.learning_rate)
        for name, value in zip(CURVES, noted, strict=True):
            curve[name].append(value)
        report((epoch + 1) / run.epochs)
        stopping = techniques.early_stopping
        scores = list(map(measure.metric.score, validation))
        if stopping is not None and stopping.stops(scores, curve["validation_loss"]):
            break
    curve.update(run.curve)
    if states is not None and training is not None and len(validation) == run.epochs:
        states.save(training, _state(run, order, curve, tested))
    return tested


def _descend(
    run: Run,
    settings: Settings,
    measure: Measure,
    hooks: Sequence[Hooks],
    order: torch.Generator,
    n_steps: int,
    history: Sequence[float],
) -> tuple[float, float]:
    """One epoch of steps; mean training loss and score as they were on the way.

    Args:
        order: draws the order of the data, a new one for every pass that the steps need.
        history: validation so far, for the schedule: larger is better.
    """
    device, batch = run.inputs.device, run.batch
    permutation = epoch_order(len(run.labels), batch, n_steps, order).to(device)
    y = run.labels[permutation]
    loss_sum = torch.zeros((), dtype=torch.float64, device=device)
    outputs = []
    run.network.train()
    skip_single = has_batch_norm(run.network)  # a batch of one example has no variance to normalise by
    first = run.epoch * n_steps
    clip, precision = settings.training.clip, settings.training.precision
    for i in range(n_steps):
        rate = run.schedule.rate(run.base_rate, first + i, n_steps, run.epochs, history)
        for group in run.optimizer.param_groups:
            group["lr"] = rate * group.get("lr_scale", 1.0)
        these, wanted = permutation[i * batch : (i + 1) * batch], y[i * batch : (i + 1) * batch]
        x = run.inputs[these]
        if run.augmentation is not None:
            x = run.augmentation(x)

        if skip_single and len(wanted) == 1:
            outputs.append(_scores(run.network.eval(), x, precision))
            run.network.train()
            continue
        loss, scores = _backward(run, x, wanted, precision)
        if clip:
            nn.utils.clip_grad_norm_(run.network.parameters(), clip)
        for hook in hooks:
            hook.before_step(run)
        if isinstance(run.optimizer, torch.optim.LBFGS):
            run.optimizer.step(_closure(run, x, wanted, precision))  # type: ignore[no-untyped-call]
        else:
            run.optimizer.step()
        run.step += 1
        loss_sum += loss * len(wanted)
        outputs.append(scores)
    return float(loss_sum) / len(y), measure.score(torch.cat(outputs).float(), y)


def _backward(run: Run, x: Tensor, wanted: Tensor, precision: str) -> tuple[Tensor, Tensor]:
    """Gradients of the mean loss of a batch; gives that loss, and the scores."""
    with autocast(precision, x.device):
        scores = run.network(x)
        loss = run.loss(scores, wanted)
    run.optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.detach(), scores.detach()


def _closure(run: Run, x: Tensor, wanted: Tensor, precision: str) -> Callable[[], Tensor]:
    """What L-BFGS calls for each point of its line search."""
    return lambda: _backward(run, x, wanted, precision)[0]


@torch.no_grad()
def evaluate(
    network: nn.Module, inputs: Tensor, labels: Tensor, measure: Measure = CLASSIFICATION, precision: str = "float32"
) -> tuple[float, float]:
    """Mean loss and score on a split; of a classification, cross-entropy and accuracy."""
    network.eval()
    loss = 0.0
    outputs = []
    for x, y in zip(torch.split(inputs, _EVALUATION_BATCH), torch.split(labels, _EVALUATION_BATCH), strict=True):
        scores = _scores(network, x, precision)
        loss += float(measure.loss(scores, y, reduction="sum"))
        outputs.append(scores)
    return loss / len(labels), measure.score(torch.cat(outputs), labels)


@torch.no_grad()
def _scores(network: nn.Module, x: Tensor, precision: str) -> Tensor:
    with autocast(precision, x.device):
        scores: Tensor = network(x)
    return scores.float() if scores.dtype == torch.bfloat16 else scores


def _state(
    run: Run,
    order: torch.Generator,
    curve: dict[str, list[float]],
    tested: nn.Module | None,
) -> dict[str, Any]:
    """All that a longer training needs to go on from here."""
    dropout = dropout_generator(run.network)
    return {
        "epochs": run.epoch,
        "step": run.step,
        "curve": curve,
        "network": run.network.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "tested": None if tested is None else tested.state_dict(),
        "order": order.get_state(),
        "dropout": None if dropout is None else dropout.get_state(),
        "augmentation": None if run.augmentation is None else run.augmentation.generator.get_state(),
    }


def _resume(
    state: dict[str, Any] | None,
    run: Run,
    order: torch.Generator,
    curve: dict[str, list[float]],
) -> nn.Module | None:
    """Bring a run to a kept state; gives the network to be tested so far."""
    if state is None:
        return None
    run.epoch, run.step = state["epochs"], state["step"]
    curve.update(state["curve"])
    run.network.load_state_dict(state["network"])
    run.optimizer.load_state_dict(state["optimizer"])
    order.set_state(state["order"])
    dropout = dropout_generator(run.network)
    if dropout is not None:
        dropout.set_state(state["dropout"])
    if run.augmentation is not None:
        run.augmentation.generator.set_state(state["augmentation"])
    if state["tested"] is None:
        return None
    tested = copy.deepcopy(run.network)
    tested.load_state_dict(state["tested"])
    return tested


def where_computed(device: torch.device, precision: str) -> dict[str, Any]:
    """What a trial says of the place where its numbers come from."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    return {"device": name, "precision": precision, "torch": torch.__version__, "threads": torch.get_num_threads()}
