"""The table of settings by paths: on every way through a training a setting does what it does in the plain loop.

The settings are read off the dataclasses, so that a new one without an entry fails. Each entry names a value, and what
else must be on for it to matter. On every path it then gives what the plain loop gives for it, another result than
without; or a sentence says why it cannot. That nothing is lost in silence is the point: each path once was a piece of
code of its own, and forgot some.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
import torch

from zonesearch.core.objective import Job
from zonesearch.core.trials import Training, Trial
from zonesearch.errors import ObjectiveError
from zonesearch.run.engines.worker import train_job
from zonesearch.run.shards import deal
from zonesearch.training.averaging import Averaging
from zonesearch.training.early_stopping import EarlyStopping
from zonesearch.training.evolution import RandomGradients, Strategies
from zonesearch.training.gradient_noise import GradientNoise
from zonesearch.training.noise_scale import NoiseScaleProbe
from zonesearch.training.recipe import Recipe
from zonesearch.training.settings import AugmentationSettings, OptimizerSettings, TrainingSettings

Tables = Mapping[str, Mapping[str, Any]]

SHORT, LONG = 2, 4
SWEEP = "sweep(low=0.001, high=0.5, n_steps=14)"
DATA = {"name": "digits", "limit": 110, "limit_validation": 250, "limit_test": 250, "validation": 0.4}
SGD = {"optimizer": {"name": "sgd", "learning_rate": 0.1}}
NOTHING: Tables = {}


@dataclass(frozen=True)
class Entry:
    """One row of the table.

    Args:
        value: what the setting is set to.
        needs: what else is on; the plain loop with it and without the value is what is compared with.
        swept: what a range test makes of it: ``changes``, as in the loop; ``noted``, it plays no part and a sentence
            says so; ``replaced``, by what is swept; ``nothing``.
        changes: whether the result changes at all; what only says how a training runs changes none.
        rungs: the sentence by which rungs refuse it.
        exact: whether the stack gives the loop's numbers; where products are rounded otherwise it cannot.
    """

    value: Any
    needs: Tables = field(default_factory=dict)
    swept: str = "changes"
    changes: bool = True
    rungs: str = ""
    exact: bool = True


NESTEROV = {"optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.5}}
LBFGS = {"optimizer": {"name": "lbfgs", "learning_rate": 0.5, "iterations": 2}}
RMSPROP = {"optimizer": {"name": "rmsprop"}}
WILD = {"optimizer": {"name": "adam", "learning_rate": 3.0}}
STILL = {"optimizer": {"name": "sgd", "learning_rate": 1e-12}}
RISING = {**WILD, "training": {"schedule": "triangular(low=0.001, high=20.0, half_cycle=3)"}}
PROBE = {"noise_scale": {"batch": 16, "n_batches": 3}}
PAD = {"augmentation": {"pad": 2}}
OWN = {"training": {"metric": "own_parts:share_of_top_two", "direction": "maximise"}}
UNEVEN = {"data": {"name": "own_parts:uneven_digits", "limit": 0, "validation": 0.2}}
AVERAGED = "judges another network"


def averaging(value: Any, kind: str = "weights", **more: Any) -> Entry:
    return Entry(value, {**SGD, "averaging": {"kind": kind, "start": 0.5, **more}}, "noted", rungs=AVERAGED)


def evolving(value: Any, kind: str = "random_gradients", swept: str = "noted", **more: Any) -> Entry:
    table = {"kind": kind, "every": 2, "children": 6, "together": 3, **more}
    return Entry(value, {**SGD, "evolution": table}, swept)


def stopping(value: Any, needs: Tables = NOTHING, **table: Any) -> Entry:
    return Entry(value, {**needs, "early_stopping": table}, "noted")


TABLE: dict[str, Mapping[str, Entry]] = {
    "training": {
        "batch": Entry(16),
        "schedule": Entry("step(every=1, factor=0.2)", swept="replaced"),
        "rate_rule": Entry("linear"),
        "reference_batch": Entry(8, {"training": {"rate_rule": "sqrt"}}),
        "steps_per_epoch": Entry(5),
        "device": Entry("cpu", changes=False, swept="nothing"),
        "tested": Entry("last", {**WILD, "network": {"width": 3}}, swept="nothing"),
        "precision": Entry("bf16", exact=False),
        "clip": Entry(0.05, SGD),
        "metric": Entry("balanced_accuracy"),
        "direction": Entry("minimise", OWN),
        "loss": Entry("cross_entropy(label_smoothing=0.2)"),
        "class_weights": Entry("balanced", UNEVEN),
        "stack": Entry(False, changes=False, swept="nothing"),
        "keep_mb": Entry(20, changes=False, swept="nothing"),
        "evaluate_every": Entry(3, swept="nothing"),
    },
    "optimizer": {
        "name": Entry("rmsprop"),
        "learning_rate": Entry(0.02, swept="replaced"),
        "weight_decay": Entry(0.5),
        "momentum": Entry(0.5, SGD),
        "nesterov": Entry(True, NESTEROV),
        "dampening": Entry(0.5, NESTEROV),
        "beta1": Entry(0.5),
        "beta2": Entry(0.5),
        "eps": Entry(0.1),
        "decay": Entry(0.5, RMSPROP),
        "history": Entry(1, LBFGS),
        "iterations": Entry(5, LBFGS),
    },
    "augmentation": {
        "pad": Entry(1),
        "padding": Entry("reflect", PAD),
        "flip": Entry(True),
        "draws": Entry(3, PAD),
    },
    "averaging": {
        "kind": averaging("ensemble"),
        "start": averaging(0.75),
        "every": averaging(2),
        "keep": averaging(1, "ensemble"),
    },
    "early_stopping": {
        "patience": stopping(1, STILL),
        "rise": stopping(0.0, RISING),
        "least": stopping(3, STILL, patience=1),
        "after": stopping(1),
    },
    "evolution": {
        "every": evolving(4),
        "children": evolving(9),
        "share": evolving(0.4, swept="changes"),
        "choose_by": evolving("accuracy", temperature=40.0),
        "together": evolving(1),
        "control": evolving(True),
        "temperature": evolving(3.0),
        "noise_low": evolving(0.5),
        "noise_high": evolving(2.0),
        "learning_rate": evolving(0.5),
    },
    "evolution, strategies": {
        "every": evolving(4, "strategies"),
        "children": evolving(9, "strategies"),
        "share": evolving(0.4, "strategies", "changes"),
        "choose_by": evolving("accuracy", "strategies"),
        "together": evolving(1, "strategies"),
        "control": evolving(True, "strategies"),
        "sigma": evolving(0.02, "strategies"),
        "learning_rate": evolving(0.02, "strategies"),
        "noise": evolving("normal", "strategies"),
        "antithetic": evolving(True, "strategies"),
        "generations": evolving(2, "strategies"),
    },
    "gradient_noise": {
        "eta": Entry(0.3, {**SGD, "gradient_noise": {}}),
        "gamma": Entry(0.1, {**SGD, "gradient_noise": {}}),
    },
    "noise_scale": {
        "batch": Entry(8, PROBE, swept="noted"),
        "n_batches": Entry(2, PROBE, swept="noted"),
    },
}
CLASSES = {
    "training": TrainingSettings,
    "optimizer": OptimizerSettings,
    "augmentation": AugmentationSettings,
    "averaging": Averaging,
    "early_stopping": EarlyStopping,
    "evolution": RandomGradients,
    "evolution, strategies": Strategies,
    "gradient_noise": GradientNoise,
    "noise_scale": NoiseScaleProbe,
}
KINDS: dict[str, Mapping[str, Any]] = {
    "mlp": {"kind": "mlp", "width": 6, "batch_norm": True, "dropout": 0.2},
    "cnn": {"kind": "cnn", "channels": 2, "blocks": 1, "batch_norm": True, "dropout": 0.2},
    "backbone": {"kind": "backbone", "backbone": "shufflenet_v2_x0_5", "tune": "head", "dropout": 0.2},
    "own": {"kind": "own_parts:with_frozen_norms"},
}
ROWS = [(table, name) for table, entries in TABLE.items() for name in entries]


@pytest.fixture(autouse=True)
def small_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def recipe(*layers: Tables, stack: bool = False, keep: bool = False) -> Recipe:
    """A small one; later tables are laid over earlier ones."""
    made: dict[str, dict[str, Any]] = {
        "data": dict(DATA),
        "network": {"width": 6},
        "optimizer": {"learning_rate": 0.01},
        "training": {
            "batch": 32,
            "precision": "float64",
            "stack": stack,
            "keep_mb": 50 if keep else 0,
            "evaluate_every": 1,
        },
    }
    for layer in layers:
        for name, table in layer.items():
            made[name] = {**made.get(name, {}), **table}
    return Recipe.from_tables(made)


def trained(mine: Recipe, epochs: int = LONG, test: bool = True, **params: Any) -> Trial:
    training = Training(params, 0, epochs, test)
    mine.check(training.params)
    mine.check_length(training)
    (trial,) = mine.train(Job((training,)), lambda share: None)
    return trial


def result(trial: Trial) -> tuple[Any, ...]:
    read = trial.accuracy, trial.test_accuracy, trial.metric
    return trial.state, *read, dict(trial.curve), trial.averaged_from


def assert_alike_on_every_path(plain: Trial, *layers: Tables, rungs: str = "") -> None:
    """What the loop gives is what every other way through the training gives, the stack and range test left aside."""
    # gone on with where a shorter one ended
    kept = recipe(*layers, {"training": {"keep_mb": 50}})
    trained(kept, SHORT, test=False)
    assert result(trained(kept)) == result(plain)

    # the rungs of a grid
    loose = recipe(*layers)
    if rungs:
        with pytest.raises(ObjectiveError, match=rungs):
            loose.continuing([{}])
    else:
        climbing = loose.continuing([{}])
        trained(climbing, SHORT, test=False)
        assert result(trained(climbing)) == result(plain)

    # another process or machine, of a shard or of Dask: the same jobs of a pickled recipe
    there = cloudpickle.loads(cloudpickle.dumps(loose))
    wanted = [Training({}, seed, LONG, True) for seed in (0, 1)]
    shards = [job for shard in deal(sorted(there.jobs(wanted), key=lambda b: b.key), 2) for job in shard]
    came = {trial.training: trial for job in shards for trial in train_job(there, job, lambda share: None)}
    assert came.keys() == set(wanted)
    assert result(came[wanted[0]]) == result(plain)


def with_value(table: str, name: str) -> tuple[Entry, Tables]:
    entry = TABLE[table][name]
    return entry, {table.partition(",")[0]: {name: entry.value}}


def assert_close(ours: Trial, theirs: Trial) -> None:
    assert (ours.state, ours.averaged_from) == (theirs.state, theirs.averaged_from)
    assert ours.test_accuracy == pytest.approx(theirs.test_accuracy)
    assert ours.curve.keys() == theirs.curve.keys()
    for curve, values in theirs.curve.items():
        assert ours.curve[curve] == pytest.approx(values, abs=1e-9), curve


def test_every_setting_has_its_row() -> None:
    for table, cls in CLASSES.items():
        known = {item.name for item in fields(cls)}
        assert known == set(TABLE[table]), f"[{table}]: give what is new a row, and see what each path makes of it"


@pytest.mark.parametrize(("table", "name"), ROWS, ids=[": ".join(row) for row in ROWS])
def test_a_setting_does_on_every_path_what_it_does_in_the_plain_loop(table: str, name: str) -> None:
    entry, value = with_value(table, name)
    without, plain = trained(recipe(entry.needs)), trained(recipe(entry.needs, value))
    assert (result(without) != result(plain)) == entry.changes

    # the stack, where it can; it falls back to the loop where not
    stacked = trained(recipe({"training": {"stack": True}}, entry.needs, value))
    if entry.exact:
        assert_close(stacked, plain)
    else:
        assert stacked.curve != without.curve

    assert_alike_on_every_path(plain, entry.needs, value, rungs=entry.rungs)


@pytest.mark.parametrize(("table", "name"), ROWS, ids=[": ".join(row) for row in ROWS])
def test_a_setting_does_in_a_range_test_what_it_does_in_the_plain_loop(table: str, name: str) -> None:
    entry, value = with_value(table, name)
    without, swept = (trained(recipe(entry.needs, *more), 1, False, schedule=SWEEP) for more in ((), (value,)))
    assert (result(without) != result(swept)) == (entry.swept == "changes")
    if entry.swept == "noted":
        assert f"[{table.partition(',')[0]}]" in " ".join(swept.provenance["notes"])


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_network_trains_alike_on_every_path(kind: str) -> None:
    precision = "float64" if kind == "mlp" else "float32"  # which a stack is compared in
    network = {"network": KINDS[kind], "training": {"precision": precision}}
    plain = trained(recipe(network))
    assert_close(trained(recipe({"training": {"stack": True}}, network)), plain)
    for keeping in (recipe(network, {"training": {"keep_mb": 50}}), recipe(network).continuing([{}])):
        trained(keeping, SHORT, test=False)
        assert result(trained(keeping)) == result(plain)
    there = cloudpickle.loads(cloudpickle.dumps(recipe(network)))
    (job,) = there.jobs([Training({}, 0, LONG, True)])
    (trial,) = train_job(there, job, lambda share: None)
    assert result(trial) == result(plain)
    sweep = trained(recipe(network), 1, False, schedule=SWEEP)
    assert len(sweep.curve["step_loss"]) > 5


OF_KINDS = [(kind, *row) for kind in ("cnn", "own") for row in ROWS if row[0] != "evolution, strategies"]


@pytest.mark.parametrize(("kind", "table", "name"), OF_KINDS, ids=[": ".join(row) for row in OF_KINDS])
def test_a_setting_changes_what_it_should_for_other_kinds_of_networks(kind: str, table: str, name: str) -> None:
    entry, value = with_value(table, name)
    network = {"network": KINDS[kind], "training": {"precision": "float32"}}
    without, plain = trained(recipe(network, entry.needs)), trained(recipe(network, entry.needs, value))
    assert (result(without) != result(plain)) == entry.changes


OTHERS: dict[str, Tables] = {
    "cnn": {"network": KINDS["cnn"]},
    "backbone, frozen": {"network": KINDS["backbone"], "training": {"batch": 64}},
    "own network": {"network": KINDS["own"]},
    "recurrent": {"network": {"kind": "own_parts:reads_in_order"}},
    "remembers": {"network": {"kind": "own_parts:remembers"}},
    "texts": {
        "data": {"name": "own_parts:sentences", "collate": "own_parts:padded", "limit": 0},
        "network": {"kind": "own_parts:bag", "width": 8},
    },
    "regression": {"data": {"name": "own_parts:wine_alcohol", "task": "regression", "limit": 0}},
    "own loss": {"training": {"loss": "own_parts:focal"}},
    "automatic precision": {"training": {"precision": "auto"}, "network": {"kind": "own_parts:with_frozen_norms"}},
}
"""Kinds of trainings, each of which has code of its own somewhere."""
NOT_OF: dict[str, tuple[str, ...]] = {
    "texts": ("augmentation", "training: class_weights", "training: direction"),
    "regression": ("augmentation", "training: class_weights", "training: metric", "training: loss",
                   "training: direction", "evolution: choose_by", "evolution, strategies: choose_by"),
    "own loss": ("augmentation", "training: loss", "training: class_weights"),
    "remembers": ("training: precision",),
}  # fmt: skip
"""Rows that are of something else, or refused: a setting, or a whole table."""


def of_kind(kind: str, table: str, name: str) -> tuple[Entry, list[Tables]]:
    """A row, and the tables of a training of this kind with it."""
    entry, value = with_value(table, name)
    precision = {"training": {"precision": "float32"}}
    return entry, [precision, entry.needs, OTHERS[kind], value]


def is_of(kind: str, table: str, name: str) -> bool:
    left_out = NOT_OF.get(kind, ())
    return table not in left_out and f"{table}: {name}" not in left_out


PAIRS = [
    (kind, *row) for i, row in enumerate(ROWS) for j, kind in enumerate(OTHERS)
    if (i + j) % len(OTHERS) == 0 and is_of(kind, *row) and (kind != "backbone, frozen" or i % 2)
]  # fmt: skip


@pytest.mark.parametrize(("kind", "table", "name"), PAIRS, ids=[": ".join(pair) for pair in PAIRS])
def test_a_setting_of_another_kind_of_training_is_the_same_on_every_path(kind: str, table: str, name: str) -> None:
    """Nearly every setting with one of the kinds, every kind with several: all pairs would take minutes."""
    entry, layers = of_kind(kind, table, name)
    assert_alike_on_every_path(trained(recipe(*layers)), *layers, rungs=entry.rungs)
    swept = trained(recipe(*layers), 1, False, schedule=SWEEP)
    assert len(swept.curve["step_loss"]) > 2
