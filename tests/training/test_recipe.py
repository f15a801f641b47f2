"""Real trainings on the digits, and on MNIST where it is at hand."""

from __future__ import annotations

import linecache
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from zonesearch import ObjectiveError, StudyError, Training, Trial
from zonesearch.core.objective import Job
from zonesearch.training.data import load
from zonesearch.training.networks import build, n_parameters
from zonesearch.training.recipe import Recipe
from zonesearch.training.settings import DataSettings, NetworkSettings, TrainingSettings

MNIST = bool(os.environ.get("ZONESEARCH_DATA"))


def train(recipe: Recipe, params: dict[str, Any], seed: int = 0, epochs: int = 5, test: bool = False) -> Trial:
    (trial,) = recipe.train(Job((Training(params, seed, epochs, test),)), lambda share: None)
    return trial


def test_network_learns_the_digits() -> None:
    trial = train(Recipe(), {"width": 64, "batch": 16}, epochs=15, test=True)
    assert trial.accuracy is not None
    assert trial.test_accuracy is not None
    assert trial.accuracy > 0.95
    assert trial.test_accuracy > 0.93
    assert set(trial.curve) == {
        "validation_accuracy", "validation_loss", "train_accuracy", "train_loss", "learning_rate",
    }  # fmt: skip
    assert all(len(values) == 15 for values in trial.curve.values())
    assert trial.n_validation == 287
    assert trial.n_test == 359


def test_training_is_repeatable_and_moves_with_the_seed() -> None:
    first, again, other = (train(Recipe(), {"width": 16}, seed) for seed in (0, 0, 1))
    assert first.curve == again.curve
    assert first.curve != other.curve
    assert train(Recipe(seed=1), {"width": 16}).curve != first.curve


def test_shorter_training_is_the_beginning_of_a_longer_one() -> None:
    long, short = train(Recipe(), {"width": 16}, epochs=6), train(Recipe(), {"width": 16}, epochs=3)
    assert long.at(3).curve == short.curve


def test_test_split_is_measured_at_the_epoch_that_validation_chose() -> None:
    whole = train(Recipe(), {"width": 16}, epochs=6, test=True)
    best = whole.validation_curve.index(max(whole.validation_curve)) + 1
    assert train(Recipe(), {"width": 16}, epochs=best, test=True).test_accuracy == whole.test_accuracy
    assert train(Recipe(), {"width": 16}).test_accuracy is None


def test_rate_that_is_far_too_large_diverges_as_a_result() -> None:
    trial = train(Recipe(), {"optimizer": "sgd", "learning_rate": 1e6, "momentum": 0.9}, epochs=20)
    assert trial.state == "diverged"
    assert trial.accuracy is None


def test_schedule_sets_the_learning_rate() -> None:
    trial = train(Recipe(), {"schedule": "step(every=2, factor=0.5)", "learning_rate": 0.01}, epochs=5)
    assert trial.curve["learning_rate"] == pytest.approx((0.01, 0.01, 0.005, 0.005, 0.0025))


def test_split_is_stratified_disjoint_and_the_studys_own() -> None:
    data = load(DataSettings(), 0)
    parts = (data.train, data.validation, data.test)
    assert sum(len(labels) for _, labels in parts) == 1797
    shares = [[float((labels == c).float().mean()) for c in range(10)] for _, labels in parts]
    for c in range(10):
        assert max(s[c] for s in shares) - min(s[c] for s in shares) < 0.01
    assert abs(float(data.train[0].mean())) < 1e-4
    assert not load(DataSettings(), 1).train[1].equal(data.train[1])


@pytest.mark.parametrize(
    "settings", [NetworkSettings(), NetworkSettings(width=8, depth=3, batch_norm=True), NetworkSettings(init="keras")]
)
def test_number_of_parameters_is_known_before_the_network_is_built(settings: NetworkSettings) -> None:
    built = sum(p.numel() for p in build(settings, (784,), 10).parameters())
    assert n_parameters(settings, (784,), 10) == built
    assert n_parameters(NetworkSettings(width=128), (784,), 10) == 795 * 128 + 10 == 101_770


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"widht": 8}, 'did you mean "width"'),
        ({"width": 0}, "width must be at least 1"),
        ({"width": 8.5}, "must be a whole number"),
        ({"batch": -1}, "batch must be at least 1"),
        ({"batch": 5000}, "batch 5000 is larger than the training split of 1151 examples"),
        ({"optimizer": "adamm"}, 'did you mean "adam"'),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"dropout": 1.0}, "0 <= dropout < 1"),
        ({"activation": "rleu"}, 'did you mean "relu"'),
    ],
)
def test_params_that_cannot_work_are_refused(params: dict[str, Any], said: str) -> None:
    with pytest.raises(ObjectiveError, match=said):
        Recipe().check(params)


def test_tables_of_a_study_file() -> None:
    recipe = Recipe.from_tables({"network": {"width": 32}, "optimizer": {"learning_rate": 1}}, seed=3)
    assert recipe.network.width == 32
    assert recipe.seed == 3
    with pytest.raises(StudyError, match=r'\[network\] has no key "wdith"; did you mean "width"'):
        Recipe.from_tables({"network": {"wdith": 32}})
    with pytest.raises(ObjectiveError, match='did you mean "digits"'):
        Recipe.from_tables({"data": {"name": "digit"}}).fingerprint()


def test_fingerprint_changes_with_what_changes_a_result() -> None:
    base = Recipe().fingerprint()
    assert Recipe().fingerprint() == base
    assert Recipe(network=NetworkSettings(depth=2)).fingerprint() != base
    assert Recipe(data=DataSettings(limit=500)).fingerprint() != base
    assert Recipe(data=DataSettings(root="/elsewhere")).fingerprint() == base


def test_fingerprint_changes_with_the_users_own_code_and_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    source = "def network(params):\n    return None\n\ndef metric(outputs, targets):\n    return {}\n"
    weights = tmp_path / "weights.pt"
    own = Recipe(network=NetworkSettings(kind="edited_parts:network"))
    measured = Recipe(training=TrainingSettings(metric="edited_parts:metric"))
    tuned = Recipe(network=NetworkSettings(kind="backbone", weights=str(weights)))
    armed = Recipe(arms={"mine": own})
    found = []
    for number in (0, 0, 1):
        (tmp_path / "edited_parts.py").write_text(source.format(number))
        weights.write_bytes(bytes([number]))
        sys.modules.pop("edited_parts", None)
        linecache.clearcache()
        found.append([recipe.fingerprint() for recipe in (own, measured, tuned, armed)])
    first, again, edited = found
    assert first == again
    assert all(one != other for one, other in zip(first, edited, strict=True))
    weights.unlink()
    with pytest.raises(ObjectiveError, match="cannot be read"):
        tuned.fingerprint()


@pytest.mark.slow
@pytest.mark.skipif(not MNIST, reason="ZONESEARCH_DATA does not name a folder with MNIST")
def test_network_learns_mnist() -> None:
    recipe = Recipe(data=DataSettings(name="mnist"))
    assert load(DataSettings(name="mnist"), 0).train[0].shape == (48_000, 1, 28, 28)
    trial = train(recipe, {"width": 512, "batch": 128}, epochs=3)
    assert trial.accuracy is not None
    assert trial.accuracy > 0.97
