"""The precision of ``auto`` and ``tf32`` on every way by which a recipe trains, beside every other setting: the same on
all of them, so that a range test, a refit or a continued training tells something of the trainings of the search.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zonesearch import Axis, Space, Training, Trial, Trials
from zonesearch.core.objective import Job
from zonesearch.errors import ObjectiveError
from zonesearch.statistics.search_results import SearchResults
from zonesearch.training import precision
from zonesearch.training.lr_range import lr_range
from zonesearch.training.optimum_width import trained_network
from zonesearch.training.recipe import Recipe

DATA = {"name": "digits", "limit": 128, "limit_validation": 32, "limit_test": 16}
MLP, CNN = {"kind": "mlp", "width": 1024}, {"kind": "cnn", "channels": 64}
ON: dict[str, dict[str, Any]] = {
    "averaging": {"kind": "weights", "start": 0.0},
    "evolution": {"kind": "random_gradients", "every": 1, "children": 2},
    "gradient_noise": {},
    "early_stopping": {"patience": 5},
}


def recipe(tables: dict[str, Any], **training: Any) -> Recipe:
    own = {"batch": 128, "device": "cpu", **tables.get("training", {}), **training}
    return Recipe.from_tables({"data": DATA, **tables, "training": own})


def one(made: Recipe, params: dict[str, Any], **more: Any) -> Trial:
    (job,) = made.jobs([Training(params, 0, 1, **more)])
    (trial,) = made.train(job, lambda share: None)
    assert not trial.error
    return trial


def used_on_each_way(made: Recipe, params: dict[str, Any]) -> dict[str, str]:
    ways: dict[str, Callable[[], Trial]] = {
        "training": lambda: one(made, params),
        "alone": lambda: one(made.unstacked(), params),
        "range test": lambda: one(made, {**params, "schedule": "sweep(low=1e-6, high=1e-3, n_steps=10)"}),
        "under another schedule": lambda: one(made, {**params, "schedule": "cosine"}),
        "refitted": lambda: made.refit(Training(params, 0, 1), 1, [], lambda share: None, lambda network: None),
    }
    return {name: str(train().provenance["precision"]) for name, train in ways.items()}


@pytest.mark.parametrize(
    ("tables", "wanted"),
    [
        ({"network": MLP}, "bf16"),
        ({"network": CNN}, "bf16"),
        ({"network": MLP, "early_stopping": ON["early_stopping"]}, "bf16"),
        ({"network": CNN, "early_stopping": ON["early_stopping"]}, "bf16"),
        ({"network": MLP, "augmentation": {"flip": True}}, "float32"),  # in no stack
        ({"network": CNN, "augmentation": {"flip": True}}, "bf16"),
        ({"network": MLP, "averaging": ON["averaging"]}, "float32"),
        ({"network": CNN, "averaging": ON["averaging"]}, "float32"),
        ({"network": MLP, "evolution": ON["evolution"]}, "float32"),
        ({"network": CNN, "evolution": ON["evolution"]}, "float32"),
        ({"network": CNN, "gradient_noise": ON["gradient_noise"]}, "float32"),
        ({"network": CNN, "training": {"loss": "bce"}}, "float32"),
        ({"network": CNN, "training": {"batch": 16}}, "float32"),
        ({"network": MLP, "training": {"precision": "bf16"}, "averaging": ON["averaging"]}, "bf16"),
        ({"network": CNN, "training": {"precision": "float32"}}, "float32"),
        ({"network": CNN, "training": {"precision": "tf32", "device": "auto"}}, "float32"),
    ],
    ids=str,
)
def test_every_way_to_train_takes_the_same_precision(
    monkeypatch: pytest.MonkeyPatch, tables: dict[str, Any], wanted: str
) -> None:
    monkeypatch.setattr(precision, "has_bf16", lambda device: True)
    monkeypatch.setattr(Recipe, "_device", lambda self: "cpu")
    assert set(used_on_each_way(recipe(tables), {}).values()) == {wanted}


@pytest.mark.parametrize("network", [MLP, CNN], ids=str)
@pytest.mark.parametrize(
    ("arms", "wanted"),
    [
        ({"a": {}, "b": {"optimizer": {"name": "sgd"}}}, {"a": "bf16", "b": "bf16"}),
        ({"a": {}, "b": {"early_stopping": ON["early_stopping"]}}, {"a": "bf16", "b": "bf16"}),
        ({"a": {}, "b": {"averaging": ON["averaging"]}}, {"a": "float32", "b": "float32"}),
        ({"a": {}, "b": {"evolution": ON["evolution"]}}, {"a": "float32", "b": "float32"}),
        ({"a": {}, "b": {"training": {"batch": 8}}}, {"a": "float32", "b": "float32"}),
        ({"a": {}, "b": {"training": {"precision": "float32"}}}, {"a": "bf16", "b": "float32"}),
    ],
    ids=str,
)
def test_arms_are_compared_in_the_same_arithmetic(
    monkeypatch: pytest.MonkeyPatch, network: dict[str, Any], arms: dict[str, Any], wanted: dict[str, str]
) -> None:
    monkeypatch.setattr(precision, "has_bf16", lambda device: True)
    made = recipe({"network": network, "arms": arms})
    assert {arm: one(made, {"arm": arm}).provenance["precision"] for arm in arms} == wanted


def test_arms_are_compared_alike_where_one_has_an_axis_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_bf16", lambda device: True)
    made = recipe({"network": MLP, "arms": {"a": {}, "b": {"early_stopping": ON["early_stopping"]}}})
    for params in ({"arm": "b", "early_stopping.patience": 2}, {"arm": "a", "width_1": 2048}):
        assert one(made, params).provenance["precision"] == "bf16"
    made = recipe({"network": MLP, "arms": {"a": {}, "b": {"averaging": ON["averaging"]}}})
    for params in ({"arm": "b", "averaging.start": 0.5}, {"arm": "a", "momentum": 0.5}):
        assert made.computed(params)[0].training.precision == "float32"


def test_arms_on_a_gpu_take_the_precision_of_the_most_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "capability", lambda: (9, 0))
    monkeypatch.setattr(Recipe, "_device", lambda self: "cuda")
    found = {}
    for rival in ("sgd", "lbfgs"):
        made = recipe({"network": CNN, "arms": {"a": {}, "b": {"optimizer": {"name": rival}}}}, device="auto")
        found[rival] = {made.computed({"arm": arm})[0].training.precision for arm in ("a", "b")}
    assert found == {"sgd": {"tf32"}, "lbfgs": {"float32"}}


@pytest.mark.parametrize("network", [MLP, CNN], ids=str)
def test_longer_and_continued_trainings_and_final_networks_take_it_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, network: dict[str, Any]
) -> None:
    monkeypatch.setattr(precision, "has_bf16", lambda device: True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = recipe({"network": network}).continuing([{}])
    trials: list[Trial] = []
    for epochs in (1, 2):
        trials += made.train(Job((Training({}, 0, epochs),)), lambda share: None)
    assert {trial.provenance["precision"] for trial in trials} == {"bf16"}
    (whole,) = recipe({"network": network}).train(Job((Training({}, 0, 2),)), lambda share: None)
    assert trials[1].curve == whole.curve
    kept: list[Any] = []
    wanted = Training({}, 0, 1, test=True)
    list(made.train(Job((wanted,)), lambda share: None, lambda training, network: kept.append(network)))
    again = trained_network(made, wanted).state_dict()
    if network is CNN:  # a stack's network has the same weights but for rounding
        assert all((again[name] == tensor).all() for name, tensor in kept[0].state_dict().items())


def test_a_range_test_computes_as_the_training_whose_rate_it_seeks(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = {}
    for present in (False, True):
        monkeypatch.setattr(precision, "has_bf16", lambda device, present=present: present)
        for asked in ("auto", "float32", "bf16"):
            made = recipe({"network": CNN}, precision=asked)
            losses[asked, present] = lr_range(made, {}, seeds=range(1), low=1e-5, high=1e-2, n_steps=10).losses
    assert losses["auto", True] == losses["bf16", True] != losses["float32", True] == losses["auto", False]


def test_tf32_without_a_gpu_is_float32_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Recipe, "_device", lambda self: "cpu")
    asked, exact = (one(recipe({"network": MLP}, precision=name, device="auto"), {}) for name in ("tf32", "float32"))
    assert asked.curve == exact.curve
    assert asked.provenance["precision"] == "float32"
    assert asked.of_any_precision
    (note,) = SearchResults("", Space((Axis("width", 8, 16),)), Trials([asked])).training_notes
    assert note == (
        '1 of 1 trainings: precision = "tf32" needs a GPU of compute capability 8.0 or higher; without one, products '
        "are computed in float32."
    )
    assert "notes" not in exact.provenance


@pytest.mark.parametrize(("capability", "wanted"), [((7, 5), "float32"), ((8, 0), "tf32"), ((9, 0), "tf32")])
def test_tf32_on_a_gpu(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], wanted: str) -> None:
    monkeypatch.setattr(precision, "capability", lambda: capability)
    monkeypatch.setattr(Recipe, "_device", lambda self: "cuda")
    made = recipe({"network": MLP}, precision="tf32", device="auto")
    assert made.computed({})[0].training.precision == wanted


def test_tf32_is_refused_for_the_processor() -> None:
    for made, params in (
        (recipe({"network": MLP}, precision="tf32"), {}),
        (recipe({"network": MLP}), {"precision": "tf32"}),
    ):
        with pytest.raises(ObjectiveError, match=r'precision = "tf32" is for GPUs, but .* leave device at "auto"'):
            made.check(params)
    recipe({"network": MLP}, precision="tf32", device="auto").check({})


def test_records_of_machines_with_and_without_tf32_are_no_contradiction() -> None:
    found = [
        Trial(
            Training({"width": 8}, 0, 1), "complete", accuracy, {},
            provenance={"precision": name, "precision_asked": "tf32", "host": name},
        )
        for name, accuracy in (("tf32", 0.9), ("float32", 0.8))
    ]  # fmt: skip
    for order in (found, found[::-1]):
        trials = Trials(order)
        assert not trials.conflicts
        assert len(trials.rounded) == 1
        assert [trial.accuracy for trial in trials] == [0.8]
