"""Classification networks of torchvision, from scratch or pretrained, with a new head."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zonesearch.errors import ObjectiveError, did_you_mean
from zonesearch.training.networks.convolutions import channels_last, trim
from zonesearch.training.networks.cut import Cut, cut
from zonesearch.training.networks.dropout import Dropout
from zonesearch.training.networks.factory import imported
from zonesearch.training.settings import NetworkSettings

__all__ = ["TUNED", "Backbone", "build_backbone", "check_backbone", "names_a_file", "weights_file"]

TUNED = ("full", "last", "head")
_NEARLY_ALL = 0.9
_WRAPPERS = ("state_dict", "model", "model_state_dict", "model_state", "net", "network")
_PREFIXES = ("module.", "model.", "_orig_mod.")  # added by data parallelism, Lightning and torch.compile


class Backbone(nn.Module):
    """A torchvision network whose frozen part is not trained and keeps its batch-norm statistics.

    Args:
        body: the network, with its head replaced.
        frozen: its frozen parts, with gradients switched off.
        n_channels: of the images; greyscale images are repeated in all three channels.
        head: its last layer, a module of the body.
    """

    def __init__(self, body: nn.Module, frozen: list[nn.Module], n_channels: int, head: nn.Module) -> None:
        super().__init__()
        self.body = body
        self._head = [head]  # a list, so that it is not registered as a second child
        self._frozen = frozen
        self._grey = n_channels == 1
        self._halves: Cut | None = None

    def train(self, mode: bool = True) -> Backbone:
        """Switch to training mode, except for frozen parts."""
        super().train(mode)
        for part in self._frozen:
            part.eval()
        return self

    def groups(self, body_rate: float) -> list[dict[str, Any]]:
        """Parameter groups for the optimizer: the head, and the rest with ``body_rate`` times its learning rate."""
        head = [p for p in self._head[0].parameters() if p.requires_grad]
        of_head = set(map(id, head))
        rest = [p for p in self.parameters() if p.requires_grad and id(p) not in of_head]
        made = [{"params": head, "lr_scale": 1.0}, {"params": rest, "lr_scale": body_rate}]
        return [group for group in made if group["params"]]

    @property
    def head(self) -> nn.Module:
        """Its last layer."""
        return self._head[0]

    def halves(self) -> Cut | None:
        """The body, cut where its frozen part ends; None if nothing is frozen or it cannot be cut."""
        if not self._frozen:
            return None
        if self._halves is None:
            self._halves = cut(self, self.body)
        return self._halves

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Features of images from the frozen part; :meth:`forward` takes them instead of images, after any first
        argument.
        """
        halves = self.halves()
        assert halves is not None
        return halves.frozen(self.body, self._seen(x))

    def forward(self, x: Tensor, *features: Tensor) -> Tensor:
        """Scores of images of shape (n, channels, height, width), or of their ``features``; ``x`` is then ignored."""
        if features:
            halves = self.halves()
            assert halves is not None
            return (halves.rest if self.training else halves.judging)(self.body, *features)
        scores: Tensor = self.body(self._seen(x))
        return scores

    def _seen(self, x: Tensor) -> Tensor:
        return channels_last(x.expand(-1, 3, -1, -1) if self._grey else x)


def check_backbone(settings: NetworkSettings) -> None:
    """Refuse settings that cannot be built.

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
        ObjectiveError: the weights are not available, or do not fit.
    """
    if shape[0] not in (1, 3):
        raise ObjectiveError(f"a torchvision network needs images of 1 or 3 channels, not {shape[0]}")
    body = _body(settings)
    path, head = _head(body)
    if isinstance(head, nn.Conv2d):
        new: nn.Module = nn.Conv2d(head.in_channels, n_classes, 1)
    else:
        new = nn.Linear(head.in_features, n_classes)
    parent, name = body.get_submodule(path.rpartition(".")[0]), path.rpartition(".")[2]
    setattr(parent, name, new)
    frozen = _freeze(body, new, settings.tune)
    if settings.dropout:
        setattr(parent, name, nn.Sequential(Dropout(settings.dropout), new))
    return Backbone(trim(body), frozen, shape[0], new)


def _body(settings: NetworkSettings) -> nn.Module:
    """The torchvision network with its weights and its own head, without auxiliary classifiers."""
    from torchvision.models import get_model

    named, on_meta = "", torch.get_default_device().type == "meta"
    if not names_a_file(settings.weights) and not on_meta:
        named = settings.weights
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torchvision warns of changed initial weights
        try:
            body: nn.Module = get_model(settings.backbone, weights=named or None)
        except (OSError, RuntimeError) as error:
            if not named:
                raise
            raise ObjectiveError(
                f'weights "{named}" of {settings.backbone} cannot be downloaded ({error}); name a file of them in '
                "[network] weights"
            ) from None
    for name in ("aux1", "aux2", "AuxLogits"):  # GoogLeNet and Inception
        if hasattr(body, name):
            setattr(body, name, None)
            body.aux_logits = False  # type: ignore[assignment]
    if names_a_file(settings.weights) and not on_meta:
        _load(body, weights_file(settings.weights))
    return body


def _head(body: nn.Module) -> tuple[str, nn.Linear | nn.Conv2d]:
    """The last layer, which gives the scores, and its name: a linear layer, or for SqueezeNet a convolution."""
    for kind in (nn.Linear, nn.Conv2d):
        found = [(name, module) for name, module in body.named_modules() if isinstance(module, kind)]
        if found:
            return found[-1]
    raise ObjectiveError(f"{type(body).__name__} has no head to replace; choose another [network] backbone")


def _freeze(body: nn.Module, head: nn.Module, tune: str) -> list[nn.Module]:
    """Switch off gradients of what is not trained; returns the parts that are frozen completely."""
    if tune == "full":
        return []
    stages, containers = _stages(body, head)
    frozen = stages
    if tune == "last":
        real = [i for i, stage in enumerate(stages) if any(p.ndim > 1 for p in stage.parameters())]
        frozen = stages[: real[-1]]  # a norm layer after the last stage belongs to it
    else:
        outer = [part for part in body.children() if head in part.modules() and part is not head]
        frozen = stages + [part for each in outer for part in each.modules() if _holds(part) and part is not head]
    for part in frozen:
        part.requires_grad_(False)
    for container in containers:
        for parameter in container.parameters(recurse=False):
            parameter.requires_grad_(False)
    return frozen


def _holds(part: nn.Module) -> bool:
    """Whether ``part`` has weights of its own and is not a container."""
    return next(part.parameters(recurse=False), None) is not None


def _stages(body: nn.Module, head: nn.Module) -> tuple[list[nn.Module], list[nn.Module]]:
    """The parts before the one with the head, in order, and the containers that hold them.

    A part that holds nearly all weights is a container of stages, such as ``features`` and ``encoder.layers``.
    """
    containers, stages = [body], [part for part in _weighty(body) if head not in part.modules()]
    while True:
        total = sum(map(_size, stages))
        whole = next((part for part in stages if _size(part) > _NEARLY_ALL * total and len(_weighty(part)) > 1), None)
        if whole is None:
            return stages, containers
        at = stages.index(whole)
        stages[at : at + 1] = _weighty(whole)
        containers.append(whole)


def _weighty(part: nn.Module) -> list[nn.Module]:
    """The children with weights."""
    return [child for child in part.children() if next(child.parameters(), None) is not None]


def _size(part: nn.Module) -> int:
    return sum(parameter.numel() for parameter in part.parameters())


def _load(body: nn.Module, path: Path) -> None:
    state = _unwrapped(_read(path), path)
    own = body.state_dict()
    for prefix in _PREFIXES:
        if state and all(name.startswith(prefix) for name in state) and not own.keys() & state.keys():
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    fitting = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
    missing = [name for name in own if name not in fitting]
    head, _ = _head(body)
    if any(not name.startswith(head) for name in missing):
        raise ObjectiveError(
            f"weights file {path} does not fit: {len(missing)} of {len(own)} tensors are missing or of another shape "
            f"({missing[0]}, ...); the head alone may differ"
        )
    body.load_state_dict(fitting, strict=False)


def _read(path: Path) -> Any:
    """The content of a torch or safetensors file; code in it is never run."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except ImportError:
        raise ObjectiveError(f"weights file {path} needs safetensors: pip install zonesearch[safetensors]") from None
    except Exception as error:  # an arbitrary file may make torch raise anything
        raise ObjectiveError(f"weights file {path} cannot be read: {type(error).__name__}: {error}") from None


def _unwrapped(state: Any, path: Path) -> dict[str, Tensor]:
    """The tensors by name, from a checkpoint that may hold other things as well."""
    for _ in range(2):
        if isinstance(state, Mapping):
            state = next((state[key] for key in _WRAPPERS if isinstance(state.get(key), Mapping)), state)
    if not isinstance(state, Mapping) or not any(isinstance(value, Tensor) for value in state.values()):
        wrapped = ", ".join(_WRAPPERS)
        raise ObjectiveError(f"weights file {path} holds no tensors by name, also not under {wrapped}")
    return {str(name): value for name, value in state.items() if isinstance(value, Tensor)}


def names_a_file(weights: str) -> bool:
    """Whether ``weights`` is a path, or a function that returns one, rather than a name of torchvision."""
    return "/" in weights or "." in weights or ":" in weights


def weights_file(weights: str) -> Path:
    """The file that ``weights`` names, or that the function ``package.module:function`` returns.

    Raises:
        ObjectiveError: the function raises, or does not return a path.
    """
    if ":" not in weights or Path(weights).expanduser().exists():
        return Path(weights).expanduser()
    function = imported(weights, "[network] weights")
    try:
        with torch.enable_grad():  # it may train what it returns, wherever it is called from
            return Path(function()).expanduser()
    except Exception as error:  # a user's function may raise anything
        raise ObjectiveError(
            f"[network] weights = {weights} must give the path of a file, but ended in {type(error).__name__}: {error}"
        ) from error
