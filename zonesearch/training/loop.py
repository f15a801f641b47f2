"""The reference loop: one network, plain and short; what any faster way of training is tested against."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from zonesearch.domain.seeding import stream_seed
from zonesearch.domain.trials import Training, Trial
from zonesearch.training.batch_rules import tied_rate
from zonesearch.training.data import Split
from zonesearch.training.networks import build
from zonesearch.training.optimizers import build_optimizer
from zonesearch.training.schedules import parse
from zonesearch.training.settings import Settings

__all__ = ["train_one"]

_EVALUATION_BATCH = 4096


def train_one(
    training: Training, settings: Settings, data: Split, study_seed: int, report: Callable[[float], None]
) -> Trial:
    """Train one network and evaluate it after each epoch.

    Weights come from the stream ``weights`` of the training's seed, the order of the data from ``order``: two trainings
    with the same seed index see the same batches. A loss that is no longer finite ends the training as diverged.

    Args:
        training: gives seed, epochs and whether to measure the test split, at the epoch that validation chooses.
        settings: of this training, its params applied.
        data: on the device where it is to be trained.
        study_seed: the seed of the study.
        report: is told the share that is done.
    """
    start = time.perf_counter()
    inputs, labels = data.train
    device = inputs.device
    batch = settings.training.batch
    schedule = parse(settings.training.schedule)
    rule = settings.training
    base = tied_rate(settings.optimizer.learning_rate, batch, rule.rate_rule, rule.reference_batch)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(stream_seed(study_seed, "weights", training.seed))
        network = build(settings.network, data.n_inputs, data.n_classes).to(device)
        order = torch.Generator().manual_seed(stream_seed(study_seed, "order", training.seed))
        optimizer = build_optimizer(settings.optimizer, network.parameters())
        curve: dict[str, list[float]] = {
            name: []
            for name in ("validation_accuracy", "validation_loss", "train_accuracy", "train_loss", "learning_rate")
        }
        validation = curve["validation_accuracy"]
        best: dict[str, Tensor] = {}
        state = "complete"
        n_steps = math.ceil(len(labels) / batch)
        for epoch in range(training.epochs):
            network.train()
            permutation = torch.randperm(len(labels), generator=order).to(device)
            x, y = inputs[permutation], labels[permutation]
            loss_sum = torch.zeros((), device=device)
            n_right = torch.zeros((), device=device, dtype=torch.int64)
            rate = base
            for i in range(n_steps):
                rate = schedule.rate(base, epoch * n_steps + i, n_steps, training.epochs, validation)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                these, wanted = x[i * batch : (i + 1) * batch], y[i * batch : (i + 1) * batch]
                if settings.network.batch_norm and len(wanted) == 1:
                    continue  # one example has no variance
                scores = network(these)
                loss = functional.cross_entropy(scores, wanted)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                loss_sum += loss.detach() * len(wanted)
                n_right += (scores.detach().argmax(1) == wanted).sum()
            validation_loss, validation_accuracy = evaluate(network, *data.validation)
            train_loss = float(loss_sum) / len(labels)
            if not (math.isfinite(train_loss) and math.isfinite(validation_loss)):
                state = "diverged"
                break
            if training.test and (not validation or validation_accuracy > max(validation)):
                best = copy.deepcopy(network.state_dict())
            validation.append(validation_accuracy)
            curve["validation_loss"].append(validation_loss)
            curve["train_accuracy"].append(int(n_right) / len(labels))
            curve["train_loss"].append(train_loss)
            curve["learning_rate"].append(rate)
            report((epoch + 1) / training.epochs)
        test_accuracy = None
        if best and state == "complete":
            network.load_state_dict(best)
            test_accuracy = evaluate(network, *data.test)[1]
    return Trial(
        training=training,
        state="complete" if state == "complete" else "diverged",
        accuracy=max(validation) if state == "complete" else None,
        curve=curve,
        test_accuracy=test_accuracy,
        seconds=time.perf_counter() - start,
        n_parameters=sum(parameter.numel() for parameter in network.parameters()),
        n_validation=len(data.validation[1]),
        n_test=len(data.test[1]),
        provenance={"device": _device_name(device), "precision": "float32", "stacked": False},
    )


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
