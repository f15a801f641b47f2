"""Laws of every registered stage: a pure function of what is known, whatever the order in which it became known."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.search.asking import answered
from zonesearch.core.plugins import registered
from zonesearch.core.reading import BEST
from zonesearch.core.space import Space
from zonesearch.core.trials import Trial, Trials
from zonesearch.search.stages.grid import Grid
from zonesearch.study.building import build_stage

SPACE = Space.parse(
    {
        "learning_rate": {"low": 1e-3, "high": 1.0, "scale": "log", "row": 4},
        "batch": {"low": 8, "high": 128, "scale": "log"},
    }
)
COMMON = {"space": SPACE, "epochs": 2, "seeds": 2, "reading": BEST, "study_seed": 1, "n_trainings": 16, "budget": 16}
OF_ITS_OWN = {"lr-range": {"n_steps": 40}, "optuna": {"sampler": "tpe(n_startup_trials=4)"}}
VARIANTS = {
    "polish, racing": {"kind": "polish", "race": True, "repeats": 8, "margin": 0.001},
    "grid, rungs": {"kind": "grid", "rungs": [1, 2], "epochs": 4},
    "grid, seeds where they matter": {"kind": "grid", "rungs": [1], "seeds": {"first": 1, "zone": 3}},
    "interval, seeds where they matter": {"kind": "interval", "seeds": {"first": 1, "zone": 3}},
    "polish, seeds where they matter": {"kind": "polish", "keep": 2, "seeds": {"first": 1, "zone": 3}},
}
STAGES = [*sorted(registered("stages")), *VARIANTS]


def surface(params, seed):
    u = SPACE.unit({**SPACE.from_unit([0.5, 0.5]), **{k: v for k, v in params.items() if k in SPACE.names}})
    return 0.9 - (u[0] - 0.3) ** 2 - (u[1] - 0.6) ** 2 + 0.004 * (hash((seed, *map(float, u))) % 7)


def trained(training) -> Trial:
    if "sweep" in str(training.params.get("schedule")):
        losses = [2.3 - 0.03 * i if i < 30 else 2.3 + i for i in range(40)]
        return Trial(training, accuracy=0.5, curve={"step_loss": losses})
    return answered(training, surface)


def zones():
    """What the grid hands on, and its trials."""
    grid = Grid(SPACE, epochs=2, seeds=2, zones_max=2)
    trials = Trials(trained(training) for training in grid.plan(None, Trials()).trainings)
    return grid.plan(None, trials).output, trials


def rounds(stage, given, trials, most=12):
    """What is known after each round of the stage."""
    known = [trials]
    for _ in range(most):
        missing = known[-1].missing(stage.plan(given, known[-1]).trainings)
        if not missing:
            break
        known.append(known[-1] | Trials(map(trained, missing)))
    return known


@pytest.fixture(scope="module", params=STAGES)
def played(request):
    """A stage, what it is given, and all that is known after each of its rounds."""
    name = request.param
    stage = build_stage(name, VARIANTS.get(name) or OF_ITS_OWN.get(name, {}), COMMON, "here")
    given, before = (None, Trials()) if name.startswith("grid") or name in ("lr-range", "compare") else zones()
    return stage, given, rounds(stage, given, before)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_same_trials_in_any_order_give_the_same_next_trainings(played, data) -> None:
    stage, given, known = played
    trials = data.draw(st.sampled_from(known))
    records = list(trials.records())
    shuffled = data.draw(st.permutations(records))
    lost = data.draw(st.integers(0, 3))
    cut = data.draw(st.integers(0, len(records)))
    kept = [record for record in shuffled if record not in records[len(records) - lost :]]
    once = Trials(record for record in records if record in kept)
    again = Trials(kept[cut:]) | Trials(kept[:cut]) | Trials(kept[: cut // 2])
    one, other = stage.plan(given, once), stage.plan(given, again)
    assert one.trainings == other.trainings
    assert once.missing(one.trainings) == again.missing(other.trainings)
    assert one == other


def test_asking_again_changes_nothing(played) -> None:
    stage, given, known = played
    for trials in known:
        assert stage.plan(given, trials) == stage.plan(given, trials)


def test_a_stage_ends_and_then_wants_nothing(played) -> None:
    stage, given, known = played
    while known[-1].missing(stage.plan(given, known[-1]).trainings):
        known[:] = rounds(stage, given, known[-1])
        assert len(known[-1]) < 2000
    assert stage.plan(given, known[-1]).output is not None
