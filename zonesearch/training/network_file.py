"""A trained network in one file that ``torch.load(weights_only=True)`` accepts: tensors, numbers and strings.

So it is safe to open a file from a stranger. A network made by a user's function is rebuilt by that function, which
must be given when the file is opened: a file never determines what is imported.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from torch import Tensor, nn

from zonesearch.core.outputs import check_place
from zonesearch.core.tables import read
from zonesearch.core.wording import excerpt
from zonesearch.errors import ObjectiveError, StoreError, ZoneSearchError
from zonesearch.training.data.preprocessing import Preprocessing
from zonesearch.training.description import differing
from zonesearch.training.ensembles import Ensemble
from zonesearch.training.networks import build
from zonesearch.training.networks.factory import imported, made_by
from zonesearch.training.numerics import check_precision, dtype_of
from zonesearch.training.raw_inputs import Source
from zonesearch.training.settings import NetworkSettings
from zonesearch.training.trained import Normalised, TrainedNetwork, together

__all__ = ["load_network", "save_network"]

_FORMAT = 1


def save_network(trained: TrainedNetwork, path: str | os.PathLike[str]) -> Path:
    """Write a network with everything needed to use it; returns the path.

    The keys of the file: ``weights``, a state dict per seed; ``normalisation``, with ``mean``, ``deviation``, the
    columns of a table and the scale of a regression's target; ``classes``; ``setting``; ``verdict``; ``about``;
    ``network``, its architecture; ``precision``, ``source`` and ``format``.

    Raises:
        StoreError: it cannot be written.
        ObjectiveError: the network keeps state outside its ``state_dict``, which a file would lose.
    """
    path = Path(path)
    check_place(path, "network file ")
    part = path.with_name(f".{path.name}.{uuid4().hex}.part")
    content = io.BytesIO()  # torch reports a full disk by a location in its own code
    torch.save(_content(trained), content)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content.getbuffer())
        _check_again(trained, part)
        part.replace(path)
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(f"network file {path} cannot be written: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return path


@torch.no_grad()
def _check_again(trained: TrainedNetwork, path: Path) -> None:
    """Read a file that was just written and check that it holds the network that was trained."""
    factory = imported(trained.settings.kind, "[network] kind") if ":" in trained.settings.kind else None
    again, preprocessing = load_network(path, factory=factory), trained.preprocessing
    if preprocessing.kind == "collated":
        return
    dtype = torch.int64 if preprocessing.kind == "integers" else torch.float32
    x = torch.zeros(3, *preprocessing.shape, dtype=dtype)
    if dtype != torch.int64:
        x.normal_(generator=torch.Generator().manual_seed(0))
    module = trained.module.cpu().eval()
    if not torch.equal(torch.nan_to_num(module(x)), torch.nan_to_num(again.module(x))):
        raise ObjectiveError(
            f"the network of {trained.settings.kind} keeps state outside its state_dict, which a file would lose: "
            "register it as a buffer"
        )


def _content(trained: TrainedNetwork) -> dict[str, Any]:
    described = trained.preprocessing.describe()
    network = differing(replace(trained.settings, weights=""))
    if "arguments" in network:
        network["arguments"] = dict(trained.settings.arguments)
    classes = described.pop("classes")
    return {
        "format": _FORMAT,
        "weights": [_on_cpu(member.state_dict()) for member in trained.members],
        "snapshots": [len(member.members) if isinstance(member, Ensemble) else 0 for member in trained.members],
        "network": _plain(network),
        "normalisation": _plain(described),
        "classes": _plain(classes),
        "setting": _plain(trained.setting),
        "verdict": _plain(trained.verdict),
        "about": _plain(trained.about),
        "precision": trained.precision,
        "source": {"white": trained.source.white, "size": trained.source.size},
    }


def _on_cpu(state: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.detach().cpu() if isinstance(value, Tensor) else value for name, value in state.items()}


def _plain(value: Any) -> Any:
    """Data as plain Python types, the only ones allowed with ``weights_only``."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if hasattr(value, "item") and not isinstance(value, str | int | float):
        value = value.item()  # a NumPy or torch scalar
    for kind in (bool, int, float, str):  # a subclass of one of these is not a plain value
        if isinstance(value, kind):
            return kind(value)
    return None if value is None else str(value)


def load_network(path: str | os.PathLike[str], *, factory: Callable[..., nn.Module] | None = None) -> TrainedNetwork:
    """The network that ``zonesearch train`` wrote into a file: ``.predict``, ``.predict_proba``, ``.module``.

    Args:
        path: the file.
        factory: the function that makes the network, if it is your own (``[network] kind =
            "package.module:function"``); the file only holds its name, and nothing is imported.

    Raises:
        StoreError: there is no such file, or it is damaged or not a network file.
        ObjectiveError: its network needs a function that is not given, or the given one makes another network.
    """
    path = Path(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise StoreError(f"network file {path} cannot be read: {error.strerror or error}") from None
    except Exception as error:  # an arbitrary file may make torch raise anything
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise StoreError(f"{path} is not a zonesearch network file: {excerpt(first, 200)}") from None
    if not isinstance(content, dict) or "weights" not in content or "format" not in content:
        raise StoreError(f"{path} is not a zonesearch network file: `zonesearch train RUN --out FILE` writes one")
    if content["format"] != _FORMAT:
        raise StoreError(f"{path} was written by a newer version (format {content['format']}); update zonesearch")
    try:
        return _read(content, path, factory)
    except ZoneSearchError:
        raise
    except (ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise StoreError(f"{path} is damaged: {type(error).__name__}: {excerpt(first, 200)}") from None


def _read(content: Mapping[str, Any], path: Path, factory: Callable[..., nn.Module] | None) -> TrainedNetwork:
    settings = NetworkSettings(**read(NetworkSettings, content["network"], f"{path}: [network]", error=StoreError))
    preprocessing = Preprocessing.from_description({**content["normalisation"], "classes": content["classes"]})
    check_precision(content["precision"])
    own = settings.kind.rpartition(":")[2]
    if ":" in settings.kind and factory is None:
        raise ObjectiveError(
            f"{path} holds a network of {settings.kind}: give that function, load_network({str(path)!r}, factory={own})"
        )
    if not settings.is_factory and factory is not None:
        raise ObjectiveError(f"{path} holds a network of kind {settings.kind}, which needs no factory; leave it out")
    dtype, n_outputs = dtype_of(content["precision"]), len(preprocessing.classes) or 1

    def fresh() -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            if factory is not None:
                made = made_by(factory, settings, preprocessing.shape, n_outputs)
            else:
                made = build(settings, preprocessing.shape, n_outputs)
        return made.to(dtype=dtype).eval()

    networks = []
    for weights, n_snapshots in zip(content["weights"], content["snapshots"], strict=True):
        classes = bool(preprocessing.classes)
        network = Ensemble([fresh() for _ in range(n_snapshots)], classes) if n_snapshots else fresh()
        try:
            network.load_state_dict(weights)
        except RuntimeError as error:
            if factory is None:
                raise
            raise ObjectiveError(f"the weights in {path} do not fit the network that the factory makes: "
                                 f"{excerpt(str(error), 300)}") from None  # fmt: skip
        networks.append(network.eval())
    if not networks:
        raise StoreError(f"{path} is damaged: it holds no weights")
    return TrainedNetwork(
        module=Normalised(together(networks, bool(preprocessing.classes)), preprocessing, content["precision"]),
        preprocessing=preprocessing,
        setting=dict(content["setting"]),
        verdict=content["verdict"],
        about=dict(content["about"]),
        source=Source(float(content["source"]["white"]), int(content["source"]["size"])),
        precision=content["precision"],
        settings=settings,
    )
