"""Facts about this machine's GPUs, and decisions that follow from these facts alone, so that all of it can be tested
without a GPU.

Networks that a processor trains in parts, because its cache holds no more and its workers want work, are one program on
a GPU. As long as its kernels are small, they take hardly longer for many members than for few: only memory ends it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch

from zonesearch.training.stack.grouping import Limits

__all__ = ["Gpu", "gpu_precision", "gpus", "stack_limits"]

_AMPERE = (8, 0)  # the first generation of GPUs with bfloat16 and TensorFloat-32
_SHARE = 0.6  # of the free memory: the rest is for data, temporary allocations and other programs
_NUMBERS = 2**29  # weights of a stack: kernels count what they touch in 31 bits
_AHEAD = 2  # jobs for each worker where there are several, so that none of them waits long for the last one


@dataclass(frozen=True)
class Gpu:
    """The properties of a GPU that matter here.

    Args:
        capability: its compute capability, as (8, 0).
        free_bytes: its free memory.
    """

    capability: tuple[int, int]
    free_bytes: int


@cache
def gpus() -> tuple[Gpu, ...]:
    """Those that this process may use. Asked once, so that later rounds, for which networks of earlier ones still hold
    memory, get the same stacks.
    """
    return tuple(
        Gpu(torch.cuda.get_device_capability(i), int(torch.cuda.mem_get_info(i)[0]))
        for i in range(torch.cuda.device_count())
    )


def gpu_precision(capability: tuple[int, int], large: bool, classes: bool = True) -> str:
    """What ``auto`` comes to on a GPU.

    bfloat16 as on a processor. TensorFloat-32 for the rest: its products keep three bits more than those of bfloat16,
    and turn nothing to and fro. A regression may need the bits of float32, and is left with them.

    Args:
        capability: compute capability.
        large: whether :func:`zonesearch.training.precision.is_large` says so of what a stack trains.
        classes: whether answers are classes, and the optimizer can do with such products.
    """
    if capability < _AMPERE:
        return "float32"
    if large:
        return "bf16"
    return "tf32" if classes else "float32"


def stack_limits(found: Sequence[Gpu], n_workers: int, cost: float) -> Limits:
    """How large stacks may become where ``n_workers`` processes take turns in these GPUs.

    Args:
        found: at least one; with one worker only the first is used.
        n_workers: at least one.
        cost: of all that is to be trained.
    """
    used = found[:1] if n_workers == 1 else found
    beside = math.ceil(n_workers / len(used))  # workers on one GPU
    n_bytes = int(min(gpu.free_bytes for gpu in used) * _SHARE / beside)
    longest = math.inf if n_workers == 1 else cost / (n_workers * _AHEAD)
    return Limits(longest, _NUMBERS, n_bytes)
