"""Which precision ``auto`` computes in: by the size of the layers and the processor's instructions, never by a clock.

Products in bfloat16 gain where two things come together: instructions for them, and products that are large beside what
a step pays for turning weights and gradients to and fro, which does not depend on the batch. Measured on an AMD EPYC
with AVX-512 bf16, one and two hidden layers on 64 and 784 inputs: from batches of 64 and eight million multiplications
in the largest layer on, 1.2 to 1.9 times as quick; below, between 0.9 and 1.2 (docs/performance.md). So the size rule
is the same everywhere, and every machine forms the same stacks; whether bfloat16 is used is its processor's matter.

Only what a stack can train is computed in bfloat16: there the accuracies were compared seed by seed. Averages of
weights, evolution, own losses and metrics, L-BFGS and networks other than feed-forward ones stay in float32 on a
processor (of convolutional networks the first one that was compared lost). On a GPU they, and small layers, are
computed in TensorFloat-32 where answers are classes, but for L-BFGS, whose line search compares losses
(:mod:`zonesearch.training.gpu`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import torch

from zonesearch.training.gpu import gpu_precision
from zonesearch.training.settings import Settings

__all__ = ["AUTO", "capability", "has_bf16", "is_large", "precision_used"]

AUTO = "auto"

_BATCH = 64  # examples: below, turning the weights into bfloat16 costs what the products gain
_PRODUCT = 8_000_000  # multiplications of a batch in the largest layer


def is_large(settings: Settings, n_inputs: int, n_outputs: int) -> bool:
    """Whether products in bfloat16 would be quicker where a processor has them.

    Args:
        settings: of a feed-forward network.
        n_inputs, n_outputs: numbers of an example, and of the network's scores.
    """
    batch = settings.training.batch
    return batch >= _BATCH and batch * _largest((n_inputs, *settings.network.hidden, n_outputs)) >= _PRODUCT


def _largest(widths: Sequence[int]) -> int:
    """Weights of the largest layer."""
    return max(before * after for before, after in pairwise(widths))


@cache
def capability() -> tuple[int, int]:
    """The compute capability of the GPU that trainings use."""
    return torch.cuda.get_device_capability()


@cache
def has_bf16(device: str) -> bool:
    """Whether this processor, or this GPU (``cuda``), has products in bfloat16 of its own."""
    if device == "cuda":
        return gpu_precision(capability(), large=True) == "bf16"
    asked = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return torch.backends.mkldnn.is_available() and any(ask is not None and ask() for ask in asked)  # type: ignore[no-untyped-call]


def precision_used(settings: Settings, large: bool, device: str) -> str:
    """The precision that a training is computed in here: what its settings say, or what ``auto`` comes to."""
    asked = settings.training.precision
    if asked != AUTO:
        return asked
    if device == "cuda":
        classes = settings.data.task == "classification"
        return gpu_precision(capability(), large, classes and settings.optimizer.name != "lbfgs")
    return "bf16" if large and has_bf16(device) else "float32"
