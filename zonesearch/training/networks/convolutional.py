"""Convolutional networks: blocks of convolutions, each followed by pooling, then a linear layer on the mean of every
channel, as in ResNets, or on all that is left of the image, as in LeNet.

The residual option adds a block's input to its output (He et al. 2016), through a 1 x 1 convolution where the number
of channels changes.
"""

from __future__ import annotations

from math import prod

from torch import Tensor, nn

from zonesearch.errors import ObjectiveError
from zonesearch.training.networks.convolutions import channels_last, trim
from zonesearch.training.networks.dropout import Dropout
from zonesearch.training.networks.parts import ACTIVATIONS
from zonesearch.training.settings import NetworkSettings

__all__ = ["POOLINGS", "build_cnn"]

POOLINGS = ("max", "mean", "stride")


class ConvBlock(nn.Module):
    """``depth`` convolutions, then pooling by 2.

    Args:
        settings: of the network.
        n_in, n_out: channels.
    """

    def __init__(self, settings: NetworkSettings, n_in: int, n_out: int) -> None:
        super().__init__()
        stride = 2 if settings.pooling == "stride" else 1
        layers: list[nn.Module] = []
        for i in range(settings.depth):
            first = i == 0
            layers += _convolution(
                n_in if first else n_out, n_out, settings.kernel, stride if first else 1, bias=not settings.batch_norm
            )
            if settings.batch_norm:
                layers.append(nn.BatchNorm2d(n_out))
            if i < settings.depth - 1:
                layers.append(ACTIVATIONS[settings.activation]())
        self.convolutions = nn.Sequential(*layers)
        self.shortcut: nn.Module | None = None
        if settings.residual:
            same = n_in == n_out and stride == 1
            self.shortcut = nn.Identity() if same else nn.Conv2d(n_in, n_out, 1, stride, bias=False)
        self.activation = ACTIVATIONS[settings.activation]()
        pools = {"max": nn.MaxPool2d(2), "mean": nn.AvgPool2d(2), "stride": nn.Identity()}
        self.pooling = pools[settings.pooling]

    def forward(self, x: Tensor) -> Tensor:
        """From (n, channels, height, width) to half the height and width."""
        y = self.convolutions(x)
        if self.shortcut is not None:
            y = y + self.shortcut(x)
        pooled: Tensor = self.pooling(self.activation(y))
        return pooled


class Convolutional(nn.Sequential):
    """The whole network, on images in the fastest memory layout."""

    def forward(self, x: Tensor) -> Tensor:
        """Scores of images of shape (n, channels, height, width)."""
        scores: Tensor = super().forward(channels_last(x))  # type: ignore[no-untyped-call]
        return scores


def _convolution(n_in: int, n_out: int, kernel: int, stride: int, bias: bool) -> list[nn.Module]:
    """A convolution that keeps the size at stride 1; an even kernel, which has no centre, reaches one pixel further to
    the right and down.
    """
    if kernel % 2:
        return [nn.Conv2d(n_in, n_out, kernel, stride, kernel // 2, bias=bias)]
    before, after = (kernel - 1) // 2, kernel // 2
    return [nn.ZeroPad2d((before, after, before, after)), nn.Conv2d(n_in, n_out, kernel, stride, bias=bias)]


def _pixels(settings: NetworkSettings, *sides: int) -> int:
    """The number of pixels that the blocks leave of an image; a stride keeps an odd last pixel, pooling drops it."""
    for _ in range(settings.blocks):
        sides = tuple((side + (settings.pooling == "stride")) // 2 for side in sides)
    return prod(sides)


def build_cnn(settings: NetworkSettings, shape: tuple[int, ...], n_classes: int) -> nn.Sequential:
    """The network for images of this shape; gives scores of shape (n, n_classes).

    Raises:
        ObjectiveError: the images are too small for this number of blocks.
    """
    n_in, height, width = shape
    if min(height, width) < 2**settings.blocks:
        raise ObjectiveError(
            f"{settings.blocks} blocks halve an image of {height} x {width} pixels to nothing; set [network] blocks to "
            f"{max(1, min(height, width).bit_length() - 1)} or fewer"
        )
    layers: list[nn.Module] = []
    for i in range(settings.blocks):
        n_out = settings.channels * 2**i
        layers.append(ConvBlock(settings, n_in, n_out))
        n_in = n_out
    if not settings.flatten:
        layers.append(nn.AdaptiveAvgPool2d(1))
    layers.append(nn.Flatten())
    if settings.dropout:
        layers.append(Dropout(settings.dropout))
    layers.append(nn.Linear(n_in * (_pixels(settings, height, width) if settings.flatten else 1), n_classes))
    network = Convolutional(*layers)
    trim(network)
    if settings.init == "keras":
        for module in network.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
    return network
