"""The mean network is the plain mean of the stored ones, its batch-norm statistics those of a fresh pass."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from torch import nn

from tests.training.techniques import a_run, digits, small_network, train
from zonesearch.cli.status_command import status_of
from zonesearch.core.objective import Job
from zonesearch.core.reading import Reading
from zonesearch.core.trials import Training, Trial
from zonesearch.errors import ObjectiveError, StudyError
from zonesearch.run.running import check, run_study
from zonesearch.run.storage.record import parse, to_trial, trial_line
from zonesearch.study.study import Study
from zonesearch.training.averaging import Averaging, refresh_batch_norm, statistics_pass
from zonesearch.training.ensembles import Ensemble
from zonesearch.training.epoch import evaluate
from zonesearch.training.loop import begin_run, train_run
from zonesearch.training.recipe import Recipe
from zonesearch.training.technique import Hooks, Run, judged
from zonesearch.training.techniques import Techniques


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
        ({"keep": 3}, "keep is for an ensemble"),
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


# -- frozen norms, dropout


@pytest.mark.parametrize("kind", ["own", "own, frozen late", "backbone"])
def test_a_frozen_norm_keeps_its_statistics_under_averaging(kind: str) -> None:
    """A network fine-tuned in its head was judged with statistics of mean 0 and variance 1, at chance."""
    tables = {
        "own": {"kind": "own_parts:with_frozen_norms"},
        "own, frozen late": {"kind": "own_parts:freezes_in_forward"},
        "backbone": {"kind": "backbone", "backbone": "shufflenet_v2_x0_5", "tune": "head"},
    }
    recipe = Recipe.from_tables(
        {"data": {"limit": 60, "validation": 0.2}, "network": tables[kind], "training": {"batch": 24},
         "averaging": {"start": 0.5}}
    )  # fmt: skip
    settings, techniques = recipe.settings_of({})
    training = Training({}, 0, 2, test=True)
    torch.manual_seed(0)
    run = train_run(training, settings, recipe.split(), 0, lambda share: None, techniques)
    mean = judged(run.hooks, run)
    assert mean is not run.network
    frozen, moved = [], []
    run.network.train()
    if kind == "own, frozen late":
        run.network(run.inputs[:4])
    for ours, theirs in zip(mean.modules(), run.network.modules(), strict=True):
        if isinstance(ours, nn.modules.batchnorm._BatchNorm):
            same = torch.equal(ours.running_mean, theirs.running_mean)
            (moved if theirs.training else frozen).append(same)
    assert frozen, "there is a frozen norm"
    assert all(frozen)
    assert not any(moved)


def test_averaging_with_dropout_and_batch_norm_does_not_disturb_the_training() -> None:
    """The pass that measures statistics drew from the training's own stream of dropout."""
    curves = []
    for table in ({}, {"averaging": {"start": 0.0, "every": 2}}):
        recipe = Recipe.from_tables(
            {"data": {"limit": 200}, "network": {"width": 8, "batch_norm": True, "dropout": 0.3},
             "training": {"stack": False, "batch": 32}, **table}
        )  # fmt: skip
        (trial,) = recipe.train(Job((Training({}, 0, 4),)), lambda share: None)
        curves.append(trial.curve["train_loss"])
    assert curves[0] == curves[1]


def test_statistics_are_measured_on_the_batches_that_training_sees() -> None:
    recipe = Recipe.from_tables(
        {"data": {"limit": 100}, "network": {"width": 8, "batch_norm": True}, "augmentation": {"pad": 3}}
    )
    settings, _ = recipe.settings_of({})
    run = begin_run(Training({}, 0, 1), settings, recipe.split(), 0)
    assert run.augmentation is not None
    before = run.augmentation.generator.get_state()
    seen = run.augmentation.twin()(run.inputs)
    statistics_pass(run.network, run)
    expected = run.network[1](seen.flatten(1)).mean(0)
    assert torch.allclose(run.network[2].running_mean, expected, atol=1e-5)
    assert torch.equal(run.augmentation.generator.get_state(), before), "what is drawn for it is not missed"


# -- which epochs count, and averages that never begin


def averaged(tables: dict[str, Any], epochs: int, **params: Any) -> Trial:
    merged = {"data": {"limit": 200}, "network": {"width": 8}, **tables}
    recipe = Recipe.from_tables(merged)
    (trial,) = recipe.train(Job((Training(params, 0, epochs, test=True),)), lambda share: None)
    return trial


def test_only_epochs_with_an_average_compete_once_there_is_one() -> None:
    noisy = {"optimizer": {"name": "sgd", "learning_rate": 0.2}, "gradient_noise": {"eta": 3.0, "gamma": 0.0}}
    trial = averaged({**noisy, "averaging": {"start": 0.75}}, 8)
    curve = trial.validation_curve
    assert trial.averaged_from == 6
    assert trial.accuracy == max(curve[5:])
    assert trial.value(Reading.parse("best")) == max(curve[5:])
    assert trial.value(Reading.parse("last")) == curve[-1]


def test_the_network_that_is_tested_is_an_average_even_where_an_earlier_epoch_was_better() -> None:
    tables = {"optimizer": {"name": "sgd", "learning_rate": 0.3}, "averaging": {"start": 0.5}}
    recipe = Recipe.from_tables({"data": {"limit": 200}, "network": {"width": 8}, **tables})
    settings, techniques = recipe.settings_of({})

    class Ruined(Hooks):
        """Throws the network away before the second half begins."""

        def after_epoch(self, run: Run) -> None:
            if run.epoch == 3:
                with torch.no_grad():
                    for parameter in run.network.parameters():
                        parameter.mul_(0)

    original = Techniques.begin
    with mock.patch.object(Techniques, "begin", lambda self, run: [Ruined(), *original(self, run)]):
        run = train_run(Training({}, 0, 6, test=True), settings, recipe.split(), 0, lambda share: None, techniques)
    curve = run.curve["validation_accuracy"]
    assert max(curve[:2]) > max(curve[2:]), "the best epoch of all had no average"
    assert run.averaged_from == 3
    assert run.tested is not None
    best = 2 + curve[2:].index(max(curve[2:]))
    accuracy = evaluate(run.tested, *recipe.split().validation)[1]
    assert accuracy == curve[best]


def test_a_training_that_stops_before_its_first_average_says_so(tmp_path: Path) -> None:
    study = Study.from_tables(
        {
            "name": "stops",
            "space": {"learning_rate": [0.01, 0.02]},
            "data": {"name": "digits", "limit": 200},
            "network": {"width": 8},
            "training": {"epochs": 40},
            "search": {"stages": ["grid"]},
            "early_stopping": {"patience": 1},
            "averaging": {"start": 0.9},
        }
    )
    result = run_study(study, into=tmp_path / "run")
    assert all(len(trial.validation_curve) < 36 for trial in result.trials)
    assert all(trial.averaged_from is None for trial in result.trials)
    n = len(result.trials)
    said = f"{n} of {n} trainings: averaging never began: the first member is taken at epoch 36, and it stopped before."
    assert said in result.results.notes
    status = status_of(tmp_path / "run")
    assert said in status["notes"]
    lines = [line for file in (tmp_path / "run" / "trials").glob("*.jsonl") for line in file.read_text().splitlines()]
    assert any("averaging never began" in str(json.loads(line).get("provenance")) for line in lines)
    result.report(tmp_path / "report.html")
    assert "averaging never began" in (tmp_path / "report.html").read_text()


EACH = {"averaging": {"every": 1}}


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"averaging": {"every": 9}}, "never begins within 8 epochs: there is no member to take"),
        (
            {**EACH, "early_stopping": {"after": 5}},
            "within 5 epochs: the first member would be taken after",
        ),
        (
            {**EACH, "training": {"epochs": 8, "schedule": "sgdr(period=10)"}},
            "there is no member to take",
        ),
        (
            {"averaging": {"kind": "ensemble"}, "training": {"epochs": 8, "schedule": "snapshot(cycles=6)"}},
            'the nearest that fits is "snapshot(cycles=8)"',
        ),
        (
            {"averaging": {"every": 2}, "training": {"epochs": 8, "schedule": "sgdr(period=2)"}},
            "every = 2 is for a schedule without cycles",
        ),
    ],
)
def test_averaging_that_can_never_begin_is_refused_before_anything_trains(tables: dict[str, Any], said: str) -> None:
    study = Study.from_tables(
        {"space": {"width": [4, 8]}, "data": {"limit": 200}, "training": {"epochs": 8},
         "search": {"stages": ["grid"]}, **tables}
    )  # fmt: skip
    with pytest.raises(ObjectiveError, match=re.escape(said)):
        check(study, study.objective())


def test_a_trial_of_an_average_is_recorded_and_cut_with_where_it_began() -> None:
    trial = averaged({"averaging": {}, "training": {"schedule": "sgdr(period=2)"}}, 6)
    assert trial.averaged_from == 2
    record = parse(trial_line(trial, "study"))
    assert record is not None
    assert to_trial(record) == trial
    assert trial.at(4).averaged_from == 2
    assert trial.at(1).averaged_from is None
    assert trial.at(1).accuracy == trial.validation_curve[0]


def test_an_ensemble_of_a_regression_answers_with_the_mean_of_its_members() -> None:
    members = [nn.Linear(3, 1) for _ in range(3)]
    x = torch.randn(5, 3)
    expected = torch.stack([member(x) for member in members]).mean(0)
    assert torch.allclose(Ensemble(members, classes=False)(x), expected)
    recipe = Recipe.from_tables(
        {"data": {"name": "own_parts:wine_alcohol", "task": "regression"}, "network": {"width": 16},
         "optimizer": {"learning_rate": 0.01}, "averaging": {"kind": "ensemble", "start": 0.5}}
    )  # fmt: skip
    (trial,) = recipe.train(Job((Training({}, 0, 12),)), lambda share: None)
    assert trial.accuracy > 0.3
