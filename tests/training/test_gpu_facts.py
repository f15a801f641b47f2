"""What follows from facts about GPUs: sizes of stacks, precision, draws that are made ahead. No GPU is needed."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from zonesearch import Job, Training
from zonesearch.training import gpu, numerics, precision
from zonesearch.training import recipe as recipes
from zonesearch.training.augmentation import Augmentation
from zonesearch.training.gpu import Gpu, gpu_precision, stack_limits
from zonesearch.training.recipe import Recipe
from zonesearch.training.settings import AugmentationSettings

GB = 10**9
H100 = Gpu((9, 0), 80 * GB)
GRID = [
    Training({"width": width, "batch": batch}, seed, 40)
    for width in (16, 64, 256, 1024, 4096)
    for batch in (8, 16, 32, 64, 128)
    for seed in range(3)
]


def made(**tables: Any) -> Recipe:
    data = {"name": "digits", "limit": 256, "limit_validation": 32, "limit_test": 16}
    return Recipe.from_tables({"data": data, **tables})


def pretend(monkeypatch: pytest.MonkeyPatch, *found: Gpu) -> None:
    monkeypatch.setattr(Recipe, "_device", lambda self: "cuda")
    monkeypatch.setattr(recipes, "gpus", lambda: found)


def keys(jobs: list[Job]) -> list[str]:
    return sorted(training.key for job in jobs for training in job.trainings)


@pytest.mark.parametrize(
    ("found", "n_workers", "n_bytes", "seconds"),
    [
        ([H100], 1, 48 * GB, math.inf),
        ([H100, Gpu((8, 0), GB)], 1, 48 * GB, math.inf),
        ([H100], 2, 24 * GB, 25.0),
        ([H100, Gpu((8, 0), 10 * GB)], 2, 6 * GB, 25.0),
        ([H100, H100], 3, 24 * GB, 100 / 6),
    ],
)
def test_stacks_are_as_large_as_the_memory_of_each_worker(
    found: list[Gpu], n_workers: int, n_bytes: int, seconds: float
) -> None:
    limits = stack_limits(found, n_workers, 100.0)
    assert limits.n_bytes == n_bytes
    assert limits.seconds == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("capability", "large", "classes", "wanted"),
    [
        ((7, 5), True, True, "float32"),
        ((8, 0), True, True, "bf16"),
        ((8, 0), False, True, "tf32"),
        ((12, 0), False, True, "tf32"),
        ((9, 0), False, False, "float32"),
    ],
)
def test_auto_goes_by_capability_and_size(capability: tuple[int, int], large: bool, classes: bool, wanted: str) -> None:
    assert gpu_precision(capability, large, classes) == wanted


@pytest.mark.parametrize(
    ("tables", "wanted"),
    [
        ({}, "tf32"),
        ({"network": {"kind": "cnn"}, "augmentation": {"flip": True}}, "tf32"),
        ({"optimizer": {"name": "lbfgs"}}, "float32"),
        ({"training": {"precision": "float32"}}, "float32"),
        ({"training": {"precision": "float64"}}, "float64"),
    ],
    ids=str,
)
def test_recipes_take_the_precision_of_their_gpu(
    monkeypatch: pytest.MonkeyPatch, tables: dict[str, Any], wanted: str
) -> None:
    monkeypatch.setattr(precision, "capability", lambda: (8, 6))
    settings = made(**tables).settings_of({})[0]
    assert precision.precision_used(settings, False, "cuda") == wanted


def test_a_regression_keeps_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "capability", lambda: (9, 0))
    settings = Recipe.from_tables({"data": {"name": "table", "task": "regression"}}).settings_of({})[0]
    assert precision.precision_used(settings, False, "cuda") == "float32"


def test_a_gpu_trains_each_kind_as_one_stack_and_every_machine_deals_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    here = made().jobs(GRID)
    assert made(training={"device": "cpu"}).joined(here, 1) == here
    pretend(monkeypatch, H100)
    there = made().jobs(GRID)
    assert there == here
    joined = made().joined(there, 1)
    assert keys(joined) == keys(here)
    large = [job for job in joined if job.trainings[0].params["batch"] == 128]
    assert len(joined) == 7, "five batches; in the largest two also what bfloat16 is for"
    assert len(large) == 2
    assert all(job.cost == pytest.approx(sum(made()._cost(t) for t in job.trainings)) for job in joined)


def test_memory_and_workers_cut_stacks(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = made().jobs(GRID)
    for found, n_workers in ((Gpu((9, 0), 2 * GB), 1), (H100, 4)):
        pretend(monkeypatch, found)
        joined = made().joined(jobs, n_workers)
        assert keys(joined) == keys(jobs)
        assert len(joined) > 7


def test_what_is_joined_already_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, H100)
    once = made().joined(made().jobs(GRID), 1)
    assert made().joined(once, 1) == once
    assert made().joined([], 1) == []


def test_gpus_are_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    free = iter([(7 * GB, 8 * GB)])
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda i: (8, 9))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda i: next(free))
    gpu.gpus.cache_clear()
    try:
        assert gpu.gpus() == gpu.gpus() == (Gpu((8, 9), 7 * GB),)
    finally:
        gpu.gpus.cache_clear()


@pytest.mark.parametrize(("name", "wanted"), [("float32", "ieee"), ("bf16", "ieee"), ("tf32", "tf32")])
def test_convolutions_on_a_gpu_round_as_the_precision_says(name: str, wanted: str) -> None:
    settings: list[Any] = [torch.backends.cuda.matmul, getattr(torch.backends.cudnn, "conv", None)]
    if not all(hasattr(each, "fp32_precision") for each in settings):
        pytest.skip("this torch has no such settings")
    before = [each.fp32_precision for each in settings]
    with numerics.arithmetic(name, torch.device("cuda")):
        assert [each.fp32_precision for each in settings] == [wanted, wanted]
    assert [each.fp32_precision for each in settings] == before


@given(
    pad=st.integers(0, 2),
    flip=st.booleans(),
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    seed=st.integers(0, 99),
)
def test_what_is_drawn_ahead_is_what_each_batch_would_draw(pad: int, flip: bool, sizes: list[int], seed: int) -> None:
    settings = AugmentationSettings(pad=pad, flip=flip)
    ahead, now = Augmentation(settings, seed), Augmentation(settings, seed)
    images = torch.arange(4 * 2 * 5 * 5.0).view(4, 2, 5, 5)
    for n, drawn in zip(sizes, ahead.ahead(sizes, images.device), strict=True):
        assert torch.equal(ahead(images[:n], drawn), now(images[:n]))
    assert torch.equal(ahead.generator.get_state(), now.generator.get_state())


def test_an_epoch_draws_in_the_order_of_its_batches() -> None:
    """The stream is that of one batch after the other: shifts and mirrors of the first, then of the second."""
    drawn = Augmentation(AugmentationSettings(pad=1, flip=True), 5).ahead([2, 3], torch.device("cpu"))
    stream = torch.Generator().manual_seed(5)
    for each, n in zip(drawn, (2, 3), strict=True):
        assert each.shifts is not None
        assert each.mirrored is not None
        assert torch.equal(each.shifts, torch.randint(3, (2, n, 1), generator=stream))
        assert torch.equal(each.mirrored, torch.rand(n, generator=stream).lt(0.5))
