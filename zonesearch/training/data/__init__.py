"""Data sets as tensors in memory: where they come from, how they are split, and how processes share them."""

from zonesearch.training.data.loading import load, share
from zonesearch.training.data.split import Split

__all__ = ["Split", "load", "share"]
