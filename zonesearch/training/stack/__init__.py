"""Many feed-forward networks in one program: one matrix product, one pass of the optimizer, each its own training."""

from zonesearch.training.stack.grouping import Limits, group
from zonesearch.training.stack.stackable import is_plain, is_stackable
from zonesearch.training.stack.training import train_stack

__all__ = ["Limits", "group", "is_plain", "is_stackable", "train_stack"]
