"""Heads on frozen features train together, and each gives what the reference loop gives, within rounding."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from zonesearch.core.trials import Training, Trial
from zonesearch.training import frozen
from zonesearch.training.networks import build
from zonesearch.training.networks.backbone import Backbone
from zonesearch.training.recipe import Recipe
from zonesearch.training.settings import NetworkSettings

DATA = {"limit": 60, "limit_validation": 40, "limit_test": 40}
SETTINGS: list[dict[str, Any]] = [{"learning_rate": 0.01}, {"learning_rate": 0.1, "schedule": "cosine"}]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file of weights for the smallest network."""
    network = build(NetworkSettings(kind="backbone", backbone="shufflenet_v2_x0_5"), (1, 8, 8), 10)
    assert isinstance(network, Backbone)
    path = tmp_path_factory.mktemp("weights") / "weights.pt"
    torch.save(network.body.state_dict(), path)
    return str(path)


def recipe(weights: str, backbone: str = "shufflenet_v2_x0_5", **tables: Any) -> Recipe:
    network = {
        "kind": "backbone",
        "backbone": backbone,
        "tune": "head",
        "weights": weights,
        **tables.pop("network", {}),
    }
    training = {"batch": 16, "device": "cpu", **tables.pop("training", {})}
    return Recipe.from_tables({"data": DATA, "network": network, "training": training, **tables})


def trainings(epochs: int = 3, test: bool = False) -> list[Training]:
    return [Training(params, seed, epochs, test) for params in SETTINGS for seed in (0, 1)]


def trained(made: Recipe, wanted: list[Training], keep: Any = None) -> dict[str, Trial]:
    found = [trial for job in made.jobs(wanted) for trial in made.train(job, lambda share: None, keep)]
    return {trial.training.key: trial for trial in found}


def assert_alike(ours: dict[str, Trial], theirs: dict[str, Trial]) -> None:
    assert ours.keys() == theirs.keys()
    for key, mine in ours.items():
        other = theirs[key]
        for name in ("state", "accuracy", "test_accuracy", "right", "test_right", "n_parameters", "evaluated_every"):
            assert getattr(mine, name) == getattr(other, name), name
        assert mine.curve.keys() == other.curve.keys()
        for name, values in mine.curve.items():
            assert values == pytest.approx(other.curve[name], rel=1e-5, abs=1e-6), name


CASES: dict[str, dict[str, Any]] = {
    "adam": {},
    "momentum with decay": {"optimizer": {"name": "momentum", "weight_decay": 0.01}},
    "float64": {"training": {"precision": "float64"}},
    "early stopping and clipping": {"early_stopping": {"patience": 1}, "training": {"clip": 0.5}},
    "last tested, fixed steps": {"training": {"tested": "last", "steps_per_epoch": 5}},
    "seldom evaluated": {"training": {"evaluate_every": 2}},
    "augmentations drawn in advance": {"augmentation": {"pad": 1, "flip": True, "draws": 2}},
}


@pytest.mark.parametrize("case", CASES)
def test_heads_together_give_what_each_gives_alone(case: str, weights: str) -> None:
    made = recipe(weights, **copy.deepcopy(CASES[case]))
    assert [len(job.trainings) for job in made.jobs(trainings())] == [4]
    ours, theirs = trained(made, trainings(test=True)), trained(made.unstacked(), trainings(test=True))
    assert all(trial.provenance["stacked"] for trial in ours.values())
    assert not any(trial.provenance["stacked"] for trial in theirs.values())
    assert_alike(ours, theirs)


def test_a_kept_network_is_whole_and_answers_as_its_trial_says(weights: str) -> None:
    made, networks = recipe(weights), dict[str, nn.Module]()
    found = trained(made, trainings(test=True), lambda training, network: networks.update({training.key: network}))
    images, labels = made.split().test
    assert networks.keys() == found.keys()
    for key, network in networks.items():
        with torch.no_grad():
            right = (network(images).argmax(1) == labels).double().mean().item()
        assert right == pytest.approx(found[key].test_accuracy)


@pytest.mark.parametrize("tables", [{}, {"augmentation": {"pad": 1, "draws": 3}}])
def test_a_longer_training_goes_on_from_the_end_of_a_shorter_one(
    tables: Any, weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = recipe(weights, **tables).continuing([SETTINGS[0]])
    short, long = ([Training(SETTINGS[0], seed, epochs) for seed in (0, 1)] for epochs in (2, 4))
    trained(made, short)
    assert_alike(trained(made, long), trained(recipe(weights, **tables), long))


@pytest.mark.parametrize(
    "tables",
    [
        {"network": {"tune": "last"}},
        {"network": {"dropout": 0.2}},
        {"network": {"weights": ""}},
        {"augmentation": {"flip": True}},
        {"averaging": {"start": 0.0}},
        {"training": {"precision": "bf16"}},
    ],
)
def test_what_is_more_than_a_head_on_the_same_features_trains_alone(tables: dict[str, Any], weights: str) -> None:
    made = recipe(weights, **tables)
    assert [len(job.trainings) for job in made.jobs(trainings())] == [1] * 4


def test_a_head_behind_what_draws_falls_back_to_the_loop(tmp_path: Path) -> None:
    network = build(NetworkSettings(kind="backbone", backbone="mobilenet_v3_small"), (1, 8, 8), 10)
    assert isinstance(network, Backbone)
    torch.save(network.body.state_dict(), tmp_path / "weights.pt")
    made = recipe(str(tmp_path / "weights.pt"), "mobilenet_v3_small")
    wanted = trainings(2)[:2]
    ours, theirs = trained(made, wanted), trained(made.unstacked(), wanted)
    assert [len(job.trainings) for job in made.jobs(wanted)] == [2]
    assert not any(trial.provenance["stacked"] for trial in ours.values())
    assert_alike(ours, theirs)


def test_features_are_computed_once_for_all(weights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    frozen._kept.clear()
    seen: list[int] = []
    features = Backbone.features

    def counted(self: Backbone, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        seen.append(len(images))
        return features(self, images)

    monkeypatch.setattr(Backbone, "features", counted)
    made = recipe(weights)
    trained(made, trainings())
    assert sum(seen) == 60 + 40 + 4 + 4, "both parts, and twice a few to try"
    trained(made, trainings(test=True))
    assert sum(seen) - seen.count(4) * 4 == 60 + 40 + 40, "and the test part where it is measured"
