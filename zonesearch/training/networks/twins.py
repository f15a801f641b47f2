"""Copies of networks and their whole state, including what a user's network keeps outside ``state_dict``.

A network may have more state than weights and buffers: a hidden state as a plain tensor, a call counter, a
non-persistent buffer. A training that continues from a saved state needs all of it, or it would be another training.
Objects of other types (arrays, user-defined classes) stay as they are in a fresh network.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["load_whole_state", "twin", "whole_state"]

_TORCHS = frozenset(vars(nn.Module()))  # attributes of every module
_LIBRARIES = ("torch.", "torchvision.")
_PLAIN = (bool, int, float, str, type(None))


def twin(network: nn.Module) -> nn.Module:
    """A copy that shares nothing with ``network``; a computed tensor, as in torch's weight norm, becomes a value."""
    computed: dict[int, Any] = {
        id(value): value.detach().clone()
        for module in network.modules()
        for value in _tensors([value for name, value in vars(module).items() if name not in _TORCHS])
        if not value.is_leaf
    }
    return copy.deepcopy(network, computed)


def whole_state(network: nn.Module) -> dict[str, Any]:
    """Weights, all buffers, and the plain attributes of every module: numbers, strings, tensors, lists and dicts of
    them.

    Only types that torch loads with ``weights_only``, so that reading runs no code.
    """
    state = network.state_dict()
    buffers = {name: buffer for name, buffer in network.named_buffers() if name not in state}
    own: dict[str, dict[str, Any]] = {}
    shared = {t.untyped_storage().data_ptr() for t in (*network.parameters(), *network.buffers())}
    for path, module in network.named_modules():
        if type(module).__module__.startswith(_LIBRARIES):
            continue  # their state is in their weights and buffers
        found = {
            name: _detached(value)
            for name, value in vars(module).items()
            if name not in _TORCHS and _is_plain(value, shared)
        }
        if found:
            own[path] = found
    return {"state": state, "buffers": buffers, "own": own}


@torch.no_grad()
def load_whole_state(network: nn.Module, whole: dict[str, Any]) -> None:
    """Load what :func:`whole_state` returned into ``network``, which has the same architecture."""
    network.load_state_dict(whole["state"])
    buffers = dict(network.named_buffers())
    for name, value in whole["buffers"].items():
        if name in buffers and buffers[name].shape == value.shape:
            buffers[name].copy_(value)
        else:
            path, _, last = name.rpartition(".")
            network.get_submodule(path).register_buffer(last, value.clone(), persistent=False)
    device = next((each.device for each in network.parameters()), torch.device("cpu"))
    for path, attributes in whole["own"].items():
        mine = vars(network.get_submodule(path))
        for name, value in attributes.items():
            before = mine.get(name)
            mine[name] = _placed(value, before.device if isinstance(before, Tensor) else device)


def _tensors(value: Any) -> Iterator[Tensor]:
    """All tensors in a value, including those in lists and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _tensors(each)


def _is_plain(value: Any, shared: set[int]) -> bool:
    """Whether a value is saved; a tensor that shares memory with weights (``shared``) is an alias of them."""
    if isinstance(value, Tensor):
        return type(value) is Tensor and value.untyped_storage().data_ptr() not in shared
    if type(value) is dict:
        return all(type(key) in _PLAIN and _is_plain(each, shared) for key, each in value.items())
    if type(value) in (list, tuple):
        return all(_is_plain(each, shared) for each in value)
    return type(value) in _PLAIN


def _detached(value: Any) -> Any:
    """A copy of a plain value, which may be changed in place later."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: _detached(each) for key, each in value.items()}
    return type(value)(_detached(each) for each in value) if isinstance(value, list | tuple) else value


def _placed(value: Any, device: torch.device) -> Any:
    """A copy of a plain value, its tensors on ``device``."""
    if isinstance(value, Tensor):
        return value.to(device, copy=True)
    if isinstance(value, dict):
        return {key: _placed(each, device) for key, each in value.items()}
    return type(value)(_placed(each, device) for each in value) if isinstance(value, list | tuple) else value
