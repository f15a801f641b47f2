"""A worker of Dask trains what the loop trains here: averages, range tests and what else acts around the steps."""

from __future__ import annotations

import pytest

from tests.cluster.conftest import Start
from tests.cluster.test_dask import Cluster
from zonesearch.core.objective import Job
from zonesearch.core.trials import Training, Trial
from zonesearch.run.engines.runner import open_engine
from zonesearch.training.recipe import Recipe

pytest.importorskip("distributed", reason="needs zonesearch[cluster]")
pytestmark = pytest.mark.cluster

RECIPE = Recipe.from_tables(
    {
        "data": {"name": "digits", "limit": 120},
        "network": {"kind": "cnn", "channels": 2, "blocks": 1, "batch_norm": True, "dropout": 0.2},
        "optimizer": {"name": "momentum", "learning_rate": 0.05},
        "training": {"batch": 32, "clip": 0.5, "rate_rule": "linear", "reference_batch": 16},
        "augmentation": {"pad": 1},
        "averaging": {"start": 0.5},
        "gradient_noise": {"eta": 0.001},
    }
)
WANTED = [
    *(Training({}, seed, 4, True) for seed in (0, 1)),
    Training({"schedule": "sweep(low=0.001, high=0.1, n_steps=12)"}, 0, 1),
]


@pytest.mark.slow
def test_a_worker_trains_what_is_trained_here(start: Start, free_port: int) -> None:
    cluster = Cluster(start, free_port)
    for _ in range(2):
        cluster.worker()
    came: dict[Training, Trial] = {}

    def note(trials: list[Trial]) -> None:
        came.update((trial.training, trial) for trial in trials)

    with open_engine(cluster.address, workers=2) as engine:
        engine.run(RECIPE, RECIPE.jobs(WANTED), note)
    for training in WANTED:
        (here,) = RECIPE.train(Job((training,)), lambda share: None)
        there = came[training]
        assert there.curve == here.curve
        assert (there.accuracy, there.test_accuracy) == (here.accuracy, here.test_accuracy)
        assert there.averaged_from == here.averaged_from
        assert there.provenance.get("notes") == here.provenance.get("notes")
