"""Where the frozen part of a network ends, whose features of an image are the same in every epoch.

The network's own code is traced (``torch.fx``), and cut before the first value that training may change: through a
trained weight, a norm that updates its statistics, or anything random. Both halves run the same operations in the same
order as the whole. They take the network as an argument, so the same cut works for copies of it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx, nn

from zonesearch.training.networks.convolutions import Trimmed
from zonesearch.training.networks.dropout import Dropout

__all__ = ["Cut", "cut", "moves"]

_RANDOM = ("dropout", "rand", "bernoulli", "multinomial", "stochastic")
_PLACES = ("torch.nn", "torchvision.ops")


@dataclass(frozen=True)
class Cut:
    """A network in two halves.

    Args:
        frozen: maps (network, images) to features, a tuple of tensors whose first dimension is images.
        rest: maps (network, *features) to scores, for a network in training mode.
        judging: the same for a network in eval mode.
        tensors: names of the weights and buffers that the features depend on.
        code: of ``frozen``; together with the tensors it determines the features.
    """

    frozen: Callable[..., tuple[Tensor, ...]]
    rest: Callable[..., Tensor]
    judging: Callable[..., Tensor]
    tensors: tuple[str, ...]
    code: str


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        own = isinstance(m, Trimmed | Dropout)
        return own or (m.__module__.startswith(_PLACES) and not isinstance(m, nn.Sequential))


def cut(network: nn.Module, body: nn.Module) -> Cut | None:
    """Cut ``body``, in the training and eval modes that the surrounding ``network`` gives it; None if nothing of it is
    constant, or its code cannot be traced. The modes are restored.
    """
    modes = {module: module.training for module in network.modules()}
    try:
        network.train()
        training = _Tracer().trace(body)
        frozen = _frozen(body, training)
        network.eval()
        judging = _Tracer().trace(body)
    except Exception:  # code that depends on values cannot be traced
        return None
    finally:
        for module, mode in modes.items():
            module.training = mode
    of_images = _of_images(training) & frozen
    at = [node.name for node in training.nodes if node in of_images and any(user not in frozen for user in node.users)]
    tensors = _tensors(body, [node for node in training.nodes if node in frozen])
    alike = [(node.name, node.op) for node in training.nodes] == [(node.name, node.op) for node in judging.nodes]
    images = [node.name for node in training.nodes if node.op == "placeholder"]
    if not alike or not tensors or not at or images[0] in at:
        return None
    first, code = _function(_first(training, {node.name for node in frozen}, at))
    return Cut(first, _function(_rest(training, at))[0], _function(_rest(judging, at))[0], tensors, code)


def _of_images(graph: fx.Graph) -> set[fx.Node]:
    """The nodes that depend on the network's input; all others depend on weights only."""
    found: set[fx.Node] = set()
    for node in graph.nodes:
        if node.op == "placeholder" or any(each in found for each in node.all_input_nodes):
            found.add(node)
    return found


def _frozen(network: nn.Module, graph: fx.Graph) -> set[fx.Node]:
    """The nodes whose values are the same in every epoch."""
    found: set[fx.Node] = set()
    for node in graph.nodes:
        if node.op != "output" and all(each in found for each in node.all_input_nodes) and _stays(network, node):
            found.add(node)
    return found


def _stays(network: nn.Module, node: fx.Node) -> bool:
    if node.op == "call_module":
        module = network.get_submodule(str(node.target))
        trained = any(parameter.requires_grad for parameter in module.parameters())
        return not trained and not any(moves(part) for part in module.modules())
    if node.op == "get_attr":
        return not getattr(operator.attrgetter(str(node.target))(network), "requires_grad", False)
    if node.op in ("call_function", "call_method"):
        name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
        training = node.kwargs.get("training")
        return training is False or (training is None and not any(part in name for part in _RANDOM))
    return True


def moves(module: nn.Module) -> bool:
    """Whether ``module`` is random or updates its own state, in its present mode."""
    if not module.training:
        return False
    share = getattr(module, "p", 0)  # all kinds of dropout, and stochastic depth
    drops = isinstance(share, float | int) and share > 0 and "Pool" not in type(module).__name__
    norm = isinstance(module, nn.modules.batchnorm._NormBase | nn.RReLU | nn.FractionalMaxPool2d)
    return drops or norm or bool(getattr(module, "dropout", 0.0) if isinstance(module, nn.MultiheadAttention) else 0)


def _tensors(network: nn.Module, nodes: list[fx.Node]) -> tuple[str, ...]:
    found: list[str] = []
    for node in nodes:
        if node.op == "call_module":
            module = network.get_submodule(str(node.target))
            found += [f"{node.target}.{name}" for name in module.state_dict(keep_vars=True)]
        elif node.op == "get_attr":
            found.append(str(node.target))
    return tuple(dict.fromkeys(found))


def _first(graph: fx.Graph, names: set[str], at: list[str]) -> fx.Graph:
    made = fx.Graph()
    copied: dict[fx.Node, fx.Node] = {}
    for node in graph.nodes:
        if node.name in names:
            copied[node] = made.node_copy(node, lambda old: copied[old])
    made.output(tuple(copy for node, copy in copied.items() if node.name in at))
    return made


def _rest(graph: fx.Graph, at: list[str]) -> fx.Graph:
    """The part after the values ``at``, which become its arguments."""
    wanted = {node for node in graph.nodes if node.op == "output"}
    for node in reversed(graph.nodes):
        if node in wanted and node.name not in at:
            wanted.update(node.all_input_nodes)
    made = fx.Graph()
    copied = {node: made.placeholder(node.name) for node in graph.nodes if node.name in at}
    for node in graph.nodes:
        if node in wanted and node not in copied:
            copied[node] = made.node_copy(node, lambda old: copied[old])
    return made


def _function(graph: fx.Graph) -> tuple[Callable[..., Any], str]:
    """A graph as a function of the network and the graph's arguments."""
    graph.lint()  # type: ignore[no-untyped-call]
    code = graph.python_code("self")
    space: dict[str, Any] = dict(code.globals)
    exec(compile(code.src, "<a network in two halves>", "exec"), space)
    return space["forward"], code.src
