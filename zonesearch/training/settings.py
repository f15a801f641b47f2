"""The fixed settings of a recipe, a table of the study file each. Any of them can be an axis instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from zonesearch.errors import ObjectiveError, StudyError, did_you_mean

__all__ = ["DataSettings", "NetworkSettings", "OptimizerSettings", "Settings", "TrainingSettings"]


@dataclass(frozen=True)
class DataSettings:
    """``[data]``.

    Args:
        name: ``digits`` (ships with scikit-learn) or ``mnist`` (torchvision's, from ``root`` or downloaded).
        root: a folder that holds the data set already; empty looks where ``ZONESEARCH_DATA`` points, then downloads.
        validation: share of the training data that validates, 0..1.
        test: share that is set aside for testing where a data set has no test part of its own.
        limit: use only so many training examples (0: all), the same number of each class as nearly as may be.
    """

    name: str = "digits"
    root: str = ""
    validation: float = 0.2
    test: float = 0.2
    limit: int = 0


@dataclass(frozen=True)
class NetworkSettings:
    """``[network]``: ``depth`` hidden layers of ``width`` neurons each.

    Args:
        kind: ``mlp``.
        activation: ``relu``, ``tanh`` or ``gelu``.
        dropout: probability of dropping a hidden neuron, 0..1.
        batch_norm: normalise before each activation.
        init: ``torch`` (uniform within 1/sqrt(fan_in)) or ``keras`` (Glorot uniform, zero bias).
        base_width: the width at which the learning rate was found, to carry it over to other widths (muP); 0: off.
    """

    kind: str = "mlp"
    width: int = 128
    depth: int = 1
    activation: str = "relu"
    dropout: float = 0.0
    batch_norm: bool = False
    init: str = "torch"
    base_width: int = 0


@dataclass(frozen=True)
class OptimizerSettings:
    """``[optimizer]``: ``adam``, ``adamw``, ``rmsprop``, ``adagrad``, ``adadelta`` or ``sgd`` (with ``momentum``)."""

    name: str = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    momentum: float = 0.0
    nesterov: bool = False


@dataclass(frozen=True)
class TrainingSettings:
    """``[training]``.

    Args:
        batch: examples a step.
        schedule: of the learning rate, as ``step(every=7, factor=0.5)``.
        rate_rule: ``none``, or the rate tied to the batch: ``linear`` or ``sqrt``, relative to ``reference_batch``.
        steps_per_epoch: the same number of steps in an epoch at every batch size; 0: one pass over the data.
        tested: the network that the test split sees: ``best``, of the epoch that validation chose, or ``last``.
        device: ``auto``, ``cpu`` or ``cuda``.
    """

    batch: int = 64
    schedule: str = "constant"
    rate_rule: str = "none"
    reference_batch: int = 64
    steps_per_epoch: int = 0
    tested: str = "best"
    device: str = "auto"


@dataclass(frozen=True)
class Settings:
    """All settings of one training."""

    data: DataSettings = DataSettings()
    network: NetworkSettings = NetworkSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    training: TrainingSettings = TrainingSettings()

    @classmethod
    def from_tables(cls, tables: Mapping[str, Mapping[str, Any]]) -> Settings:
        """Read the tables of a study file.

        Raises:
            StudyError: naming the table, the key and the nearest right one.
        """
        made = {}
        for part in fields(cls):
            default = part.default
            table = tables.get(part.name, {})
            known = [field.name for field in fields(default)]  # type: ignore[arg-type]
            for key, value in table.items():
                if key not in known:
                    raise StudyError(f'[{part.name}] has no key "{key}"; {did_you_mean(key, known)}')
                _typed(value, getattr(default, key), f"[{part.name}] {key}", StudyError)
            made[part.name] = replace(default, **table)  # type: ignore[type-var]
        return cls(**made)  # type: ignore[arg-type]

    @classmethod
    def names(cls) -> dict[str, tuple[str, str]]:
        """What may be an axis: each setting by its own name, and by ``table.key``; gives (table, key)."""
        found: dict[str, tuple[str, str]] = {}
        for part in fields(cls):
            if part.name == "data":
                continue  # the data are the study's, not a trial's
            for field in fields(part.default):  # type: ignore[arg-type]
                found[f"{part.name}.{field.name}"] = (part.name, field.name)
                found[field.name] = (part.name, field.name)
        found["optimizer"] = found.pop("name")
        return found

    def with_params(self, params: Mapping[str, Any]) -> Settings:
        """These settings with those replaced that a training names.

        Raises:
            ObjectiveError: for a name that is no setting, or a value of the wrong kind.
        """
        known = self.names()
        made = self
        for name, value in params.items():
            if name not in known:
                short = [other for other in known if "." not in other]
                raise ObjectiveError(f'axis "{name}" is no setting of this network; {did_you_mean(name, short)}')
            table, key = known[name]
            part = getattr(made, table)
            _typed(value, getattr(part, key), f'parameter "{name}"', ObjectiveError)
            made = replace(made, **{table: replace(part, **{key: value})})
        return made


def _typed(value: object, default: object, what: str, error: type[Exception]) -> None:
    """Check that ``value`` is of the kind of ``default``; a whole number may stand for a fractional one."""
    wanted: tuple[type, ...] = (int, float) if isinstance(default, float) else (type(default),)
    if not isinstance(value, wanted) or (isinstance(value, bool) and not isinstance(default, bool)):
        said = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}[type(default)]
        raise error(f"{what} must be {said}, not {value!r}")
