"""What goes on from a kept state is what never stopped, to the last bit: for every network outside the stack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from torch import nn

from zonesearch.core.objective import Job
from zonesearch.core.trials import Training, Trial
from zonesearch.training import loop
from zonesearch.training.recipe import Recipe
from zonesearch.training.states import States
from zonesearch.training.technique import Run, judged
from zonesearch.training.techniques import length_reason

Tables = Mapping[str, Mapping[str, Any]]

SHORT, LONG = 3, 6
DATA = {"name": "digits", "limit": 130, "validation": 0.3}
KINDS: dict[str, Mapping[str, Any]] = {
    "cnn": {"kind": "cnn", "channels": 2, "blocks": 1, "batch_norm": True},
    "backbone": {"kind": "backbone", "backbone": "shufflenet_v2_x0_5", "tune": "last"},
    "own": {"kind": "own_parts:with_frozen_norms"},
    "mlp": {"width": 8, "batch_norm": True},
    "frozen": {"kind": "backbone", "backbone": "shufflenet_v2_x0_5", "tune": "head"},
    "remembers": {"kind": "own_parts:remembers"},
    "weight-normed": {"kind": "own_parts:weight_normed"},
    "recurrent": {"kind": "own_parts:reads_in_order"},
}
WAYS: dict[str, Tables] = {
    "plateau": {"training": {"schedule": "plateau(patience=1, threshold=0.2)"}, "optimizer": {"learning_rate": 0.03}},
    "early stopping": {"early_stopping": {"patience": 2}, "optimizer": {"learning_rate": 0.03}},
    "rise": {"early_stopping": {"rise": 30.0}, "optimizer": {"learning_rate": 0.1}},
    "tested = best": {"optimizer": {"learning_rate": 0.1}},
    "tested = last": {"training": {"tested": "last"}},
    "averaging of a share": {"averaging": {"start": 0.3}},
    "averaging": {"averaging": {}, "training": {"schedule": "triangular(low=0.001, high=0.02, half_cycle=1)"}},
    "ensemble": {"averaging": {"kind": "ensemble"}, "training": {"schedule": "sgdr(period=2)"}},
    "dropout": {"network": {"dropout": 0.3}},
    "augmentation": {"augmentation": {"pad": 1, "flip": True}},
    "drawn in advance": {"augmentation": {"pad": 1, "draws": 2}, "averaging": {"start": 0.0}},
    "clip": {"training": {"clip": 0.1, "steps_per_epoch": 4}, "optimizer": {"name": "momentum"}},
    "evolution": {"evolution": {"every": 2, "children": 4}},
    "strategies": {"evolution": {"kind": "strategies", "every": 2, "children": 4, "sigma": 0.01}},
    "gradient noise": {"gradient_noise": {}},
    "noise scale": {"noise_scale": {"batch": 8, "n_batches": 4}},
    **{name: {"optimizer": {"name": name, "learning_rate": 0.01}} for name in
       ("adamw", "sgd", "nesterov", "rmsprop", "adagrad", "adadelta", "lbfgs")},
}  # fmt: skip
PROMISED = ("plateau", "early stopping", "tested = best", "averaging", "dropout", "augmentation")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """These networks are too small for two, which would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def recipe(kind: str, tables: Tables) -> Recipe:
    network = {**KINDS[kind], **tables.get("network", {})}
    training = {"batch": 64 if kind == "backbone" else 32, "stack": False, **tables.get("training", {})}
    return Recipe.from_tables({"data": DATA, **tables, "network": network, "training": training})


def trained(mine: Recipe, epochs: int, states: States | None, test: bool = True) -> tuple[Run, Trial]:
    """The end of a training, and its trial."""
    settings, techniques = mine.settings_of({})
    ends: list[Run] = []
    original = loop.train_run

    def kept(*arguments: Any) -> Run:
        ends.append(original(*arguments))
        return ends[-1]

    with mock.patch.object(loop, "train_run", kept):
        training = Training({}, 0, epochs, test)
        trial = loop.train_one(training, settings, mine.split(), 0, lambda share: None, techniques, states)
    return ends[0], trial


def weights(network: nn.Module | None) -> dict[str, torch.Tensor]:
    return {} if network is None else dict(network.state_dict())


def assert_same(ours: tuple[Run, Trial], theirs: tuple[Run, Trial]) -> None:
    (mine, my_trial), (other, other_trial) = ours, theirs
    assert my_trial.curve == other_trial.curve
    assert my_trial.accuracy == other_trial.accuracy
    assert my_trial.test_accuracy == other_trial.test_accuracy
    assert (my_trial.right, my_trial.test_right) == (other_trial.right, other_trial.test_right)
    assert my_trial.averaged_from == other_trial.averaged_from
    assert my_trial.provenance.get("notes") == other_trial.provenance.get("notes")
    pairs = (
        (mine.network, other.network),
        (mine.tested, other.tested),
        (judged(mine.hooks, mine), judged(other.hooks, other)),
    )
    for our_weights, their_weights in ((weights(a), weights(b)) for a, b in pairs):
        assert our_weights.keys() == their_weights.keys()
        assert all(torch.equal(value, their_weights[name]) for name, value in our_weights.items())


CASES = [
    *((kind, way) for kind in ("cnn", "backbone", "own") for way in PROMISED),
    *(("cnn", way) for way in WAYS if way not in PROMISED),
    ("mlp", "dropout"),
    ("backbone", "drawn in advance"),
    *(("remembers", way) for way in ("tested = best", "averaging", "ensemble", "evolution")),
    *(("weight-normed", way) for way in ("tested = best", "averaging", "ensemble", "evolution")),
    *(("recurrent", way) for way in ("tested = best", "averaging", "evolution")),
]


@pytest.mark.parametrize(("kind", "way"), CASES, ids=[", ".join(case) for case in CASES])
def test_what_goes_on_equals_what_never_stopped(kind: str, way: str, tmp_path: Path) -> None:
    mine = recipe(kind, WAYS[way])
    states = States(tmp_path, 500)
    direct = trained(mine, LONG, None)
    trained(mine, SHORT, states, test=False)
    kept = list(tmp_path.glob(f"*-{SHORT}.pt"))
    begun = len(direct[1].validation_curve) > SHORT and not length_reason(*mine.settings_of({}))
    assert bool(kept) == begun, "the shorter one is the beginning, unless it stopped there or looks at its length"
    assert_same(trained(mine, LONG, states), direct)


@pytest.mark.parametrize("stack", [True, False])
def test_the_end_of_what_goes_on_is_kept_and_no_choosing_seed_is_tested(
    stack: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    mine = recipe("mlp", {"training": {"stack": stack, "keep_mb": 50}})
    for epochs in (2, 4, 6):
        training = Training({}, 0, epochs)
        (trial,) = mine.train(Job((training,)), lambda share: None)
        assert trial.test_accuracy is None
        assert len(trial.validation_curve) == epochs
        assert len(list(tmp_path.rglob(f"{training.key}-{epochs}.pt"))) == 1


@pytest.mark.parametrize("stack", [True, False])
def test_a_training_that_stopped_at_its_last_epoch_is_no_beginning(
    stack: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A longer one would have stopped there too."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    tables = {"early_stopping": {"after": 3}, "training": {"stack": stack, "keep_mb": 50}}
    mine = recipe("mlp", tables)
    curves = []
    for epochs in (3, 6):
        (trial,) = mine.train(Job((Training({}, 0, epochs),)), lambda share: None)
        curves.append(trial.validation_curve)
    assert curves[0] == curves[1]
    assert len(curves[1]) == 3


@pytest.mark.parametrize(
    ("kind", "way"),
    [
        ("cnn", "averaging"),  # whose first member comes later
        ("cnn", "ensemble"),
        ("cnn", "evolution"),
    ],
)
def test_what_goes_on_from_a_single_epoch_equals_what_never_stopped(kind: str, way: str, tmp_path: Path) -> None:
    mine = recipe(kind, WAYS[way])
    states = States(tmp_path, 500)
    direct = trained(mine, 4, None)
    trained(mine, 1, states, test=False)
    assert len(list(tmp_path.glob("*-1.pt"))) == 1
    assert_same(trained(mine, 4, states), direct)


@pytest.mark.parametrize(("steps", "augmented"), [(0, False), (1, False), (0, True)])
def test_a_frozen_network_that_saw_its_images_once_is_no_beginning(steps: int, augmented: bool, tmp_path: Path) -> None:
    """A longer training computes the frozen part once, in batches of another size: the last bits differ."""
    augmentation = {"augmentation": {"pad": 1}} if augmented else {}
    mine = recipe("frozen", {"training": {"steps_per_epoch": steps}, **augmentation})
    states = States(tmp_path, 500)
    trained(mine, 1, states, test=False)
    assert bool(list(tmp_path.glob("*-1.pt"))) == augmented, "images that change have no features to be kept"
    assert_same(trained(mine, 4, states), trained(mine, 4, None))
