"""Out of memory: how it is recognised on every device, and how a trial reports it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

__all__ = ["is_out_of_memory", "saying_what_does_not_fit"]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means out of memory, on any device."""
    said = str(error)
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in said


@contextmanager
def saying_what_does_not_fit(what: Callable[[], str]) -> Iterator[None]:
    """Replace an allocator's message by a sentence.

    Args:
        what: returns a sentence on what does not fit and what to do.

    Raises:
        MemoryError: with that sentence.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise MemoryError(what()) from error
