"""Why a setting of a recipe is not read, given the possible values of other settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zonesearch.core.plugins import is_plug_in
from zonesearch.errors import StudyError
from zonesearch.study.anywhere import Point
from zonesearch.study.recipe_settings import (
    EVOLUTION_KEYS,
    KEYS_OF_ONE_EVOLUTION,
    KEYS_OF_ONE_OPTIMIZER,
    NETWORK_KEYS,
    OPTIMIZER_KEYS,
    SHORT_NAMED,
)
from zonesearch.training.schedules.parsing import parse

__all__ = ["Tables", "Variant"]

Tables = Mapping[str, Mapping[str, Any]]

_WITH_TEST_PART = ("mnist", "fashion-mnist", "kmnist", "cifar10", "cifar100")
_DATA = {"target": ("arrays", "table"), "size": ("images",)}
_OWN = "package.module:function"
_OF_ALL = {
    "device": "all trainings of a study run on one kind of device; set [training] device",
    "keep_mb": "what is kept of trainings is kept of all of them; set [training] keep_mb",
}


class Variant:
    """The tables of a study or of one of its arms at a point of the space.

    Args:
        tables: of the study or arm.
        point: of the space; its values override the tables.
        axis: the axis in question.
        varied: whether the setting differs between trainings.
    """

    def __init__(self, tables: Tables, point: Point, axis: str, *, varied: bool) -> None:
        self.tables = tables
        self._point = point
        self._axis = axis
        self._varied = varied

    def useless(self, table: str, key: str) -> str:
        """Why a key has no effect; empty if it has one."""
        reason: str = getattr(self, f"_{table}")(key)
        return reason

    def _values(self, table: str, key: str, default: Any) -> list[Any]:
        """All possible values of a setting."""
        short = "optimizer" if (table, key) == ("optimizer", "name") else key
        for name in (f"{table}.{key}", *([short] if table in SHORT_NAMED else [])):
            found = self._point.values(name)
            if found is not None:
                return found
        return [self.tables.get(table, {}).get(key, default)]

    def _moved(self) -> str:
        """Why a searched learning rate is not read; empty if it is.

        As a plain key, it is read by the schedules that stage polish tries, if not by that of the map.
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
        if not any(_is_own(kind) or key in NETWORK_KEYS.get(str(kind), (key,)) for kind in kinds):
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
        """Whether the width of each of ``depth`` hidden layers is an axis."""
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
        if key not in KEYS_OF_ONE_OPTIMIZER or any(key in OPTIMIZER_KEYS.get(str(name), (key,)) for name in names):
            return ""
        return f"the optimizer {_or(names)} does not read it"

    def _training(self, key: str) -> str:
        if self._varied and key in _OF_ALL:
            return _OF_ALL[key]
        if key in ("rate_rule", "reference_batch") and (reason := self._moved()):
            sweeps = any(str(each).startswith("sweep") for each in self._values("training", "schedule", ""))
            return "" if sweeps else reason  # which applies the batch rule to its own rates
        off = ("", "none") if self._axis else ("",)  # given beside a key, "none" may be temporary
        if key == "reference_batch" and all(rule in off for rule in self._values("training", "rate_rule", "")):
            return "the rate is not tied to the batch; set rate_rule"
        if key == "batch" and set(self._values("optimizer", "name", "adam")) == {"lbfgs"}:
            return "a step of lbfgs is the whole training part"
        return ""

    def _augmentation(self, key: str) -> str:
        if key == "padding" and not any(self._values("augmentation", "pad", 0)):
            return "there is no padding; set pad"
        is_on = [value for name in ("pad", "flip") for value in self._values("augmentation", name, 0)]
        if key == "draws" and not any(is_on):
            return "nothing is augmented; set pad or flip"
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
        if (
            "evolution" not in self.tables
            or key not in KEYS_OF_ONE_EVOLUTION
            or key in EVOLUTION_KEYS.get(kind, (key,))
        ):
            return ""
        return f'evolution of kind "{kind}" does not read it'

    def _averaging(self, key: str) -> str:
        if key == "keep" and "ensemble" not in self._values("averaging", "kind", "weights"):
            return 'only an ensemble keeps members; set kind = "ensemble"'
        return ""


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and ":" in value


def _is_own(kind: Any) -> bool:
    """Whether a kind of network is a user's or plug-in's factory."""
    return _is_path(kind) or (isinstance(kind, str) and is_plug_in("networks", kind, NETWORK_KEYS))


def _uses_base(schedule: Any) -> bool:
    """Whether a schedule uses the learning rate; invalid schedules are refused elsewhere."""
    try:
        return parse(str(schedule)).uses_base
    except StudyError:
        return True


def _or(values: Sequence[Any], quote: str = '"') -> str:
    return " or ".join(f"{quote}{value}{quote}" for value in values)
