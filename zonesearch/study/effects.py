"""Which settings a recipe reads: those of another kind of network, optimizer or data set have no effect.

What the tables of a recipe hold is said here again, so that a study is checked without loading torch.

A key or an axis without effect is refused, so that nobody takes a result for that of a setting which was never used,
or a map that is flat along an axis for one that was measured. What is asked is whether any training of the study may
read the setting: the kind may be an axis itself, or differ between arms. A network, a data set or a schedule of the
user's own reads what it likes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from zonesearch.core.objective import Configured
from zonesearch.core.plugins import is_plug_in
from zonesearch.core.space import Space
from zonesearch.core.tables import known, laid_over
from zonesearch.errors import StudyError
from zonesearch.study.anywhere import Point, reason_everywhere
from zonesearch.training.schedules.parsing import parse

__all__ = ["SETTINGS", "TECHNIQUE_TABLES", "check_axes_of", "check_effects", "setting_of"]

Tables = Mapping[str, Mapping[str, Any]]

_NETWORK = {
    "mlp": ("width", "depth", "widths", "activation", "dropout", "batch_norm", "init", "base_width"),
    "cnn": (
        "depth", "activation", "dropout", "batch_norm", "init", "channels", "blocks", "kernel", "pooling", "residual",
    ),
    "backbone": ("backbone", "weights", "tune", "body_rate", "dropout"),
}  # fmt: skip
_OPTIMIZER = {
    "adam": ("beta1", "beta2", "eps"),
    "adamw": ("beta1", "beta2", "eps"),
    "sgd": ("momentum", "nesterov", "dampening"),
    "momentum": ("momentum", "nesterov", "dampening"),
    "nesterov": ("momentum", "nesterov", "dampening"),
    "rmsprop": ("momentum", "eps", "decay"),
    "adagrad": ("eps",),
    "adadelta": ("eps", "decay"),
    "lbfgs": ("history", "iterations"),
}
_OF_ONE_OPTIMIZER = frozenset(key for keys in _OPTIMIZER.values() for key in keys)
_EVOLUTION = {
    "random_gradients": ("temperature", "noise_low", "noise_high"),
    "strategies": ("sigma", "noise", "antithetic", "generations"),
}
_OF_ONE_EVOLUTION = frozenset(key for keys in _EVOLUTION.values() for key in keys)
_WITH_TEST_PART = ("mnist", "fashion-mnist", "kmnist", "cifar10", "cifar100")
_DATA = {"target": ("arrays", "table"), "size": ("images",)}
_OWN = "package.module:function"
TECHNIQUE_TABLES = ("averaging", "evolution", "gradient_noise", "noise_scale", "early_stopping")
"""The tables of techniques, whose settings are axes as ``table.key``; a table that is not there is switched off."""

SETTINGS = {
    "data": (
        "name", "root", "validation", "test", "limit", "limit_validation", "limit_test", "target", "size", "task",
        "arguments", "collate",
    ),
    "network": ("kind", *dict.fromkeys(key for keys in _NETWORK.values() for key in keys), "arguments"),
    "optimizer": ("name", "learning_rate", "weight_decay", *sorted(_OF_ONE_OPTIMIZER)),
    "training": (
        "batch", "schedule", "rate_rule", "reference_batch", "steps_per_epoch", "device", "tested", "precision", "clip",
        "metric", "direction", "loss", "class_weights", "stack", "keep_mb", "evaluate_every",
    ),
    "augmentation": ("pad", "padding", "flip"),
}  # fmt: skip
"""The keys of the tables of a recipe."""

_CHECKED = (*SETTINGS, "averaging", "early_stopping", "evolution")
_SHORT = ("network", "optimizer", "training", "augmentation")
"""Tables whose settings are axes under their own names too."""
_OF_ALL = {
    "device": "all trainings of a study run on one kind of device; set [training] device",
    "keep_mb": "what is kept of trainings is kept of all of them; set [training] keep_mb",
}


def check_effects(tables: Tables, space: Space, arms: Mapping[str, Tables] | None = None) -> None:
    """Check that every key and every axis has an effect in some training.

    Args:
        tables: of the study, as far as they belong to a recipe.
        space: that is searched.
        arms: the tables of each arm, as they are given.

    Raises:
        StudyError: naming the table, the key and what does not read it.
    """
    for table, keys in SETTINGS.items():
        known(tables.get(table, {}), keys, f"[{table}]")
    arms = {name: laid_over(tables, name, arm) for name, arm in (arms or {}).items()}
    search = _Search(space, tables, arms)
    for table in _CHECKED:
        for key in tables.get(table, {}):
            _refuse(f"[{table}] {key}", search.useless(table, key))
        for name, arm in arms.items():
            for key, value in arm.get(table, {}).items():
                if tables.get(table, {}).get(key, ...) != value:
                    _refuse(f"[arms.{name}] {table}.{key}", search.useless(table, key, arm=name))
    _check_axes(tables, space, arms)
    for axis in space.names:
        table, key = setting_of(axis)
        for place, given in {table: tables, **{f"arms.{arm}": laid for arm, laid in arms.items()}}.items():
            if table and key in given.get(table, {}):
                raise StudyError(f'[{place}] {key} has no effect beside the axis "{axis}"; leave out one of them')
    stopping = [each["early_stopping"] for each in (tables, *arms.values()) if "early_stopping" in each]
    rules = ("patience", "rise", "after")
    if any(not any(rule in table or f"early_stopping.{rule}" in space.names for rule in rules) for table in stopping):
        raise StudyError("[early_stopping] has no effect without a rule: set patience, rise or after")


def check_axes_of(objective: object, space: Space) -> None:
    """Check that every axis is read by some training of an objective made in Python, where that can be known.

    Args:
        objective: what is trained; only one that gives its settings (:class:`~zonesearch.core.objective.Configured`) is
            looked at.
        space: that is searched.

    Raises:
        StudyError: naming the axis and what does not read it.
    """
    if isinstance(objective, Configured):
        tables = dict(objective.settings_tables())
        _check_axes(tables, space, tables.pop("arms", {}))


def _check_axes(tables: Tables, space: Space, arms: Mapping[str, Tables]) -> None:
    """An axis that is read at some points and not at others is none without effect: a learning rate may be crossed with
    schedules of which only some move it.
    """
    search = _Search(space, tables, arms)
    for axis in space.names:
        table, key = setting_of(axis)
        if table in _CHECKED:
            reason = search.useless(table, key, axis=axis)
            _refuse(f'axis "{axis}"', f"{reason}; leave out the axis" if reason and ";" not in reason else reason)


def setting_of(name: str) -> tuple[str, str]:
    """The table and the key of an axis; nothing where it is not a setting but an argument of a network, say."""
    table, dot, key = name.partition(".")
    if dot:
        return (table, key) if table in TECHNIQUE_TABLES or key in SETTINGS.get(table, ()) else ("", "")
    if name == "optimizer":
        return "optimizer", "name"
    found = [table for table, keys in SETTINGS.items() if name in keys and table != "data" and name != "name"]
    return (found[-1], name) if found else ("", "")


def _refuse(what: str, reason: str) -> None:
    if reason:
        raise StudyError(f"{what} has no effect: {reason}")


class _Search:
    """All trainings that a search may want."""

    def __init__(self, space: Space, tables: Tables, arms: Mapping[str, Tables]) -> None:
        self._space = space
        self._tables = tables
        self._arms = arms

    def useless(self, table: str, key: str, *, axis: str = "", arm: str = "") -> str:
        """Why a setting has no effect in any training; empty where it has one.

        One setting alone, as a search puts it into the study of its winner, keeps the axes that it was found on: what
        makes one of them useless there is the value of another.

        Args:
            table, key: the setting.
            axis: the one that it is; empty for a key of a table.
            arm: the one whose key it is.
        """
        held = {"arm": arm} if arm else {}
        reason = partial(self._useless_at, table, key, axis, arm)
        found, gates = reason_everywhere(self._space, reason, axis, held)
        alone = all(len(other.row()) == 1 for other in self._space.axes)
        return "" if alone and gates else found

    def _useless_at(self, table: str, key: str, axis: str, arm: str, point: Point) -> str:
        tables = self._tables
        if arm:
            tables = self._arms[arm]
        elif self._arms and (picked := point.values("arm")) is not None:
            if len(picked) > 1:
                return ""
            tables = self._arms.get(str(picked[0]), tables)
        return _Variant(tables, point, axis, varied=bool(axis or arm)).useless(table, key)


class _Variant:
    """The tables of a study or of one of its arms at a point of the space.

    Args:
        tables: of it.
        point: that may have other values.
        axis: the one that is asked about.
        varied: whether the setting differs from training to training.
    """

    def __init__(self, tables: Tables, point: Point, axis: str, *, varied: bool) -> None:
        self.tables = tables
        self._point = point
        self._axis = axis
        self._varied = varied

    def useless(self, table: str, key: str) -> str:
        """Why a key has no effect; empty where it has one."""
        reason: str = getattr(self, f"_{table}")(key)
        return reason

    def _values(self, table: str, key: str, default: Any) -> list[Any]:
        """All values that a setting may have."""
        short = "optimizer" if (table, key) == ("optimizer", "name") else key
        for name in (f"{table}.{key}", *([short] if table in _SHORT else [])):
            found = self._point.values(name)
            if found is not None:
                return found
        return [self.tables.get(table, {}).get(key, default)]

    def _moved(self) -> str:
        """Why the learning rate is not read, where it is searched; empty where it is.

        As a key it is read by the schedules that finalists are tried with, if not by that of the map.
        """
        schedules = self._values("training", "schedule", "constant")
        if not self._axis or any(_uses_base(schedule) for schedule in schedules):
            return ""
        return f"the schedule {_or(schedules)} sets the rate itself"

    def _network(self, key: str) -> str:
        kinds = self._values("network", "kind", "mlp")
        if key == "kind":
            return ""
        if key == "arguments":
            own = any(_is_own(kind) for kind in kinds)
            return "" if own else f'they are for your own network, kind = "{_OWN}"'
        if not any(_is_own(kind) or key in _NETWORK.get(str(kind), (key,)) for kind in kinds):
            return f"a network of kind {_or(kinds)} does not read it"
        if key == "body_rate" and set(self._values("network", "tune", "full")) == {"head"}:
            return 'tune = "head" trains the head alone'
        if key in ("width", "depth") and kinds == ["mlp"]:
            if all(self._values("network", "widths", ())):
                return "[network] widths gives the width of each hidden layer"
            depths = self._values("network", "depth", 1)
            if key == "width" and all(map(self._has_layers, depths)):
                return f"each of the {_or(depths, '')} hidden layers has an axis of its own, width_1 and so on"
        return ""

    def _has_layers(self, depth: Any) -> bool:
        """Whether the width of each of so many hidden layers is an axis."""
        values = self._point.values
        layers = range(1, depth + 1) if isinstance(depth, int) else ()
        return bool(layers) and all(
            any(values(f"{place}width_{i}") is not None for place in ("", "network.")) for i in layers
        )

    def _optimizer(self, key: str) -> str:
        if key == "learning_rate":
            return self._moved()
        names = self._values("optimizer", "name", "adam")
        if key == "nesterov" and set(names) == {"nesterov"}:
            return 'the optimizer "nesterov" looks ahead anyway; take "sgd" or "momentum" to choose'
        momenta = self._values("optimizer", "momentum", None)
        if key == "momentum" and set(names) <= {"momentum", "nesterov"} and 0 in momenta:
            return f'0 stands for the default, 0.9, of the optimizer {_or(names)}; take "sgd" for none'
        if key == "dampening" and set(names) == {"sgd"} and not any(momenta):
            return "sgd without momentum dampens nothing; set momentum"
        if key not in _OF_ONE_OPTIMIZER or any(key in _OPTIMIZER.get(str(name), (key,)) for name in names):
            return ""
        return f"the optimizer {_or(names)} does not read it"

    def _training(self, key: str) -> str:
        if self._varied and key in _OF_ALL:
            return _OF_ALL[key]
        if key in ("rate_rule", "reference_batch") and (reason := self._moved()):
            sweeps = any(str(each).startswith("sweep") for each in self._values("training", "schedule", ""))
            return "" if sweeps else reason  # which ties its own rates
        off = ("", "none") if self._axis else ("",)  # said beside a key, "none" may be for a while
        if key == "reference_batch" and all(rule in off for rule in self._values("training", "rate_rule", "")):
            return "the rate is not tied to the batch; set rate_rule"
        if key == "batch" and set(self._values("optimizer", "name", "adam")) == {"lbfgs"}:
            return "a step of lbfgs is the whole training part"
        return ""

    def _augmentation(self, key: str) -> str:
        if key == "padding" and not any(self._values("augmentation", "pad", 0)):
            return "there is no padding; set pad"
        return ""

    def _data(self, key: str) -> str:
        name = str(self.tables.get("data", {}).get("name", "digits"))
        if key == "arguments":
            return "" if _is_path(name) else f'they are for your own function, name = "{_OWN}"'
        if key == "collate":
            return "" if _is_path(name) else f'it is for your own function, name = "{_OWN}"'
        if key == "root":
            return (
                ""
                if name != "digits" and not _is_path(name)
                else f'the data set "{name}" is not read from a file of yours'
            )
        if key == "test" and name in _WITH_TEST_PART:
            return f'the data set "{name}" has its own test part'
        if key in _DATA and name not in _DATA[key]:
            return f'it is of {" and ".join(_DATA[key])}, not of the data set "{name}"'
        return ""

    def _early_stopping(self, key: str) -> str:
        rules = [value for rule in ("patience", "rise") for value in self._values("early_stopping", rule, None)]
        after = self._values("early_stopping", "after", None)
        if key == "least" and None not in after and all(value is None for value in rules):
            return '"after" stops in any case; set patience or rise'
        return ""

    def _evolution(self, key: str) -> str:
        kind = str(self.tables.get("evolution", {}).get("kind", "random_gradients"))
        if "evolution" not in self.tables or key not in _OF_ONE_EVOLUTION or key in _EVOLUTION.get(kind, (key,)):
            return ""
        return f'evolution of kind "{kind}" does not read it'

    def _averaging(self, key: str) -> str:
        if key == "keep" and "ensemble" not in self._values("averaging", "kind", "weights"):
            return 'only an ensemble keeps members; set kind = "ensemble"'
        return ""


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and ":" in value


def _is_own(kind: Any) -> bool:
    """Whether a kind of network is a factory: the user's own, or a plug-in's."""
    return _is_path(kind) or (isinstance(kind, str) and is_plug_in("networks", kind, _NETWORK))


def _uses_base(schedule: Any) -> bool:
    """Whether a schedule moves the learning rate; what cannot be read is refused elsewhere."""
    try:
        return parse(str(schedule)).uses_base
    except StudyError:
        return True


def _or(values: Sequence[Any], quote: str = '"') -> str:
    return " or ".join(f"{quote}{value}{quote}" for value in values)
