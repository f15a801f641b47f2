"""The stage lr-range, with sweeps whose losses are known."""

from __future__ import annotations

import numpy as np
import pytest

from zonesearch.core.space import Space
from zonesearch.core.trials import Training, Trial, Trials
from zonesearch.errors import StudyError
from zonesearch.search.stages.grid import Grid
from zonesearch.search.stages.lr_range import LrRange
from zonesearch.statistics.lr_range import sweep_rates
from zonesearch.training.schedules import parse

SPACE = Space.parse(
    {"width": [16, 32, 64], "learning_rate": {"low": 1e-4, "high": 0.05, "scale": "log", "row": "doubling"}}
)


def swept(training: Training, steepest: float = 0.01) -> Trial:
    """The losses of a network that learns best at ``steepest`` and explodes at thirty times that."""
    rates = np.array(parse(str(training.params["schedule"])).rates())
    x = np.log10(rates / steepest)
    noise = np.random.default_rng(training.seed).normal(0, 0.02, len(rates))
    losses = 2.3 - 2 / (1 + np.exp(-6 * x)) + noise
    losses[x > 1.5] = 50
    return Trial(training, "diverged", curve={"step_loss": losses[: int((x <= 1.5).sum()) + 1]})


def test_lr_range_wants_a_sweep_for_every_seed_in_the_middle_of_the_space() -> None:
    wanted = LrRange(SPACE, seeds=3).plan(None, Trials()).trainings
    assert [training.seed for training in wanted] == [0, 1, 2]
    assert wanted[0].params["width"] == 32
    rates = parse(str(wanted[0].params["schedule"])).rates()
    assert (rates[0], rates[-1]) == pytest.approx((1e-6, 5.0))


def test_lr_range_hands_on_a_narrowed_axis() -> None:
    stage = LrRange(SPACE)
    trials = Trials(swept(training) for training in stage.plan(None, Trials()).trainings)
    plan = stage.plan(None, trials)
    assert not trials.missing(plan.trainings)
    row = plan.output["learning_rate"].row()
    assert len(row) == 3
    assert row[1] == pytest.approx(0.01, rel=0.3)
    assert 1e-4 < row[0] < 0.01 < row[2] <= 0.05
    assert plan.output["width"] == SPACE["width"]
    assert all(float(f"{rate:.2g}") == rate for rate in row)


def test_lr_range_may_set_the_rate_itself() -> None:
    stage = LrRange(SPACE, sets="rate")
    trials = Trials(swept(training) for training in stage.plan(None, Trials()).trainings)
    assert stage.plan(None, trials).output["learning_rate"].row() == pytest.approx([0.01], rel=0.3)


def test_lr_range_stays_within_the_rims_of_the_axis() -> None:
    stage = LrRange(SPACE)
    trials = Trials(swept(training, steepest=0.1) for training in stage.plan(None, Trials()).trainings)
    assert max(stage.plan(None, trials).output["learning_rate"].row()) == 0.05


def test_lr_range_of_sweeps_that_failed_says_which_and_why() -> None:
    stage = LrRange(SPACE, seeds=1)
    (training,) = stage.plan(None, Trials()).trainings
    trials = Trials([Trial(training, "failed", error="Traceback\nValueError: no such data")])
    with pytest.raises(StudyError, match="seed 0 cannot be read: ValueError: no such data"):
        stage.plan(None, trials)


@pytest.mark.parametrize(
    ("space", "settings", "said"),
    [
        ({"width": [16, 32]}, {}, 'needs a numeric axis "learning_rate"'),
        ({"learning_rate": ["a", "b"]}, {}, 'needs a numeric axis "learning_rate"'),
        ({"learning_rate": [0.1, 0.2]}, {"sets": "both"}, 'sets must be "axis" or "rate"'),
        ({"learning_rate": [0.1, 0.2]}, {"seeds": 0}, "seeds must be at least 1"),
        ({"learning_rate": [0.1, 0.2]}, {"low": 2.0, "high": 1.0}, "from a low to a higher rate"),
    ],
)
def test_a_wrong_lr_range_is_a_clear_error(space, settings, said: str) -> None:
    with pytest.raises(StudyError) as error:
        LrRange(Space.parse(space), **settings)
    assert said in str(error.value)


def test_the_sweep_of_the_stage_is_the_one_the_test_reads() -> None:
    stage = LrRange(SPACE, low=1e-5, high=1.0, n_steps=50)
    assert stage.rates() == sweep_rates(1e-5, 1.0, 50)
    assert parse(str(stage.plan(None, Trials()).trainings[0].params["schedule"])).rates() == stage.rates()


def test_the_grid_searches_the_space_that_the_test_hands_on() -> None:
    stage, grid = LrRange(SPACE), Grid(SPACE, epochs=2)
    trials = Trials(swept(training) for training in stage.plan(None, Trials()).trainings)
    narrowed = stage.plan(None, trials).output
    wanted = grid.plan(narrowed, trials).trainings
    assert {training.params["learning_rate"] for training in wanted} == set(narrowed["learning_rate"].row())
    assert len(wanted) == 9
    assert len(grid.plan(None, trials).trainings) == SPACE.n_cells
