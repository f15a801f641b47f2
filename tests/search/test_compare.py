"""The stage compare: arms as the values of an axis."""

from __future__ import annotations

import json

import numpy as np
import pytest

from zonesearch.core.seeding import fresh_seeds
from zonesearch.core.space import Space
from zonesearch.core.trials import Training, Trial, Trials
from zonesearch.errors import StudyError
from zonesearch.search.stages.compare import Compare
from zonesearch.study.building import build_stage, describe_stage

SPACE = Space.parse({"arm": ["sgd", "swa"], "width": [16, 32]})
CLAIMS = ({"says": "SWA is better", "better": {"arm": "swa"}, "than": {"arm": "sgd"}, "by": 0.01},)


def trained(training: Training, gain: float = 0.02) -> Trial:
    rng = np.random.default_rng(training.seed)
    luck = rng.normal(0, 0.01)
    accuracy = 0.9 + luck + gain * (training.params["arm"] == "swa") + rng.normal(0, 0.001)
    curve = {"validation_accuracy": [accuracy - 0.1] * training.epochs}
    return Trial(training, accuracy=accuracy - 0.1, curve=curve, test_accuracy=accuracy, n_test=1000)


def test_compare_wants_every_cell_with_the_same_fresh_seeds_and_the_test_split() -> None:
    wanted = Compare(SPACE, epochs=3, repeats=4).plan(None, Trials()).trainings
    assert len(wanted) == 16
    assert {training.seed for training in wanted} == set(fresh_seeds(4))
    assert all(training.test and training.epochs == 3 for training in wanted)


def test_compare_gives_a_verdict_over_all_cells_on_the_test_split() -> None:
    stage = Compare(SPACE, epochs=3)
    trials = Trials(map(trained, stage.plan(None, Trials()).trainings))
    verdict = stage.plan(None, trials).output
    assert verdict.measured_on == "test"
    assert len(verdict.standings) == 4
    assert {standing.finalist.params["arm"] for standing in verdict.alike} == {"swa"}


def test_compare_checks_its_claims_on_the_test_split() -> None:
    stage = Compare(SPACE, epochs=3, claims=CLAIMS)
    trials = Trials(map(trained, stage.plan(None, Trials()).trainings))
    (outcome,) = stage.check_claims(trials)
    assert outcome.difference == pytest.approx(0.02, abs=0.002)
    assert outcome.verdict == "held"
    assert stage.check_claims(Trials())[0].n_seeds == 0


def test_compare_counts_what_diverged() -> None:
    stage = Compare(SPACE, epochs=3, claims=CLAIMS)
    trainings = stage.plan(None, Trials()).trainings
    lost = trainings[0]
    trials = Trials(Trial(t, "diverged") if t == lost else trained(t) for t in trainings)
    verdict = stage.plan(None, trials).output
    assert sum(standing.n_lost for standing in verdict.standings) == 1
    assert stage.check_claims(trials)[0].n_seeds == 4


@pytest.mark.parametrize("settings", [{"repeats": 1}, {"level": 1.0}, {"claims": ({"says": "x"},)}, {"claims": ("x",)}])
def test_a_wrong_compare_is_a_clear_error(settings) -> None:
    with pytest.raises(StudyError, match=r"\[compare\]"):
        Compare(SPACE, epochs=3, **settings)


def test_compare_with_its_claims_is_read_back_from_what_a_run_keeps() -> None:
    stage = build_stage("compare", {"repeats": 3, "claims": list(CLAIMS)}, {"space": SPACE, "epochs": 2}, "here")
    described = json.loads(json.dumps(describe_stage(stage)))
    kept = {key: value for key, value in described.items() if key != "name"}
    assert build_stage(described["name"], kept, {"space": SPACE}, "there") == stage
