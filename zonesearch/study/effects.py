"""Which settings a recipe reads: those of another kind of network, optimizer or data set have no effect.

What the tables of a recipe hold is said here again, so that a study is checked without loading torch.

A key without effect is refused, so that nobody takes a result for that of a setting which was never used. What is asked
is whether any training of the study may read the key: the kind may be an axis itself, or differ between arms.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from zonesearch.core.plugins import is_plug_in
from zonesearch.core.tables import known, laid_over
from zonesearch.errors import StudyError

__all__ = ["SETTINGS", "TECHNIQUE_TABLES", "check_effects", "setting_of"]

Tables = Mapping[str, Mapping[str, Any]]
Axes = Mapping[str, Sequence[Any]]

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

_CHECKED = (*SETTINGS, "averaging")


def check_effects(
    tables: Tables, axes: Axes, arms: Mapping[str, Tables] | None = None, when: Mapping[str, Axes] | None = None
) -> None:
    """Check that every key and every axis has an effect in some training.

    Args:
        tables: of the study, as far as they belong to a recipe.
        axes: the values of each axis, by its name.
        arms: the tables of each arm, as they are given.
        when: of axes that do not always apply, the values of others at which they do.

    Raises:
        StudyError: naming the table, the key and what does not read it.
    """
    for table, keys in SETTINGS.items():
        known(tables.get(table, {}), keys, f"[{table}]")
    arms = {name: laid_over(tables, name, arm) for name, arm in (arms or {}).items()}
    variants = [_Variant(tables, axes), *(_Variant(arm, axes) for arm in arms.values())]
    for table in _CHECKED:
        for key in tables.get(table, {}):
            _refuse(f"[{table}] {key}", [variant.useless(table, key) for variant in variants])
        for name, arm in arms.items():
            for key, value in arm.get(table, {}).items():
                if tables.get(table, {}).get(key, ...) != value:
                    _refuse(f"[arms.{name}] {table}.{key}", [_Variant(arm, axes).useless(table, key)])
    for name in axes:
        table, key = setting_of(name)
        if table:
            if table in _CHECKED:
                there = {**axes, **(when or {}).get(name, {})}
                _refuse(f'axis "{name}"', [_Variant(v.tables, there).useless(table, key) for v in variants])
            for place, given in {table: tables, **{f"arms.{arm}": laid for arm, laid in arms.items()}}.items():
                if key in given.get(table, {}):
                    raise StudyError(f'[{place}] {key} has no effect beside the axis "{name}"; leave out one of them')
    stopping = [variant.tables["early_stopping"] for variant in variants if "early_stopping" in variant.tables]
    rules = ("patience", "rise", "after")
    if any(not any(rule in table or f"early_stopping.{rule}" in axes for rule in rules) for table in stopping):
        raise StudyError("[early_stopping] has no effect without a rule: set patience, rise or after")


def setting_of(name: str) -> tuple[str, str]:
    """The table and the key of an axis; nothing where it is not a setting but an argument of a network, say."""
    table, dot, key = name.partition(".")
    if dot:
        return (table, key) if table in TECHNIQUE_TABLES or key in SETTINGS.get(table, ()) else ("", "")
    if name == "optimizer":
        return "optimizer", "name"
    found = [table for table, keys in SETTINGS.items() if name in keys and table != "data" and name != "name"]
    return (found[-1], name) if found else ("", "")


def _refuse(what: str, reasons: Iterable[str]) -> None:
    reasons = list(reasons)
    if all(reasons):
        raise StudyError(f"{what} has no effect: {reasons[0]}")


class _Variant:
    """The tables of a study or of one of its arms, and the axes."""

    def __init__(self, tables: Tables, axes: Axes) -> None:
        self.tables = tables
        self._axes = axes

    def useless(self, table: str, key: str) -> str:
        """Why a key has no effect; empty where it has one."""
        if table == "averaging" and key not in ("keep", "kind"):
            return ""
        reason: str = getattr(self, f"_{table}")(key)
        return reason

    def _values(self, table: str, key: str, default: Any) -> list[Any]:
        """All values that a setting may have."""
        for name in (f"{table}.{key}", "optimizer" if (table, key) == ("optimizer", "name") else key):
            if name in self._axes:
                return list(self._axes[name])
        return [self.tables.get(table, {}).get(key, default)]

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
        widths = self.tables.get("network", {}).get("widths")
        if key in ("width", "depth") and widths and kinds == ["mlp"]:
            return "[network] widths gives the width of each hidden layer"
        return ""

    def _optimizer(self, key: str) -> str:
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
        if key == "reference_batch" and self._values("training", "rate_rule", "") == [""]:  # "none" may be for a while
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

    def _averaging(self, key: str) -> str:
        if key == "keep" and "ensemble" not in self._values("averaging", "kind", "weights"):
            return 'only an ensemble keeps members; set kind = "ensemble"'
        return ""


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and ":" in value


def _is_own(kind: Any) -> bool:
    """Whether a kind of network is a factory: the user's own, or a plug-in's."""
    return _is_path(kind) or (isinstance(kind, str) and is_plug_in("networks", kind, _NETWORK))


def _or(values: Sequence[Any]) -> str:
    return " or ".join(f'"{value}"' for value in values)
