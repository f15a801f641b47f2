"""The width of optima of recipes: the network that a trial tested, made again."""

from __future__ import annotations

import pytest

from zonesearch.core.objective import Job
from zonesearch.core.trials import Training
from zonesearch.training.loop import evaluate
from zonesearch.training.optimum_width import optimum_width, trained_network
from zonesearch.training.recipe import Recipe

RECIPE = Recipe.from_tables(
    {
        "network": {"width": 16, "batch_norm": True},
        "optimizer": {"name": "sgd", "learning_rate": 0.1},
        "training": {"tested": "last"},
        "arms": {"sgd": {}, "swa": {"averaging": {"start": 0.5}}},
    }
)


@pytest.mark.parametrize("arm", ["sgd", "swa"])
def test_the_network_made_again_is_the_one_that_was_tested(arm: str) -> None:
    training = Training({"arm": arm}, seed=3, epochs=4, test=True)
    (trial,) = RECIPE.train(Job((training,)), lambda share: None)
    assert evaluate(trained_network(RECIPE, training), *RECIPE.split().test)[1] == trial.test_accuracy


def test_optimum_width_leaves_each_solution_at_its_own_error() -> None:
    ways = {arm: {"arm": arm} for arm in ("sgd", "swa")}
    found = optimum_width(RECIPE, ways, epochs=3, distances=[0.0, 100.0], n_rays=2)
    assert set(found) == {"sgd", "swa"}
    for rays in found.values():
        assert len({row[0] for row in rays.errors}) == 1
        assert all(row[1] > row[0] + 0.3 for row in rays.errors)
