"""A study: the space, the stages and the network of one search, checked on creation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from zonesearch.core.coarse import CELLS_MOST, example_cells
from zonesearch.core.metric import ACCURACY, Metric
from zonesearch.core.objective import Continuing, LooksAtLength, Objective, Trying, makes_jobs
from zonesearch.core.plugins import registered
from zonesearch.core.reading import BEST, Reading
from zonesearch.core.seeds import Seeds
from zonesearch.core.space import Space, read_constraints
from zonesearch.core.tables import as_table
from zonesearch.core.values import is_text
from zonesearch.core.widening import widest
from zonesearch.errors import ObjectiveError, SpaceError, StudyError, did_you_mean
from zonesearch.search.allocation import check_budget
from zonesearch.search.budget import Budget
from zonesearch.search.controller.context import known_optimizer
from zonesearch.search.heeding import check_heeded
from zonesearch.search.stage import Stage
from zonesearch.search.stages.polish import SCHEDULES, SCHEDULES_BLIND, differing
from zonesearch.study.auto import AUTO, Chosen, auto_stages, is_auto
from zonesearch.study.building import as_it_was, build_stage, describe_stage, spending, with_places
from zonesearch.study.effects import check_axes_of
from zonesearch.study.measuring import metric_of_tables, with_metric
from zonesearch.study.narrowed import without_idle_arms
from zonesearch.study.objectives import OBJECTIVE_TABLES, ObjectiveTables, of_function
from zonesearch.study.search import DEFAULT_STAGES, Constraints, Run, Search, read_table
from zonesearch.study.stage_effects import check_order, check_stage_keys

__all__ = ["DEFAULT_STAGES", "Study"]

_TABLES = ("space", "constraints", "search", "run", "metric", *OBJECTIVE_TABLES)
_SEARCH_KEYS = tuple(part.name for part in fields(Search))
_RUN_KEYS = tuple(part.name for part in fields(Run))

_LONGEST = 10**12  # epochs


@dataclass(frozen=True)
class Study:
    """A search: its space, its stages, and its network.

    Args:
        name: of the study; its default run folder is ``runs/<name>``.
        space: the axes.
        stages: in order.
        make_objective: creates the objective when it is needed (loading torch takes a second, which ``status`` should
            not wait for); None if only results are read.
        epochs: the length of the map's trainings; ``seeds``: the number per cell, by default more where a zone may be;
            ``reading``: of the curves.
        seed: of the whole study: determines the split of the data and, together with a seed index, all other
            randomness.
        run: how it runs, without effect on results: ``workers``, ``engine``, ``threads``, ``timeout``.
        text: the study file as read; empty without one.
        budget: of all stages together (see :mod:`zonesearch.search.allocation`); None for no limit.
        metric: that is optimized.
        imports: modules of the objective that take long to load, which workers load first.
        given: for each stage the keys that were set for it; where others choose a rule, an existing run continues with
            the one that it was started with.
        with_stages: for ``stages = "auto"``, returns the same study with stages of the given names, for a run that was
            started with them; None if stages were named.

    Raises:
        StudyError: the budget is too small for one of the stages, or no stage supports a feature of the space.
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
    with_stages: Callable[[Sequence[str]], Study] | None = field(default=None, compare=False)
    imports: tuple[str, ...] = field(default=(), compare=False)
    given: Mapping[str, frozenset[str]] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        if not is_text(self.name):
            raise StudyError(f"the name of a study must be one that can be written, not {self.name!a}")
        if self.name != "".join(self.name.splitlines()):
            raise StudyError(f"the name of a study must be a single line, not {self.name!r}")
        if self.metric.name in self.space.names:
            raise StudyError(f'the metric and an axis are both called "{self.metric.name}": name the metric otherwise')
        check_heeded(self.space, self.stages, limits=self.with_stages is None)
        check_budget(self.stages, self.budget)

    @classmethod
    def from_tables(
        cls,
        tables: Mapping[str, Any],
        *,
        name: str = "study",
        text: str = "",
        where: str = "",
        folder: Path | None = None,
        recorded: bool = False,
    ) -> Study:
        """Build a study from the tables of a study file. Runs that it names are relative to ``folder``, by default the
        working directory. With ``recorded``, it is the study of an existing run that is only read, and settings or axes
        without effect are not refused.

        Raises:
            StudyError, SpaceError: naming the file (``where``), the key and the fix.
        """
        where = where or "the study"
        given = tables = dict(tables)
        searched = as_table(tables.get("search", {}), f"{where}: [search]")
        named = searched.get("stages", AUTO)
        auto = is_auto(named)
        open_ = auto or isinstance(named, Chosen)
        if auto:
            searched.pop("stages", None)

        def with_stages(names: Sequence[str]) -> Study:
            tables = {**given, "search": {**searched, "stages": Chosen(names)}}
            name_ = str(tables.get("name", name))
            return cls.from_tables(tables, name=name_, text=text, where=where, folder=folder, recorded=recorded)

        tables = {**tables, "search": searched}
        name = tables.pop("name", name)
        seed = tables.pop("seed", 0)
        if not isinstance(name, str) or not name.strip(". ") or "/" in name:
            raise StudyError(f"{where}: name must be a string without slashes that names a folder, not {name!r}")
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise StudyError(f"{where}: seed must be a whole number, 0 or more, not {seed!r}")
        search = read_table(Search, searched, f"{where}: [search]")
        run = read_table(Run, tables.get("run", {}), f"{where}: [run]")
        try:
            measured = as_table(tables.get("metric", {}), "[metric]")
            Metric.parse(measured)
        except StudyError as error:
            raise StudyError(f"{where}: {error}") from None
        if "space" not in tables:
            raise StudyError(f"{where}: there is no [space]; give at least one axis, as [space.width]")
        try:
            space = Space.parse(without_idle_arms(tables["space"], tables.get("arms")))
        except SpaceError as error:
            raise SpaceError(f"{where}: [space] {error}") from None
        try:
            limits = read_table(Constraints, tables.get("constraints", {}), f"{where}: [constraints]")
            space = replace(space, constraints=read_constraints(limits.expressions))
        except SpaceError as error:
            raise SpaceError(f"{where}: [constraints] {error}") from None
        described = ObjectiveTables.read(tables, search.stages, where)
        if auto:
            settings = set(tables) - set(described.own)
            names = auto_stages(space, search.seeds, described.epochs, search.budget, settings)
            search = replace(search, stages=names)
        for key in tables:
            if key in _TABLES or key in search.stages or key in described.own:
                continue
            if key in registered("stages"):
                raise StudyError(f'{where}: [{key}] has settings, but [search] stages does not name the stage "{key}"')
            known = [*_TABLES, "name", "seed", *described.own, *registered("stages")]
            raise StudyError(f'{where}: unknown key "{key}"; {did_you_mean(key, known)}')
        described.check_axes(space, effects=not recorded)
        try:
            metric = metric_of_tables(described.kind, described.tables, measured)
        except StudyError as error:
            raise StudyError(f"{where}: {error}") from None
        if described.counts and "name" in measured and not metric.is_share:
            raise StudyError(
                f"{where}: [objective] n_validation has no effect: {metric.name} is no share of validation examples"
            )
        common = {
            "space": space,
            "epochs": described.epochs,
            "seeds": search.seeds,
            "reading": search.reading,
            "study_seed": seed,
            "own_schedule": described.schedule,
        }
        common |= {} if search.level is None else {"level": search.level}
        if described.kind == "pytorch":
            common |= _optimizer(space, as_table(described.tables.get("optimizer", {}), where).get("name", "adam"))
        if "schedule" in space.names or not described.has_schedules:
            common["schedules"] = ()
        else:
            lengths = [
                tables[stage].get("epochs", 1) for stage in search.stages if isinstance(tables.get(stage), Mapping)
            ]
            longest = max(described.epochs, *(n for n in (1, *lengths) if isinstance(n, int)))
            blind = described.is_evaluated_rarely
            common["schedules"] = differing(SCHEDULES_BLIND if blind else SCHEDULES, longest)
        stages = tuple(
            spending(with_places(build_stage(stage, table, common, where), folder), table, search.budget)
            for stage in search.stages
            for table in [as_table(tables.get(stage, {}), f"{where}: [{stage}]")]
        )
        if search.level is not None and not any(hasattr(stage, "level") for stage in stages):
            raise StudyError(f"{where}: [search] level has no effect: none of the stages has a level")
        try:
            check_order(stages)
            check_heeded(space, stages, limits=not open_)
            given_keys = [(stage, tables.get(key, {})) for stage, key in zip(stages, search.stages, strict=True)]
            check_stage_keys(given_keys, space, described.schedule if described.has_schedules else None)
            check_budget(stages, search.budget)
        except StudyError as error:
            raise StudyError(f"{where}: {error}") from None
        return cls(
            name=name,
            space=space,
            stages=stages,
            make_objective=lambda: described.objective(seed, metric, measured),
            imports=described.imports,
            given={key: frozenset(tables[key]) for key in search.stages if isinstance(tables.get(key), Mapping)},
            epochs=described.epochs,
            seeds=search.seeds,
            reading=search.reading,
            seed=seed,
            run={key: value for key, value in vars(run).items() if key in tables.get("run", {})},
            text=text,
            budget=search.budget,
            metric=metric,
            with_stages=with_stages if open_ else None,
        )

    @classmethod
    def of(
        cls,
        space: Space | Mapping[str, Any],
        objective: Objective | Callable[..., Any],
        *,
        name: str = "search",
        stages: Sequence[Stage | str] | str = AUTO,
        epochs: int = 1,
        seeds: Seeds | int | Mapping[str, int] = Seeds(),  # noqa: B008 (frozen)
        reading: str | Reading = BEST,
        seed: int = 0,
        budget: Mapping[str, float] | Budget | None = None,
        metric: Metric | str | Mapping[str, Any] | None = None,
        direction: str | None = None,
        constraints: Sequence[str] = (),
        **settings: Mapping[str, Any],
    ) -> Study:
        """Create a study in Python.

        Args:
            space: a space, or its axes as plain data.
            objective: an objective, or a function ``f(params, seed, epochs)``.
            name, epochs, seeds, reading, seed: as in the class.
            stages: stages, or their names; "auto" selects them by the space and the budget.
            budget: of all stages together: ``{"trainings": 200}``, or epochs, or a time in seconds, minutes or hours.
            metric: the metric to optimize: its name, a table with name, direction and unit, or a :class:`Metric`; by
                default the objective's own, or else accuracy.
            direction: "maximize" or "minimize"; by default that of a known metric.
            constraints: expressions that hold at every point, such as ``"width * depth <= 4096"``.
            settings: a table of settings for each stage given by name: ``polish={"keep": 3}``.
        """
        if not isinstance(space, Space):
            space = Space.parse(space)
        space = replace(space, constraints=(*space.constraints, *read_constraints(constraints)))
        reading = reading if isinstance(reading, Reading) else Reading.parse(reading)
        seeds = Seeds.parse(seeds)
        allowed = None if budget is None else Budget.parse(budget)
        auto = is_auto(stages)
        open_ = auto or isinstance(stages, Chosen)

        def with_stages(names: Sequence[str]) -> Study:
            more: Any = {"name": name, "epochs": epochs, "seeds": seeds, "reading": reading, "seed": seed}
            more |= {"budget": budget, "metric": metric, "direction": direction, **settings}
            return cls.of(space, objective, stages=Chosen(names), **more)

        if auto:
            stages = auto_stages(space, seeds, epochs, allowed, settings)
        elif isinstance(stages, str) or not stages:
            raise StudyError(f'stages must be a list of names or "{AUTO}", not {stages!r}')
        for key in settings:
            if key not in stages:
                known = [stage for stage in stages if isinstance(stage, str)]
                raise StudyError(f'unknown setting or stage "{key}"; {did_you_mean(key, known)}')
        named = Metric.parse("accuracy" if metric is None else metric, direction)
        made: Objective
        made = objective if makes_jobs(objective) else of_function(objective)  # type: ignore[assignment,arg-type]
        check_axes_of(made, space)
        made, named = with_metric(made, named, named=metric is not None, directed=direction is not None)
        common: dict[str, Any] = {"space": space, "epochs": epochs, "seeds": seeds, "reading": reading}
        common["study_seed"] = seed
        common |= _optimizer(space, getattr(getattr(made, "optimizer", None), "name", ""))
        own = getattr(getattr(made, "training", None), "schedule", None)
        common |= {"schedules": ()} if own is None or "schedule" in space.names else {"own_schedule": own}
        if own is not None and common.get("schedules") is None:
            lengths = [n for table in settings.values() if isinstance(n := table.get("epochs", 1), int)]
            blind = made.training.evaluate_every > 1  # type: ignore[attr-defined]
            common["schedules"] = differing(SCHEDULES_BLIND if blind else SCHEDULES, max(epochs, 1, *lengths))
        built = tuple(
            with_places(
                spending(
                    build_stage(stage, settings.get(stage, {}), common, "the study"), settings.get(stage, {}), allowed
                )
                if isinstance(stage, str)
                else stage
            )
            for stage in stages
        )
        check_order(built)
        keys = [settings.get(stage, {}) if isinstance(stage, str) else {} for stage in stages]
        check_stage_keys(list(zip(built, keys, strict=True)), space, own)
        return cls(
            name,
            space,
            built,
            lambda: made,
            epochs,
            seeds,
            reading,
            seed,
            budget=allowed,
            metric=named,
            with_stages=with_stages if open_ else None,
            given={stage: frozenset(table) for stage, table in settings.items()},
        )

    def objective(self) -> Objective:
        """The objective.

        Raises:
            ObjectiveError: the study was made only for reading results, or the objective cannot be created.
        """
        if self.make_objective is None:
            raise ObjectiveError(f"study {self.name} has no objective; it can be read but not trained")
        objective = self.make_objective()
        if isinstance(objective, Trying):
            named: list[dict[str, Any]] = [
                {axis.name: value} for axis in self.space.axes for value in axis.row() if isinstance(value, str)
            ]
            named += [{"schedule": name} for stage in self.stages for name in getattr(stage, "schedules", None) or ()]
            objective = objective.trying(named) if named else objective
        if not any(getattr(stage, "rungs", ()) for stage in self.stages):
            return objective
        if isinstance(objective, Continuing):
            return objective.continuing(list(example_cells(self._widest, CELLS_MOST)))
        if isinstance(objective, LooksAtLength) and any(
            map(objective.looks_at_length, example_cells(self._widest, CELLS_MOST))
        ):
            raise ObjectiveError(
                "rungs need trainings that begin the same way at any length, but the objective says that it "
                "looks at the "
                "length; leave out rungs"
            )
        return objective

    @property
    def _widest(self) -> Space:
        """The space, widened as far as a grid may ever go."""
        return widest(self.space, max(int(getattr(stage, "widen", 0)) for stage in self.stages))

    def settings(self) -> dict[str, Any]:
        """Space and stages as plain data, which :meth:`from_settings` reads back."""
        return {
            "space": self.space.describe(),
            "stages": [describe_stage(stage) for stage in self.stages],
            "epochs": self.epochs,
            "seeds": self.seeds.describe(),
            "reading": str(self.reading),
            **({"constraints": list(self.space.expressions)} if self.space.constraints else {}),
            **({"budget": self.budget.describe()} if self.budget is not None else {}),
            **({"metric": self.metric.describe()} if self.metric != ACCURACY else {}),
        }

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], *, name: str, seed: int = 0, text: str = "") -> Study:
        """The study of a run folder, for reading its results; it has no objective.

        Raises:
            StudyError: one of its stages is not registered here.
        """
        space = Space.parse(settings["space"], settings.get("constraints", ()))
        for table in settings["stages"]:
            if not isinstance(table["name"], str):
                raise StudyError(f"run {name}: the name of a stage must be a string, not {table['name']!r}")
        tables = [as_it_was(table) for table in settings["stages"]]
        stages = tuple(
            build_stage(table["name"], {k: v for k, v in table.items() if k != "name"}, {"space": space}, f"run {name}")
            for table in tables
        )
        reading = Reading.parse(settings["reading"])
        budget = Budget.parse(settings["budget"]) if "budget" in settings else None
        epochs, seeds = settings["epochs"], Seeds.parse(settings["seeds"])
        for each in (epochs, *(getattr(stage, "epochs", 1) for stage in stages)):
            if not isinstance(each, int) or isinstance(each, bool) or not 1 <= each <= _LONGEST:
                raise StudyError(f"run {name}: epochs must be a whole number, at least 1, not {each!r}")
        metric = Metric.parse(settings.get("metric", "accuracy"))
        return cls(name, space, stages, None, epochs, seeds, reading, seed, text=text, budget=budget, metric=metric)


def _optimizer(space: Space, name: Any) -> dict[str, str]:
    """The optimizer of all trainings, for stages that use it; empty if it is searched or unknown."""
    searched = {"optimizer", "optimizer.name", "arm"} & set(space.names)
    return {} if searched or not known_optimizer(name) else {"optimizer": name}
