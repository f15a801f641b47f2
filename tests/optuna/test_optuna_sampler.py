"""Optuna samplers as a stage: the same suggestions as from Optuna itself, and a pure function of the trials."""

from __future__ import annotations

import math

import optuna
import pytest

from tests.search.asking import asked
from zonesearch.core.space import Space
from zonesearch.core.trials import Trials
from zonesearch.errors import StudyError
from zonesearch.optuna.stage import SAMPLERS, OptunaSampler, _played
from zonesearch.search.stages.grid import Grid
from zonesearch.search.stages.interval import Interval

SPACE = Space.parse(
    {
        "rate": {"low": 1e-4, "high": 1.0, "scale": "log"},
        "width": {"low": 8, "high": 512, "scale": "log"},
        "kind": ["a", "b", "c"],
    }
)


def hill(params, seed):
    return 0.9 - 0.1 * (math.log10(params["rate"]) + 2) ** 2 - 0.1 * (params["kind"] == "a") + 0.001 * (seed % 7)


@pytest.fixture(params=SAMPLERS)
def sampler(request) -> str:
    if request.param == "cmaes":
        pytest.importorskip("cmaes", reason="the sampler cmaes needs the package cmaes")
    return request.param


def test_it_trains_what_it_may_and_hands_on_its_best(sampler: str) -> None:
    stage = OptunaSampler(SPACE, epochs=1, sampler=sampler, n_trainings=14, batch=4, keep=2)
    zones, trials, trainings = asked(stage, hill)
    assert len(trainings) == len(trials) == 14
    assert all(SPACE.contains(training.params) for training in trainings)
    assert 1 <= len(zones) <= 2  # a hill has one zone, unless few points leave a valley in it
    assert [zone.value for zone in zones] == sorted((zone.value for zone in zones), reverse=True)
    assert all(zone.peak in [training.params for training in trainings] for zone in zones)
    median = sorted(trial.accuracy for trial in trials)[7]
    assert all(zone.value > median for zone in zones)


def test_a_resumed_search_goes_on_as_an_unbroken_one(sampler: str) -> None:
    """Also when half a batch came back, and when nothing that was played before is remembered."""
    stage = OptunaSampler(SPACE, epochs=1, sampler=sampler, n_trainings=14, batch=4)
    _, trials, whole = asked(stage, hill)
    for n in (3, 4, 10):
        _played.cache_clear()
        known = Trials(trial for trial in trials if trial.training in whole[:n])
        wanted = stage.plan(None, known).trainings
        assert wanted == whole[: len(wanted)]
        assert len(wanted) == min(14, 4 * (n // 4 + 1))


def test_it_asks_what_optuna_itself_asks() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    stage = OptunaSampler(SPACE, epochs=1, sampler="tpe(n_startup_trials=5)", n_trainings=12, batch=1, study_seed=3)
    _, _, trainings = asked(stage, hill)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=3, n_startup_trials=5))
    for training in trainings:
        trial = study.ask(
            {
                "rate": optuna.distributions.FloatDistribution(1e-4, 1.0, log=True),
                "width": optuna.distributions.IntDistribution(8, 512, log=True),
                "kind": optuna.distributions.CategoricalDistribution(("a", "b", "c")),
            }
        )
        rate, asked_rate = training.params["rate"], trial.params["rate"]
        assert {**training.params, "rate": 0} == {**trial.params, "rate": 0}
        assert rate == pytest.approx(asked_rate, rel=1e-5)
        study.tell(trial, hill(training.params, training.seed))


def test_an_instance_is_copied_and_gives_what_its_name_gives() -> None:
    instance = optuna.samplers.TPESampler(seed=0)
    by_instance = OptunaSampler(SPACE, epochs=1, sampler=instance, n_trainings=12)
    by_name = OptunaSampler(SPACE, epochs=1, sampler="tpe", n_trainings=12)
    assert asked(by_instance, hill)[2] == asked(by_name, hill)[2] == asked(by_instance, hill)[2]


def test_another_study_seed_asks_other_points() -> None:
    first, second = (
        OptunaSampler(SPACE, epochs=1, sampler="random", study_seed=seed).plan(None, Trials()).trainings
        for seed in (0, 1)
    )
    assert first != second


def test_a_point_that_comes_again_gets_the_next_seed() -> None:
    small = Space.parse({"kind": ["a", "b"]})
    stage = OptunaSampler(small, epochs=1, seeds=2, sampler="random", n_trainings=20)
    _, trials, trainings = asked(stage, lambda params, seed: float(seed))
    assert len(set(trainings)) == len(trials) == 20
    for kind in ("a", "b"):
        seeds = [trial.seed for trial in trials.of({"kind": kind})]
        assert seeds == list(range(len(seeds)))


def test_lost_trainings_do_not_stop_it(sampler: str) -> None:
    stage = OptunaSampler(SPACE, epochs=1, sampler=sampler, n_trainings=14)
    zones, trials, _ = asked(stage, lambda p, seed: math.nan if p["kind"] != "b" else hill(p, seed))
    assert len(trials) == 14
    assert all(zone.peak["kind"] == "b" for zone in zones)
    assert asked(stage, lambda p, seed: math.nan)[0] == ()


def test_it_starts_from_the_zones_before_it_and_hands_zones_on() -> None:
    axes = Space.parse({"rate": {"low": 1e-4, "high": 1.0, "scale": "log", "row": 4}, "width": [8, 64, 512]})
    surface = lambda params, seed: hill({**params, "kind": "b"}, seed)  # noqa: E731
    zones, trials, _ = asked(Grid(axes, epochs=1), surface)
    stage = OptunaSampler(axes, epochs=1, sampler="gp(n_startup_trials=3)", n_trainings=8)
    found, trials, trainings = asked(stage, surface, zones, trials)
    assert found[0].value >= max(zone.value for zone in zones)
    alone = stage.plan(None, Trials()).trainings
    assert stage.plan(zones, trials).trainings[:4] != alone[:4]
    assert asked(Interval(axes, epochs=1), surface, found, trials)[0]
    assert len(trainings) == 8


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sampler": "tpee"}, 'no sampler "tpee"; did you mean "tpe"'),
        ({"sampler": "tpe(no_such=1)"}, "no_such"),
        ({"sampler": "tpe(("}, "neither a name nor a call"),
        ({"sampler": 5}, "sampler must be the name of a sampler"),
        ({"batch": 0}, "batch must be at least 1"),
        ({"seeds": 3, "n_trainings": 2}, "n_trainings must be at least the seeds"),
    ],
)
def test_wrong_settings_are_clear_errors(settings, message) -> None:
    with pytest.raises(StudyError, match=r"\[optuna\]") as error:
        OptunaSampler(SPACE, epochs=1, **settings)
    assert message in str(error.value)


def test_lists_as_choices_are_searched_without_a_warning(sampler: str, recwarn: pytest.WarningsRecorder) -> None:
    space = Space.parse({"x": {"low": 0.0, "high": 1.0}, "widths": {"choices": [[64], [64, 64], None]}})
    _, trials, _ = asked(
        OptunaSampler(space, epochs=1, sampler=sampler, n_trainings=8), lambda params, seed: params["x"]
    )
    assert len(trials) == 8
    assert not [str(warning.message) for warning in recwarn if "hoices" in str(warning.message)]
