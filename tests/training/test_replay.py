"""A step that is recorded and repeated trains as steps taken one by one.

On a GPU. Elsewhere the same road is tried without a recording: the step is called each time. Rates are powers of two,
which float32 keeps: networks with norms make much of a rounded rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch

from zonesearch.core.trials import Training, Trial
from zonesearch.training import replay
from zonesearch.training.recipe import Recipe

DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[
            pytest.mark.gpu,
            pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here"),
        ],
    ),
]
DESCENT = {
    "name": "sgd",
    "learning_rate": 0.0625,
}  # Adam makes steps of rounding where there is no gradient, as in biases before a norm
STACKS: Mapping[str, Mapping[str, Any]] = {
    "plain": {},
    "clipped": {"training": {"clip": 0.05}},
    "dropout": {"network": {"dropout": 0.2}},
    "norms": {"network": {"batch_norm": True, "depth": 2}, "optimizer": DESCENT},
    "adamw": {"optimizer": {"name": "adamw", "weight_decay": 0.01}},
    "nesterov": {"optimizer": {"name": "nesterov", "learning_rate": 0.0625}},
    "dampened": {"optimizer": {"name": "sgd", "learning_rate": 0.0625, "momentum": 0.5, "dampening": 0.3}},
    "within an epoch": {"training": {"schedule": "onecycle"}},
    "by what came": {"training": {"schedule": "plateau(patience=1)"}},
    "more than one pass": {"training": {"steps_per_epoch": 11}},
    "bf16": {"training": {"precision": "bf16"}},
}
SEEDS = (0, 1)
WANTED = [
    Training({"width": width, "learning_rate": rate}, seed, 4)
    for width, rate in ((5, 0.0078125), (9, 0.00390625))
    for seed in SEEDS
]
LOOPS: Mapping[str, Mapping[str, Any]] = {
    "convolutions": {"network": {"batch_norm": False}},
    "augmented": {"augmentation": {"pad": 1, "flip": True}},
    "shifted": {"augmentation": {"pad": 1}},
    "clipped": {"training": {"clip": 0.05}},
    "dropout": {"network": {"dropout": 0.2}},
    "momentum": {"optimizer": {"name": "momentum", "learning_rate": 0.0625}},
    "sgd": {"optimizer": {"name": "sgd", "learning_rate": 0.0625}},
    "within an epoch": {"training": {"schedule": "onecycle"}},
    "averaged": {"averaging": {"kind": "weights", "start": 0.5}},
    "evolution": {"evolution": {"kind": "strategies", "every": 2, "children": 2}},
    "body rate": {
        "network": {"kind": "backbone", "backbone": "shufflenet_v2_x0_5", "body_rate": 0.125},
        "data": {"limit": 80},
        "optimizer": DESCENT,
    },
}


def trained(tables: Mapping[str, Mapping[str, Any]], device: str, wanted: list[Training]) -> dict[Training, Trial]:
    training = {"batch": 32, "precision": "float32", "device": device, **tables.get("training", {})}
    tables = {**tables, "training": training, "data": {"limit": 200, **tables.get("data", {})}}
    recipe = Recipe.from_tables(tables)
    jobs = recipe.jobs(wanted)
    return {trial.training: trial for job in jobs for trial in recipe.train(job, lambda share: None)}


def both(
    tables: Mapping[str, Mapping[str, Any]], device: str, wanted: list[Training], monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[Training, Trial], dict[Training, Trial], int]:
    """Trials step by step; repeated ones; how many steps were repeated."""
    n_steps, take = 0, replay.Replay.take

    def counted(self: replay.Replay, n: int) -> None:
        nonlocal n_steps
        n_steps += n
        take(self, n)

    monkeypatch.setattr(replay.Replay, "take", counted)
    monkeypatch.setattr(replay, "_RECORDS", ())
    plain = trained(tables, device, wanted)
    assert n_steps == 0
    monkeypatch.setattr(replay, "_RECORDS", ("cpu", "cuda"))
    monkeypatch.setattr(replay, "_WORTH", 4)
    return plain, trained(tables, device, wanted), n_steps


def same(plain: dict[Training, Trial], repeated: dict[Training, Trial], precise: float) -> None:
    for training, trial in plain.items():
        for name, values in trial.curve.items():
            assert repeated[training].curve[name] == pytest.approx(values, rel=precise, abs=precise), name


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("tables", STACKS.values(), ids=STACKS)
def test_a_stack_repeats_its_step(
    tables: Mapping[str, Mapping[str, Any]], device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, repeated, n_steps = both(tables, device, WANTED, monkeypatch)
    assert n_steps > 4
    assert all(trial.provenance["stacked"] for trial in repeated.values())
    low = tables.get("training", {}).get("precision") == "bf16"
    same(plain, repeated, 2e-2 if low else 1e-4)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("tables", LOOPS.values(), ids=LOOPS)
def test_the_loop_repeats_its_step(
    tables: Mapping[str, Mapping[str, Any]], device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    network = {"kind": "cnn", "channels": 2, "blocks": 1, "batch_norm": True, **tables.get("network", {})}
    if network["kind"] != "cnn":
        network = dict(tables["network"])
    batch = {"training": {"batch": 8, **tables.get("training", {})}}
    wanted = [Training({}, 0, 4 if network["kind"] == "cnn" else 2)]
    plain, repeated, n_steps = both({**tables, "network": network, **batch}, device, wanted, monkeypatch)
    assert n_steps > 4
    same(plain, repeated, 1e-3)
