"""Dropout with its own random generator.

torch's dropout draws from the global generator, so what a network drops would depend on everything else that draws from
it. Here each training has its own stream: a network drops the same neurons whether it is trained alone or in a stack.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Dropout", "draw_kept", "dropout_generator", "seed_dropout"]


class Dropout(nn.Module):
    """Drops each value of a batch with probability ``p`` during training, and scales up the others.

    Its generator is set by :func:`seed_dropout`; without one, the global generator is used.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Apply dropout to ``x`` of shape (examples, ...)."""
        if not self.training or self.p == 0:
            return x
        if self.generator is None:
            return nn.functional.dropout(x, self.p)
        noise = torch.empty(*x.shape[1:], len(x), device=x.device)
        return x * draw_kept(noise, self.p, self.generator).movedim(-1, 0).to(x.dtype)

    def __deepcopy__(self, memo: dict[int, object]) -> Dropout:
        """A copy that shares the stream: generators cannot be copied, and copies are only evaluated."""
        twin = Dropout(self.p)
        twin.generator = self.generator
        twin.training = self.training
        return twin


def draw_kept(noise: Tensor, p: float, generator: torch.Generator) -> Tensor:
    """Fill ``noise``, of shape (features..., examples), with 0 for dropped values and 1/(1 - p) for the others."""
    return noise.uniform_(generator=generator).ge_(p).mul_(1 / (1 - p))


def seed_dropout(network: nn.Module, seed: int, device: torch.device) -> torch.Generator | None:
    """Give all dropout layers of a network one stream; returns the generator, or None without dropout."""
    layers = [module for module in network.modules() if isinstance(module, Dropout) and module.p > 0]
    if not layers:
        return None
    generator = torch.Generator(device).manual_seed(seed)
    for layer in layers:
        layer.generator = generator
    return generator


def dropout_generator(network: nn.Module) -> torch.Generator | None:
    """The stream of a network's dropout, if :func:`seed_dropout` has set one."""
    streams = (module.generator for module in network.modules() if isinstance(module, Dropout))
    return next((stream for stream in streams if stream is not None), None)
