"""The precision that ``auto`` selects: by the size of the layers and the CPU's instructions, never by measured time.

bfloat16 products pay off if the CPU has instructions for them and the products are large compared with converting
weights and gradients, which does not depend on the batch size. Measured on an AMD EPYC with AVX-512 bf16, with one and
two hidden layers on 64 and 784 inputs: 1.2 to 1.9 times as fast from batches of 64 and eight million multiplications in
the largest layer; 0.9 to 1.2 times below (docs/performance.md). The size rule is the same everywhere, so every machine
forms the same stacks; whether bfloat16 is used depends on its CPU.

Networks of kind ``cnn`` gain 1.2 to 1.9 times in batches of 32 or more with 25 million multiplications in the largest
convolution.

bfloat16 is used where accuracies were compared seed by seed: in what a stack can train, and in a ``cnn`` that is
trained as plainly. Weight averaging, evolution, user-defined losses and metrics, L-BFGS, torchvision's networks and the
user's own stay in float32 on a CPU. On a GPU these, convolutions and small layers use TensorFloat-32 for
classification, except for L-BFGS, whose line search compares losses (:mod:`zonesearch.training.gpu`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise
from math import prod

import torch

from zonesearch.core.trials import Trial
from zonesearch.training.data import Split
from zonesearch.training.gpu import gpu_precision
from zonesearch.training.networks.largest import largest_convolution
from zonesearch.training.schedules import Sweep, parse
from zonesearch.training.settings import Settings, TrainingSettings
from zonesearch.training.stack import is_plain, is_stackable
from zonesearch.training.techniques import Techniques

__all__ = [
    "AUTO",
    "capability",
    "has_bf16",
    "has_large_convolutions",
    "is_large",
    "most_exact",
    "precision_used",
]

AUTO = "auto"
_OF_MACHINE = (AUTO, "tf32")  # what may come to different precisions on different machines
_NO_TF32 = (
    'precision = "tf32" needs a GPU of compute capability 8.0 or higher; without one, products are computed in float32'
)

_FROM_COARSE = ("bf16", "tf32", "float32", "float64")
_BATCH = 64  # examples: for smaller batches, converting the weights to bfloat16 costs what the products gain
_PRODUCT = 8_000_000  # multiplications per batch in the largest layer
_CONVOLUTION, _IMAGES = 25_000_000, 32  # the same in the largest convolution, and the smallest batch


def is_large(settings: Settings, n_inputs: int, n_outputs: int) -> bool:
    """Whether products in bfloat16 would be faster on a CPU that has them.

    Args:
        settings: of a feed-forward network.
        n_inputs, n_outputs: numbers of inputs and of scores.
    """
    batch = settings.training.batch
    return batch >= _BATCH and batch * _largest((n_inputs, *settings.network.hidden, n_outputs)) >= _PRODUCT


def pays(settings: Settings, techniques: Techniques, data: Split) -> bool:
    """Whether a training would be faster in bfloat16 on a CPU that has it, and is of a kind whose accuracies were
    compared. Decided by sizes and settings, so alike on every machine.
    """
    if data.n_classes == 0:
        return False
    training = replace(settings.training, stack=True)
    if isinstance(parse(training.schedule), Sweep):  # computed as the trainings whose rate it looks for
        training = replace(training, schedule=TrainingSettings().schedule)
    settings = replace(settings, training=training)
    if is_stackable(settings, techniques):
        return is_large(settings, prod(data.shape), data.n_outputs)
    return is_plain(settings, techniques) and has_large_convolutions(settings, data.shape, data.n_outputs)


def has_large_convolutions(settings: Settings, shape: tuple[int, ...], n_outputs: int) -> bool:
    """As :func:`is_large`, of a ``cnn``; False for other networks.

    Args:
        settings: of any network.
        shape: of one example.
        n_outputs: number of scores.
    """
    batch = settings.training.batch
    if settings.network.kind != "cnn" or batch < _IMAGES:
        return False
    return batch * largest_convolution(settings.network, shape, n_outputs) >= _CONVOLUTION


def _largest(widths: Sequence[int]) -> int:
    """Number of weights of the largest layer."""
    return max(before * after for before, after in pairwise(widths))


@cache
def capability() -> tuple[int, int]:
    """The compute capability of the GPU that trainings use."""
    return torch.cuda.get_device_capability()


@cache
def has_bf16(device: str) -> bool:
    """Whether this CPU, or this GPU (``cuda``), has instructions for bfloat16 products."""
    if device == "cuda":
        return gpu_precision(capability(), large=True) == "bf16"
    asked = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return torch.backends.mkldnn.is_available() and any(ask is not None and ask() for ask in asked)  # type: ignore[no-untyped-call]


def precision_used(settings: Settings, large: bool, device: str) -> str:
    """The precision of a training on this machine: that of its settings, or what ``auto`` selects.

    ``tf32`` becomes float32 where there is no GPU that has it, so that machines with and without one can share a study.
    """
    asked = settings.training.precision
    if asked == "tf32":
        return gpu_precision(capability(), large=False) if device == "cuda" else "float32"
    if asked != AUTO:
        return asked
    if device == "cuda":
        classes = settings.data.task == "classification"
        large = large and settings.network.kind == "mlp"  # TensorFloat-32 was faster for ResNet-18 on an H100
        return gpu_precision(capability(), large, classes and settings.optimizer.name != "lbfgs")
    return "bf16" if large and has_bf16(device) else "float32"


def most_exact(precisions: Iterable[str]) -> str:
    """Of several precisions."""
    return max(precisions, key=_FROM_COARSE.index)


def with_precision(trial: Trial, asked: str) -> Trial:
    """The trial, marked if its machine determined the precision, and with a note if ``tf32`` was not to be had."""
    if asked not in _OF_MACHINE:
        return trial
    noted = {**trial.provenance, "precision_asked": asked}
    if asked == "tf32" and noted.get("precision") == "float32":
        noted["notes"] = [*noted.get("notes", ()), _NO_TF32]
    return replace(trial, provenance=noted)
