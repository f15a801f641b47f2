"""The inputs of the learned prior for a setting and its task: canonical values, each with a flag for missing ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zonesearch.core.roles import ROLES, canonical

__all__ = ["N_FEATURES", "OPTIMIZERS", "Context", "features", "known_optimizer", "optimizer_odds", "within"]

Array = npt.NDArray[np.float64]

OPTIMIZERS: Mapping[str, float] = {
    **dict.fromkeys(("sgd", "momentum", "nesterov"), -1.0),
    **dict.fromkeys(("adam", "adamw", "rmsprop", "nadam", "adamax", "radam"), 1.0),
}
"""Kinds of optimizer: those with steps proportional to the gradient, and those that normalise it."""

_ROLES = tuple(ROLES)
N_FEATURES = 2 * len(_ROLES) + 3 + 2 * 3 + 2 + 1


@dataclass(frozen=True)
class Context:
    """What is known of the task; 0 or an empty string means unknown.

    Args:
        n_train, n_inputs, n_classes: numbers of training examples, of inputs per example, and of classes.
        network: ``mlp`` or ``cnn``.
        epochs: the length of the trainings.
    """

    n_train: int = 0
    n_inputs: int = 0
    n_classes: int = 0
    network: str = ""
    epochs: int = 0


def features(values: Mapping[str, Array], context: Context, optimizer: float, n: int) -> Array:
    """The network's inputs, shape (n, N_FEATURES).

    Args:
        values: the values of each setting by role, in their own units, shape (n,) each.
        context: what is known of the task.
        optimizer: -1 or 1, as in :data:`OPTIMIZERS`.
        n: number of settings.
    """
    values = dict(values)
    if context.epochs > 1 and "epochs" not in values:
        values["epochs"] = np.full(n, float(context.epochs))
    x = np.zeros((n, N_FEATURES))
    for i, role in enumerate(_ROLES):
        if role in values:
            x[:, 2 * i], x[:, 2 * i + 1] = canonical(role, values[role]), 1.0
    end = 2 * len(_ROLES)
    x[:, end : end + 3] = np.stack(_combined(x[:, :end:2], x[:, 1:end:2], optimizer), axis=1)
    rest: list[float] = []
    for number, centre, unit in ((context.n_train, 9.0, 2.0), (context.n_inputs, 5.0, 2.0), (context.n_classes, 2, 1)):
        rest += [(math.log2(number) - centre) / unit if number else 0.0, float(number > 0)]
    x[:, end + 3 :] = [*rest, *(float(context.network == kind) for kind in ("mlp", "cnn")), optimizer]
    return x


def _combined(values: Array, known: Array, optimizer: float) -> tuple[Array, Array, Array]:
    """Combinations of canonical values by role, 0 where unknown; shapes (n, n_roles), three of (n,)."""
    rate, batch, momentum, epochs = (_ROLES.index(role) for role in ("learning_rate", "batch", "momentum", "epochs"))
    effective = values[:, rate] + ((values[:, momentum] + 1.0) * known[:, momentum] if optimizer < 0 else 0.0)
    return effective, effective - 0.6 * values[:, batch], values[:, epochs] - values[:, batch]


def within(x: Array, ranges: Array) -> Array:
    """Features with the values of each role moved into its range, and without the length of the trainings.

    Args:
        x: features, shape (n, N_FEATURES).
        ranges: lowest and highest canonical value by role, shape (n_roles, 2).
    """
    moved, n, at = x.copy(), 2 * len(_ROLES), 2 * _ROLES.index("epochs")
    moved[:, at : at + 2] = 0.0
    moved[:, :n:2] = np.clip(moved[:, :n:2], ranges[:, 0], ranges[:, 1]) * moved[:, 1:n:2]
    moved[:, n : n + 3] = np.stack(_combined(moved[:, :n:2], moved[:, 1:n:2], float(x[0, -1])), axis=1)
    return moved


def known_optimizer(name: object) -> str:
    """``name`` if it is one of :data:`OPTIMIZERS`, else empty."""
    return name if isinstance(name, str) and name in OPTIMIZERS else ""


def optimizer_odds(axes: Mapping[str, Any], roles: Mapping[str, str], said: str) -> list[tuple[float, float]]:
    """The possible kinds of optimizer with their probabilities, judged by the stated name, by an axis that only one
    kind has, or by the range of the learning rate.

    Args:
        axes: numeric axes by name.
        roles: roles by axis.
        said: the stated optimizer, one of :data:`OPTIMIZERS`, or empty.
    """
    if said:
        return [(OPTIMIZERS[said], 1.0)]
    named = {role: name for name, role in roles.items()}
    if "momentum" in named:
        return [(1.0, 1.0)] if "beta" in named["momentum"].lower() else [(-1.0, 1.0)]
    if "learning_rate" not in named:
        return [(-1.0, 0.5), (1.0, 0.5)]
    axis = axes[named["learning_rate"]]
    middle = 0.5 * float(np.log10(axis.low) + np.log10(axis.high))
    adaptive = 1 / (1 + math.exp(min(max(2.5 * (middle + 1.9), -2.0), 2.0)))
    return [(-1.0, 1 - adaptive), (1.0, adaptive)]
