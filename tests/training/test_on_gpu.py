"""On a GPU a stack gives what it gives on a processor, and its steps wait for nothing from the host."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn

from zonesearch.core.objective import Job
from zonesearch.core.trials import Training, Trial
from zonesearch.training.averaging import refresh_batch_norm
from zonesearch.training.data.collate import Batch
from zonesearch.training.recipe import Recipe
from zonesearch.training.stack.stack import Stack

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here"),
]

WANTED = tuple(Training({"width": width}, seed, 3) for width in (5, 9) for seed in (0, 1))
KINDS = pytest.mark.parametrize(
    "tables",
    [
        {},
        {"training": {"clip": 0.05}},
        {"network": {"batch_norm": True}},
        {"optimizer": {"name": "nesterov", "learning_rate": 0.05}},
    ],
    ids=["plain", "clipped", "norms", "nesterov"],
)


def trained(tables: Mapping[str, Mapping[str, Any]], device: str) -> dict[Training, Trial]:
    training = {"batch": 32, "precision": "float64", "device": device, **tables.get("training", {})}
    recipe = Recipe.from_tables({"data": {"limit": 200}, **tables, "training": training})
    return {trial.training: trial for trial in recipe.train(Job(WANTED), lambda share: None)}


@KINDS
def test_a_stack_gives_what_it_gives_on_a_processor(tables: Mapping[str, Mapping[str, Any]]) -> None:
    here, there = trained(tables, "cpu"), trained(tables, "cuda")
    for training in WANTED:
        for name, values in here[training].curve.items():
            assert there[training].curve[name] == pytest.approx(values, abs=1e-9), name


@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
@KINDS
def test_steps_wait_for_nothing(tables: Mapping[str, Mapping[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    steps, n_calls = Stack._steps, 0

    def watched(*arguments: Any) -> None:
        nonlocal n_calls
        n_calls += 1
        torch.cuda.set_sync_debug_mode("error" if n_calls > 1 else "default")  # the first call makes the buffers
        try:
            steps(*arguments)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(Stack, "_steps", watched)
    trained(tables, "cuda")
    assert n_calls > 2


@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
def test_the_pass_for_statistics_waits_for_nothing() -> None:
    torch.manual_seed(0)
    there = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.BatchNorm1d(5))
    here, inputs = copy.deepcopy(there).cuda(), torch.randn(600, 6)

    def watched(x: Batch) -> None:
        torch.cuda.set_sync_debug_mode("error")
        try:
            here(x)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    refresh_batch_norm(there, inputs)
    refresh_batch_norm(here, inputs.cuda(), forward=watched)
    for name, value in there.state_dict().items():
        torch.testing.assert_close(here.state_dict()[name].cpu(), value, msg=name)
