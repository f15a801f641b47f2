"""Dropout with a random generator of its own.

torch's dropout draws from the process' one generator, so what a network drops would depend on whatever else draws
there. Here each training has its own stream: a network trained alone and one trained in a stack drop the same neurons.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Dropout", "draw_kept", "dropout_generator", "seed_dropout"]


class Dropout(nn.Module):
    """Drops each value of a batch with probability ``p`` while training, and scales up what stays.

    Its generator is set by :func:`seed_dropout`; without, torch's own draws.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        """X of shape (examples, ...)."""
        if not self.training or self.p == 0:
            return x
        if self.generator is None:
            return nn.functional.dropout(x, self.p)
        noise = torch.empty(*x.shape[1:], len(x), device=x.device)
        return x * draw_kept(noise, self.p, self.generator).movedim(-1, 0).to(x.dtype)

    def __deepcopy__(self, memo: dict[int, object]) -> Dropout:
        """A copy that draws from the same stream: generators cannot be copied, and copies are only evaluated."""
        twin = Dropout(self.p)
        twin.generator = self.generator
        twin.training = self.training
        return twin


def draw_kept(noise: Tensor, p: float, generator: torch.Generator) -> Tensor:
    """Fill ``noise``, of shape (features..., examples), with 0 where a value is dropped and 1/(1 - p) where not."""
    return noise.uniform_(generator=generator).ge_(p).mul_(1 / (1 - p))


def seed_dropout(network: nn.Module, seed: int, device: torch.device) -> torch.Generator | None:
    """Give all dropout of a network one stream; the generator, or None where nothing is dropped."""
    layers = [module for module in network.modules() if isinstance(module, Dropout) and module.p > 0]
    if not layers:
        return None
    generator = torch.Generator(device).manual_seed(seed)
    for layer in layers:
        layer.generator = generator
    return generator


def dropout_generator(network: nn.Module) -> torch.Generator | None:
    """The stream of a network's dropout, where :func:`seed_dropout` gave it one."""
    streams = (module.generator for module in network.modules() if isinstance(module, Dropout))
    return next((stream for stream in streams if stream is not None), None)
