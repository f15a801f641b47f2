"""How convolutions are computed: the same sums as torch's, in the faster way on a CPU.

Images are in channels-last order (each pixel's channels side by side), which oneDNN's kernels and the tensor cores of a
GPU prefer; a network passes that order on from layer to layer, so converting its input is enough. On a CPU, weights
keep their layout, so that gradients have the layout of the weights for the optimizer. On a GPU, weights are converted
too, or cuDNN would convert them in every step.

Deep in a network for small images, feature maps are smaller than the kernels: of a 3 x 3 kernel on a 1 x 1 map, padded
by 1, eight of nine weights only meet padding. These are left out, and a kernel with a single position becomes a matrix
product. ResNet-18 on 32 x 32 images spends a third of its time there.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Trimmed", "channels_last", "trim", "weights_last"]


class Trimmed(nn.Conv2d):
    """A convolution that leaves out weights which only meet padding; otherwise torch's own."""

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
        """(first, end) of the kernel's rows or columns that meet a pixel anywhere, and its number of positions; None if
        a smaller kernel with equal padding on both sides would not have the same positions.
        """
        kernel, stride, padding = self.kernel_size[side], self.stride[side], int(self.padding[side])
        places = (size + 2 * padding - kernel) // stride + 1
        first, end = max(0, padding - (places - 1) * stride), min(kernel, size + padding)
        same = (size + 2 * (padding - first) - (end - first)) // stride + 1 == places
        return (first, end, places) if places > 0 and first < end and same else None


def trim(network: nn.Module) -> nn.Module:
    """Make the convolutions of ``network`` leave out weights that only meet padding; parameters keep their names."""
    for module in network.modules():
        plain = type(module) is nn.Conv2d and module.padding_mode == "zeros" and not isinstance(module.padding, str)
        if plain and module.dilation == (1, 1):
            module.__class__ = Trimmed
    return network


def channels_last(x: Tensor) -> Tensor:
    """Images (n, channels, height, width) in the fastest memory layout here; values and shape are unchanged.

    They keep their layout in double precision, under ``vmap`` (whose rules would convert such images back and forth),
    and in an ONNX export.
    """
    if x.dim() != 4 or x.device.type not in ("cpu", "cuda") or x.dtype == torch.float64:
        return x
    if torch.onnx.is_in_onnx_export() or torch._C._functorch.peek_interpreter_stack() is not None:
        return x
    if x.shape[1] == 1:  # both layouts coincide; only the strides tell which is meant
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
