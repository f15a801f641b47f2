"""Stage controller: proposals from the learned prior, doubts about it, zones, and that it remembers nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from zonesearch.core.space import Space
from zonesearch.core.trials import Training, Trial, Trials
from zonesearch.errors import StudyError
from zonesearch.search.controller.stage import Controller
from zonesearch.search.stages.surrogate.stage import Surrogate

NETWORK = Space.parse(
    {
        "lr": {"low": 1e-4, "high": 3.0, "scale": "log"},
        "batch_size": {"low": 8, "high": 256, "scale": "log"},
        "width": {"low": 4, "high": 256, "scale": "log"},
    }
)
UNNAMED = Space.parse({"x": {"low": 0.0, "high": 1.0}, "y": {"low": 0.0, "high": 1.0}})


def usual(params: Any) -> float:
    """Best at a rate of 0.1 and large widths, as many networks are under SGD."""
    return float(0.9 - 0.1 * (math.log10(params["lr"]) + 1) ** 2 + 0.01 * math.log2(params["width"]))


def unusual(params: Any) -> float:
    """Best at the smallest rate and narrow widths: like no network."""
    return float(0.9 - 0.1 * (math.log10(params["lr"]) + 3.7) ** 2 - 0.03 * math.log2(params["width"]))


def run(
    stage: Any, value: Callable[[Any], float], lost: Callable[[Any], bool] = lambda params: False
) -> tuple[Trials, Any]:
    trials = Trials(())
    while missing := trials.missing((plan := stage.plan(None, trials)).trainings):
        trials |= Trials(tuple(trial(training, value, lost) for training in missing))
    return trials, plan


def trial(training: Training, value: Callable[[Any], float], lost: Callable[[Any], bool]) -> Trial:
    if lost(training.params):
        return Trial(training, state="diverged")
    accuracy = value(training.params)
    return Trial(training, accuracy=accuracy, curve={"validation_accuracy": (accuracy,)})


def regret(params: Any, value: Callable[[Any], float], space: Space = NETWORK) -> float:
    """In units of best minus median."""
    rng = np.random.default_rng(0)
    values = [value(space.from_unit(u)) for u in rng.random((2000, len(space.axes)))]
    return (max(values) - value(params)) / (max(values) - float(np.median(values)))


def test_one_training_is_near_the_best_of_a_usual_surface_and_is_recommended() -> None:
    trials, plan = run(Controller(NETWORK, 1, n_trainings=1, optimizer="sgd"), usual)
    assert len(trials) == 1
    assert regret(plan.output[0].peak, usual) < 0.4


def test_recommendation_is_a_point_that_was_trained_and_its_value_is_no_lucky_draw() -> None:
    trials, plan = run(Controller(NETWORK, 1, n_trainings=12), usual)
    assert plan.output[0].peak in [dict(t.params) for t in trials]
    assert plan.output[0].value == pytest.approx(usual(plan.output[0].peak), abs=0.05)
    assert regret(plan.output[0].peak, usual) < 0.15


def test_surface_unlike_the_corpus_is_searched_as_well_as_by_the_surrogate() -> None:
    _, ours = run(Controller(NETWORK, 1, n_trainings=25), unusual)
    _, theirs = run(Surrogate(NETWORK, 1, n_trainings=25, batch=1), unusual)
    assert regret(ours.output[0].peak, unusual) <= regret(theirs.output[0].peak, unusual) + 0.05


def test_space_without_roles_is_searched_by_the_surrogate_and_that_is_said() -> None:
    def value(params: Any) -> float:
        return float(1 - (params["x"] - 0.3) ** 2)

    trials, plan = run(Controller(UNNAMED, 1, n_trainings=8), value)
    same, _ = run(Surrogate(UNNAMED, 1, n_trainings=8, batch=1), value)
    assert [t.params for t in trials] == [t.params for t in same]
    assert "No axis has a role" in plan.notes[0]


def test_order_of_the_trials_does_not_matter_and_nothing_is_remembered() -> None:
    stage = Controller(NETWORK, 1, n_trainings=8)
    trials, plan = run(stage, usual)
    shuffled = Trials(tuple(reversed(tuple(trials))))
    assert Controller(NETWORK, 1, n_trainings=8).plan(None, shuffled).output == plan.output
    some = Trials(tuple(sorted(trials, key=lambda t: t.seed))[:5])
    assert stage.plan(None, some).trainings == stage.plan(None, some).trainings


@pytest.mark.parametrize("factor", [100.0, 1e-3])
def test_unit_of_the_values_does_not_matter(factor: float) -> None:
    trials, _ = run(Controller(NETWORK, 1, n_trainings=8), usual)
    scaled, _ = run(Controller(NETWORK, 1, n_trainings=8), lambda params: factor * usual(params) - 3.0)
    assert {t.training.key for t in trials} == {t.training.key for t in scaled}


def test_rates_that_diverge_are_left() -> None:
    complete = []
    for seed in range(3):
        stage = Controller(NETWORK, 1, n_trainings=12, study_seed=seed)
        trials, plan = run(stage, usual, lambda params: params["lr"] > 0.05)
        assert plan.output[0].peak["lr"] <= 0.05
        complete.append(sum(t.complete for t in trials))
    assert min(complete) >= 6
    assert sum(complete) >= 22


def test_far_points_are_placed_where_trainings_succeed() -> None:
    for seed in (0, 2, 3):
        stage = Controller(NETWORK, 1, n_trainings=7, study_seed=seed)
        trials, _ = run(stage, usual, lambda params: params["lr"] > 0.05)
        (last,) = (t for t in trials if t.seed == max(t.seed for t in trials))
        assert stage.reasons(None, trials)[last.training].startswith("Far from what was trained, as the prior")
        assert last.complete


def test_all_lost_hands_on_nothing() -> None:
    _, plan = run(Controller(NETWORK, 1, n_trainings=4), usual, lambda params: True)
    assert not plan.output


def test_round_of_several_points_has_different_ones() -> None:
    plan = Controller(NETWORK, 1, n_trainings=12, batch=4).plan(None, Trials(()))
    assert len({t.key for t in plan.trainings}) == 4
    trials, _ = run(Controller(NETWORK, 1, n_trainings=10, batch=4), usual)
    assert len(trials) == 10


def test_what_the_user_says_of_the_optimizer_moves_the_first_proposal() -> None:
    def first(optimizer: str) -> float:
        return float(Controller(NETWORK, 1, optimizer=optimizer).plan(None, Trials(())).trainings[0].params["lr"])

    assert first("adam") < first("sgd")


def test_recommendation_is_explained_in_a_sentence() -> None:
    _, plan = run(Controller(NETWORK, 1, n_trainings=3), usual)
    assert "similar tasks" in plan.notes[0]
    assert "lr" in plan.notes[0]


def test_each_proposal_says_why_it_was_made() -> None:
    stage = Controller(NETWORK, 1, n_trainings=8, optimizer="sgd")
    said = list(stage.reasons(None, run(stage, usual)[0]).values())
    assert len(said) == 8
    assert said[0].startswith("Where the prior expects the best; lr ")
    assert "similar tasks" in said[0]
    assert said[5].startswith("Far from what was trained, to find out whether the prior is wrong, believed to ")


def test_reasons_name_each_axis_of_a_role() -> None:
    layer = {"low": 8, "high": 256, "scale": "log"}
    layers = Space.parse({"lr": {"low": 1e-4, "high": 1.0, "scale": "log"}, "first": layer, "second": layer})
    layers = Space(tuple(replace(axis, role="" if axis.name == "lr" else "width") for axis in layers.axes))
    stage = Controller(layers, 1, n_trainings=2, optimizer="sgd")
    trials, _ = run(stage, lambda params: float(params["first"]))
    for said in stage.reasons(None, trials).values():
        assert "first " in said
        assert "second " in said


def test_proposals_in_doubt_say_so() -> None:
    stage = Controller(NETWORK, 1, n_trainings=8, optimizer="sgd")
    said = list(stage.reasons(None, run(stage, unusual)[0]).values())
    assert said[6].startswith("Far from what was trained, as the prior was believed to ")
    assert said[7].startswith("Where the surrogate expected most, as the prior was believed to ")


def test_fitted_process_is_named_as_what_proposed() -> None:
    stage = Controller(NETWORK, 1, n_trainings=40)
    said = list(stage.reasons(None, run(stage, usual)[0]).values())
    fitted = [text.startswith("Where a process fitted to this task expected most") for text in said]
    assert fitted == sorted(fitted)
    assert fitted[-1]
    assert not any(fitted[:26])


def test_surrogates_proposals_have_no_reasons_in_a_space_without_roles() -> None:
    stage = Controller(UNNAMED, 1, n_trainings=5)
    trials, _ = run(stage, lambda params: float(params["x"]))
    assert stage.reasons(None, trials) == {}


def test_round_in_doubt_has_spread_points_and_the_surrogates() -> None:
    stage = Controller(NETWORK, 1, n_trainings=12, batch=4)
    trials, _ = run(stage, unusual)
    rounds = [[dict(t.params) for t in trials if t.seed == seed] for seed in sorted({t.seed for t in trials})]
    assert [len(each) for each in rounds] == [4, 4, 4]
    assert len({tuple(p.values()) for each in rounds for p in each}) == 12
    assert any("or where the surrogate expected most" in text for text in stage.reasons(None, trials).values())


def test_axes_without_a_role_and_choices_are_searched_too() -> None:
    space = Space.parse(
        {"lr": {"low": 1e-3, "high": 3.0, "scale": "log"}, "kappa": {"low": 0.0, "high": 1.0}, "c": ["a", "b"]}
    )

    def value(params: Any) -> float:
        good = 0.1 * (params["c"] == "a") - 0.3 * abs(params["kappa"] - 0.8)
        return float(0.8 - 0.1 * (math.log10(params["lr"]) + 1) ** 2 + good)

    _, plan = run(Controller(space, 1, n_trainings=25), value)
    assert plan.output[0].peak["c"] == "a"
    assert abs(plan.output[0].peak["kappa"] - 0.8) < 0.25


def test_axis_that_does_not_always_apply_and_constraints_are_heeded() -> None:
    space = Space.parse(
        {
            "optimizer": ["sgd", "adam"],
            "lr": {"low": 1e-4, "high": 1.0, "scale": "log"},
            "width": {"low": 8, "high": 256, "scale": "log"},
            "momentum": {"low": 0.0, "high": 0.99, "when": {"optimizer": "sgd"}},
        },
        ["width <= 64"],
    )
    trials, _ = run(Controller(space, 1, n_trainings=8), lambda params: usual({**params}))
    assert len(trials) == 8
    for each in trials:
        assert ("momentum" in each.params) == (each.params["optimizer"] == "sgd")
        assert each.params["width"] <= 64


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"optimizer": "agd"}, "optimizer must be one of"),
        ({"batch": 0}, "batch must be"),
        ({"n_trainings": 0}, "n_trainings must be"),
    ],
)
def test_wrong_setting_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyError, match=said):
        Controller(NETWORK, 1, **settings)


def test_suggestion_is_quick() -> None:
    stage = Controller(NETWORK, 1, n_trainings=30)
    trials, _ = run(stage, usual)
    longer = Controller(NETWORK, 1, n_trainings=31)
    start = time.process_time()
    for _ in range(5):
        longer.plan(None, trials)
    assert (time.process_time() - start) / 5 < 0.25  # of processor time, on a slow machine
