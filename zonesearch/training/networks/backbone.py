"""Classification networks of torchvision, from scratch or from given weights, with a new head."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from zonesearch.errors import ObjectiveError, did_you_mean
from zonesearch.training.settings import NetworkSettings

__all__ = ["TUNED", "Backbone", "build_backbone", "check_backbone", "names_a_file"]

TUNED = ("full", "last", "head")


class Backbone(nn.Module):
    """A torchvision network whose frozen part is neither trained nor allowed to move its batch-norm statistics.

    Args:
        body: the network, its head replaced.
        frozen: parts of it that stay as they are.
        n_channels: of the images; grey ones are shown to all three channels.
    """

    def __init__(self, body: nn.Module, frozen: list[nn.Module], n_channels: int) -> None:
        super().__init__()
        self.body = body
        self._frozen = frozen
        self._grey = n_channels == 1
        for part in frozen:
            part.requires_grad_(False)

    def train(self, mode: bool = True) -> Backbone:
        """Switch to training, all but what is frozen."""
        super().train(mode)
        for part in self._frozen:
            part.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Scores of images of shape (n, channels, height, width)."""
        out = self.body(x.expand(-1, 3, -1, -1) if self._grey else x)
        return out if isinstance(out, Tensor) else out.logits  # Inception and GoogLeNet add auxiliary scores


def check_backbone(settings: NetworkSettings) -> None:
    """Say what cannot be built.

    Raises:
        ObjectiveError: no such network, no such weights, no such file.
    """
    from torchvision import models
    from torchvision.models import get_model_weights, list_models

    known = list_models(module=models)
    if settings.backbone not in known:
        raise ObjectiveError(
            f'torchvision has no network "{settings.backbone}"; {did_you_mean(settings.backbone, known)}'
        )
    if settings.weights and not names_a_file(settings.weights):
        names = ["DEFAULT", *(weights.name for weights in get_model_weights(settings.backbone))]
        if settings.weights not in names:
            raise ObjectiveError(
                f'{settings.backbone} has no weights "{settings.weights}"; {did_you_mean(settings.weights, names)}'
            )


def build_backbone(settings: NetworkSettings, shape: tuple[int, ...], n_classes: int) -> Backbone:
    """The network with a head for ``n_classes``, weights loaded.

    Raises:
        ObjectiveError: the weights are not to be had, or do not fit.
    """
    from torchvision.models import get_model

    if shape[0] not in (1, 3):
        raise ObjectiveError(f"a torchvision network wants images of 1 or 3 channels, not {shape[0]}")
    on_meta = torch.get_default_device().type == "meta"
    named = settings.weights if settings.weights and not names_a_file(settings.weights) and not on_meta else None
    try:
        body = get_model(settings.backbone, weights=named)
    except (OSError, RuntimeError) as error:
        raise ObjectiveError(
            f'weights "{settings.weights}" of {settings.backbone} cannot be downloaded ({error}); name a file of '
            "them in [network] weights"
        ) from None
    if settings.weights and named is None and not on_meta:
        _load(body, Path(settings.weights).expanduser())
    linear = [(name, module) for name, module in body.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise ObjectiveError(f"{settings.backbone} has no linear head to be replaced; take another [network] backbone")
    path, head = linear[-1]
    parent = body.get_submodule(path.rpartition(".")[0])
    new = nn.Linear(head.in_features, n_classes)
    setattr(parent, path.rpartition(".")[2], new)
    return Backbone(body, _frozen(body, new, settings.tune), shape[0])


def _frozen(body: nn.Module, head: nn.Module, tune: str) -> list[nn.Module]:
    """The parts that are not trained: the stages before the head, or before the last of them."""
    if tune == "full":
        return []
    top = [child for child in body.children() if next(child.parameters(), None) is not None]
    if len(top) == 2 and isinstance(top[0], nn.Sequential):  # a sequence of stages and a classifier
        top = [child for child in top[0] if next(child.parameters(), None) is not None] + [top[1]]
    stages = [part for part in top if head not in part.modules()]
    last_without_head = [
        part
        for outer in top
        if head in outer.modules() and outer is not head
        for part in outer.modules()
        if part is not outer and next(part.parameters(recurse=False), None) is not None and part is not head
    ]
    return stages + last_without_head if tune == "head" else stages[:-1]


def _load(body: nn.Module, path: Path) -> None:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a file that is no such file raises whatever its first bytes lead to
        raise ObjectiveError(f"weights file {path} cannot be read: {type(error).__name__}: {error}") from None
    state = state.get("state_dict", state)
    own = body.state_dict()
    fitting = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
    missing = [name for name in own if name not in fitting]
    linear = [name for name, module in body.named_modules() if isinstance(module, nn.Linear)][-1]
    if any(not name.startswith(linear) for name in missing):
        raise ObjectiveError(
            f"weights file {path} does not fit: {len(missing)} of {len(own)} tensors are missing or of another shape "
            f"({missing[0]}, ...); the head alone may differ"
        )
    body.load_state_dict(fitting, strict=False)


def names_a_file(weights: str) -> bool:
    """Whether ``weights`` is a path and no name of torchvision's."""
    return "/" in weights or "." in weights
