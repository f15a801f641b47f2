"""Roles: what an axis does in the training of a network, whatever its name, in common units.

A learning rate may be called ``lr``, ``learning_rate_init`` or ``optimizer.lr``. In canonical units (logarithms of
widths, rates and batch sizes, a momentum as the number of nines), maps of different spaces can be compared, which a
prior learned from other trainings requires.

A role follows from a usual name or is given (``role = "learning_rate"``); ``role = "none"`` means that an axis has
none, whatever its name. Several axes may have one role (``width_1``, ``width_2``): their canonical values are averaged.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["NO_ROLE", "ROLES", "Role", "canonical", "role_of_name", "roles_among"]

Array = npt.NDArray[np.float64]

NO_ROLE = "none"


@dataclass(frozen=True)
class Role:
    """One role.

    Args:
        names: usual names of such an axis, in lower case with underscores.
        unit: of its canonical value.
        to_canonical: from values to canonical ones, about -2 to 2 for usual values.
        above: lower bound (exclusive) of values; ``None`` for none.
        below: upper bound (exclusive) of values.
    """

    names: tuple[str, ...]
    unit: str
    to_canonical: Callable[[Array], Array]
    above: float | None = None
    below: float | None = None

    def bears(self, low: float, high: float) -> bool:
        """Whether an axis from ``low`` to ``high`` can have this role."""
        return (self.above is None or low > self.above) and (self.below is None or high < self.below)

    @property
    def range_text(self) -> str:
        """The valid range, for messages."""
        parts = ["above", f"{self.above:g}"] if self.above is not None and self.above >= 0 else []
        if self.above is not None and self.above < 0:
            parts = ["0", "or", "more"]
        if self.below is not None:
            parts += ["and" if parts else "", "below", f"{self.below:g}"]
        return " ".join(part for part in parts if part) or "any number"


def _log2(centre: float, unit: float) -> Callable[[Array], Array]:
    return lambda values: (np.log2(values) - centre) / unit


def _linear(centre: float, unit: float) -> Callable[[Array], Array]:
    return lambda values: (values - centre) / unit


_TINY = -1e-12  # so that 0 is allowed

ROLES: Mapping[str, Role] = {
    "width": Role(
        ("width", "hidden", "hidden_size", "hidden_dim", "hidden_units", "n_units", "num_units", "units", "n_hidden",
         "neurons", "n_neurons", "channels", "n_channels", "filters", "n_filters", "hidden_layer_size", "d_model"),
        "two doublings from 45", _log2(5.5, 2.0), 0.0,
    ),
    "depth": Role(
        ("depth", "n_layers", "num_layers", "layers", "n_hidden_layers", "num_hidden_layers", "blocks", "n_blocks"),
        "layers from 2", _linear(2.0, 1.0), _TINY,
    ),
    "batch": Role(
        ("batch", "batch_size", "bs", "minibatch", "minibatch_size", "mini_batch_size", "train_batch_size",
         "per_device_train_batch_size"),
        "two doublings from 32", _log2(5.0, 2.0), 0.0,
    ),
    "learning_rate": Role(
        ("learning_rate", "lr", "learning_rate_init", "eta", "eta0", "lr0", "base_lr", "max_lr", "initial_lr",
         "init_lr", "step_size"),
        "powers of ten from 0.01", lambda values: np.log10(values) + 2.0, 0.0,
    ),
    "weight_decay": Role(
        ("weight_decay", "wd", "l2", "l2_reg", "l2_penalty", "decay_of_weights"),
        "1.5 powers of ten from 0.0003", lambda values: (np.log10(np.maximum(values, 1e-7)) + 3.5) / 1.5, _TINY,
    ),
    "momentum": Role(
        ("momentum", "beta1", "beta_1", "adam_beta1", "sgd_momentum"),
        "nines from 0.9", lambda values: -np.log10(np.maximum(1.0 - values, 1e-4)) - 1.0, _TINY, 1.0,
    ),
    "dropout": Role(
        ("dropout", "dropout_rate", "dropout_p", "p_dropout", "drop_rate", "drop", "p_drop"),
        "quarters from 0.25", _linear(0.25, 0.25), _TINY, 1.0,
    ),
    "label_smoothing": Role(
        ("label_smoothing", "smoothing", "label_smooth"), "tenths from 0.1", _linear(0.1, 0.1), _TINY, 1.0
    ),
    "epochs": Role(
        ("epochs", "n_epochs", "num_epochs", "max_epochs", "num_train_epochs"),
        "two doublings from 11", _log2(3.5, 2.0), 0.0,
    ),
}  # fmt: skip
"""By name, in a fixed order."""

_BY_NAME = {name: role for role, about in ROLES.items() for name in about.names}
_OF_MLP = {"alpha": "weight_decay", "max_iter": "epochs"}
"""Names that have this meaning only beside settings of scikit-learn's multi-layer perceptrons."""
_SHOWS_MLP = {"learning_rate_init", "hidden_layer_sizes", "n_iter_no_change"}


def role_of_name(name: str, beside: Iterable[str] = ()) -> str | None:
    """The role of an axis according to its name; None if the name has none.

    Args:
        name: as given by the user: ``optimizer.lr``, ``mlpclassifier__alpha``, ``batchSize``.
        beside: the names of the other axes, which determine the meaning of ``alpha``.
    """
    parts = _parts(name)
    last = parts[-1]
    if last in _OF_MLP:
        among = {part for other in beside for part in _parts(other)}
        mlp = any("mlp" in part for part in parts[:-1]) or bool(among & _SHOWS_MLP)
        return _OF_MLP[last] if mlp else None
    return _BY_NAME.get(last) or _BY_NAME.get(re.sub(r"_?\d+$", "", last)) or None


def _parts(name: str) -> list[str]:
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().replace("-", "_")
    return [part for part in re.split(r"__|[./]", snake) if part] or [snake]


def roles_among(axes: Iterable[Any]) -> dict[str, str]:
    """The roles of axes that have one, by name.

    Args:
        axes: numeric axes and choices; an axis with values that are invalid for the role of its name (a ``batch`` from
            -1) has none, nor does a choice.
    """
    axes = tuple(axes)
    names = [axis.name for axis in axes]
    found = {}
    for axis in axes:
        if not axis.ordered:
            continue
        role = getattr(axis, "role", "") or role_of_name(axis.name, names)
        if role and role != NO_ROLE and ROLES[role].bears(axis.low, axis.high):
            found[axis.name] = role
    return found


def canonical(role: str, values: Any) -> Array:
    """Values of an axis with this role in canonical units, in the same shape."""
    made: Array = ROLES[role].to_canonical(np.asarray(values, dtype=np.float64))
    return made


def check_role(name: str, role: str, low: float, high: float) -> str:
    """A sentence on what is wrong with a given role; empty if nothing is."""
    if role in ("", NO_ROLE):
        return ""
    if role not in ROLES:
        return f'axis "{name}": there is no role "{role}"; it is one of {", ".join(ROLES)}, or "{NO_ROLE}"'
    about = ROLES[role]
    if not (math.isfinite(low) and math.isfinite(high) and about.bears(low, high)):
        return f'axis "{name}": role = "{role}" is for values {about.range_text}, not {low:g}..{high:g}'
    return ""
