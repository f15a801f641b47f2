"""Data sets as tensors in memory: where they come from, and how they are split."""

from zonesearch.training.data.split import Split, load

__all__ = ["Split", "load"]
