"""A study that somebody made with Optuna comes in as a space and trials."""

from __future__ import annotations

import math
from pathlib import Path

import optuna
import pytest

from zonesearch.domain.space import Choice, Space
from zonesearch.domain.trials import Training, Trial, Trials
from zonesearch.engine.optuna_import import Imported, import_study
from zonesearch.engine.optuna_storage import open_storage
from zonesearch.engine.optuna_view import OptunaView
from zonesearch.errors import StoreError

optuna.logging.set_verbosity(optuna.logging.ERROR)


def searched(path: Path, direction: str = "maximize", name: str = "theirs") -> str:
    """A study with pruned, failed, repeated and unfinished evaluations."""
    url = str(path / "study.journal")
    study = optuna.create_study(
        storage=open_storage(url, create=True),
        study_name=name,
        direction=direction,
        sampler=optuna.samplers.RandomSampler(seed=1),
    )

    def objective(trial: optuna.Trial) -> float:
        width = trial.suggest_int("width", 8, 64, log=True)
        rate = trial.suggest_float("rate", 0.0, 1.0)
        trial.suggest_categorical("kind", ["a", "b", None])
        for step in range(3):
            trial.report(rate * step / 2, step)
            if trial.number == 3 and step == 1:
                raise optuna.TrialPruned
        if trial.number == 4:
            return math.nan
        return rate if width else 0.0

    study.optimize(objective, n_trials=10)
    study.enqueue_trial(study.trials[0].params)
    study.optimize(objective, n_trials=1)
    study.ask()
    return url


def test_import_reads_axes_from_the_distributions(tmp_path: Path) -> None:
    found = import_study(searched(tmp_path))
    width = found.space["width"]
    assert not isinstance(width, Choice)
    assert (width.low, width.high, width.scale, width.integer) == (8, 64, "log", True)
    assert found.space["kind"] == Choice("kind", ("a", "b", "None"))
    assert found.space.names == ("width", "rate", "kind")
    assert all(found.space.contains(t.params) for t in found.trials)


def test_import_reads_every_finished_evaluation(tmp_path: Path) -> None:
    url = searched(tmp_path)
    found = import_study(url, "theirs")
    by_number = {t.provenance["optuna_trial"]: t for t in found.trials.records()}
    assert sorted(by_number) == list(range(11))
    assert found.n_skipped == 1
    assert by_number[4].state == "failed"
    assert by_number[3].epochs == 2
    assert by_number[0].validation_curve == (0.0, by_number[0].params["rate"] / 2, by_number[0].params["rate"])
    assert by_number[0].accuracy == by_number[0].params["rate"]
    assert (by_number[0].seed, by_number[10].seed) == (0, 1)  # the same parameters again


def test_import_turns_a_minimised_value_round(tmp_path: Path) -> None:
    found = import_study(searched(tmp_path, "minimize"))
    assert found.minimises
    best = max((t for t in found.trials if t.accuracy is not None), key=lambda t: t.accuracy or 0)
    assert best.accuracy is not None
    assert best.accuracy <= 0
    assert -best.accuracy == min(t.params["rate"] for t in found.trials if t.complete)


def test_import_of_our_own_view_gives_the_trials_back(tmp_path: Path) -> None:
    space = Space.parse({"width": [8, 16], "kind": ["a", "b"]})
    made = [
        Trial(
            Training({"width": width, "kind": kind, "schedule": "constant"}, seed, 2),
            accuracy=0.5 + seed / 8,
            curve={"validation_accuracy": (0.25, 0.5 + seed / 8)},
            seconds=1.5,
            n_parameters=10,
        )
        for width in (8, 16)
        for kind in "ab"
        for seed in (0, 1)
    ]
    made.append(Trial(Training({"width": 8, "kind": "a", "schedule": "x"}, 0, 2), "diverged"))
    url = str(tmp_path / "view.journal")
    OptunaView(url, "ours", "f", space).top_up(made)
    found = import_study(url)

    def plain(trials: Trials) -> list[tuple[object, ...]]:
        return [(t.training.key, t.epochs, t.state, t.accuracy, t.curve, t.seconds, t.n_parameters) for t in trials]

    assert plain(found.trials) == plain(Trials(made))
    assert found.space.names == space.names


def test_import_says_what_is_missing(tmp_path: Path) -> None:
    url = searched(tmp_path)
    storage = open_storage(url, create=True)
    with pytest.raises(StoreError, match=r'no study "other".*it holds: theirs'):
        import_study(url, "other")
    optuna.create_study(storage=storage, study_name="empty")
    optuna.create_study(storage=storage, study_name="two", directions=["minimize", "maximize"])
    with pytest.raises(StoreError, match=r"name a study.*empty, theirs, two"):
        import_study(url)
    with pytest.raises(StoreError, match="no evaluation with a value"):
        import_study(url, "empty")
    with pytest.raises(StoreError, match="2 objectives"):
        import_study(url, "two")
    with pytest.raises(StoreError, match="there is no database"):
        import_study(f"sqlite:///{tmp_path}/none.db")
    assert not (tmp_path / "none.db").exists()


def test_import_identity_is_plain(tmp_path: Path) -> None:
    found = import_study(searched(tmp_path))
    assert isinstance(found, Imported)
    assert found.identity() == {"optuna_study": "theirs", "direction": "maximize"}
