"""A stack gives what the reference loop gives, whoever the companions are.

The bound: in float64, with no rounding to speak of, every number of every epoch within 1e-9; in float32 losses within
1e-3 and accuracies within three of the validation examples after a few epochs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zonesearch.core.objective import Job
from zonesearch.core.trials import Training, Trial
from zonesearch.training.recipe import Recipe
from zonesearch.training.stack import stack as stacks
from zonesearch.training.stack.layout import Layout
from zonesearch.training.stack.members import Member
from zonesearch.training.stack.network import Network
from zonesearch.training.stack.quick import Quick, is_quick
from zonesearch.training.stack.stack import Stack

Tables = Mapping[str, Mapping[str, Any]]


NOTHING: Tables = {}


def recipe(tables: Tables = NOTHING, *, stack: bool = True, precision: str = "float64", batch: int = 64) -> Recipe:
    training = {"batch": batch, "precision": precision, "stack": stack, **tables.get("training", {})}
    return Recipe.from_tables({"data": {"limit": 600}, **tables, "training": training})


def trained(recipe: Recipe, trainings: Sequence[Training]) -> dict[Training, Trial]:
    return {trial.training: trial for trial in recipe.train(Job(tuple(trainings)), lambda share: None)}


def assert_same(ours: Trial, theirs: Trial, bound: float = 1e-9) -> None:
    assert ours.state == theirs.state
    assert ours.curve.keys() == theirs.curve.keys()
    for name, values in theirs.curve.items():
        assert ours.curve[name] == pytest.approx(values, abs=bound), name
    assert ours.test_accuracy == (None if theirs.test_accuracy is None else pytest.approx(theirs.test_accuracy))
    assert (ours.right, ours.test_right) == (theirs.right, theirs.test_right)
    if ours.complete:
        assert ours.accuracy is not None
        n_right = int(np.unpackbits(np.frombuffer(ours.right, np.uint8)).sum())
        assert n_right == round(ours.accuracy * (ours.n_validation or 0)), "of the best epoch"
        assert bool(ours.test_right) == (ours.test_accuracy is not None)
    assert (ours.n_parameters, ours.n_validation, ours.n_test) == (
        theirs.n_parameters,
        theirs.n_validation,
        theirs.n_test,
    )


def assert_stack_is_reference(tables: Tables, trainings: Sequence[Training], bound: float = 1e-9, **how: Any) -> None:
    stacked = trained(recipe(tables, **how), trainings)
    alone = trained(recipe(tables, stack=False, **how), trainings)
    assert all(trial.provenance["stacked"] for trial in stacked.values())
    assert not any(trial.provenance["stacked"] for trial in alone.values())
    for training in trainings:
        assert_same(stacked[training], alone[training], bound)


@pytest.fixture(params=["numpy", "torch"])
def road(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each road by which a stack may compute; on its end, whether it was taken is checked."""
    taken: list[str] = []
    steps, passes = Quick.step, Network.forward

    def quick(*arguments: Any) -> None:
        taken.append("numpy")
        steps(*arguments)

    def slow(*arguments: Any) -> None:
        taken.append("torch")
        passes(*arguments)

    monkeypatch.setattr(Quick, "step", quick)
    monkeypatch.setattr(Network, "forward", slow)
    if request.param == "torch":
        monkeypatch.setattr(stacks, "is_quick", lambda *sizes: False)
    yield
    assert request.param in taken


MIXED = [
    Training(params, seed, 3, test=seed == 1)
    for params in ({"width": 7}, {"width": 16}, {"width": 16, "weight_decay": 0.1}, {"width": 40})
    for seed in (0, 1, 2)
]


@pytest.mark.parametrize(
    "network",
    [
        {},
        {"depth": 2},
        {"depth": 3, "batch_norm": True},
        {"batch_norm": True},
        {"dropout": 0.3},
        {"depth": 2, "dropout": 0.5, "batch_norm": True},
        {"init": "keras"},
        *({"activation": name} for name in ("tanh", "sigmoid", "gelu", "silu")),
    ],
    ids=str,
)
def test_networks_of_mixed_widths(network: Mapping[str, Any]) -> None:
    assert_stack_is_reference({"network": network}, MIXED)


def test_equal_widths_are_one_product() -> None:
    rates = [Training({"learning_rate": rate}, seed, 3) for rate in (0.001, 0.01, 0.03) for seed in (0, 1)]
    assert_stack_is_reference({"network": {"width": 12, "depth": 2, "batch_norm": True}}, rates)


@pytest.mark.parametrize(
    "optimizer",
    [
        {"name": "adam", "weight_decay": 0.01, "beta1": 0.8},
        {"name": "adamw", "weight_decay": 0.1},
        {"name": "sgd", "learning_rate": 0.1, "weight_decay": 0.01},
        {"name": "sgd", "learning_rate": 0.1, "momentum": 0.5, "dampening": 0.2},
        {"name": "momentum", "learning_rate": 0.05},
        {"name": "nesterov", "learning_rate": 0.05},
        {"name": "rmsprop"},
        {"name": "rmsprop", "momentum": 0.9, "weight_decay": 0.01},
        {"name": "adagrad", "learning_rate": 0.01, "weight_decay": 0.01},
        {"name": "adadelta", "learning_rate": 1.0, "decay": 0.95, "weight_decay": 0.01},
    ],
    ids=lambda optimizer: "-".join(map(str, optimizer.values())),
)
def test_optimizers(optimizer: Mapping[str, Any]) -> None:
    assert_stack_is_reference({"optimizer": optimizer}, MIXED)


def test_each_member_has_its_own_schedule_rate_decay_dropout_and_length() -> None:
    differing: list[dict[str, Any]] = [
        {"schedule": "constant"},
        {"schedule": "step(every=2, factor=0.5)", "weight_decay": 0.02},
        {"schedule": "plateau(patience=1)", "learning_rate": 0.1},
        {"schedule": "triangular2(low=0.001, high=0.02, half_cycle=1)", "width": 9},
        {"schedule": "sgdr(low=0.0001, period=1, multiply=2, decay=0.9)", "dropout": 0.4},
        {"schedule": "cosine", "beta2": 0.99},
        {"schedule": "warmup(epochs=1, then=constant)", "learning_rate": 0.02},
    ]
    trainings = [Training(params, seed, 4 + seed) for params in differing for seed in (0, 1)]
    assert_stack_is_reference({"network": {"width": 16}, "optimizer": {"name": "adam"}}, trainings)


def test_early_stops_leave_one_by_one() -> None:
    tables = {"early_stopping": {"patience": 1}, "optimizer": {"learning_rate": 0.03}}
    trainings = [Training({"width": width}, seed, 12, test=True) for width in (8, 32) for seed in (0, 1, 2)]
    lengths = {len(trial.validation_curve) for trial in trained(recipe(tables), trainings).values()}
    assert len(lengths) > 1
    assert_stack_is_reference(tables, trainings)


@pytest.mark.usefixtures("road")
def test_a_member_that_diverges_leaves_and_the_rest_goes_on() -> None:
    tables = {"optimizer": {"name": "sgd"}, "network": {"depth": 2, "width": 16}}
    wild = Training({"learning_rate": 1e300}, 0, 3)
    calm = [Training({"learning_rate": rate}, seed, 3) for rate in (0.05, 0.1) for seed in (0, 1)]
    trials = trained(recipe(tables), [*calm, wild])
    assert trials[wild].state == "diverged"
    for training, trial in trained(recipe(tables, stack=False), calm).items():
        assert_same(trials[training], trial)


@pytest.mark.usefixtures("road")
def test_gradients_are_clipped_member_by_member() -> None:
    trainings = [Training({"clip": clip, "width": w}, 0, 2) for clip in (0.0, 0.05, 1.0) for w in (8, 16)]
    assert_stack_is_reference({"optimizer": {"name": "sgd", "learning_rate": 0.5}}, trainings)


@pytest.mark.usefixtures("road")
@pytest.mark.parametrize("batch", [1, 37, 480])
def test_batches_that_do_not_divide_the_data(batch: int) -> None:
    few = [Training({"width": width}, seed, 1 if batch == 1 else 3) for width in (4, 8) for seed in (0, 1)]
    assert_stack_is_reference({"data": {"limit": 150 if batch == 1 else 600}}, few, batch=batch)


@pytest.mark.usefixtures("road")
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_both_roads_give_the_reference_in_every_layout(activation: str) -> None:
    network = {"network": {"depth": 3, "activation": activation}}
    assert_stack_is_reference(network, [Training({"width": w}, s, 2) for w in (5, 9) for s in (0, 1)])
    assert_stack_is_reference(
        network, [Training({"width": 9, "weight_decay": d}, s, 2) for d in (0, 1) for s in (0, 1)]
    )
    assert_stack_is_reference(network, [Training({"width": w}, 0, 2) for w in (5, 9)])


def test_the_road_is_a_matter_of_sizes() -> None:
    def numpy_for(width: int, batch: int, dtype: torch.dtype = torch.float32, **other: Any) -> bool:
        layout = Layout(1, ((width,),), 784, 10, other.get("batch_norm", False))
        return is_quick(
            layout, torch.empty(0, dtype=dtype), other.get("activation", "relu"), batch, other.get("dropout", False)
        )

    assert [numpy_for(64, 16), numpy_for(128, 16), numpy_for(1024, 8), numpy_for(4096, 4)] == [True, False, True, False]
    assert numpy_for(8, 8, torch.float64)
    assert not numpy_for(8, 8, torch.bfloat16)
    for other in ({"batch_norm": True}, {"dropout": True}, {"activation": "gelu"}):
        assert not numpy_for(8, 8, **other)


def test_a_last_batch_of_one_example_is_not_normalised() -> None:
    n_train = len(recipe().split().train[1])
    assert_stack_is_reference({"network": {"batch_norm": True}}, MIXED[:6], batch=n_train - 1)


@pytest.mark.usefixtures("road")
def test_a_fixed_number_of_steps() -> None:
    assert_stack_is_reference({"training": {"steps_per_epoch": 11}}, MIXED[:6])


def test_in_float32_rounding_is_all_that_differs() -> None:
    trainings = [Training({"width": width}, seed, 5) for width in (16, 64) for seed in (0, 1)]
    stacked = trained(recipe(precision="float32"), trainings)
    alone = trained(recipe(precision="float32", stack=False), trainings)
    for training, trial in alone.items():
        ours = stacked[training]
        assert ours.curve["train_loss"] == pytest.approx(trial.curve["train_loss"], abs=1e-3)
        assert trial.n_validation is not None
        assert ours.validation_curve == pytest.approx(trial.validation_curve, abs=3.5 / trial.n_validation)


def test_in_bfloat16_networks_learn_as_well() -> None:
    trainings = [Training({"width": 64}, seed, 15) for seed in range(4)]
    low, full = (
        [trial.accuracy or 0.0 for trial in trained(recipe(precision=precision), trainings).values()]
        for precision in ("bf16", "float32")
    )
    assert math.fsum(low) / 4 == pytest.approx(math.fsum(full) / 4, abs=0.02)


@given(st.sets(st.sampled_from(range(12)), min_size=2), st.integers(0, 11))
@settings(max_examples=12, deadline=None)
def test_companions_do_not_matter(chosen: set[int], one: int) -> None:
    everybody = [Training({"width": width}, seed, 2) for width in (5, 9, 16) for seed in range(4)]
    mine = everybody[one]
    some = [everybody[i] for i in sorted(chosen | {one})]
    assert_same(trained(recipe(), some)[mine], trained(recipe(), everybody)[mine])


# -- who trains together


@given(st.permutations([Training({"width": w, "batch": b}, s, 3) for w in (8, 64) for b in (16, 64) for s in (0, 1)]))
@settings(max_examples=20, deadline=None)
def test_jobs_are_a_function_of_the_set(trainings: list[Training]) -> None:
    jobs = {frozenset(job.trainings): job.cost for job in recipe().jobs(trainings)}
    assert jobs == {frozenset(b.trainings): b.cost for b in recipe().jobs(sorted(trainings, key=lambda t: t.key))}
    assert sorted(t.key for members in jobs for t in members) == sorted(t.key for t in trainings)
    assert any(len(members) > 1 for members in jobs)
    assert all(len({t.params["batch"] for t in members}) == 1 for members in jobs)


def test_large_networks_train_alone_and_work_is_left_for_several_workers() -> None:
    assert len(recipe().jobs([Training({"width": 100_000}, seed, 1) for seed in (0, 1)])) == 2
    assert len(recipe().jobs([Training({"width": 32}, seed, 1000) for seed in range(64)])) >= 8
    assert len(recipe().jobs([Training({"width": 32}, seed, 1) for seed in range(64)])) == 1, "too short to be cut"


@pytest.mark.parametrize(
    "tables",
    [
        {"network": {"kind": "cnn", "channels": 2, "blocks": 1}},
        {"gradient_noise": {}},
        {"averaging": {"kind": "weights", "start": 0.5}},
        {"augmentation": {"flip": True}},
    ],
    ids=str,
)
def test_what_cannot_be_stacked_trains_one_by_one(tables: Tables) -> None:
    trainings = [Training({}, seed, 2) for seed in (0, 1)]
    mine = recipe(tables, precision="float32")
    assert [len(job.trainings) for job in mine.jobs(trainings)] == [1, 1]
    assert all(trial.complete for trial in trained(mine, trainings).values())


def test_a_stack_goes_on_where_a_shorter_one_ended(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    tables = {"training": {"keep_mb": 50}, "network": {"dropout": 0.2, "batch_norm": True}}
    for stack in (True, False):
        short, long = ([Training({"width": w}, 0, epochs, test=True) for w in (8, 16)] for epochs in (2, 5))
        kept = recipe(tables, stack=stack, precision="float32")
        trained(kept, short)
        first = {path.name for path in tmp_path.rglob("*.pt")}
        assert first
        resumed = trained(kept, long)
        whole = trained(recipe({**tables, "training": {}}, stack=stack, precision="float32"), long)
        for training in long:
            assert resumed[training].curve == whole[training].curve
            assert resumed[training].test_accuracy == whole[training].test_accuracy
            assert resumed[training].right == whole[training].right
            assert resumed[training].test_right == whole[training].test_right


@pytest.mark.timeout(60)
@pytest.mark.parametrize("stack", [True, False])
def test_a_training_whose_end_was_kept_already_is_trained_again(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, stack: bool
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kept = recipe({"training": {"keep_mb": 50}}, stack=stack, precision="float32")
    trainings = [Training({"width": w}, 0, epochs) for w, epochs in ((8, 2), (16, 3))]
    first = trained(kept, trainings)
    assert len(list(tmp_path.rglob("*.pt"))) == 2
    again = trained(kept, trainings)
    assert all(again[t].curve == first[t].curve and len(again[t].validation_curve) == t.epochs for t in trainings)


def test_a_stack_that_does_not_fit_into_memory_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    fresh = Stack.fresh.__func__  # type: ignore[attr-defined]

    def short_of_memory(cls: type[Stack], grid: list[list[Member]], *rest: Any) -> Stack:
        sizes.append(sum(map(len, grid)))
        if sizes[-1] > 3:
            raise MemoryError
        made: Stack = fresh(cls, grid, *rest)
        return made

    whole = trained(recipe(), MIXED[:6])
    monkeypatch.setattr(Stack, "fresh", classmethod(short_of_memory))
    for training, trial in trained(recipe(), MIXED[:6]).items():
        assert_same(trial, whole[training])
    assert sizes == [6, 3, 3]
