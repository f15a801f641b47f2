"""The reference loop: it trains one network, plainly and briefly, and every faster path is tested against it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from zonesearch.core.metric import is_usable
from zonesearch.core.seeding import stream_seed
from zonesearch.core.trials import Training, Trial
from zonesearch.training.augmentation import Augmentation, InAdvance
from zonesearch.training.data import Split
from zonesearch.training.data.collate import batch_of, forward
from zonesearch.training.early_stopping import EarlyStopping
from zonesearch.training.epoch import descend as _descend
from zonesearch.training.epoch import evaluate, examine, right_answers
from zonesearch.training.evaluations import evaluate_every, is_evaluated, is_regular
from zonesearch.training.frozen import is_seen_often, once
from zonesearch.training.losses import check_own_loss
from zonesearch.training.lr_range import swept
from zonesearch.training.metrics import measure_of
from zonesearch.training.networks import build, check_scores, n_parameters, seed_dropout
from zonesearch.training.networks.backbone import Backbone
from zonesearch.training.networks.convolutions import weights_last
from zonesearch.training.networks.twins import twin
from zonesearch.training.numerics import arithmetic, autocast, dtype_of
from zonesearch.training.optimizers import build_optimizer
from zonesearch.training.progress import judgement_of, load_progress, progress_of
from zonesearch.training.schedules import Sweep, parse
from zonesearch.training.settings import Settings
from zonesearch.training.states import States
from zonesearch.training.technique import Run, judged
from zonesearch.training.techniques import Techniques, length_reason
from zonesearch.training.width_transfer import transfer_width

__all__ = ["CURVES", "begin_run", "conditions", "train_one", "train_run", "where_computed"]

CURVES = ("validation_accuracy", "validation_loss", "train_accuracy", "train_loss", "learning_rate")
"""What a trial records after every epoch."""


def train_one(
    training: Training,
    settings: Settings,
    data: Split,
    study_seed: int,
    report: Callable[[float], None],
    techniques: Techniques | None = None,
    states: States | None = None,
    keep: Callable[[nn.Module], None] | None = None,
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
        report: called with the completed fraction.
        techniques: what happens around the steps; nothing by default.
        states: where states of finished trainings are kept for continuing; none by default.
        keep: called with the tested network of a complete training that measures the test split.
    """
    start = time.perf_counter()
    data = data.seen_by(settings.network.is_factory)
    device, precision = data.train[0].device, settings.training.precision
    techniques = techniques or Techniques()
    measure = measure_of(settings, data.scale, data.train[1], data.n_classes)
    test_accuracy, test_right = None, b""
    network = settings.network
    small = {"n_weights": n_parameters(network, data.shape, data.n_outputs)} if network.kind == "mlp" else {}
    with conditions(precision, device, **small):
        schedule = parse(settings.training.schedule)
        if isinstance(schedule, Sweep):
            run = begin_run(training, settings, data, study_seed, techniques.within_epochs)
            losses = swept(run, schedule.n_steps)
            run.curve = {"step_loss": [loss for loss in losses if math.isfinite(loss)]}
            validation_loss, accuracy = evaluate(run.network, *data.validation, measure, precision)
            complete = len(run.curve["step_loss"]) == schedule.n_steps and math.isfinite(validation_loss)
            run.notes += _not_swept(techniques)
        else:
            run = train_run(training, settings, data, study_seed, report, techniques, states)
            curve = run.curve["validation_accuracy"]
            complete = len(curve) == run.epoch
            accuracy = measure.metric.best(curve[run.counted]) if curve[run.counted] else math.nan
            if training.test and run.tested is not None and complete:
                tested = examine(run.tested, *data.test, measure, precision)
                test_accuracy, test_right = tested.value, right_answers(tested.outputs, tested.labels, measure)
                if keep is not None:
                    keep(run.tested)
    return Trial(
        training=training,
        state="complete" if complete else "diverged",
        accuracy=accuracy if complete else None,
        curve=run.curve,
        test_accuracy=test_accuracy,
        seconds=time.perf_counter() - start,
        n_parameters=sum(parameter.numel() for parameter in run.network.parameters()),
        n_validation=len(data.validation[1]) if measure.counts else None,
        n_test=len(data.test[1]) if measure.counts else None,
        provenance={
            **where_computed(device, precision),
            "stacked": False,
            **({"notes": run.notes} if run.notes else {}),
        },
        metric=measure.metric,
        right=run.right if complete else b"",
        test_right=test_right,
        averaged_from=run.averaged_from,
        evaluated_every=run.evaluate_every,
    )


@contextmanager
def conditions(precision: str, device: torch.device, **size: int) -> Iterator[None]:
    """The arithmetic of a training (of a network of this size), and torch's random state put back after it."""
    with (
        arithmetic(precision, device, **size),
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
    ):
        yield


def begin_run(
    training: Training, settings: Settings, data: Split, study_seed: int, techniques: Techniques | None = None
) -> Run:
    """A training at its beginning: a fresh network with its optimizer, every stream of randomness, the hooks.

    Raises:
        ObjectiveError: a network that does not fit the data.
        ValueError: nor does one that a factory made.
    """
    data = data.seen_by(settings.network.is_factory)
    inputs, labels = data.train
    device, rule, seed = inputs.device, settings.training, training.seed
    torch.manual_seed(stream_seed(study_seed, "weights", seed))
    network = build(settings.network, data.shape, data.n_outputs).to(device, dtype_of(rule.precision))
    if not settings.network.is_factory:
        weights_last(network)
    measure = measure_of(settings, data.scale, labels, data.n_classes)
    if settings.network.is_factory or ":" in rule.loss:
        few, wanted = batch_of(inputs, labels, torch.arange(min(2, len(labels)), device=device))
        if settings.network.is_factory:
            check_scores(network, settings.network, few, len(wanted), data.n_outputs)
        with autocast(rule.precision, device):
            check_own_loss(measure.loss, forward(network, few), wanted)
    noise = stream_seed(study_seed, "noise", seed)
    seed_dropout(network, noise + 1, device)
    batch = settings.batch_of(len(labels))
    base = settings.optimizer.learning_rate * settings.rate_tie(len(labels))
    base_width = settings.network.base_width
    adaptive = settings.optimizer.name not in ("sgd", "momentum", "nesterov")
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups: Any = transfer_width(network, base_width, base, adaptive) if base_width else trained
    if isinstance(network, Backbone) and settings.network.body_rate != 1:
        groups = network.groups(settings.network.body_rate)
    optimizer = build_optimizer(settings.optimizer, groups)
    for group in optimizer.param_groups:
        group["lr"] = base * group.get("lr_scale", 1.0)
    schedule = parse(rule.schedule)
    if isinstance(schedule, Sweep):
        schedule = schedule.times(settings.rate_tie(len(labels)))
    augmentation: Augmentation | None = None
    if settings.augmentation.draws and settings.augmentation:
        augmentation = InAdvance(settings.augmentation, study_seed, len(labels))
    elif settings.augmentation:
        augmentation = Augmentation(settings.augmentation, stream_seed(study_seed, "augmentation", seed))
    held, passes, epochs = data.validation[0], _passes(training, settings, len(labels)), training.epochs
    if isinstance(schedule, Sweep):
        passes = schedule.n_steps * batch / len(labels)
        epochs = math.ceil(schedule.n_steps / (rule.steps_per_epoch or max(1, len(labels) // batch)))
    if techniques is None or techniques.evolution is None or augmentation is None:  # evolution judges plain images
        images = inputs
        after = techniques is not None and techniques.look_after_epochs
        inputs, held = once(network, (inputs, held), rule.precision, passes, augmentation, epochs, after)
        augmentation = augmentation if inputs is images else None
    run = Run(
        network,
        optimizer,
        measure.loss,
        inputs,
        labels,
        batch,
        training.epochs,
        schedule,
        torch.Generator().manual_seed(noise),
        base,
        augmentation,
        measure=measure,
        classes=settings.data.task == "classification",
        precision=rule.precision,
        clip=rule.clip,
        fixed_steps=rule.steps_per_epoch,
        order=torch.Generator().manual_seed(stream_seed(study_seed, "order", seed)),
    )
    run.validation = held, data.validation[1]
    if not isinstance(schedule, Sweep):
        run.evaluate_every = evaluate_every(settings, len(labels), len(run.validation[1]))
    run.hooks = (techniques or Techniques()).begin(run)
    return run


def _passes(training: Training, settings: Settings, n: int) -> float:
    """The number of passes of a training over its ``n`` examples."""
    steps = settings.training.steps_per_epoch
    return training.epochs * (steps * settings.batch_of(n) / n if steps else 1.0)


def train_run(
    training: Training,
    settings: Settings,
    data: Split,
    study_seed: int,
    report: Callable[[float], None],
    techniques: Techniques,
    states: States | None = None,
) -> Run:
    """A training from its beginning, or from where a shorter one ended, to its end.

    A training that diverges ends in its middle: its curve has fewer epochs than were begun. One whose steps depend on
    its whole length goes on from nothing and leaves nothing in ``states``.
    """
    data = data.seen_by(settings.network.is_factory)
    run = begin_run(training, settings, data, study_seed, techniques)
    run.curve = {name: [] for name in CURVES}
    partly_frozen = isinstance(run.network, Backbone) and settings.network.tune != "full"
    seldom = not is_seen_often(_passes(training, settings, len(data.train[1])), settings.augmentation, training.epochs)
    if (partly_frozen and settings.augmentation.n_versions and seldom) or length_reason(settings, techniques):
        states = None  # images, where a longer training sees features of them: the same but for the last bits
    begun = None if states is None else states.load(training)
    if begun is not None:
        load_progress(run, begun)
    keep = (training.test or states is not None) and settings.training.tested == "best"
    try:
        stopped = _train_epochs(run, techniques.early_stopping, report, keep)
    finally:
        run.recorded = None  # it refers to the run, and would keep the memory of both for long
    lived = len(run.curve["validation_accuracy"]) == run.epoch
    if states is not None and lived and run.epoch == run.epochs and not stopped:
        states.save(training, progress_of(run))
    if settings.training.tested == "last":
        run.tested = judged(run.hooks, run)
    if techniques.averaging is not None and lived and run.averaged_from is None and not run.notes:
        first = techniques.averaging.points(run)[0]
        run.notes.append(f"averaging never began: the first member is taken at epoch {first}, and it stopped before")
    return run


def _train_epochs(run: Run, stopping: EarlyStopping | None, report: Callable[[float], None], keep: bool) -> bool:
    """All epochs that are left, noted in the curve of ``run``; whether early stopping ended them.

    Args:
        keep: a copy of the network that validation chose.
    """
    metric, validation, losses = run.measure.metric, run.curve["validation_accuracy"], run.curve["validation_loss"]
    while run.epoch < run.epochs:
        if any(hook.instead_of_epoch(run) for hook in run.hooks):
            train_loss, train_value = evaluate(run.network, run.inputs, run.labels, run.measure, run.precision)
        else:
            train_loss, train_value = _descend(run)
        run.epoch += 1
        for hook in run.hooks:
            hook.after_epoch(run)
        trained = train_value, train_loss, run.learning_rate
        if not is_evaluated(run.epoch, run.evaluate_every, run.epochs, stopping):
            if not math.isfinite(train_loss):
                return False
            _note(run.curve, (validation[-1], losses[-1], *trained))
            report(run.epoch / run.epochs)
            continue
        if not is_regular(run.epoch, run.evaluate_every):
            run.passing = judgement_of(run)
            _note(run.passing["curve"], (validation[-1], losses[-1], *trained))
        network = judged(run.hooks, run)
        if run.averaged_from is None and network is not run.network:
            run.averaged_from = run.epoch
        seen = examine(network, *run.validation, run.measure, run.precision)
        loss, value = seen.loss, seen.value
        if not all(map(math.isfinite, (train_loss, loss))) or not is_usable(value):
            return False
        before = validation[run.counted]
        if not before or metric.better(value, metric.best(before)):
            run.right = right_answers(seen.outputs, seen.labels, run.measure)
            if keep:
                run.tested = twin(network)
        _note(run.curve, (value, loss, *trained))
        report(run.epoch / run.epochs)
        if stopping is not None and stopping.stops(run.scores, losses, run.counted):
            return True
    return False


def _note(curve: Mapping[str, list[float]], values: Sequence[float]) -> None:
    """Note an epoch, in the order of ``CURVES``."""
    for name, value in zip(CURVES, values, strict=True):
        curve[name].append(value)


def _not_swept(techniques: Techniques) -> list[str]:
    """A sentence on the techniques that a range test ignores."""
    names = " and ".join(f"[{name}]" for name in techniques.between_epochs)
    return [f"a range test consists of steps only: {names} act between epochs and play no part in it"] if names else []


def where_computed(device: torch.device, precision: str) -> dict[str, Any]:
    """The provenance of a trial: where it was computed."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    return {"device": name, "precision": precision, "torch": torch.__version__, "threads": torch.get_num_threads()}
