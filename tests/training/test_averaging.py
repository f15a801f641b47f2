"""The mean network is the plain mean of the stored ones, its batch-norm statistics those of a fresh pass."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from tests.training.techniques import a_run, digits, small_network, train
from zonesearch.errors import StudyError
from zonesearch.training.averaging import Averaging, refresh_batch_norm
from zonesearch.training.ensembles import Ensemble
from zonesearch.training.technique import judged


@pytest.mark.parametrize("schedule", ["constant", "swa(low=0.05, start=0.5)", "sgdr(low=0.001, period=2)"])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_averaged_weights_equal_the_plain_mean_of_the_stored_ones(schedule: str, batch_norm: bool) -> None:
    run = a_run(small_network(batch_norm=batch_norm), epochs=8, schedule=schedule)
    technique = Averaging("weights")
    hooks = [technique.begin(run)]
    stored: list[list[torch.Tensor]] = []
    points = technique.points(run)

    def store(run) -> None:
        if run.epoch in points:
            stored.append([p.detach().clone() for p in run.network.parameters()])

    train(run, hooks, store)
    assert len(stored) == len(points) > 1
    for averaged, *members in zip(judged(hooks, run).parameters(), *stored, strict=True):
        assert torch.allclose(averaged, torch.stack(members).double().mean(0).float(), atol=1e-6)


def test_batch_norm_statistics_of_the_mean_equal_a_fresh_pass() -> None:
    run = a_run(small_network(batch_norm=True), epochs=4)
    run.inputs, run.labels = run.inputs[:1024], run.labels[:1024]
    hooks = [Averaging(start=0.5).begin(run)]
    train(run, hooks)
    network = judged(hooks, run)
    hidden = network[0](run.inputs)
    batches = torch.stack([batch.var(0) for batch in hidden.split(256)])
    assert torch.allclose(network[1].running_mean, hidden.mean(0), atol=1e-5)
    assert torch.allclose(network[1].running_var, batches.mean(0), atol=1e-4)


def test_refresh_leaves_a_network_without_batch_norm_alone_and_keeps_the_momentum() -> None:
    network = small_network()
    before = copy.deepcopy(network.state_dict())
    refresh_batch_norm(network, digits()[0])
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())
    normed = small_network(batch_norm=True)
    refresh_batch_norm(normed, digits()[0])
    assert normed[1].momentum == 0.1


def test_averaging_does_not_disturb_the_training_itself() -> None:
    plain, averaged = a_run(epochs=4), a_run(epochs=4)
    train(plain)
    train(averaged, [Averaging().begin(averaged)])
    assert all(
        torch.equal(a, b) for a, b in zip(plain.network.parameters(), averaged.network.parameters(), strict=True)
    )


@pytest.mark.parametrize(
    ("technique", "schedule", "expected"),
    [
        (Averaging(), "constant", (6, 7, 8)),
        (Averaging(start=0.5, every=2), "constant", (4, 6, 8)),
        (Averaging(), "swa(low=0.1, start=0.5)", (4, 5, 6, 7, 8)),
        (Averaging(), "swa(low=0.1, start=0.5, length=6)", (3, 4, 5, 6, 7, 8)),
        (Averaging(), "swa(low=0.1, start=0.5, cycle=2)", (6, 8)),
        (Averaging("ensemble"), "snapshot(cycles=4)", (2, 4, 6, 8)),
        (Averaging("ensemble"), "fge(low=0.01, cycle=2, start=0.5)", (5, 7)),
        (Averaging("ensemble"), "sgdr(period=1, multiply=2)", (1, 3, 7)),
        (Averaging("ensemble", start=0.5), "triangular(0.01, 0.1, 1)", (4, 6, 8)),
        (Averaging("ensemble"), "warmup(2, then=triangular(0.01, 0.1, 1))", (4, 6, 8)),
    ],
)
def test_members_are_taken_where_the_schedule_stands_lowest(technique, schedule: str, expected) -> None:
    run = a_run(epochs=8, schedule=schedule)
    assert technique.points(run) == expected


def test_a_training_too_short_for_a_member_is_a_clear_error() -> None:
    with pytest.raises(StudyError, match="takes no member within 2 epochs"):
        Averaging().begin(a_run(epochs=2, schedule="triangular(0.01, 0.1, 2)"))


def test_ensemble_answers_with_the_mean_of_the_softmax_outputs() -> None:
    members = [small_network(seed) for seed in range(3)]
    inputs = digits()[2]
    expected = torch.stack([torch.softmax(member(inputs), 1) for member in members]).mean(0)
    found = Ensemble(members)(inputs).exp()
    assert torch.allclose(found, expected, atol=1e-6)
    assert torch.allclose(found.sum(1), torch.ones(len(inputs)))


def test_snapshots_are_judged_together_and_the_last_ones_kept() -> None:
    run = a_run(epochs=8, schedule="snapshot(cycles=4)")
    hooks = [Averaging("ensemble", keep=3).begin(run)]
    history = train(run, hooks)
    ensemble = judged(hooks, run)
    assert isinstance(ensemble, Ensemble)
    assert len(ensemble.members) == 3
    assert history[-1] > 0.8
    last = ensemble.members[-1]
    assert all(torch.equal(a, b) for a, b in zip(last.parameters(), run.network.parameters(), strict=True))


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"kind": "weigths"}, 'kind is "weights" or "ensemble", not'),
        ({"every": "x"}, "every must be a whole number, not 'x'"),
        ({"start": True}, "start must be a number, not True"),
        ({"strat": 0.5}, 'has no key "strat"; did you mean "start"?'),
        ({"start": 1.5}, "start is a share of the training"),
        ({"every": 0}, "must be at least 1"),
    ],
)
def test_a_wrong_averaging_table_is_a_clear_error(table, said: str) -> None:
    with pytest.raises(StudyError) as error:
        Averaging.from_table(table)
    assert said in str(error.value)


def test_an_empty_ensemble_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one member"):
        Ensemble([])


def test_every_kind_of_batch_norm_is_refreshed() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    images = digits()[0].view(-1, 1, 8, 8)
    refresh_batch_norm(network, images)
    assert torch.allclose(network[1].running_mean, network[0](images[:1024]).mean((0, 2, 3)), atol=1e-5)
