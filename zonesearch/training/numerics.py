"""Numerical settings: precision, denormals, and which library multiplies matrices.

Hand-written training loops often get these wrong without notice. Late in a training, the optimizer's buffers fill with
denormal numbers, which many CPUs process an order of magnitude more slowly, so they are flushed to zero. torch
multiplies float32 matrices with MKL, which uses a slow code path on non-Intel CPUs; oneDNN is fast there, but the
setting that selects it rounds to bfloat16 on some CPUs. So it is tested once, on this machine, whether the fast path is
exact; if so, it is used. It costs 10 to 15 microseconds per call, which matters for small networks: below half a
million weights MKL is up to three times as fast (docs/performance.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any

import torch

from zonesearch.errors import ObjectiveError, did_you_mean

__all__ = ["PRECISIONS", "arithmetic", "autocast", "check_precision", "dtype_of", "exact_and_quick"]

PRECISIONS = ("auto", "float32", "bf16", "tf32", "float64")
_WEIGHTS = 500_000  # in one program: from here on oneDNN is faster
_EXACT = 1e-5  # the relative error of a float32 product of 784 terms is about 1e-6, that of a bfloat16 one about 3e-3


def check_precision(precision: str, device: str = "auto") -> None:
    """Refuse an unknown precision, or one that this device never has.

    Args:
        precision: as in the settings.
        device: ``cpu``, ``cuda`` or ``auto``.

    Raises:
        ObjectiveError: naming the closest known precision, or what to write instead.
    """
    if precision not in PRECISIONS:
        raise ObjectiveError(f'precision "{precision}" is unknown; {did_you_mean(precision, PRECISIONS)}')
    if precision == "tf32" and device == "cpu":
        raise ObjectiveError(
            'precision = "tf32" is for GPUs, but [training] device = "cpu"; leave device at "auto", which computes in '
            'float32 where there is no GPU, or set precision to "float32"'
        )


def dtype_of(precision: str) -> torch.dtype:
    """The type in which weights and data are stored: float32 except under ``float64``."""
    return torch.float64 if precision == "float64" else torch.float32


def autocast(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """Under ``bf16``, products in bfloat16 with weights and losses in float32; otherwise no effect."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()


@contextmanager
def arithmetic(precision: str, device: torch.device, n_weights: int = _WEIGHTS) -> Iterator[None]:
    """The process-wide settings for a training; restored afterwards.

    Args:
        precision: ``float32``; ``bf16`` (see :func:`autocast`); ``tf32``, products in TensorFloat-32 on GPUs that have
            it, float32 elsewhere; ``float64``, for tests without rounding differences.
        device: on which the training runs.
        n_weights: number of weights that are computed together, which decides how float32 products are computed; large
            by default.
    """
    road = _matmul_setting(device)
    before = getattr(road, "fp32_precision", None)
    convolutions = _convolution_setting(device)
    before_convolutions = getattr(convolutions, "fp32_precision", None)
    # torch has no getter: the product of denormals tells whether they are flushed now.
    flushed = bool((torch.tensor(1e-39) * 1.0) == 0)
    torch.set_flush_denormal(True)
    try:
        if road is not None:
            if device.type == "cuda":
                road.fp32_precision = "tf32" if precision == "tf32" else "ieee"
            elif precision == "bf16" or (n_weights >= _WEIGHTS and exact_and_quick()):
                road.fp32_precision = "bf16"
        if convolutions is not None:  # torch's default for convolutions is TensorFloat-32, whatever is set for products
            convolutions.fp32_precision = "tf32" if precision == "tf32" else "ieee"
        yield
    finally:
        torch.set_flush_denormal(flushed)
        if road is not None:
            road.fp32_precision = before
        if convolutions is not None:
            convolutions.fp32_precision = before_convolutions


@cache
def exact_and_quick() -> bool:
    """Whether oneDNN's "bf16" setting computes float32 products exactly here, as it does on CPUs without bfloat16
    instructions.
    """
    road = _matmul_setting(torch.device("cpu"))
    if road is None or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    generator = torch.Generator().manual_seed(0)
    before = road.fp32_precision
    try:
        road.fp32_precision = "bf16"
        for shape in ((1, 64, 784), (2, 1024, 64)):  # the library chooses its kernel by shape
            w, x = (torch.randn(shape[0], *sides, generator=generator) for sides in (shape[1:], (shape[2], 96)))
            forward, back = torch.bmm(w, x), torch.bmm(torch.bmm(w, x), x.transpose(1, 2))
            for found, a, b in ((forward, w, x), (back, forward, x.transpose(1, 2))):
                exact = torch.bmm(a.double(), b.double())
                if not (found.double() - exact).abs().max() < _EXACT * exact.abs().max():
                    return False
    except RuntimeError:
        return False
    finally:
        road.fp32_precision = before
    return True


def _matmul_setting(device: torch.device) -> Any:
    """The torch object with the setting for float32 products on this type of device; None if there is none."""
    backend = torch.backends.cuda if device.type == "cuda" else torch.backends.mkldnn
    setting = getattr(backend, "matmul", None)
    try:
        return setting if setting is not None and setting.fp32_precision is not None else None
    except (AttributeError, RuntimeError):
        return None


def _convolution_setting(device: torch.device) -> Any:
    """The same for convolutions on a GPU; None elsewhere."""
    setting = getattr(torch.backends.cudnn, "conv", None) if device.type == "cuda" else None
    try:
        return setting if setting is not None and setting.fp32_precision is not None else None
    except (AttributeError, RuntimeError):
        return None
