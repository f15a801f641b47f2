"""Whole numbers and examples of any length, for networks of one's own: on every way through a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest
import torch

from zonesearch import ObjectiveError, Training, Trial
from zonesearch.core.objective import Job
from zonesearch.run.engines.worker import train_job
from zonesearch.training.averaging import refresh_batch_norm
from zonesearch.training.data import load
from zonesearch.training.data.collate import Collated
from zonesearch.training.recipe import Recipe
from zonesearch.training.settings import DataSettings

IDS = {"data": {"name": "own_parts:tokens"}, "network": {"kind": "own_parts:bag", "width": 8}}
LENGTHS = {
    "data": {"name": "own_parts:sentences", "collate": "own_parts:padded"},
    "network": {"kind": "own_parts:bag", "width": 8},
}
SORTED = {
    "data": {"name": "own_parts:sentences", "collate": "own_parts:sorted_by_length"},
    "network": {"kind": "own_parts:bag_of_lengths", "width": 8},
}
BOTH: dict[str, dict[str, Any]] = {"ids": IDS, "lengths": LENGTHS, "sorted": SORTED}


@pytest.fixture(autouse=True)
def small_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def recipe(tables: dict[str, Any], **more: Any) -> Recipe:
    made = {"optimizer": {"learning_rate": 0.03}, "training": {"batch": 16}, **tables}
    for name, table in more.items():
        made[name] = {**made.get(name, {}), **table}
    return Recipe.from_tables(made)


def train(mine: Recipe, epochs: int = 4, **params: Any) -> Trial:
    training = Training(params, 0, epochs, True)
    mine.check(params)
    mine.check_length(training)
    (trial,) = mine.train(Job((training,)), lambda share: None)
    return trial


def test_ids_stay_whole_numbers_for_a_network_of_ones_own() -> None:
    data = load(DataSettings(name="own_parts:tokens"), 0)
    assert data.train[0].dtype == torch.float32, "what a built-in network sees"
    assert data.seen_by(own_network=False) is data
    seen = data.seen_by(own_network=True)
    assert seen.train[0].dtype == torch.int64
    assert seen.preprocessing.kind == "integers"
    assert int(seen.train[0].min()) == 2
    assert seen.shape == (6,)
    trial = train(recipe(IDS), 15)
    assert trial.accuracy is not None
    assert trial.accuracy > 0.7
    assert train(recipe(IDS, network={"kind": "mlp"})).state == "complete"


def test_ids_in_a_file_stay_whole_numbers_and_pixels_do_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 9, (80, 5)), np.arange(80) % 2
    for dtype, kind in ((np.int64, "integers"), (np.uint16, "integers"), (np.uint8, "numbers"), (float, "numbers")):
        np.savez(tmp_path / f"{kind}.npz", x=x.astype(dtype), y=y)
        data = load(DataSettings(name="arrays", root=str(tmp_path / f"{kind}.npz"), size=0), hash(dtype) % 1000)
        assert data.seen_by(own_network=True).preprocessing.kind == kind, dtype


def test_whole_numbers_that_a_network_cannot_take_are_named() -> None:
    with pytest.raises(TypeError, match=r"gets whole numbers, as the data have them.*give them as floats"):
        train(recipe({**IDS, "network": {"kind": "own_parts:network", "width": 4}}))


def test_whole_numbers_are_another_experiment_for_a_network_of_ones_own_alone() -> None:
    assert recipe(IDS).fingerprint()["code"] == {"integers": 2}
    assert "code" not in recipe(IDS, network={"kind": "mlp"}).fingerprint()


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize(
    "more",
    [
        {"averaging": {"start": 0.5}},
        {"averaging": {"kind": "ensemble", "start": 0.5}},
        {"evolution": {"every": 2, "children": 4, "together": 2}},
        {"evolution": {"kind": "strategies", "every": 2, "children": 4, "together": 2}},
        {"gradient_noise": {}},
        {"noise_scale": {"batch": 8, "n_batches": 4}},
        {"training": {"precision": "float64"}},
        {"training": {"precision": "bf16"}},
        {"training": {"metric": "f1_macro", "class_weights": "balanced"}},
        {"optimizer": {"name": "lbfgs", "iterations": 2}},
        {"early_stopping": {"patience": 2}},
    ],
    ids=lambda more: " ".join(f"{table}: {' '.join(map(str, values.values()))}" for table, values in more.items()),
)
def test_own_examples_train_under_every_technique(name: str, more: dict[str, Any]) -> None:
    mine = recipe(BOTH[name], **more)
    trial = train(mine)
    assert trial.state == "complete"
    assert trial.test_accuracy is not None


@pytest.mark.parametrize("name", BOTH)
def test_own_examples_go_on_where_they_stopped_and_train_alike_elsewhere(name: str) -> None:
    plain = train(recipe(BOTH[name]))
    kept = recipe(BOTH[name], training={"keep_mb": 20})
    train(kept, 2)
    assert train(kept).curve == plain.curve
    there = cloudpickle.loads(cloudpickle.dumps(recipe(BOTH[name])))
    (job,) = there.jobs([Training({}, 0, 4, True)])
    (trial,) = train_job(there, job, lambda share: None)
    assert (trial.curve, trial.right, trial.test_right) == (plain.curve, plain.right, plain.test_right)
    swept = train(recipe(BOTH[name]), 1, schedule="sweep(low=0.001, high=0.5, n_steps=14)")
    assert len(swept.curve["step_loss"]) > 5


def test_batches_are_what_the_function_makes_of_the_examples() -> None:
    data = load(DataSettings(name="own_parts:sentences", collate="own_parts:sorted_by_length"), 0)
    inputs = data.train[0]
    assert isinstance(inputs, Collated)
    assert data.shape == ()
    (ids, lengths), labels = inputs.batch([3, 0, 5])
    assert ids.shape == (3, int(lengths.max()))
    assert lengths.tolist() == sorted(lengths.tolist(), reverse=True)
    assert sorted(labels.tolist()) == sorted(data.train[1][[3, 0, 5]].tolist())
    refresh_batch_norm(torch.nn.BatchNorm1d(1), inputs, forward=lambda x: None)


def test_the_order_of_a_batch_is_that_of_the_function() -> None:
    """One that sorts by length gives what one that does not gives: targets travel with their inputs."""
    accuracies = [train(recipe(BOTH[name]), 15).accuracy for name in ("lengths", "sorted")]
    assert all(accuracy is not None and accuracy > 0.75 for accuracy in accuracies)


def test_texts_may_be_examples_and_the_function_is_part_of_the_experiment() -> None:
    tables = {"data": {"name": "own_parts:texts", "collate": "own_parts:letters"}, "network": LENGTHS["network"]}
    mine = recipe(tables)
    assert train(mine).state == "complete"
    assert "own_parts:letters" in mine.fingerprint()["own_code"]
    assert load(DataSettings(name="own_parts:texts", collate="own_parts:letters"), 0).preprocessing.classes == (
        "long",
        "short",
    )


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"data": {"name": "own_parts:sentences"}}, r"several shapes, .*name a function .* \[data\] collate"),
        ({"network": {"kind": "mlp"}}, r"collate makes batches for a network of your own"),
        ({"data": {"name": "digits", "collate": "own_parts:padded"}}, "gives, not of \"digits\""),
        ({"data": {"collate": "own_parts:nothing"}}, "cannot be imported"),
        ({"data": {"collate": "own_parts:raises"}}, "ended in TypeError.*must give \\(inputs, targets\\)"),
        ({"data": {"collate": "own_parts:inputs_alone"}}, "must give \\(inputs, targets\\), .*not \\(Tensor\\)"),
        ({"data": {"collate": "own_parts:other_targets"}}, "must return the targets that it was given"),
        ({"augmentation": {"pad": 1}}, r"\[augmentation\] is for images"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_own_examples_that_cannot_be_used_are_named(tables: dict[str, Any], said: str) -> None:
    data = tables["data"] if "name" in tables.get("data", {}) else {**LENGTHS["data"], **tables.get("data", {})}
    mine = Recipe.from_tables({**LENGTHS, **tables, "data": data, "training": {"batch": 16}})
    with pytest.raises(ObjectiveError, match=said):
        mine.check({})
