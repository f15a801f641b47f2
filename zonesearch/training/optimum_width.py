"""How wide are the optima that different ways to train find? Each is trained again from a recipe and probed along the
same rays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from zonesearch.core.trials import Training
from zonesearch.training.averaging import refresh_batch_norm
from zonesearch.training.epoch import evaluate
from zonesearch.training.loop import conditions, train_run
from zonesearch.training.rays import Rays, along_rays
from zonesearch.training.recipe import Recipe

__all__ = ["optimum_width", "trained_network"]


def optimum_width(
    recipe: Recipe,
    ways: Mapping[str, Mapping[str, Any]],
    *,
    epochs: int,
    distances: Sequence[float],
    seed: int = 0,
    n_rays: int = 10,
) -> dict[str, Rays]:
    """Test error along random rays from the solution of each way to train.

    Args:
        recipe: of the network.
        ways: by name, the params of a training (such as ``{"arm": "swa"}``).
        epochs: the length of the trainings.
        distances: in the norm of the weights.
        seed: of the trainings and of the rays; all solutions share the same directions.
        n_rays: number of directions.
    """
    data = recipe.split()

    def refresh(network: nn.Module) -> None:
        refresh_batch_norm(network, data.train[0])

    found = {}
    for name, params in ways.items():
        network = trained_network(recipe, Training(params, seed, epochs))
        precision = recipe.computed(params)[0].training.precision

        def error(network: nn.Module, precision: str = precision) -> float:
            return 1.0 - evaluate(network, *data.test, precision=precision)[1]

        found[name] = along_rays(network, error, distances, n_rays=n_rays, seed=seed, refresh=refresh)
    return found


def trained_network(recipe: Recipe, training: Training) -> nn.Module:
    """The network that a training ends with, as it is tested; trials do not keep networks, so it is trained again.

    Raises:
        ValueError: the training diverges at once, so there is no network.
    """
    settings, techniques = recipe.computed(training.params)
    data = recipe.split()
    with conditions(settings.training.precision, data.train[0].device):
        wanted = replace(training, test=True)
        run = train_run(wanted, settings, data, recipe.seed, lambda share: None, techniques)
    if not run.curve["validation_accuracy"] or run.tested is None:
        raise ValueError(f"the training with {dict(training.params)} diverged in its first epoch")
    return run.tested.eval()
