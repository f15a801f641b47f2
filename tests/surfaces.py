"""Noisy test surfaces with known peaks, as functions ``f(params, seed, epochs)`` of width and batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Surface = Callable[[dict[str, Any], int, int], float]

SPACE = {
    "width": {"low": 64, "high": 4096, "scale": "log", "row": "doubling"},
    "batch": {"low": 8, "high": 512, "scale": "log", "row": "doubling"},
}


def two_peaks(params: dict[str, Any], seed: int = 0, epochs: int = 1) -> float:
    """Two equal peaks, at 256 x 32 and at 1024 x 256."""
    x, y = math.log2(params["width"]), math.log2(params["batch"])

    def peak(a: float, b: float) -> float:
        return math.exp(-((x - a) ** 2 + (y - b) ** 2))

    return 0.90 + 0.08 * peak(8, 5) + 0.08 * peak(10, 8)


def plateau(params: dict[str, Any], seed: int = 0, epochs: int = 1) -> float:
    """The same everywhere."""
    return 0.95


def rim(params: dict[str, Any], seed: int = 0, epochs: int = 1) -> float:
    """Better with every doubling of the width; best at a batch of 64."""
    return 0.9 + 0.01 * math.log2(params["width"] / 64) - 0.01 * abs(math.log2(params["batch"] / 64))


def noisy(surface: Surface, sd: float) -> Surface:
    """The surface with normal noise that depends on the seed and the point alone."""

    def measured(params: dict[str, Any], seed: int, epochs: int) -> float:
        rng = np.random.default_rng([seed, *(int(1000 * value) for value in params.values())])
        return surface(params, seed, epochs) + float(rng.normal(0, sd))

    return measured
