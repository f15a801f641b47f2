"""A study: the space, the stages and the network of one search, checked when it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from zonesearch.domain.budget import Budget
from zonesearch.domain.metric import ACCURACY, Metric
from zonesearch.domain.objective import Continuing, Objective
from zonesearch.domain.reading import BEST, Reading
from zonesearch.domain.seeds import Seeds
from zonesearch.domain.space import Space
from zonesearch.errors import ObjectiveError, SpaceError, StudyError, did_you_mean
from zonesearch.stages.rationing import check_budget
from zonesearch.stages.stage import Stage
from zonesearch.study.building import build_stage, describe_stage
from zonesearch.study.plugins import load, registered

__all__ = ["DEFAULT_STAGES", "Study"]

DEFAULT_STAGES = ("grid", "interval", "polish")

_SEARCH_KEYS = ("stages", "seeds", "reading", "level", "budget")
_TECHNIQUE_TABLES = ("averaging", "evolution", "gradient_noise", "noise_scale", "early_stopping")
_OBJECTIVE_TABLES = (
    "objective",
    "data",
    "augmentation",
    "network",
    "optimizer",
    "training",
    *_TECHNIQUE_TABLES,
    "arms",
)
_TABLES = ("space", "search", "run", "metric", *_OBJECTIVE_TABLES)
_RUN_KEYS = ("workers", "engine", "threads")


@dataclass(frozen=True)
class Study:
    """What is searched, how, and on which network.

    Args:
        name: of the study; its run folder is ``runs/<name>`` unless another is named.
        space: the axes.
        stages: in order.
        make_objective: gives the objective when it is needed (loading torch takes a second that ``status`` should not
            wait for); None when only the outcome is looked at.
        epochs: the length of the map's trainings; ``seeds`` how many each cell gets, more where a zone may be by
            default; ``reading`` of the curves.
        seed: of the whole study: the split of the data, and with a seed index all else that is random.
        run: how it runs and no part of what comes out: ``workers``, ``engine``, ``threads``.
        text: the study file as it was read; empty without one.
        budget: what all stages together may spend (see :mod:`zonesearch.stages.rationing`); None for what they want.
        metric: what is searched.

    Raises:
        StudyError: the budget is too small for one of the stages.
    """

    name: str
    space: Space
    stages: tuple[Stage, ...]
    make_objective: Callable[[], Objective] | None = field(default=None, compare=False)
    epochs: int = 1
    seeds: Seeds = Seeds()
    reading: Reading = BEST
    seed: int = 0
    run: Mapping[str, Any] = field(default_factory=dict, compare=False)
    text: str = field(default="", compare=False)
    budget: Budget | None = None
    metric: Metric = ACCURACY

    def __post_init__(self) -> None:
        if self.budget is not None:
            check_budget(self.stages, self.budget)

    @classmethod
    def from_tables(cls, tables: Mapping[str, Any], *, name: str = "study", text: str = "", where: str = "") -> Study:
        """Build a study from the tables of a study file.

        Raises:
            StudyError, SpaceError: naming the file (``where``), the key and the mend.
        """
        where = where or "the study"
        tables = dict(tables)
        name = tables.pop("name", name)
        seed = tables.pop("seed", 0)
        if not isinstance(name, str) or not name.strip() or "/" in name:
            raise StudyError(f"{where}: name must be a text without slashes, not {name!r}")
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise StudyError(f"{where}: seed must be a whole number, 0 or more, not {seed!r}")
        search = _table(tables, "search", where)
        training = _table(tables, "training", where)
        run = _table(tables, "run", where)
        _known(search, _SEARCH_KEYS, "search", where)
        _known(run, _RUN_KEYS, "run", where)
        epochs = _count(training.pop("epochs", 1), "[training] epochs", where)
        try:
            seeds = Seeds.parse(search.get("seeds", Seeds()))
        except StudyError as error:
            raise StudyError(f"{where}: [search] {error}") from None
        if "workers" in run:
            _count(run["workers"], "[run] workers", where)
        try:
            reading = Reading.parse(str(search.get("reading", "best")))
        except ValueError as error:
            raise StudyError(f"{where}: [search] reading: {error}") from None
        try:
            budget = Budget.parse(search["budget"]) if "budget" in search else None
        except StudyError as error:
            raise StudyError(f"{where}: [search] {error}") from None
        try:
            metric = Metric.parse(_table(tables, "metric", where))
        except StudyError as error:
            raise StudyError(f"{where}: {error}") from None
        if "space" not in tables:
            raise StudyError(f"{where}: there is no [space]; give at least one axis, as [space.width]")
        try:
            space = Space.parse(tables["space"])
        except SpaceError as error:
            raise SpaceError(f"{where}: [space] {error}") from None
        names = search.get("stages", list(DEFAULT_STAGES))
        if not isinstance(names, list | tuple) or not all(isinstance(stage, str) for stage in names) or not names:
            raise StudyError(f"{where}: [search] stages must be a list of names, not {names!r}")
        for key in tables:
            if key not in _TABLES and key not in names and key in registered("stages"):
                raise StudyError(f'{where}: [{key}] has settings, but [search] stages does not name the stage "{key}"')
            if key not in _TABLES and key not in names:
                known = [*_TABLES, "name", "seed", *registered("stages")]
                raise StudyError(f'{where}: unknown key "{key}"; {did_you_mean(key, known)}')
        objective = {key: dict(_table(tables, key, where)) for key in _OBJECTIVE_TABLES if key in tables}
        objective["training"] = dict(training)
        common = {
            "space": space,
            "epochs": epochs,
            "seeds": seeds,
            "reading": reading,
            "study_seed": seed,
            "own_schedule": training.get("schedule", "constant"),
        }
        common |= {"level": search["level"]} if "level" in search else {}
        if "schedule" in space.names or _kind(objective) == "function":
            common["schedules"] = ()
        stages = tuple(build_stage(stage, _table(tables, stage, where), common, where) for stage in names)
        if budget is not None:
            try:
                check_budget(stages, budget)
            except StudyError as error:
                raise StudyError(f"{where}: {error}") from None
        return cls(
            name=name,
            space=space,
            stages=stages,
            make_objective=lambda: _objective(objective, seed, where, metric),
            epochs=epochs,
            seeds=seeds,
            reading=reading,
            seed=seed,
            run=run,
            text=text,
            budget=budget,
            metric=metric,
        )

    @classmethod
    def of(
        cls,
        space: Space | Mapping[str, Any],
        objective: Objective | Callable[..., Any],
        *,
        name: str = "search",
        stages: Sequence[Stage | str] = DEFAULT_STAGES,
        epochs: int = 1,
        seeds: Seeds | int | Mapping[str, int] = Seeds(),  # noqa: B008 (frozen)
        reading: str | Reading = BEST,
        seed: int = 0,
        budget: Mapping[str, float] | Budget | None = None,
        metric: Metric | str | Mapping[str, Any] | None = None,
        direction: str | None = None,
        **settings: Mapping[str, Any],
    ) -> Study:
        """A study made in Python.

        Args:
            space: a space, or its axes as plain data.
            objective: an objective, or a function ``f(params, seed, epochs)``.
            name, epochs, seeds, reading, seed: as in the class.
            stages: stages, or their names.
            budget: what all stages together may spend, as ``{"trainings": 200}``; or epochs, or a time in seconds,
                minutes or hours.
            metric: what is searched: its name, a table with name, direction and unit, or a :class:`Metric`; by
                default what the objective says of itself, else accuracy.
            direction: "maximize" or "minimize"; by default that of a known metric.
            settings: a table of settings for each stage given by name: ``polish={"keep": 3}``.
        """
        if not isinstance(space, Space):
            space = Space.parse(space)
        reading = reading if isinstance(reading, Reading) else Reading.parse(reading)
        seeds = Seeds.parse(seeds)
        for key in settings:
            if key not in stages:
                known = [stage for stage in stages if isinstance(stage, str)]
                raise StudyError(f'there is no setting and no stage "{key}"; {did_you_mean(key, known)}')
        named = Metric.parse("accuracy" if metric is None else metric, direction)
        made: Objective
        if hasattr(objective, "bundles"):
            made = objective  # type: ignore[assignment]
            own_metric = getattr(made, "metric", ACCURACY)
            if (metric is not None or direction is not None) and own_metric != named:
                raise StudyError(
                    f"metric= names {named.name} ({named.direction}), but the objective gives {own_metric.name} "
                    f"({own_metric.direction}): name the metric where the objective is made"
                )
            named = own_metric
        else:
            made = _function(objective, metric=named)
        common: dict[str, Any] = {"space": space, "epochs": epochs, "seeds": seeds, "reading": reading}
        common["study_seed"] = seed
        own = getattr(getattr(made, "training", None), "schedule", None)
        common |= {"schedules": ()} if own is None or "schedule" in space.names else {"own_schedule": own}
        built = tuple(
            build_stage(stage, settings.get(stage, {}), common, "the study") if isinstance(stage, str) else stage
            for stage in stages
        )
        allowed = None if budget is None else Budget.parse(budget)
        return cls(name, space, built, lambda: made, epochs, seeds, reading, seed, budget=allowed, metric=named)

    def objective(self) -> Objective:
        """The objective.

        Raises:
            ObjectiveError: when the study was made to look at an outcome only, or the objective cannot be made.
        """
        if self.make_objective is None:
            raise ObjectiveError(f"study {self.name} knows no objective; it can be looked at but not trained")
        objective = self.make_objective()
        if any(getattr(stage, "rungs", ()) for stage in self.stages) and isinstance(objective, Continuing):
            return objective.continuing(list(self.space.grid()))
        return objective

    def settings(self) -> dict[str, Any]:
        """Space and stages as plain data: what the run looks for. :meth:`from_settings` reads it back."""
        return {
            "space": self.space.describe(),
            "stages": [describe_stage(stage) for stage in self.stages],
            "epochs": self.epochs,
            "seeds": self.seeds.describe(),
            "reading": str(self.reading),
            **({"budget": self.budget.describe()} if self.budget is not None else {}),
            **({"metric": self.metric.describe()} if self.metric != ACCURACY else {}),
        }

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], *, name: str, seed: int = 0, text: str = "") -> Study:
        """The study of a run folder, to look at what came out; it has no objective.

        Raises:
            StudyError: when one of its stages is not registered here.
        """
        space = Space.parse(settings["space"])
        stages = tuple(
            build_stage(table["name"], {k: v for k, v in table.items() if k != "name"}, {"space": space}, f"run {name}")
            for table in settings["stages"]
        )
        reading = Reading.parse(settings["reading"])
        budget = Budget.parse(settings["budget"]) if "budget" in settings else None
        epochs, seeds = settings["epochs"], Seeds.parse(settings["seeds"])
        metric = Metric.parse(settings.get("metric", "accuracy"))
        return cls(name, space, stages, None, epochs, seeds, reading, seed, text=text, budget=budget, metric=metric)

    def renamed(self, name: str) -> Study:
        """The same study under another name."""
        return replace(self, name=name)


def _kind(tables: Mapping[str, Mapping[str, Any]]) -> str:
    table = tables.get("objective", {})
    return str(table.get("kind", "function" if "function" in table else "pytorch"))


def _objective(tables: Mapping[str, Mapping[str, Any]], seed: int, where: str, metric: Metric) -> Objective:
    kind = _kind(tables)
    if kind == "function":
        return _imported(tables["objective"], where, metric)
    objective = load("objectives", kind, f"{where} [objective] kind")
    settings = {k: dict(v) for k, v in tables.items()}
    settings.get("objective", {}).pop("kind", None)
    try:
        made: Objective = objective.from_tables({k: v for k, v in settings.items() if v}, seed)
    except StudyError as error:
        raise StudyError(f"{where}: {error}") from None
    return made


def _function(function: Callable[..., Any], **settings: Any) -> Objective:
    objective: Objective = load("objectives", "function", "the study")(function, **settings)
    return objective


def _imported(table: Mapping[str, Any], where: str, metric: Metric) -> Objective:
    """The function that ``function = "package.module:name"`` names."""
    import importlib

    _known(table, ("kind", "function", "n_validation"), "objective", where)
    path = table.get("function")
    module, _, name = str(path).partition(":")
    if not name:
        raise StudyError(f'{where}: [objective] function must be "package.module:function", not {path!r}')
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise StudyError(f"{where}: [objective] function = {path!r} cannot be imported: {error}") from error
    return _function(function, n_validation=table.get("n_validation"), metric=metric)


def _table(tables: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
    table = tables.get(key, {})
    if not isinstance(table, Mapping):
        raise StudyError(f"{where}: [{key}] must be a table, not {table!r}")
    return dict(table)


def _known(table: Mapping[str, Any], keys: Sequence[str], name: str, where: str) -> None:
    for key in table:
        if key not in keys:
            raise StudyError(f'{where}: [{name}] has no key "{key}"; {did_you_mean(key, keys)}')


def _count(value: Any, what: str, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise StudyError(f"{where}: {what} must be a whole number, at least 1, not {value!r}")
    return value
