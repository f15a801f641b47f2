"""Two layers with a skip connection."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from torch import Tensor, nn


class Skip(nn.Module):
    def __init__(self, n_in: int, width: int, n_out: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(n_in, width), nn.Linear(width, width)
        self.last = nn.Linear(width, n_out)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x.flatten(1)).relu()
        return self.last(hidden + self.second(hidden).relu())


def skip(params: Mapping[str, Any]) -> nn.Module:
    return Skip(prod(params["input_shape"]), params["width"], params["n_classes"])
