"""The whole state of a training as plain data, so that a training that continues equals one that never stopped.

It holds everything that determines the next step: weights, the optimizer's state, the validation values so far (read by
schedules, early stopping and the choice of the best epoch), the state of techniques, every random stream including
torch's own, which users' networks draw from, and what such networks keep outside ``state_dict``
(:mod:`zonesearch.training.networks.twins`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from zonesearch.training.ensembles import Ensemble
from zonesearch.training.networks import dropout_generator
from zonesearch.training.networks.twins import load_whole_state, twin, whole_state
from zonesearch.training.technique import Run

__all__ = ["as_bytes", "as_tensor", "judgement_of", "load_progress", "progress_of"]


def progress_of(run: Run) -> dict[str, Any]:
    """Everything that a longer training needs to continue from here."""
    return {
        "epochs": run.epoch,
        "step": run.step,
        "network": whole_state(run.network),
        "optimizer": run.optimizer.state_dict(),
        "hooks": [hook.state() for hook in run.hooks],
        "streams": [stream.get_state() for stream in _streams(run)],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(run.inputs.device) if run.inputs.is_cuda else None,
        **(run.passing or judgement_of(run)),
    }


def judgement_of(run: Run) -> dict[str, Any]:
    """The part of the progress that comes from validation."""
    tested = run.tested
    return {
        "curve": {name: list(values) for name, values in run.curve.items()},
        "averaged_from": run.averaged_from,
        "right": as_tensor(run.right),
        "tested": None if tested is None else whole_state(tested),
        "n_members": len(tested.members) if isinstance(tested, Ensemble) else 0,
    }


def load_progress(run: Run, progress: dict[str, Any]) -> None:
    """Bring a run from its beginning to the point at which ``progress`` was taken."""
    run.epoch, run.step = progress["epochs"], progress["step"]
    run.curve = progress["curve"]
    run.averaged_from = progress["averaged_from"]
    run.right = as_bytes(progress["right"])
    load_whole_state(run.network, progress["network"])
    run.optimizer.load_state_dict(progress["optimizer"])
    for hook, state in zip(run.hooks, progress["hooks"], strict=True):
        hook.load(state, run)
    if progress["tested"] is not None:
        run.tested = _twin(run, progress["n_members"])
        load_whole_state(run.tested, progress["tested"])
    for stream, state in zip(_streams(run), progress["streams"], strict=True):
        stream.set_state(state)
    torch.set_rng_state(progress["torch"])
    if progress["cuda"] is not None:
        torch.cuda.set_rng_state(progress["cuda"], run.inputs.device)


def _streams(run: Run) -> list[torch.Generator]:
    """The generators of a run, in a fixed order."""
    own = [run.order, run.generator]
    if run.augmentation is not None:
        own.append(run.augmentation.generator)
    dropout = dropout_generator(run.network)
    return own if dropout is None else [*own, dropout]


def _twin(run: Run, n_members: int) -> nn.Module:
    """A network as it is evaluated: a single one, or an ensemble of ``n_members``."""
    if not n_members:
        return twin(run.network)
    return Ensemble([twin(run.network) for _ in range(n_members)], run.classes)


def as_tensor(bits: bytes) -> Tensor:
    """Bytes as they are stored, since ``weights_only`` files hold tensors."""
    return torch.tensor(list(bits), dtype=torch.uint8)


def as_bytes(kept: Tensor) -> bytes:
    """The inverse of :func:`as_tensor`."""
    return bytes(kept.tolist())
