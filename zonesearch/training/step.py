"""The optimization step that all training outside stacks uses.

The plain loop, the range test and continued trainings take whole steps; evolution and the gradient noise scale only
need the gradient. Sharing this code ensures that every path computes in the same precision.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from zonesearch.training.data.collate import Batch, forward
from zonesearch.training.numerics import autocast
from zonesearch.training.technique import Loss, Run

__all__ = ["batch_loss", "flat_gradient", "gradients", "scores_of", "update"]


def batch_loss(network: nn.Module, loss: Loss, x: Batch, wanted: Tensor, precision: str) -> tuple[Tensor, Tensor]:
    """Mean loss of a batch, a scalar with its graph, and the scores of its examples."""
    with autocast(precision, wanted.device):
        scores = forward(network, x)
        return loss(scores, wanted), scores


@torch.no_grad()
def scores_of(network: nn.Module, x: Batch, precision: str) -> Tensor:
    """Scores of examples, converted to float32 if products are in bfloat16."""
    with autocast(precision, x[0].device if isinstance(x, tuple) else x.device):
        scores = forward(network, x)
    return scores.float() if scores.dtype == torch.bfloat16 else scores


def flat_gradient(
    network: nn.Module, loss: Loss, x: Batch, wanted: Tensor, parameters: Sequence[Tensor], precision: str
) -> Tensor:
    """The gradient of the mean loss of a batch with respect to ``parameters``, flat; the network's ``.grad`` is
    unchanged.
    """
    value, _ = batch_loss(network, loss, x, wanted, precision)
    found = torch.autograd.grad(value, parameters, allow_unused=True, materialize_grads=True)
    return torch.cat([gradient.flatten() for gradient in found])


def gradients(run: Run, x: Batch, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """The first half of a step: gradients of the mean loss of a batch; returns that loss and the scores."""
    loss, scores = batch_loss(run.network, run.loss, x, wanted, run.precision)
    run.optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.detach(), scores.detach()


def update(run: Run, x: Batch, wanted: Tensor) -> None:
    """The second half: clip the gradients, let techniques modify them, and update the weights.

    L-BFGS recomputes loss and gradients at each point of its line search, on the same batch.
    """
    if run.clip:
        nn.utils.clip_grad_norm_(run.network.parameters(), run.clip)
    for hook in run.hooks:
        hook.before_step(run)
    if isinstance(run.optimizer, torch.optim.LBFGS):
        run.optimizer.step(lambda: gradients(run, x, wanted)[0])  # type: ignore[no-untyped-call]
    else:
        run.optimizer.step()
    run.step += 1
