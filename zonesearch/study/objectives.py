"""The objective of a study, from the tables of its file.

There are three kinds: a recipe, with the tables of the controlled network; a function, for which these tables are
refused, since they would have no effect; and a plug-in's objective, which may have a table of its own.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zonesearch.core import tables
from zonesearch.core.metric import Metric
from zonesearch.core.objective import Objective, makes_jobs
from zonesearch.core.plugins import load, registered
from zonesearch.core.space import Space
from zonesearch.core.wording import toml_key
from zonesearch.errors import ObjectiveError, StudyError, did_you_mean
from zonesearch.study.effects import check_effects
from zonesearch.study.measuring import with_metric
from zonesearch.study.recipe_settings import SHORT_NAMED, TECHNIQUE_TABLES

__all__ = ["OBJECTIVE_TABLES", "FunctionTable", "ObjectiveTables", "of_function"]

_RECIPE_TABLES = (
    "data",
    "augmentation",
    "network",
    "optimizer",
    *TECHNIQUE_TABLES,
    "arms",
)
OBJECTIVE_TABLES = ("objective", "training", *_RECIPE_TABLES)
"""The tables that an objective may have, in addition to one of its own name."""

_FACE = ("fingerprint", "check", "jobs", "train")


@dataclass(frozen=True)
class FunctionTable:
    """``[objective]`` of a function.

    Args:
        function: ``package.module:function``.
        arguments: further arguments of the function, by name.
        version: replaces digests of its code.
        n_validation: number of validation examples, if an accuracy is a fraction of them.
        whole: whether the function uses the number of epochs for more than deciding when to stop.
    """

    function: str
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    version: str = ""
    n_validation: int | None = None
    whole: bool = False


@dataclass(frozen=True)
class ObjectiveTables:
    """The objective's part of a study file, checked as far as possible without loading the objective.

    Args:
        kind: "pytorch", "function", or the name of a plug-in.
        tables: by name, without ``epochs``.
        epochs: the length of the map's trainings.
        where: the study file, for messages.
        own: tables of a plug-in.
    """

    kind: str
    tables: Mapping[str, dict[str, Any]]
    epochs: int
    where: str
    own: tuple[str, ...] = ()

    @classmethod
    def read(cls, given: Mapping[str, Any], stages: Sequence[str], where: str) -> ObjectiveTables:
        """Take the objective's tables out of those of a study.

        Raises:
            StudyError: a table has no effect, or a key has the wrong type.
        """
        named = given.get("objective", {})
        kind = named.get("kind") if isinstance(named, Mapping) else None
        if kind is None:
            kind = "function" if isinstance(named, Mapping) and "function" in named else "pytorch"
        if not isinstance(kind, str):
            raise StudyError(f"{where}: [objective] kind must be a string, not {kind!r}")
        own = _own_tables(kind, stages, where)
        found = {
            key: tables.as_table(given[key], f"{where}: [{key}]") for key in (*OBJECTIVE_TABLES, *own) if key in given
        }
        epochs = tables.value(int, found.get("training", {}).pop("epochs", 1), f"{where}: [training] epochs")
        if epochs < 1:
            raise StudyError(f"{where}: [training] epochs must be a whole number, at least 1, not {epochs}")
        found = {key: table for key, table in found.items() if table or key not in ("objective", "training")}
        made = cls(kind, found, epochs, where, own)
        if kind == "function":
            made._check_function()
        elif kind == "pytorch":
            for key in found.get("objective", {}):
                if key == "function":
                    raise StudyError(f'{where}: [objective] is kind = "pytorch" or has a function, not both')
                if key != "kind":
                    keys = [field.name for field in dataclasses.fields(FunctionTable)]
                    tables.known({key: None}, [*keys, "kind"], f"{where}: [objective]")
                    raise StudyError(f"{where}: [objective] {key} is for a function, and none is given")
        return made

    @property
    def schedule(self) -> str:
        """The schedule of the map's trainings."""
        return str(self.tables.get("training", {}).get("schedule", "constant"))

    @property
    def is_evaluated_rarely(self) -> bool:
        """Whether evaluations skip epochs, so that no schedule can read them."""
        every = self.tables.get("training", {}).get("evaluate_every", 0)
        return type(every) is int and every > 1

    @property
    def imports(self) -> tuple[str, ...]:
        """Modules of the objective that take long to load.

        Empty if the study names the user's own code, which must be imported before workers start, since it may change
        the environment that they inherit.
        """
        own = any(isinstance(value, str) and ":" in value for table in self.tables.values() for value in table.values())
        return ("zonesearch.training.recipe",) if self.kind == "pytorch" and not own else ()

    @property
    def has_schedules(self) -> bool:
        """Whether trainings have schedules, so that stage polish tries some."""
        return self.kind == "pytorch" or "schedule" in self.tables.get("training", {})

    @property
    def counts(self) -> bool:
        """Whether a function's values are declared as fractions of a number of validation examples."""
        return "n_validation" in self.tables.get("objective", {})

    def check_axes(self, space: Space, *, effects: bool = True) -> None:
        """Check the axes as far as possible without loading the objective.

        Args:
            space: that is searched.
            effects: whether each setting and each axis must have an effect.

        Raises:
            StudyError: two axes are one setting, or no training reads one of them.
        """
        if self.kind != "pytorch":
            return
        seen: dict[str, str] = {}
        for name in space.names:
            table, dot, key = name.partition(".")
            short = key if dot and table in SHORT_NAMED else name
            short = "optimizer" if name == "optimizer.name" else short
            if short in seen:
                raise StudyError(
                    f'{self.where}: [space] "{seen[short]}" and "{name}" are two axes for one setting; leave one out'
                )
            seen[short] = name
        if not effects:
            return
        if "arms" in self.tables and "arm" not in space.names:
            raise StudyError(f'{self.where}: [arms] has no effect: there is no axis "arm" that picks one of them')
        self._check_arms(space)
        given = {name: table for name, table in self.tables.items() if name not in ("objective", "arms")}
        try:
            check_effects(given, space, self.tables.get("arms"))
        except StudyError as error:
            raise StudyError(f"{self.where}: {error}") from None

    def _check_arms(self, space: Space) -> None:
        """Refuse an arm that the axis ``arm`` never takes, unless every value that it takes has a table: then the axis
        was narrowed, and the other arms are idle, as where a constraint excludes them.

        The study of a single setting keeps the arms of its search: they belong to the identity of its trainings.
        """
        arms = self.tables.get("arms", {})
        if not arms or all(len(axis.row()) == 1 for axis in space.axes):
            return
        taken = [str(value) for axis in space.axes if axis.name == "arm" for value in axis.row()]
        for name in arms:
            if name not in taken and not set(taken) <= set(arms):
                raise StudyError(
                    f'{self.where}: [arms.{toml_key(name)}] has no effect: the axis "arm" never takes that value '
                    f"({did_you_mean(name, taken)}); add it there, or leave out the table"
                )

    def objective(self, seed: int, metric: Metric, measured: Mapping[str, Any] | None = None) -> Objective:
        """The objective itself.

        Args:
            seed: of the study.
            metric: of the study; ``measured`` is its table ``[metric]``.

        Raises:
            StudyError, ObjectiveError: naming the table and the key.
        """
        measured = measured or {}
        if self.kind == "function":
            return with_metric(self._function(), metric, named="name" in measured, directed="direction" in measured)[0]
        made: Any = load("objectives", self.kind, f"{self.where} [objective] kind")
        try:
            if hasattr(made, "from_tables"):
                given = {key: dict(table) for key, table in self.tables.items()}
                given.get("objective", {}).pop("kind", None)
                if not given.get("objective"):
                    given.pop("objective", None)
                if self.kind == "pytorch" and measured:
                    given["metric"] = dict(measured)
                made = made.from_tables(given, seed)
            else:
                made = self._built(made)
        except StudyError as error:
            raise StudyError(f"{self.where}: {error}") from None
        lacking = [
            name for name in _FACE if not (callable(getattr(made, name, None)) or (name == "jobs" and makes_jobs(made)))
        ]
        if lacking:
            raise ObjectiveError(f'{self.where}: the objective "{self.kind}" has no {", ".join(lacking)}')
        objective: Objective = made
        try:
            return with_metric(objective, metric, named="name" in measured, directed="direction" in measured)[0]
        except StudyError as error:
            raise StudyError(f"{self.where}: {error}") from None

    def _built(self, made: Any) -> Any:
        """An objective without ``from_tables``, built from its table or from ``[objective]``."""
        place = f"[{self.kind}]" if self.kind in self.tables else "[objective]"
        settings = {key: value for key, value in self.tables.get("objective", {}).items() if key != "kind"}
        for key in self.tables:
            if key not in ("objective", *self.own):
                raise StudyError(f'[{key}] has no effect: the objective "{self.kind}" does not read it')
        settings |= {key: value for name in self.own for key, value in self.tables.get(name, {}).items()}
        if not isinstance(made, type):
            if settings:
                raise StudyError(f'{place} {next(iter(settings))} has no effect: "{self.kind}" takes no settings')
            return made() if callable(made) and not makes_jobs(made) else made
        if dataclasses.is_dataclass(made):
            settings = tables.read(made, settings, place)
        else:
            tables.known(settings, _parameters(made), place)
        try:
            return made(**settings)
        except (TypeError, ValueError) as error:
            raise error if isinstance(error, StudyError) else StudyError(f"{place} {error}") from None

    def _check_function(self) -> None:
        table = {key: value for key, value in self.tables.get("objective", {}).items() if key != "kind"}
        if "function" not in table:
            raise StudyError(f'{self.where}: [objective] function must be "package.module:function", and is missing')
        tables.read(FunctionTable, table, f"{self.where}: [objective]", extra=("kind",))
        n = table.get("n_validation")
        if n is not None and n < 1:
            raise StudyError(f"{self.where}: [objective] n_validation must be at least 1, not {n}")
        useless = [f"[{name}]" for name in _RECIPE_TABLES if name in self.tables]
        useless += [f"[training] {key}" for key in self.tables.get("training", {})]
        if useless:
            said = " and ".join([", ".join(useless[:-1]), useless[-1]] if len(useless) > 1 else useless)
            raise StudyError(
                f"{self.where}: {said} {'have' if len(useless) > 1 else 'has'} no effect beside [objective] function, "
                f"which does its own training; leave {'them' if len(useless) > 1 else 'it'} out, or hand "
                f"over values as "
                f"[objective] arguments"
            )

    def _function(self) -> Objective:
        """The function that ``function = "package.module:name"`` names."""
        place = f"{self.where}: [objective]"
        table = {key: value for key, value in self.tables["objective"].items() if key != "kind"}
        settings = tables.read(FunctionTable, table, place)
        path = settings.pop("function")
        module, _, name = path.partition(":")
        if not name:
            raise StudyError(f'{place} function must be "package.module:function", not {path!r}')
        try:
            function: Any = importlib.import_module(module)
            for part in name.split("."):
                function = getattr(function, part)
        except (Exception, SystemExit) as error:  # a user's module may raise anything
            said = str(error) if isinstance(error, ImportError | AttributeError) else f"{type(error).__name__}: {error}"
            raise StudyError(f"{place} function = {path!r} cannot be imported: {said}") from error
        try:
            return of_function(function, **settings)
        except ObjectiveError as error:
            raise ObjectiveError(f"{place} {error}") from None


def of_function(function: Callable[..., Any], **settings: Any) -> Objective:
    """The objective whose trainings are calls of ``function``."""
    objective: Objective = load("objectives", "function", "the study")(function, **settings)
    return objective


def _own_tables(kind: str, stages: Sequence[str], where: str) -> tuple[str, ...]:
    """The tables that a plug-in's objective may have: those in its attribute ``tables``, or one of its own name."""
    if kind in ("pytorch", "function") or kind not in registered("objectives"):
        return ()
    named = getattr(load("objectives", kind, f"{where} [objective] kind"), "tables", None)
    own = tuple(named) if isinstance(named, tuple | list) else (kind,)
    return tuple(name for name in own if name not in stages)


def _parameters(made: Callable[..., Any]) -> list[str]:
    try:
        return list(inspect.signature(made).parameters)
    except (TypeError, ValueError):
        return []
