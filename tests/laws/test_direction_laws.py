"""A search for the largest f is a search for the least -f: the same trainings, and every value with its sign turned.

The functions have three peaks and noise, so that neither zones nor verdicts are obvious.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from zonesearch import run_pipeline
from zonesearch.benchmark.methods import methods
from zonesearch.benchmark.problem import FunctionProblem
from zonesearch.benchmark.searching import compare
from zonesearch.core.metric import Metric
from zonesearch.core.plugins import registered
from zonesearch.core.space import Space
from zonesearch.core.trials import Trial, Trials
from zonesearch.search.stages.grid import Grid
from zonesearch.statistics.claims import Claim, check_claim
from zonesearch.study.building import build_stage

SPACE = Space.parse(
    {
        "rate": {"low": 1e-3, "high": 1.0, "scale": "log", "row": 5},
        "width": {"low": 8, "high": 128, "scale": "log"},
        "kind": ["a", "b"],
    }
)
GAIN, COST = Metric("gain", "maximize", "EUR"), Metric("cost of it", "minimize", "EUR")
"""Neither is a share, whose noise is thought of otherwise."""


def gain(params, seed: int = 0) -> float:
    """Larger is better."""
    u = SPACE.unit({"kind": "a", **params})
    peaks = sum(math.exp(-30 * ((u[0] - a) ** 2 + (u[1] - b) ** 2)) for a, b in ((0.2, 0.3), (0.75, 0.8), (0.6, 0.1)))
    luck = 0.004 * ((seed * 31 + round(97 * float(u[0])) + round(53 * float(u[1]))) % 7)
    return 0.4 + 0.3 * peaks + luck + (0.02 if params.get("kind") == "b" else 0.0)


def trial(training, metric: Metric) -> Trial:
    """One that wobbles on its way, so that the best epoch is not the last."""
    values = [gain(training.params, training.seed) - 0.01 * abs(epoch - 2) for epoch in range(1, training.epochs + 1)]
    curve = [metric.value(value) for value in values]
    return Trial(training, accuracy=metric.best(curve), curve={"validation_accuracy": curve}, metric=metric)


def turned(item):
    """A zone or candidate of the other search."""
    has = vars(item)
    negated = {
        k: -has[k] for k in ("value", "smoothed", "cheapest_value", "expected") if math.isfinite(has.get(k, math.nan))
    }
    return replace(item, **negated, **({"metric": COST} if "metric" in has else {}))


def asked(stage, metric: Metric, given, trials: Trials):
    """The rounds of a stage, each the trainings that it wanted, and its output."""
    rounds = []
    for _ in range(60):
        plan = stage.plan(given, trials)
        missing = trials.missing(plan.trainings)
        if not missing:
            return rounds, plan.output
        rounds.append([(training.key, training.epochs) for training in missing])
        trials |= Trials(trial(training, metric) for training in missing)
    raise AssertionError(f"{stage} does not end")


def mapped():
    """Zones of the map of ``gain``, and the map's trainings."""
    grid = Grid(SPACE, epochs=3, seeds=2, zones_max=3)
    wanted = grid.plan(None, Trials()).trainings
    return tuple(grid.plan(None, Trials(trial(training, GAIN) for training in wanted)).output), wanted


LINES = [f"{name}(5)" for name in sorted(registered("lines"))]
SETTINGS = {
    **{f"interval {line}": ("interval", {"method": line}) for line in LINES},
    "coordinate": ("coordinate", {"n_trainings": 40}),
    "surrogate": ("surrogate", {"n_trainings": 24}),
    "controller": ("controller", {"n_trainings": 12}),
    "tpe": ("optuna", {"sampler": "tpe(n_startup_trials=4)", "n_trainings": 16}),
    "random": ("optuna", {"sampler": "random", "n_trainings": 12}),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_stage_wants_the_same_and_hands_on_turned_values(name: str) -> None:
    kind, settings = SETTINGS[name]
    common = {"space": SPACE, "epochs": 3, "seeds": 2, "study_seed": 1}
    stage = build_stage(kind, settings, common, "the test")
    zones, wanted = mapped()
    least = tuple(map(turned, zones))
    ways = []
    for metric, given in ((GAIN, zones), (COST, least)):
        known = Trials(trial(training, metric) for training in wanted)
        ways.append(asked(stage, metric, given, known))
    (rounds, output), (rounds_turned, output_turned) = ways
    assert rounds == rounds_turned
    assert list(map(turned, output)) == list(output_turned)
    assert output, "there is something to hand on"


def test_methods_have_the_same_regrets_never_below_zero() -> None:
    plain = FunctionProblem("plain", SPACE, gain, 0.01, best=1.02, metric=GAIN)
    turned = replace(plain, surface=lambda params: -gain(params), best=-1.02, metric=COST, median=math.nan)
    chosen = methods("coordinate,strong,random")
    contests = [compare(problem, chosen, budget=12, repeats=range(2)) for problem in (plain, _same_noise(turned))]
    one, other = ([(s.method, s.repeat, s.regret, s.recommended) for s in contest.searches] for contest in contests)
    assert one == other
    assert contests[0].scale == pytest.approx(contests[1].scale)
    assert all(regret >= 0 for contest in contests for search in contest.searches for regret in search.regret)
    assert contests[1].describe()["metric"] == {"name": "cost of it", "direction": "minimize", "unit": "EUR"}


def _same_noise(problem: FunctionProblem) -> FunctionProblem:
    """Noise with its sign turned, too."""

    class Turned(FunctionProblem):
        def _measure(self, training, repeat: int) -> float:
            return -FunctionProblem("plain", SPACE, gain, 0.01, best=1.0, median=0.5, metric=GAIN)._measure(
                training, repeat
            )

    return Turned(**vars(problem))


def test_claims_say_by_how_much_a_side_is_better() -> None:
    values = {
        (("arm", arm), ("width", w)): {s: gain({"rate": r, "width": w}, s) for s in range(5)}
        for arm, r in (("new", 0.003), ("old", 0.3))
        for w in (8, 16, 32)
    }
    turned = {cell: {seed: -value for seed, value in seeds.items()} for cell, seeds in values.items()}
    claim = Claim("new is better", {"arm": "new"}, {"arm": "old"}, by=0.01, tuned=("width",))
    one, other = check_claim(claim, values), check_claim(claim, turned, metric=COST)
    assert (one.difference, one.interval, one.p_value, one.verdict) == (
        other.difference,
        other.interval,
        other.p_value,
        other.verdict,
    )
    assert one.difference != 0


@pytest.mark.parametrize(
    "settings",
    [
        {"grid": {"rungs": [1, 2], "epochs": 3}, "interval": {"method": "golden(5)"}},
        {"polish": {"race": True, "repeats": 6, "keep": 3}},
        {"stages": ["surrogate", "polish"], "surrogate": {"n_trainings": 20}},
        {"stages": ["compare"], "compare": {"repeats": 4}},
    ],
    ids=str,
)
def test_search_finds_the_same_zones_and_gives_the_same_verdict(settings) -> None:
    def most(params, seed, epochs):
        yield from (gain(params, seed) - 0.01 * abs(epoch - 2) for epoch in range(1, epochs + 1))

    def least(params, seed, epochs):
        yield from (-value for value in most(params, seed, epochs))

    common = {"epochs": 3, "seeds": 2, **settings}
    one = run_pipeline(SPACE, objective=most, metric=GAIN, **common)
    other = run_pipeline(SPACE, objective=least, metric=COST, **common)
    assert {t.training.key for t in one.trials} == {t.training.key for t in other.trials}
    assert list(map(turned, one.zones)) == list(other.zones)
    assert list(map(turned, one.candidates)) == list(other.candidates)
    assert one.verdict is not None
    assert other.verdict is not None
    for a, b in zip(one.verdict.standings, other.verdict.standings, strict=True):
        assert (a.finalist.params, a.differs, a.p_value) == (b.finalist.params, b.differs, b.p_value)
        assert a.mean == -b.mean
        assert a.optimism == pytest.approx(b.optimism)
    assert one.verdict.recommended.finalist.params == other.verdict.recommended.finalist.params
    assert "EUR" in other.verdict.sentence
    assert "%" not in other.verdict.sentence.split(";")[0]
