"""The precision "auto": decided by sizes and the processor, noted with the trial, the same stacks everywhere."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from zonesearch import Training, Trial
from zonesearch.core.objective import Job
from zonesearch.training import numerics, precision
from zonesearch.training.networks.largest import largest_convolution
from zonesearch.training.recipe import Recipe
from zonesearch.training.settings import NetworkSettings, Settings, TrainingSettings

SMALL, LARGE = {"width": 16, "batch": 64}, {"width": 1024, "batch": 128}


def made(tables: dict[str, Any] | None = None, **training: Any) -> Recipe:
    data = {"name": "digits", "limit": 128, "limit_validation": 32, "limit_test": 16}
    return Recipe.from_tables({"data": data, "training": {"device": "cpu", **training}, **(tables or {})})


def with_instructions(monkeypatch: pytest.MonkeyPatch, present: bool) -> None:
    monkeypatch.setattr(precision, "has_bf16", lambda device: present)


def trained(recipe: Recipe, *params: dict[str, Any]) -> list[Trial]:
    trainings = [Training(each, 0, 1) for each in params]
    return [trial for job in recipe.jobs(trainings) for trial in recipe.train(job, lambda share: None)]


def used(trials: list[Trial]) -> dict[Any, Any]:
    return {trial.params["width"]: trial.provenance["precision"] for trial in trials}


@pytest.mark.parametrize("stack", [True, False])
@pytest.mark.parametrize(("present", "large"), [(True, "bf16"), (False, "float32")])
def test_large_layers_are_computed_in_bf16_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, stack: bool, present: bool, large: str
) -> None:
    with_instructions(monkeypatch, present)
    trials = trained(made(stack=stack), SMALL, LARGE)
    assert used(trials) == {16: "float32", 1024: large}
    assert {trial.provenance["precision_asked"] for trial in trials} == {"auto"}


def test_machines_with_and_without_the_instructions_form_the_same_stacks(monkeypatch: pytest.MonkeyPatch) -> None:
    trainings = [Training({"width": width, "batch": 128}, seed) for width in (16, 32, 1024, 2048) for seed in (0, 1)]
    found = []
    for present in (True, False):
        with_instructions(monkeypatch, present)
        found.append([job.trainings for job in made().jobs(trainings)])
    assert found[0] == found[1]


def test_auto_is_what_it_comes_to_bit_for_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    for present, name in ((True, "bf16"), (False, "float32")):
        with_instructions(monkeypatch, present)
        auto, (said,) = trained(made(), LARGE)[0], trained(made(precision=name), LARGE)
        assert auto.curve == said.curve
        assert "precision_asked" not in said.provenance


@pytest.mark.parametrize(
    "tables",
    [
        {"averaging": {"kind": "weights", "start": 0.0}},
        {"evolution": {"kind": "random_gradients", "every": 1, "children": 2}},
        {"optimizer": {"name": "lbfgs", "iterations": 1}},
    ],
)
def test_what_a_stack_does_not_train_stays_in_float32(monkeypatch: pytest.MonkeyPatch, tables: dict[str, Any]) -> None:
    with_instructions(monkeypatch, True)
    assert used(trained(made(tables), LARGE)) == {1024: "float32"}


def test_precision_as_a_choice_is_computed_as_each_says(monkeypatch: pytest.MonkeyPatch) -> None:
    with_instructions(monkeypatch, True)
    trials = trained(made(), *({**LARGE, "precision": name} for name in ("auto", "float32", "bf16")))
    assert {trial.params["precision"]: trial.provenance["precision"] for trial in trials} == {
        "auto": "bf16", "float32": "float32", "bf16": "bf16",
    }  # fmt: skip
    assert [t.params["precision"] for t in trials if "precision_asked" in t.provenance] == ["auto"]


@pytest.mark.parametrize("before", [True, False])
def test_a_continued_training_is_computed_alike(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, before: bool) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    recipe = made(keep_mb=50)
    for epochs in (1, 2):
        with_instructions(monkeypatch, before or epochs == 2)
        training = Training(LARGE, 0, epochs)
        trial = next(iter(recipe.train(recipe.jobs([training])[0], lambda share: None)))
    (whole,) = made().train(made().jobs([training])[0], lambda share: None)
    assert trial.curve == whole.curve
    assert trial.provenance["precision"] == "bf16"


def test_the_identity_says_auto_and_what_was_the_default_is_left_out() -> None:
    assert made().fingerprint()["training"] == {"precision": "auto"}
    assert "training" not in made(precision="float32").fingerprint()
    assert made().former().training.precision == "float32"
    assert made(precision="auto").former().training.precision == "auto"


def test_the_rule_looks_at_batch_and_largest_layer() -> None:
    def large(width: int, batch: int, depth: int = 1) -> bool:
        network, training = NetworkSettings(width=width, depth=depth), TrainingSettings(batch=batch)
        return bool(precision.is_large(Settings(network=network, training=training), 784, 10))

    assert [large(128, 16), large(512, 64), large(1024, 256)] == [False, True, True]
    assert not large(8192, 32)
    assert [large(128, 64), large(128, 128)] == [False, True]
    assert [large(64, 128), large(64, 128, depth=3)] == [False, False]


def test_small_products_take_the_road_without_a_price_for_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    road = numerics._matmul_setting(torch.device("cpu"))
    if road is None:
        pytest.skip("this torch has no setting for the road of products")
    monkeypatch.setattr(numerics, "exact_and_quick", lambda: True)
    before, taken = road.fp32_precision, []
    for name, n_weights in (("float32", 100_000), ("float32", 1_000_000), ("bf16", 100_000)):
        with numerics.arithmetic(name, torch.device("cpu"), n_weights):
            taken.append(road.fp32_precision)
    assert taken == [before, "bf16", "bf16"]
    assert road.fp32_precision == before


def test_both_roads_give_the_same_but_for_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for weights in (0, 10**9):
        monkeypatch.setattr(numerics, "_WEIGHTS", weights)
        found.append(trained(made(precision="float32"), SMALL)[0].curve["train_loss"])
    assert found[0] == pytest.approx(found[1], rel=1e-5)


IMAGES = {"name": "digits", "limit": 128, "limit_validation": 32, "limit_test": 16}


def convolutional(
    monkeypatch: pytest.MonkeyPatch, network: dict[str, Any], present: bool = True, batch: int = 64
) -> str:
    """The precision that this machine uses for a ``cnn``."""
    with_instructions(monkeypatch, present)
    recipe = made({"network": {"kind": "cnn", **network}}, batch=batch)
    return str(recipe.computed({})[0].training.precision)


def test_large_convolutions_are_computed_in_bf16_where_the_processor_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = {"channels": 64, "batch_norm": True}  # 8 x 8 pixels: 64 -> 128 channels on 4 x 4, 1.2 million per image
    assert convolutional(monkeypatch, network=wide) == "bf16"
    assert convolutional(monkeypatch, present=False, network=wide) == "float32"
    assert convolutional(monkeypatch, network={"channels": 8}) == "float32"
    assert convolutional(monkeypatch, network={**wide, "channels": 256}, batch=16) == "float32"
    with_instructions(monkeypatch, True)
    recipe, said = (made({"network": {"kind": "cnn", **wide}}, precision=name) for name in ("auto", "bf16"))
    (auto,), (bf16,) = (list(each.train(Job((Training({}, 0, 1),)), lambda share: None)) for each in (recipe, said))
    assert (auto.provenance["precision"], auto.curve) == ("bf16", bf16.curve)


@pytest.mark.parametrize(
    "tables",
    [
        {"averaging": {"kind": "weights", "start": 0.0}},
        {"training": {"loss": "bce"}},
        {"arms": {"a": {}, "b": {"averaging": {"kind": "weights", "start": 0.0}}}},  # compared with each other
        {"network": {"kind": "backbone", "backbone": "resnet18"}},
        {"network": {"kind": "backbone", "backbone": "resnet18", "tune": "head"}},
    ],
)
def test_convolutions_that_were_not_compared_stay_in_float32(
    monkeypatch: pytest.MonkeyPatch, tables: dict[str, Any]
) -> None:
    with_instructions(monkeypatch, True)
    network = tables.get("network", {"kind": "cnn", "channels": 64})
    recipe = Recipe.from_tables(
        {"data": IMAGES, **tables, "network": network, "training": {"device": "cpu", **tables.get("training", {})}}
    )
    for arm in ({"arm": name} for name in recipe.arms or ("",)):
        params = {"batch": 64, **(arm if recipe.arms else {})}
        assert recipe.computed(params)[0].training.precision == "float32"


@pytest.mark.parametrize(
    ("network", "shape", "products"),
    [
        ({"kind": "cnn", "channels": 16, "blocks": 1}, (1, 8, 8), 9 * 16 * 64),
        ({"kind": "cnn", "channels": 16, "blocks": 2}, (1, 8, 8), 9 * 16 * 32 * 16),
        ({"kind": "cnn", "channels": 16, "blocks": 1, "depth": 2}, (1, 8, 8), 9 * 16 * 16 * 64),
        ({"kind": "cnn", "channels": 16, "blocks": 1, "pooling": "stride"}, (1, 8, 8), 9 * 16 * 16),
        ({"kind": "cnn", "channels": 4, "blocks": 1, "kernel": 4}, (3, 8, 8), 16 * 3 * 4 * 64),
        ({"kind": "cnn", "blocks": 9}, (1, 8, 8), 0),  # cannot be built
    ],
)
def test_the_size_of_convolutions(network: dict[str, Any], shape: tuple[int, ...], products: int) -> None:
    before = torch.random.get_rng_state()
    assert largest_convolution(NetworkSettings(**network), shape, 10) == products
    assert torch.equal(before, torch.random.get_rng_state())
