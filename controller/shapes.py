"""The surfaces of the corpus's tasks, as outputs of one small network.

Which settings do well differs between tasks, but not arbitrarily: the ways in which it differs are those in which the
tasks of the corpus differ. So the prior's covariance includes the empirical one of their surfaces (as the pre-trained
priors of Wang et al. 2021 do), which needs the surface of every task at any setting. Each is a Gaussian process through
the task's settings; a network with one output per task is fitted to all of them, since evaluating those processes would
take a tenth of a second per suggestion.

Which value an axis has that a new space lacks is unknown. So where a space lacks an axis of a task, the surface of the
task is asked twice: with values usual without regularisation, and with others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from controller.recorded import CorpusTask, standardised
from controller.tasks import RANGES
from zonesearch.core.roles import ROLES, canonical
from zonesearch.core.space import Space
from zonesearch.search.controller.context import Context, features
from zonesearch.statistics.gp.cube import Cube
from zonesearch.statistics.gp.likelihood import Data
from zonesearch.statistics.gp.process import Posterior, Prior, fit

__all__ = ["Drawn", "draw", "fit_shapes", "space_of", "surface_of"]

Array = npt.NDArray[np.float64]

_HIDDEN, _BATCH, _RATE = 160, 256, 3e-3
_VARIANCE = 0.8  # of the empirical covariance that the prior takes over
_LOG = ("width", "batch", "learning_rate", "weight_decay")
_WITHOUT: tuple[Mapping[str, float], ...] = (
    {"width": 64, "batch": 32, "depth": 1, "weight_decay": 1e-5, "momentum": 0, "dropout": 0, "label_smoothing": 0},
    {"width": 64, "batch": 32, "depth": 2, "weight_decay": 1e-5, "momentum": 0.9, "dropout": 0.2, "label_smoothing": 0},
)
"""Values of axes that the new space lacks."""
_RATES = {-1.0: 0.1, 1.0: 0.003}
"""The same of the learning rate, by kind of optimizer."""
_DRAWN = {
    "width": (4, 256),
    "batch": (8, 256),
    "depth": (1, 3),
    "learning_rate": (1e-4, 3.0),
    "weight_decay": (1e-6, 0.1),
    "momentum": (0.0, 0.99),
    "dropout": (0.0, 0.7),
    "label_smoothing": (0.0, 0.3),
}
_HAS = {"width": 0.95, "batch": 0.95, "depth": 0.5, "learning_rate": 0.97, "weight_decay": 0.5, "momentum": 0.25}


def space_of(task: CorpusTask) -> Space:
    """The space that the settings of a task were drawn from."""
    axes: dict[str, Any] = {}
    for role in task.values:
        key = {"learning_rate": f"{'sgd' if task.optimizer < 0 else 'adam'} rate"}.get(role, role)
        if role == "width" and task.about["kind"] == "cnn":
            key = "channels"
        low, high = RANGES[key]
        axes[role] = {"low": low, "high": high, "scale": "log" if role in _LOG else "linear"}
    return Space.parse(axes)


def surface_of(task: CorpusTask) -> Posterior:
    """A Gaussian process through the standardised means of a task's settings, on the cube of its space."""
    cube = Cube(space_of(task))
    n, n_seeds = task.curves.shape[:2]
    z = standardised(task.best(task.curves.shape[2]), np.ones(n, dtype=bool))
    points = np.array([cube.point({k: _typed(cube.space, k, v[i]) for k, v in task.values.items()}) for i in range(n)])
    squares = float(((z - z.mean(1, keepdims=True)) ** 2).sum())
    return fit(Data(points, z.mean(1), np.full(n, float(n_seeds)), squares, cube.choices), Prior())


def _typed(space: Space, name: str, value: float) -> Any:
    return round(value) if getattr(space[name], "integer", False) else float(value)


@dataclass(frozen=True)
class Drawn:
    """Settings of random spaces with the value of every task's surface there.

    Args:
        inputs: by kind of optimizer, features of shape (n, N_FEATURES).
        outputs: by task, two for each setting, shape (n, 2).
    """

    inputs: Mapping[float, Array]
    outputs: Mapping[str, Array]


def draw(
    tasks: Sequence[CorpusTask], n: int = 5000, seed: int = 0, surfaces: Mapping[str, Posterior] | None = None
) -> Drawn:
    """Ask the surfaces of all tasks at ``n`` settings, each of which lacks some axes."""
    rng = np.random.default_rng(seed)
    values = {
        role: np.exp(rng.uniform(math.log(low), math.log(high), n)) if role in _LOG else rng.uniform(low, high, n)
        for role, (low, high) in _DRAWN.items()
    }
    has = {role: rng.random(n) < _HAS.get(role, 0.45) for role in _DRAWN}
    inputs = {}
    for optimizer in sorted({task.optimizer for task in tasks}):
        x = np.empty(0)
        patterns = np.array([has[role] for role in _DRAWN]).T
        for pattern in np.unique(patterns, axis=0):
            rows = np.flatnonzero((patterns == pattern).all(1))
            some = {role: values[role][rows] for role, there in zip(_DRAWN, pattern, strict=True) if there}
            found = features(some, Context(), optimizer, len(rows))
            x = np.empty((n, found.shape[1])) if not len(x) else x
            x[rows] = found
        inputs[optimizer] = x
    outputs = {}
    for task in tasks:
        posterior = surfaces[task.name] if surfaces else surface_of(task)
        outputs[task.name] = np.stack(
            [
                _asked(task, posterior, {r: np.where(has[r], values[r], other[r]) for r in values})
                for other in ({**each, "learning_rate": _RATES[task.optimizer]} for each in _WITHOUT)
            ],
            axis=1,
        )
    return Drawn(inputs, outputs)


def _asked(task: CorpusTask, posterior: Posterior, values: Mapping[str, Array]) -> Array:
    space = space_of(task)
    columns = []
    for name in space.names:
        axis: Any = space[name]
        u = (
            np.log(values[name] / axis.low) / math.log(axis.high / axis.low)
            if axis.scale == "log"
            else (values[name] - axis.low) / (axis.high - axis.low)
        )
        columns.append(np.clip(u, 0.0, 1.0))
    points = np.stack(columns, axis=1)
    found = [
        posterior.mean + posterior.kernel(part, posterior.data.points) @ posterior.alpha
        for part in np.array_split(points, max(1, len(points) // 1000))
    ]
    return np.maximum(np.concatenate(found), -3.5)


def fit_shapes(
    tasks: Sequence[CorpusTask], drawn: Drawn, steps: int = 3000, seed: int = 0
) -> dict[str, npt.NDArray[np.float32]]:
    """The arrays of a network with two outputs per task, fitted to their surfaces."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    kinds = sorted({task.optimizer for task in tasks})
    x = {o: torch.from_numpy(drawn.inputs[o]).float() for o in kinds}
    y = {
        o: torch.from_numpy(np.concatenate([drawn.outputs[t.name] for t in tasks if t.optimizer == o], 1)).float()
        for o in kinds
    }
    n_inputs = next(iter(x.values())).shape[1]
    body = torch.nn.Sequential(
        torch.nn.Linear(n_inputs, _HIDDEN), torch.nn.Tanh(), torch.nn.Linear(_HIDDEN, _HIDDEN), torch.nn.Tanh()
    )
    heads = {o: torch.nn.Linear(_HIDDEN, y[o].shape[1]) for o in kinds}
    everything = [*body.parameters(), *(p for head in heads.values() for p in head.parameters())]
    optimizer = torch.optim.Adam(everything, lr=_RATE)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=steps)
    n = len(next(iter(x.values())))
    for _ in range(steps):
        rows = torch.from_numpy(rng.integers(0, n, _BATCH))
        loss = sum(((heads[o](body(x[o][rows])) - y[o][rows]) ** 2).mean() for o in kinds)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[union-attr]
        optimizer.step()
        rates.step()
    found = {
        "shape_w1": body[0].weight.T,
        "shape_b1": body[0].bias,
        "shape_w2": body[2].weight.T,
        "shape_b2": body[2].bias,
        "shape_w": torch.cat([heads[o].weight for o in kinds]).T,
        "shape_b": torch.cat([heads[o].bias for o in kinds]),
    }
    arrays = {name: value.detach().numpy().astype(np.float32) for name, value in found.items()}
    ranges = np.full((len(ROLES), 2), (-9.0, 9.0), dtype=np.float32)
    for i, role in enumerate(ROLES):
        if role in _DRAWN:
            ranges[i] = canonical(role, np.array(_DRAWN[role]))
    arrays["shape_ranges"], arrays["shape_variance"] = ranges, np.float32(_VARIANCE)
    arrays["shape_optimizers"] = np.concatenate([np.full(y[o].shape[1], o) for o in kinds]).astype(np.float32)
    return arrays
