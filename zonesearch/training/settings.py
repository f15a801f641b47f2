"""The fixed settings of a recipe, one class per table of the study file. Any of them can be an axis instead."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from zonesearch.core.plugins import is_plug_in
from zonesearch.core.tables import hints, read
from zonesearch.core.tables import value as typed
from zonesearch.errors import ObjectiveError, did_you_mean
from zonesearch.training.batch_rules import tied_rate

__all__ = [
    "NETWORK_KINDS",
    "AugmentationSettings",
    "DataSettings",
    "NetworkSettings",
    "OptimizerSettings",
    "Settings",
    "TrainingSettings",
]


NETWORK_KINDS = ("mlp", "cnn", "backbone")
"""The built-in kinds of networks."""


@dataclass(frozen=True)
class DataSettings:
    """``[data]``.

    Args:
        name: the bundled data set ``digits``; a data set of torchvision (``mnist``, ``fashion-mnist``, ``kmnist``,
            ``cifar10``, ``cifar100``); ``images``, a folder or zip file with a folder of images per class;
            ``arrays``, an .npz file; ``table``, a .csv or .parquet file; or ``package.module:function``.
        root: the folder or file of the data; empty looks where ``ZONESEARCH_DATA`` points, then downloads.
        validation: fraction of the training data used for validation, 0..1.
        test: fraction set aside for testing if a data set has no test set of its own.
        limit: use only this many training examples (0: all), balanced over the classes as far as possible, and at most
            this many for validation and for testing.
        limit_validation, limit_test: separate limits for validation and testing; 0: the same as ``limit``.
        target: the column of a table to predict; in an .npz file, the name of the labels (by default ``y``).
        size: side in pixels to which images are resized (0: not resized; all must have the same size).
        task: ``classification``, or ``regression`` if the target is a number.
        arguments: of a factory, by name.
        collate: ``package.module:function`` that makes batches of a factory's examples, as torch's ``collate_fn``.
    """

    name: str = "digits"
    root: str = ""
    validation: float = 0.2
    test: float = 0.2
    limit: int = 0
    limit_validation: int = 0
    limit_test: int = 0
    target: str = ""
    size: int = 0
    task: str = "classification"
    arguments: tuple[tuple[str, Any], ...] = ()
    collate: str = ""


@dataclass(frozen=True)
class AugmentationSettings:
    """``[augmentation]`` of the training images.

    Args:
        pad: pad by this many pixels on each side and crop at random; 0: off.
        padding: ``zero`` or ``reflect``.
        flip: flip horizontally with probability 1/2.
        draws: draw this many versions of every image in advance, the same for all trainings of a study; epoch e,
            counted from 0, sees version e mod ``draws``. 0: drawn anew for each batch.
    """

    pad: int = 0
    padding: str = "zero"
    flip: bool = False
    draws: int = 0

    def __bool__(self) -> bool:
        """Whether any augmentation is on."""
        return self.pad > 0 or self.flip

    @property
    def n_versions(self) -> int:
        """How many versions of an image there are: one without augmentation, 0 where each batch has its own."""
        return self.draws if self else 1


@dataclass(frozen=True)
class NetworkSettings:
    """``[network]``.

    Args:
        kind: ``mlp``, feed-forward: ``depth`` hidden layers of ``width`` neurons, or ``widths``; ``cnn``,
            convolutional; ``backbone``, a torchvision network; ``package.module:function``, a factory; or the name of a
            plug-in's factory.
        width, depth: of an mlp; for a cnn, ``depth`` is the number of convolutions per block.
        widths: of each hidden layer, instead of width x depth; as axes ``width_1``, ``width_2``, ...
        activation: ``relu``, ``tanh``, ``sigmoid``, ``gelu`` or ``silu``.
        dropout: probability of dropping a hidden neuron (for a cnn or backbone, one of the last features), 0..1.
        batch_norm: normalise before each activation.
        init: ``torch`` (uniform within 1/sqrt(fan_in)) or ``keras`` (Glorot uniform, zero bias).
        base_width: the width at which the learning rate was tuned, to transfer it to other widths (muP); 0: off.
        blocks: number of blocks of a cnn, each followed by pooling; the first has ``channels`` channels, each next one
            twice as many.
        kernel: size of the convolution kernels.
        pooling: ``max``, ``mean`` or ``stride`` (the block's first convolution has stride 2).
        residual: add the input of a cnn's block to its output.
        flatten: a cnn's last layer sees every pixel that the blocks leave, not only the mean of each channel.
        backbone: ``resnet18`` or another torchvision classification network.
        weights: of the backbone: ``DEFAULT`` or another name of torchvision's weights; a file (a state dict, a
            checkpoint that holds one, or safetensors); ``package.module:function`` that returns its path; empty: from
            scratch.
        tune: which weights of a backbone are trained: ``full``, ``last`` (its last stage and the head) or ``head``.
        body_rate: the learning rate of everything but a backbone's head, as a multiple of the head's.
        arguments: of a factory, by name; axes that are not settings are also passed as arguments.
    """

    kind: str = "mlp"
    width: int = 128
    depth: int = 1
    widths: tuple[int, ...] = ()
    activation: str = "relu"
    dropout: float = 0.0
    batch_norm: bool = False
    init: str = "torch"
    base_width: int = 0
    channels: int = 16
    blocks: int = 2
    kernel: int = 3
    pooling: str = "max"
    residual: bool = False
    flatten: bool = False
    backbone: str = "resnet18"
    weights: str = ""
    tune: str = "full"
    body_rate: float = 1.0
    arguments: tuple[tuple[str, Any], ...] = ()

    @property
    def hidden(self) -> tuple[int, ...]:
        """The widths of an mlp's hidden layers."""
        return self.widths or (self.width,) * self.depth

    @property
    def is_factory(self) -> bool:
        """Whether ``kind`` is a path to a function, or the name of a plug-in."""
        return ":" in self.kind or is_plug_in("networks", self.kind, NETWORK_KINDS)


_OWN = {
    "adam": (1e-8, 0.0),
    "adamw": (1e-8, 0.0),
    "rmsprop": (1e-8, 0.99),
    "adagrad": (1e-10, 0.0),
    "adadelta": (1e-6, 0.9),
}
"""torch's default (eps, decay) by optimizer."""


@dataclass(frozen=True)
class OptimizerSettings:
    """``[optimizer]``.

    Args:
        name: ``adam``, ``adamw``, ``rmsprop``, ``adagrad``, ``adadelta``, ``sgd``, ``momentum``, ``nesterov`` (sgd with
            a momentum of 0.9 unless one is given) or ``lbfgs`` (a step is the whole training split).
        learning_rate: the base rate, which a schedule changes.
        weight_decay: L2 penalty; decoupled in adamw.
        momentum: of sgd and rmsprop, torch's form v = m v + g, w -= lr v; ``dampening`` of g; ``nesterov`` looks ahead.
        beta1, beta2: of adam and adamw.
        eps: added to the divisor; 0: torch's default (Keras: 1e-7).
        decay: smoothing constant of rmsprop (torch: alpha) and adadelta (rho); 0: torch's default.
        history: number of updates that lbfgs stores; ``iterations``: the most in each of its steps.
    """

    name: str = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    momentum: float = 0.0
    nesterov: bool = False
    dampening: float = 0.0
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 0.0
    decay: float = 0.0
    history: int = 10
    iterations: int = 20

    @property
    def epsilon(self) -> float:
        """``eps``, or torch's default."""
        return self.eps or _OWN[self.name][0]

    @property
    def forgetting(self) -> float:
        """``decay``, or torch's default."""
        return self.decay or _OWN[self.name][1]

    @property
    def inertia(self) -> float:
        """The momentum of sgd, under any of its names."""
        return self.momentum or (0.9 if self.name in ("momentum", "nesterov") else 0.0)

    @property
    def looks_ahead(self) -> bool:
        """Whether sgd uses Nesterov momentum."""
        return self.nesterov or self.name == "nesterov"


@dataclass(frozen=True)
class TrainingSettings:
    """``[training]``.

    Args:
        batch: examples per step.
        schedule: of the learning rate, as ``step(every=7, factor=0.5)``.
        rate_rule: ``none``, or the rate tied to the batch: ``linear`` or ``sqrt``, relative to ``reference_batch``.
        steps_per_epoch: a fixed number of steps per epoch at every batch size; 0: one pass over the data.
        device: ``auto``, ``cpu`` or ``cuda``.
        tested: which network is tested: the one that validation chose, ``best``, or the ``last`` one.
        precision: ``float32``; ``bf16``, products in bfloat16; ``tf32`` on GPUs that have it; ``float64``; ``auto``,
            products in bfloat16 if the CPU supports them and a layer is large enough to gain, else float32.
        clip: largest gradient norm; 0: no clipping.
        metric: measured in place of accuracy: ``accuracy``, ``balanced_accuracy``, ``r2``, ``mae``, ``rmse``,
            ``package.module:function`` of (outputs, targets), or the name of a plug-in's function. ``[metric]`` may
            name it as well.
        direction: ``maximize`` or ``minimize``, for a function; by default it follows from the name (errors and losses
            are minimized, everything else maximized). Built-in metrics have their own.
        loss: minimised by training: ``cross_entropy(label_smoothing=0.1)``, ``bce(pos_weight=1.0)`` for two classes;
            for a regression ``mse``, ``l1`` or ``huber(delta=1.0)``; or ``package.module:function`` of (outputs,
            targets). Empty: cross-entropy, for a regression the mean squared error.
        class_weights: ``balanced``, which gives all classes the same total weight, or a list of one weight per class.
        stack: train networks together as one program where possible; otherwise one after the other.
        keep_mb: keep the states of finished trainings, up to this many megabytes, so that longer ones continue from
            there.
        evaluate_every: evaluate after the first epoch, every this many epochs and the last; 0: after every epoch, or,
            if there are more validation than training examples, so rarely that it takes about a tenth of the time.
    """

    batch: int = 64
    schedule: str = "constant"
    rate_rule: str = "none"
    reference_batch: int = 64
    steps_per_epoch: int = 0
    device: str = "auto"
    tested: str = "best"
    precision: str = "auto"
    clip: float = 0.0
    metric: str = ""
    direction: str = ""
    loss: str = ""
    class_weights: str | tuple[float, ...] = ""
    stack: bool = True
    keep_mb: int = 0
    evaluate_every: int = 0


@dataclass(frozen=True)
class Settings:
    """All settings of one training."""

    data: DataSettings = DataSettings()
    network: NetworkSettings = NetworkSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    training: TrainingSettings = TrainingSettings()
    augmentation: AugmentationSettings = AugmentationSettings()

    def batch_of(self, n_train: int) -> int:
        """Examples per step out of ``n_train``: all of them for lbfgs."""
        return n_train if self.optimizer.name == "lbfgs" else self.training.batch

    def rate_tie(self, n_train: int) -> float:
        """The factor by which the batch rule multiplies a learning rate."""
        return tied_rate(1.0, self.batch_of(n_train), self.training.rate_rule, self.training.reference_batch)

    @classmethod
    def from_tables(cls, tables: Mapping[str, Mapping[str, Any]]) -> Settings:
        """Read the tables of a study file.

        Raises:
            StudyError: naming the table, the key and the closest valid one.
        """
        made: dict[str, Any] = {}
        for part in fields(cls):
            default: Any = part.default
            made[part.name] = replace(default, **read(type(default), tables.get(part.name, {}), f"[{part.name}]"))
        return cls(**made)

    @classmethod
    def names(cls) -> dict[str, tuple[str, str]]:
        """The names of possible axes: each setting by its own name and by ``table.key``, mapped to (table, key)."""
        found: dict[str, tuple[str, str]] = {}
        for part in fields(cls):
            if part.name == "data":
                continue  # the data belong to the study, not to a trial
            for field in fields(part.default):  # type: ignore[arg-type]
                found[f"{part.name}.{field.name}"] = (part.name, field.name)
                found[field.name] = (part.name, field.name)
        found["optimizer"] = found.pop("name")
        return found

    def with_params(self, params: Mapping[str, Any]) -> Settings:
        """These settings, overridden by the params of a training.

        Raises:
            ObjectiveError: a name is not a setting, or a value has the wrong type.
        """
        known = self.names()
        made = self
        named = {known[name]: name for name in params if name in known}
        for name in params:
            if name in known and named[known[name]] != name:
                raise ObjectiveError(
                    f'parameters "{name}" and "{named[known[name]]}" are the same setting of this network; '
                    f"leave one out"
                )
        for name, value in params.items():
            if name not in known:
                made = made._with_other(name, value, known)
                continue
            table, key = known[name]
            if table == "training" and key in ("metric", "direction"):
                raise ObjectiveError(
                    f'"{name}" cannot be an axis: values of two metrics cannot be compared; set it once'
                )
            part = getattr(made, table)
            value = typed(hints(type(part))[key], value, f'parameter "{name}"', error=ObjectiveError)
            made = replace(made, **{table: replace(part, **{key: value})})
        return made

    def _with_other(self, name: str, value: Any, known: Iterable[str]) -> Settings:
        """These settings with a param that is not a setting: the width of one layer, or an argument of a factory."""
        network = self.network
        layer = re.fullmatch(r"(?:network\.)?width_([1-9]\d?)", name)
        if layer and network.kind == "mlp":
            number, widths = int(layer[1]), list(network.hidden)
            if number > len(widths):
                raise ObjectiveError(
                    f'axis "{name}", but the number of hidden layers is {len(widths)}; set [network] widths or depth'
                )
            widths[number - 1] = typed(int, value, f'parameter "{name}"', error=ObjectiveError)
            return replace(self, network=replace(network, widths=tuple(widths)))
        if network.is_factory and "." not in name:
            arguments = {**dict(network.arguments), name: value}
            return replace(self, network=replace(network, arguments=tuple(sorted(arguments.items()))))
        short = [other for other in known if "." not in other]
        raise ObjectiveError(f'axis "{name}" is not a setting of this network; {did_you_mean(name, short)}')
