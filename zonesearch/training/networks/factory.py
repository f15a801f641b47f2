"""The user's own networks and metrics: ``package.module:function``, or the name of a plug-in."""

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
    except (Exception, SystemExit) as error:  # a user's module may raise anything
        raise ObjectiveError(
            f'{where} = "{path}" cannot be imported ({type(error).__name__}: {error}); give "package.module:function" '
            "of a module that Python can import from here"
        ) from error
    if not callable(function):
        raise ObjectiveError(f'{where} = "{path}" is not a function but {type(function).__name__}')
    return function  # type: ignore[no-any-return]


def build_by_factory(settings: NetworkSettings, shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """The network that the factory makes.

    It is called with one dict: ``[network] arguments``, axes that are not built-in settings, the built-in settings
    (``width``, ``depth``, ``dropout``, ...), and ``input_shape`` and ``n_classes`` of the data. Exceptions propagate:
    they fail the training, not the study.

    Raises:
        TypeError: it returned something other than a network.
    """
    return made_by(imported(settings.kind, "[network] kind", "networks"), settings, shape, n_classes)


def made_by(
    function: Callable[..., Any], settings: NetworkSettings, shape: tuple[int, ...], n_classes: int
) -> nn.Module:
    """As :func:`build_by_factory`, with the function itself."""
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
    """Check the scores of a user's network; labels beyond them would crash a GPU kernel.

    Args:
        network: switched to eval mode for the check.
        settings: of the network.
        inputs: a batch of a few examples; several inputs are passed as separate arguments.
        n: number of examples.
        n_outputs: the number of scores per example that the data require.

    Raises:
        ValueError: their shape is not (n, n_outputs).
        TypeError: the network is given integers and cannot take them.
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
