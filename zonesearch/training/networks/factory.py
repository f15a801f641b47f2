"""Networks and metrics of the user's own: ``package.module:function``, or the name of a plug-in."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from zonesearch.core.plugins import load
from zonesearch.errors import ObjectiveError, StudyError
from zonesearch.training.memory import is_out_of_memory
from zonesearch.training.settings import NetworkSettings

__all__ = ["build_by_factory", "check_scores", "imported", "made_by"]


def imported(path: str, where: str, kind: str = "") -> Callable[..., Any]:
    """The function that ``package.module:function`` names, or a plug-in of this ``kind``.

    Raises:
        ObjectiveError: naming the place and why it cannot be imported.
    """
    module, colon, name = path.partition(":")
    if not colon and kind:
        try:
            function = load(kind, path, where)
        except StudyError as error:
            raise ObjectiveError(str(error)) from error
        if not callable(function):
            raise ObjectiveError(f'{where} = "{path}" is not a function but {type(function).__name__}')
        return function  # type: ignore[no-any-return]
    try:
        function = getattr(importlib.import_module(module), name)
    except (Exception, SystemExit) as error:  # a module of the user's may raise anything
        raise ObjectiveError(
            f'{where} = "{path}" cannot be imported ({type(error).__name__}: {error}); give "package.module:function" '
            "of a module that Python can import from here"
        ) from error
    if not callable(function):
        raise ObjectiveError(f'{where} = "{path}" is not a function but {type(function).__name__}')
    return function  # type: ignore[no-any-return]


def build_by_factory(settings: NetworkSettings, shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """What the factory makes of its arguments.

    It is called with one dict: ``[network] arguments``, the axes that are no setting of ours, the settings that are
    (``width``, ``depth``, ``dropout``, ...), and of the data ``input_shape`` and ``n_classes``. What it raises is left
    as it is: a training that fails, not a study that does.

    Raises:
        TypeError: it gave something else than a network.
    """
    return made_by(imported(settings.kind, "[network] kind", "networks"), settings, shape, n_classes)


def made_by(
    function: Callable[..., Any], settings: NetworkSettings, shape: tuple[int, ...], n_classes: int
) -> nn.Module:
    """As :func:`build_by_factory`, by a function that is there already."""
    own = {name: value for name, value in vars(settings).items() if name not in ("kind", "arguments")}
    params = {**own, **dict(settings.arguments), "input_shape": shape, "n_classes": n_classes}
    takes = inspect.signature(function).parameters if not isinstance(function, type) else None
    network = function() if takes is not None and not takes else function(params)
    if not isinstance(network, nn.Module):
        raise TypeError(f"{settings.kind} must give a torch.nn.Module, but gave {type(network).__name__}")
    return network


@torch.no_grad()
def check_scores(
    network: nn.Module, settings: NetworkSettings, inputs: Tensor | tuple[Tensor, ...], n: int, n_outputs: int
) -> None:
    """Say what is wrong with the scores of a network that a factory made; labels beyond them would kill a GPU.

    Args:
        network: is switched to evaluation for it.
        settings: of the network.
        inputs: a batch of a few examples; several inputs are handed over one by one.
        n: how many examples these are.
        n_outputs: the number of scores for an example that the data ask for.

    Raises:
        ValueError: they are of another shape than (n, n_outputs).
        TypeError: the network cannot take whole numbers, and gets them.
    """
    several = inputs if isinstance(inputs, tuple) else (inputs,)
    try:
        scores = network.eval()(*several)
    except (RuntimeError, TypeError) as error:
        if all(x.is_floating_point() for x in several) or is_out_of_memory(error):
            raise
        raise TypeError(
            f"the network of {settings.kind} gets whole numbers, as the data have them, and ended in "
            f"{type(error).__name__}: {error}; if they are quantities rather than ids, give them as floats"
        ) from error
    right = [(n, n_outputs)] + [(n,)] * (n_outputs == 1)
    if not isinstance(scores, Tensor) or tuple(scores.shape) not in right:
        given = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise ValueError(
            f"the network of {settings.kind} gives {given} for {n} examples, but the data need "
            f'{right[0]}; its last layer must give params["n_classes"] scores'
        )
