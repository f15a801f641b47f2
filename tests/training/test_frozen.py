"""Features of a frozen part, computed once, give what the whole network gives in every epoch, within rounding."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from zonesearch.core.objective import Job
from zonesearch.core.trials import Training, Trial
from zonesearch.training import frozen, loop
from zonesearch.training.lr_range import lr_range
from zonesearch.training.networks import build
from zonesearch.training.networks.backbone import Backbone
from zonesearch.training.recipe import Recipe
from zonesearch.training.settings import NetworkSettings

DATA = {"limit": 60, "limit_validation": 40, "limit_test": 40}


def recipe(tune: str = "last", backbone: str = "shufflenet_v2_x0_5", **tables: Any) -> Recipe:
    training = {"batch": 20, **tables.pop("training", {})}
    network = {"kind": "backbone", "backbone": backbone, "tune": tune, **tables.pop("network", {})}
    return Recipe.from_tables({"data": DATA, "network": network, "training": training, **tables})


def trained(made: Recipe, epochs: int = 2, seed: int = 0, **params: Any) -> tuple[Trial, nn.Module | None]:
    networks: list[nn.Module] = []
    wanted = Job((Training(params, seed, epochs, test=True),))
    (trial,) = made.train(wanted, lambda share: None, lambda training, network: networks.append(network))
    return trial, (networks or [None])[0]


def plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "once", lambda network, parts, *others: parts)


@pytest.fixture
def uses(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each training whether features stood in the place of its images."""
    found: list[bool] = []

    def spied(network: nn.Module, parts: Any, *others: Any) -> Any:
        seen = frozen.once(network, parts, *others)
        found.append(seen[0] is not parts[0])
        return seen

    frozen._kept.clear()
    monkeypatch.setattr(loop, "once", spied)
    return found


CASES: dict[str, dict[str, Any]] = {
    "last": {},
    "head": {"tune": "head"},
    "resnet": {"backbone": "resnet18"},
    "dropout before the head": {"tune": "head", "network": {"dropout": 0.3}},
    "bf16": {"training": {"precision": "bf16"}},
    "float64": {"training": {"precision": "float64"}},
    "another rate for the body": {"network": {"body_rate": 0.1}},
    "mean of weights": {"averaging": {"start": 0.0}},
    "ensemble": {"averaging": {"start": 0.0, "kind": "ensemble"}, "tune": "head"},
    "evolution": {"evolution": {"kind": "random_gradients", "every": 2, "children": 3}, "tune": "head"},
    "gradient noise and its scale": {"gradient_noise": {}, "noise_scale": {"batch": 8, "n_batches": 2}},
    "early stopping and clipping": {"early_stopping": {"patience": 1}, "training": {"clip": 0.5}},
    "last tested": {"training": {"tested": "last", "steps_per_epoch": 5}},
    "drawn in advance": {"augmentation": {"pad": 1, "flip": True, "draws": 2}},
    "drawn, head": {"augmentation": {"pad": 1, "draws": 2}, "tune": "head", "training": {"precision": "bf16"}},
    "drawn, mean of weights": {"augmentation": {"pad": 1, "draws": 2}, "averaging": {"start": 0.0}},
    "drawn, noise and its scale": {
        "augmentation": {"flip": True, "draws": 2},
        "gradient_noise": {},
        "noise_scale": {"batch": 8, "n_batches": 2},
    },
    "more drawn than epochs, and looked at after the last one": {
        "augmentation": {"pad": 1, "draws": 9},
        "averaging": {"start": 0.0},
        "noise_scale": {"batch": 8, "n_batches": 2},
    },
    "drawn, many steps": {"augmentation": {"pad": 1, "draws": 2}, "training": {"steps_per_epoch": 5}},
}


@pytest.mark.parametrize("case", CASES)
def test_features_change_no_result(case: str, uses: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    made = recipe(**copy.deepcopy(CASES[case]))
    ours, mine = trained(made)
    assert uses == [True]
    plainly(monkeypatch)
    theirs, their = trained(made)
    assert (ours.state, ours.accuracy, ours.test_accuracy) == (theirs.state, theirs.accuracy, theirs.test_accuracy)
    assert ours.right == theirs.right
    assert ours.curve.keys() == theirs.curve.keys()
    for name, values in ours.curve.items():
        assert values == pytest.approx(theirs.curve[name], rel=1e-5, abs=1e-6), name
    assert mine is not None
    assert their is not None
    for name, value in mine.state_dict().items():
        torch.testing.assert_close(value, their.state_dict()[name], msg=name)


@pytest.mark.parametrize(
    ("tables", "epochs"),
    [
        ({"augmentation": {"flip": True}}, 2),
        ({"tune": "full"}, 2),
        ({}, 1),
        ({"augmentation": {"flip": True, "draws": 2}}, 1),
        ({"augmentation": {"flip": True, "draws": 3}, "training": {"steps_per_epoch": 2}}, 3),
    ],
    ids=[
        "other images in each epoch",
        "nothing frozen",
        "seen once",
        "one version seen once",
        "versions seen in part",
    ],
)
def test_where_nothing_is_gained_or_legal_images_stay(tables: dict[str, Any], epochs: int, uses: list[bool]) -> None:
    trained(recipe(**tables), epochs)
    assert uses == [False]


def test_validation_has_features_where_training_images_are_drawn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    made = recipe("head", augmentation={"pad": 1})
    parts: list[Any] = []
    monkeypatch.setattr(loop, "once", lambda *given: parts.append(frozen.once(*given)) or parts[-1])
    ours, _ = trained(made, 3)
    images, held = parts[0]
    assert isinstance(images, torch.Tensor)
    assert not isinstance(held, torch.Tensor)
    plainly(monkeypatch)
    theirs, _ = trained(made, 3)
    assert ours.curve["train_loss"] == theirs.curve["train_loss"]
    assert ours.curve["validation_loss"] == pytest.approx(theirs.curve["validation_loss"], rel=1e-5)


def test_evolution_judges_plain_images_so_versions_have_no_features(uses: list[bool]) -> None:
    tables = {"augmentation": {"flip": True, "draws": 2}, "evolution": {"every": 2, "children": 2}}
    ours, _ = trained(recipe("head", **tables))
    assert ours.state == "complete"
    assert uses == []


def test_a_norm_that_moves_is_not_of_the_frozen_part() -> None:
    network = build(NetworkSettings(kind="backbone", backbone="resnet18", tune="head"), (1, 8, 8), 10)
    assert isinstance(network, Backbone)
    before = network.halves()
    assert before is not None
    assert any(name.startswith("layer2") for name in before.tensors)
    network._halves, network._frozen = None, [part for part in network._frozen if part is not network.body.bn1]
    after = network.halves()
    assert after is not None
    assert after.tensors == ("conv1.weight",), "bn1 moves its statistics: what follows it is another in every epoch"


def test_dropout_that_draws_is_not_of_the_frozen_part() -> None:
    network = build(NetworkSettings(kind="backbone", backbone="vgg11", tune="head"), (3, 32, 32), 10)
    assert isinstance(network, Backbone)
    halves = network.halves()
    assert halves is not None
    assert "classifier.0.weight" in halves.tensors, "the first layer stands before the first dropout"
    assert "classifier.3.weight" not in halves.tensors, "the second one behind it"


def test_features_serve_later_trainings_of_the_same_frozen_part(tmp_path: Path, monkeypatch: Any, uses: Any) -> None:
    weights = tmp_path / "weights.pt"
    whole = build(NetworkSettings(kind="backbone", backbone="shufflenet_v2_x0_5"), (1, 8, 8), 10)
    assert isinstance(whole, Backbone)
    torch.save(whole.body.state_dict(), weights)
    made = recipe(network={"weights": str(weights)}, training={"stack": False})  # heads together are another matter
    computed: list[int] = []
    features = Backbone.features
    monkeypatch.setattr(Backbone, "features", lambda self, x: computed.append(len(x)) or features(self, x))
    trained(made)
    n = sum(computed)
    trained(made, seed=1)
    assert sum(computed) == n + 4, "all but the few that try both halves"
    trained(made, tune="head")
    trained(made, tune="last", learning_rate=0.01)
    assert sum(computed) == 2 * n + 8, "each way to tune has features of its own"
    assert uses == [True] * 4


@pytest.mark.parametrize(("precision", "draws"), [("float32", 0), ("bf16", 0), ("float32", 2)])
def test_features_too_large_for_the_memory_lie_in_a_file_that_vanishes(
    precision: str, draws: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uses: list[bool]
) -> None:
    augmentation = {"augmentation": {"pad": 1, "draws": draws}} if draws else {}
    made = recipe(training={"precision": precision}, **augmentation)
    ours, _ = trained(made)
    frozen._kept.clear()
    monkeypatch.setattr(frozen, "_free", lambda device: 0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    mapped: list[Any] = []
    room = frozen._mapped
    monkeypatch.setattr(frozen, "_mapped", lambda *given: mapped.append(1) or room(*given))
    theirs, _ = trained(made)
    assert mapped
    assert uses == [True, True]
    assert ours.curve == theirs.curve
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_has_room_images_stay(monkeypatch: pytest.MonkeyPatch, uses: list[bool]) -> None:
    monkeypatch.setattr(frozen, "_free", lambda device: 0)
    monkeypatch.setattr(frozen.shutil, "disk_usage", lambda folder: type("", (), {"free": 0}))
    assert trained(recipe())[0].state == "complete"
    assert uses == [False]


def test_a_longer_training_goes_on_with_or_without_features(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uses: list[bool]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = recipe("head", training={"keep_mb": 100})

    def run(epochs: int) -> Trial:
        (trial,) = made.train(Job((Training({}, 0, epochs),)), lambda share: None)
        return trial

    straight = run(3)
    for path in tmp_path.rglob("*.pt"):
        path.unlink()
    run(1)  # sees its images once, so it has no features
    longer = run(3)
    assert uses == [True, False, True]
    for name, values in longer.curve.items():
        assert values == straight.curve[name], "to the last bit: it begins anew"


@pytest.mark.parametrize("tables", [{}, {"augmentation": {"flip": True, "draws": 2}}])
def test_a_range_test_sees_features_too(tables: Any, uses: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    made = recipe("head", **tables)
    ours = lr_range(made, seeds=[0], n_steps=30)
    assert uses == [True]
    plainly(monkeypatch)
    theirs = lr_range(made, seeds=[0], n_steps=30)
    assert ours.losses[0] == pytest.approx(theirs.losses[0], rel=1e-4)


@pytest.mark.parametrize("tables", [{}, {"augmentation": {"flip": True, "draws": 2}}])
def test_the_settled_setting_trains_on_all_data_with_features(tables: Any, uses: Any, monkeypatch: Any) -> None:
    made = recipe("head", **tables)

    def refitted() -> Trial:
        wanted = Training({}, 0, 3, test=True)
        return replace(made).refit(wanted, 2, [], lambda share: None, lambda network: None)

    ours = refitted()
    plainly(monkeypatch)
    assert ours.curve["train_loss"] == pytest.approx(refitted().curve["train_loss"], rel=1e-5)
    assert uses == [True]
