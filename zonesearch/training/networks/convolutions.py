"""How convolutions are computed: the same sums as torch's, by the quicker road on a processor.

Images lie with their channels last (each pixel's channels side by side), as oneDNN's kernels want them, and the tensor
cores of a GPU; a network hands that order on from layer to layer, so it is enough to give it images that lie so. On a
processor weights stay as they are: the optimizer then finds gradients that lie as the weights do. On a GPU they lie as
the images do, or cuDNN would turn them in each step.

Deep in a network for small images, maps are smaller than the kernels that slide over them: of a 3 x 3 kernel on a map
of 1 x 1, padded by 1, eight of nine weights meet padding alone. These are left out, and what has one place to stand
is a product of matrices. ResNet-18 on images of 32 x 32 spends a third of its time there.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Trimmed", "channels_last", "trim", "weights_last"]


class Trimmed(nn.Conv2d):
    """A convolution that leaves out the weights which meet nothing but padding; otherwise torch's own."""

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if x.dim() != 4:
            return self._plain(x, weight, bias)
        rows, columns = (self._met(side, int(x.shape[2 + side])) for side in (0, 1))
        if rows is None or columns is None:
            return self._plain(x, weight, bias)
        whole = rows[:2] == (0, self.kernel_size[0]) and columns[:2] == (0, self.kernel_size[1])
        one = rows[2] == columns[2] == 1 and self.groups == 1
        padding = int(self.padding[0]) - rows[0], int(self.padding[1]) - columns[0]
        if whole and not (one and padding == (0, 0)):
            return self._plain(x, weight, bias)
        met = weight if whole else weight[:, :, rows[0] : rows[1], columns[0] : columns[1]]
        if one and padding == (0, 0):
            seen = x[:, :, : met.shape[2], : met.shape[3]]
            return functional.linear(seen.flatten(1), met.flatten(1), bias)[:, :, None, None]
        return functional.conv2d(x, met, bias, self.stride, padding, self.dilation, self.groups)

    def _plain(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        found: Tensor = super()._conv_forward(x, weight, bias)
        return found

    def _met(self, side: int, size: int) -> tuple[int, int, int] | None:
        """(first, end) of the kernel's rows or columns that meet a pixel somewhere, and at how many places it stands;
        None where a smaller kernel, padded alike on both sides, would not stand at the same places.
        """
        kernel, stride, padding = self.kernel_size[side], self.stride[side], int(self.padding[side])
        places = (size + 2 * padding - kernel) // stride + 1
        first, end = max(0, padding - (places - 1) * stride), min(kernel, size + padding)
        same = (size + 2 * (padding - first) - (end - first)) // stride + 1 == places
        return (first, end, places) if places > 0 and first < end and same else None


def trim(network: nn.Module) -> nn.Module:
    """Let the convolutions of ``network`` leave out what meets padding alone; its weights and their names stay."""
    for module in network.modules():
        plain = type(module) is nn.Conv2d and module.padding_mode == "zeros" and not isinstance(module.padding, str)
        if plain and module.dilation == (1, 1):
            module.__class__ = Trimmed
    return network


def channels_last(x: Tensor) -> Tensor:
    """Images (n, channels, height, width) as they are quickest here; the same numbers in the same shape.

    In double precision, and where several networks are computed as one (``vmap``, whose rules copy such images to and
    fro) or written as ONNX, they stay as they are.
    """
    if x.dim() != 4 or x.device.type not in ("cpu", "cuda") or x.dtype == torch.float64:
        return x
    if torch.onnx.is_in_onnx_export() or torch._C._functorch.peek_interpreter_stack() is not None:
        return x
    if x.shape[1] == 1:  # lies both ways; only its strides say which is meant
        _, _, height, width = x.shape
        x = x.contiguous()
        return x.as_strided(x.shape, (height * width, 1, width, 1), x.storage_offset())
    return x.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def weights_last(network: nn.Module) -> None:
    """Let the weights of convolutions on a GPU lie as the images do; the same numbers in the same shapes."""
    for parameter in network.parameters():
        if parameter.dim() == 4 and parameter.is_cuda and parameter.dtype != torch.float64:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
