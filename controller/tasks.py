"""The tasks of the corpus: small real trainings whose answers a search can learn from.

A task is a data set (or a part of one), a kind of network, an optimizer, and the axes that its settings are drawn over.
Tasks come in families, one for each data set with all its variants: what is learned is judged on families that took no
part in it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from zonesearch.training.recipe import Recipe

__all__ = ["RANGES", "TASKS", "Task", "data", "draw", "recipe_of"]

Array = npt.NDArray[np.float64]
Data = tuple[Array, npt.NDArray[np.int64]]

RANGES: Mapping[str, tuple[float, float]] = {
    "width": (4, 256),
    "depth": (1, 3),
    "batch": (8, 256),
    "sgd rate": (1e-3, 3.0),
    "adam rate": (1e-4, 0.3),
    "weight_decay": (1e-6, 0.1),
    "momentum": (0.0, 0.99),
    "dropout": (0.0, 0.7),
    "label_smoothing": (0.0, 0.3),
    "channels": (2, 16),
}
"""From where to where settings are drawn."""

_FIXED = {"width": 64, "depth": 1, "batch": 32, "weight_decay": 0.0, "momentum": 0.0, "dropout": 0.0}
"""Of an axis that a task does not have; every task has a learning rate."""


@dataclass(frozen=True)
class Task:
    """One task.

    Args:
        name: unique.
        family: the data set that it is a variant of.
        source, arguments: the function of :data:`SOURCES` that makes the data, and what it is given.
        optimizer: ``sgd``, ``adam`` or ``adamw``.
        axes: what settings are drawn over.
        n_train, epochs: examples, and the length of the curves.
        kind: ``mlp`` or ``cnn``.
        fixed: settings of axes that it does not have, where they are not the usual ones.
    """

    name: str
    family: str
    source: str
    arguments: Mapping[str, Any]
    optimizer: str
    axes: tuple[str, ...]
    n_train: int
    epochs: int
    kind: str = "mlp"
    fixed: Mapping[str, float] = field(default_factory=dict)


def _two_classes(score: Array, share: float = 0.5) -> npt.NDArray[np.int64]:
    return (score > np.quantile(score, share)).astype(np.int64)


def _bundled(n: int, rng: np.random.Generator, /, name: str = "wine", inputs: int = 0) -> Data:
    from sklearn import datasets

    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    X = (X - X.mean(0)) / (X.std(0) + 1e-9)
    order = rng.permutation(len(X))[:n]
    return X[order][:, : inputs or X.shape[1]], y[order]


def _digits(
    n: int, rng: np.random.Generator, /, classes: tuple[int, ...] = (), pooled: bool = False, flat: bool = True
) -> Data:
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return _pictures(X.reshape(-1, 1, 8, 8) / 16, y, n, rng, classes, 2 if pooled else 1, flat)


@lru_cache(maxsize=2)
def _large(name: str) -> Data:
    from zonesearch.training.data import load
    from zonesearch.training.settings import DataSettings

    split = load(DataSettings(name=name, limit=8000, limit_validation=50, limit_test=50), 0)
    return np.asarray(split.train[0].numpy()), np.asarray(split.train[1].numpy())


def _images(
    n: int,
    rng: np.random.Generator,
    name: str = "mnist",
    classes: tuple[int, ...] = (),
    pool: int = 2,
    gray: bool = False,
    groups: tuple[int, ...] = (),
    flat: bool = True,
) -> Data:
    X, y = _large(name)
    X = X.mean(1, keepdims=True) if gray else X
    if groups:
        y = np.isin(y, groups).astype(np.int64)
    return _pictures(X, y, n, rng, classes, pool, flat)


def _pictures(
    X: Array,
    y: npt.NDArray[np.int64],
    n: int,
    rng: np.random.Generator,
    classes: tuple[int, ...],
    pool: int,
    flat: bool,
) -> Data:
    if classes:
        kept = np.isin(y, classes)
        X, y = X[kept], np.searchsorted(np.sort(classes), y[kept])
    order = rng.permutation(len(X))[:n]
    X, y = X[order], y[order]
    side = X.shape[-1] // pool
    X = X[..., : side * pool, : side * pool].reshape(len(X), X.shape[1], side, pool, side, pool).mean((3, 5))
    return (X.reshape(len(X), -1) if flat else X), y


def _classification(n: int, rng: np.random.Generator, /, **given: Any) -> Data:
    from sklearn.datasets import make_classification

    X, y = make_classification(n, random_state=int(rng.integers(1 << 30)), **given)
    return X, y


def _shapes(n: int, rng: np.random.Generator, /, shape: str = "moons", noise: float = 0.2, useless: int = 0) -> Data:
    from sklearn import datasets

    if shape in ("moons", "circles"):
        X, y = getattr(datasets, f"make_{shape}")(n, noise=noise, random_state=int(rng.integers(1 << 30)))
    else:  # spirals
        y = rng.integers(0, 3, n)
        t = rng.random(n) * 2.5 + 0.3
        angle = t * 2 + y * 2 * np.pi / 3
        X = np.stack([t * np.cos(angle), t * np.sin(angle)], 1) + noise * rng.normal(size=(n, 2))
    return np.hstack([X, rng.normal(size=(n, useless))]), y


def _quantiles(n: int, rng: np.random.Generator, /, n_features: int = 5, n_classes: int = 3) -> Data:
    from sklearn.datasets import make_gaussian_quantiles

    X, y = make_gaussian_quantiles(
        n_samples=n, n_features=n_features, n_classes=n_classes, random_state=int(rng.integers(1 << 30))
    )
    return X, y


def _friedman(n: int, rng: np.random.Generator, /, which: int = 1, noise: float = 0.5) -> Data:
    from sklearn import datasets

    X, score = getattr(datasets, f"make_friedman{which}")(
        n, noise=noise * (which == 1), random_state=int(rng.integers(1 << 30))
    )
    return (X - X.mean(0)) / X.std(0), _two_classes(score)


def _parity(n: int, rng: np.random.Generator, /, bits: int = 3, inputs: int = 12) -> Data:
    X = rng.integers(0, 2, (n, inputs)) * 2.0 - 1
    return X, (X[:, :bits].prod(1) > 0).astype(np.int64)


def _teacher(
    n: int, rng: np.random.Generator, /, inputs: int = 20, hidden: int = 8, classes: int = 4, rough: float = 1.5
) -> Data:
    X = rng.normal(size=(n, inputs))
    first, second = rng.normal(size=(inputs, hidden)) * rough / np.sqrt(inputs), rng.normal(size=(hidden, classes))
    return X, np.asarray((np.tanh(X @ first) @ second).argmax(1), dtype=np.int64)


def _waves(n: int, rng: np.random.Generator, /, inputs: int = 4, rate: float = 2.0) -> Data:
    X = rng.normal(size=(n, inputs))
    return X, _two_classes(np.sin(rate * X).sum(1) + 0.1 * rng.normal(size=n))


def _counts(n: int, rng: np.random.Generator, /, words: int = 100, topics: int = 5, length: int = 20) -> Data:
    """Bags of words from topics: sparse counts."""
    y = rng.integers(0, topics, n)
    shares = rng.dirichlet(np.full(words, 0.3), topics)
    X = np.stack([rng.multinomial(length, 0.5 * shares[c] + 0.5 / words) for c in y])
    return np.sqrt(X), y


SOURCES: Mapping[str, Callable[..., Data]] = {
    "bundled": _bundled,
    "digits": _digits,
    "images": _images,
    "classification": _classification,
    "shapes": _shapes,
    "quantiles": _quantiles,
    "friedman": _friedman,
    "parity": _parity,
    "teacher": _teacher,
    "waves": _waves,
    "counts": _counts,
}


def data(name: str) -> tuple[Data, Data]:
    """(train and validation, a token test part) of the task called ``name``."""
    task = TASKS[name]
    arguments = dict(task.arguments)
    noise = arguments.pop("label_noise", 0.0)
    rng = np.random.default_rng(_number(name))
    n_validation = min(1000, max(400, task.n_train))
    X, y = SOURCES[task.source](task.n_train + n_validation, rng, **arguments)
    if noise:
        wrong = rng.random(len(y)) < noise
        y = np.where(wrong, rng.integers(0, y.max() + 1, len(y)), y)
    X = np.asarray(X, dtype=np.float32)
    _, first = np.unique(y, return_index=True)
    return (X, y.astype(np.int64)), (X[first], y[first].astype(np.int64))


def _number(name: str) -> int:
    return zlib.crc32(name.encode())


def recipe_of(task: Task) -> Recipe:
    """How the networks of a task are trained."""
    n_given = len(data(task.name)[0][1])
    share = 1 - min(task.n_train, 0.6 * n_given) / n_given
    network: dict[str, Any] = {"kind": task.kind}
    if task.kind == "mlp":
        network |= {name: task.fixed.get(name, _FIXED[name]) for name in ("width", "depth", "dropout")}
    optimizer: dict[str, Any] = {"name": task.optimizer, "weight_decay": task.fixed.get("weight_decay", 0.0)}
    if task.optimizer == "sgd":
        optimizer["momentum"] = task.fixed.get("momentum", 0.0)
    return Recipe.from_tables(
        {
            "data": {"name": "controller.tasks:data", "arguments": {"name": task.name}, "validation": share},
            "network": network,
            "optimizer": optimizer,
            "training": {"batch": task.fixed.get("batch", _FIXED["batch"]), "device": "cpu"},
        }
    )


def draw(task: Task, number: int) -> dict[str, Any]:
    """The settings with this number: the same whenever they are asked for, and as params of :func:`recipe_of`."""
    rng = np.random.default_rng([_number(task.name), number])
    found: dict[str, Any] = {}
    for axis, u in zip(task.axes, rng.random(len(task.axes)), strict=True):
        low, high = RANGES[axis if axis != "learning_rate" else f"{task.optimizer.removesuffix('w')} rate"]
        if axis in ("width", "channels"):
            found[axis] = round(low * (high / low) ** u)
        elif axis == "batch":
            found[axis] = int(low * 2 ** int(u * (np.log2(high / low) + 1)))
        elif axis == "depth":
            found[axis] = int(low + int(u * (high - low + 1)))
        elif axis in ("learning_rate", "weight_decay"):
            found[axis] = float(low * (high / low) ** u)
        elif axis == "momentum":
            found[axis] = float(1 - (1 - high) ** u)
        elif axis == "label_smoothing":
            found["loss"] = f"cross_entropy(label_smoothing={low + u * (high - low):.4f})"
        else:
            found[axis] = float(low + u * (high - low))
    return found


_RATE, _SHAPE = ("learning_rate",), ("width", "batch")
_CHOICES = (  # axes beside width, batch and rate, by the number of the task
    ("depth", "weight_decay", "dropout"),
    ("momentum", "dropout"),
    ("depth",),
    ("weight_decay", "momentum", "depth", "dropout"),
    ("dropout",),
    ("depth", "momentum"),
    ("weight_decay", "dropout"),
    ("depth", "weight_decay"),
)
_OPTIMIZERS = ("sgd", "adam", "sgd", "adamw", "sgd", "adam", "adam", "sgd")
_EPOCHS = (12, 8, 16, 10, 20)


def _mlp(number: int, family: str, variant: str, source: str, n_train: int, **arguments: Any) -> Task:
    optimizer = _OPTIMIZERS[number % len(_OPTIMIZERS)]
    more = [axis for axis in _CHOICES[(number * 3) % len(_CHOICES)] if axis != "momentum" or optimizer == "sgd"]
    fixed: dict[str, float] = {"width": (64, 32, 128)[number % 3], "depth": (1, 2)[number % 2]}
    if optimizer == "sgd":
        fixed["momentum"] = (0.9, 0.0)[number // 2 % 2]
    if "dropout" not in more:
        fixed["dropout"] = (0.0, 0.2)[number // 3 % 2]
    return Task(
        f"{family}-{variant}", family, source, arguments, optimizer, _RATE + _SHAPE + tuple(more or ["depth"]),
        n_train, _EPOCHS[number % len(_EPOCHS)], "mlp", fixed,
    )  # fmt: skip


_WANTED: tuple[tuple[str, str, str, int, dict[str, Any]], ...] = (
    ("digits", "all", "digits", 900, {}),
    ("mnist", "1000", "images", 1000, {}),
    ("cifar10", "gray", "images", 1500, {"name": "cifar10", "gray": True}),
    ("generated", "20", "classification", 600, {"n_features": 20, "n_informative": 6}),
    ("cancer", "all", "bundled", 340, {"name": "breast_cancer"}),
    ("moons", "two", "shapes", 400, {"noise": 0.25}),
    ("friedman", "1", "friedman", 600, {}),
    ("teacher", "4", "teacher", 1000, {}),
    ("quantiles", "3", "quantiles", 700, {}),
    ("mnist", "7x7", "images", 1500, {"pool": 4}),
    ("cifar10", "plane-ship", "images", 600, {"name": "cifar10", "classes": (0, 8), "pool": 4}),
    ("digits", "noisy", "digits", 900, {"label_noise": 0.2}),
    ("counts", "5", "counts", 600, {}),
    ("parity", "3", "parity", 700, {}),
    ("waves", "4", "waves", 800, {}),
    ("generated", "multi", "classification", 900, {"n_features": 30, "n_informative": 12, "n_classes": 6}),
    ("mnist", "3-8", "images", 500, {"classes": (3, 8)}),
    ("cifar10", "alive", "images", 1200, {"name": "cifar10", "groups": (2, 3, 4, 5, 6, 7), "pool": 4}),
    ("wine", "all", "bundled", 110, {"name": "wine"}),
    ("digits", "3-8", "digits", 210, {"classes": (3, 8)}),
    ("mnist", "noisy", "images", 1000, {"label_noise": 0.3}),
    ("moons", "circles", "shapes", 500, {"shape": "circles", "noise": 0.15}),
    ("teacher", "rough", "teacher", 1200, {"rough": 4.0, "hidden": 12, "classes": 2}),
    ("cifar10", "colour", "images", 1500, {"name": "cifar10", "pool": 4}),
    ("generated", "noisy", "classification", 600, {"n_features": 15, "n_informative": 5, "flip_y": 0.3}),
    ("friedman", "2", "friedman", 500, {"which": 2}),
    ("mnist", "300", "images", 300, {}),
    ("digits", "pooled", "digits", 800, {"pooled": True}),
    ("quantiles", "10", "quantiles", 600, {"n_features": 10, "n_classes": 2}),
    ("counts", "12", "counts", 900, {"topics": 12, "words": 150}),
    ("cancer", "noisy", "bundled", 340, {"name": "breast_cancer", "label_noise": 0.2}),
    ("cifar10", "cat-dog", "images", 700, {"name": "cifar10", "classes": (3, 5)}),
    ("mnist", "4-9", "images", 400, {"classes": (4, 9), "pool": 4}),
    ("moons", "spirals", "shapes", 500, {"shape": "spirals", "noise": 0.15}),
    ("generated", "wide", "classification", 400, {"n_features": 100, "n_informative": 10}),
    ("teacher", "8", "teacher", 1500, {"classes": 8, "inputs": 40}),
    ("digits", "200", "digits", 200, {}),
    ("waves", "fast", "waves", 1000, {"inputs": 3, "rate": 4.0}),
    ("cifar10", "noisy", "images", 1000, {"name": "cifar10", "gray": True, "pool": 4, "label_noise": 0.2}),
    ("mnist", "2000", "images", 2000, {}),
    ("friedman", "3", "friedman", 500, {"which": 3}),
    ("parity", "2", "parity", 400, {"bits": 2, "inputs": 20}),
    ("generated", "clusters", "classification", 800, {"n_features": 10, "n_informative": 8, "n_clusters_per_class": 4}),
    ("mnist", "even", "images", 1000, {"groups": (0, 2, 4, 6, 8)}),
    ("digits", "even", "digits", 500, {"classes": (0, 2, 4, 6, 8)}),
    ("cifar10", "three", "images", 900, {"name": "cifar10", "classes": (1, 4, 9), "pool": 4}),
    ("cancer", "few", "bundled", 200, {"name": "breast_cancer", "inputs": 8}),
    ("moons", "useless", "shapes", 600, {"useless": 10}),
    ("quantiles", "5", "quantiles", 900, {"n_features": 3, "n_classes": 5}),
    ("mnist", "five", "images", 700, {"classes": (0, 1, 2, 3, 4)}),
    ("generated", "easy", "classification", 300, {"n_features": 8, "class_sep": 2.0}),
    ("counts", "2", "counts", 400, {"topics": 2, "length": 8}),
    ("cifar10", "500", "images", 500, {"name": "cifar10", "pool": 4}),
    ("teacher", "small", "teacher", 300, {"inputs": 8, "classes": 2}),
    ("digits", "4-9", "digits", 220, {"classes": (4, 9), "label_noise": 0.1}),
    ("mnist", "7-noisy", "images", 800, {"pool": 4, "label_noise": 0.1}),
    ("waves", "many", "waves", 800, {"inputs": 8, "rate": 1.0}),
    ("generated", "rare", "classification", 700, {"n_features": 12, "n_informative": 6, "weights": [0.8]}),
)


def _convolutions() -> list[Task]:
    axes = ("learning_rate", "channels", "batch", "weight_decay")
    given: list[tuple[str, str, str, int, dict[str, Any]]] = [
        ("digits", "cnn", "digits", 300, {"flat": False}),
        ("mnist", "cnn", "images", 400, {"flat": False}),
        ("cifar10", "cnn", "images", 400, {"name": "cifar10", "pool": 4, "flat": False}),
        ("mnist", "cnn-adam", "images", 300, {"flat": False, "pool": 4}),
    ]
    return [
        Task(f"{family}-{variant}", family, source, arguments, optimizer, axes, n_train, 8, "cnn",
             {"momentum": 0.9 if optimizer == "sgd" else 0.0})
        for (family, variant, source, n_train, arguments), optimizer
        in zip(given, ("sgd", "adam", "sgd", "adam"), strict=True)
    ]  # fmt: skip


def _smoothed() -> list[Task]:
    axes = ("learning_rate", "width", "batch", "label_smoothing", "dropout")
    given: list[tuple[str, str, str, int, dict[str, Any], str]] = [
        ("digits", "smoothed", "digits", 300, {"label_noise": 0.15}, "sgd"),
        ("mnist", "smoothed", "images", 400, {"pool": 4}, "adam"),
        ("generated", "smoothed", "classification", 300, {"n_features": 15, "n_informative": 6}, "sgd"),
        ("cifar10", "smoothed", "images", 400, {"name": "cifar10", "pool": 4}, "adam"),
    ]
    return [
        Task(f"{family}-{variant}", family, source, arguments, optimizer, axes, n_train, 8, "mlp", {"momentum": 0.9})
        for family, variant, source, n_train, arguments, optimizer in given
    ]


TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        *(_mlp(i, *wanted[:4], **wanted[4]) for i, wanted in enumerate(_WANTED)),
        *_smoothed(),
        *_convolutions(),
    )
}  # fmt: skip
"""By name, in the order in which they are trained."""
