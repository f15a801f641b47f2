"""What the run in a folder was begun with, and how a study continues it: its stages, budgets, rules and defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from zonesearch.core.metric import Metric
from zonesearch.core.objective import Objective
from zonesearch.core.trials import Trials
from zonesearch.errors import MergeError, StoreError, StudyError, ZoneSearchError
from zonesearch.run.pipeline import next_round
from zonesearch.run.storage.first_identity import FORMAT as IDENTITY_FORMAT
from zonesearch.run.storage.identity import differences
from zonesearch.run.storage.kept import Kept
from zonesearch.run.storage.run_folder import RunFolder
from zonesearch.run.storage.storage import is_address
from zonesearch.run.storage.store import Store
from zonesearch.search.budget import Budget
from zonesearch.study.auto import BEGUN, MAPPED
from zonesearch.study.building import as_begun_with, as_it_was
from zonesearch.study.study import Study
from zonesearch.training.function import FunctionObjective

__all__ = ["as_begun", "as_grown", "as_recorded", "as_ruled", "identity_of", "open_run", "refuse_beyond"]


def identity_of(study: Study, objective: Objective) -> dict[str, Any]:
    """Everything that affects the result of a training, apart from its params and seed."""
    return {"format": IDENTITY_FORMAT, "objective": dict(objective.fingerprint()), "seed": study.seed}


def _older_identities(study: Study, objective: Objective) -> list[dict[str, Any]]:
    """The same as described by older versions, if the objective knows."""
    older = getattr(objective, "older_fingerprints", list)
    return [{"objective": dict(described), "seed": study.seed} for described in older()]


def as_begun(study: Study, into: str | Path) -> Study:
    """The study with the stages that the run in ``into`` was started with, if the study itself names none.

    The stages that "auto" selects depend on the space, the budget and the version; an existing run continues with its
    own.
    """
    if study.with_stages is None:
        return study
    try:
        kept = RunFolder.open(into).settings
    except (StoreError, MergeError):  # none there, or one that opening it to write says more about
        return study
    names = tuple(str(table.get("name", "")) for table in kept.get("stages", ())) or MAPPED
    if names not in BEGUN or names == tuple(stage.name for stage in study.stages):
        return study
    return replace(study, stages=study.with_stages(names).stages)


def as_grown(study: Study, into: str | Path) -> Study:
    """The study with a budget that knows under which smaller ones the run in ``into`` was trained.

    Raises:
        StudyError: they were in another unit, and what they paid for cannot be told in the new one: the search would be
            planned anew, and what it found before would be lost.
    """
    if study.budget is None:
        return study
    try:
        kept = (Kept if is_address(into) else RunFolder).open(into).settings  # type: ignore[arg-type]
        former = Budget.parse(kept["budget"])
    except (ZoneSearchError, KeyError):  # none there, or one that opening it to write says more about
        return study
    budget = study.budget.continuing(_in_unit_of(study, former))
    given = {stage.name: study.given.get(stage.name, frozenset()) for stage in study.stages}
    stages = tuple(as_begun_with(stage, study.budget, budget, given[stage.name]) for stage in study.stages)
    return replace(study, budget=budget, stages=stages)


def _in_unit_of(study: Study, former: Budget) -> Budget:
    """The former budget of a run in the unit of the study's budget."""
    assert study.budget is not None
    if former.unit == study.budget.unit:
        return former
    lengths = {getattr(stage, "epochs", 1) for stage in study.stages}
    rungs = any(getattr(stage, "rungs", ()) for stage in study.stages)
    found = None
    if len(lengths) == 1 and not rungs:
        found = former.in_unit(study.budget.unit, lengths.pop())
    if found is None:
        raise StudyError(
            f"[search] budget of {study.budget}: the run was begun with {former}, and would be planned anew with a "
            f"budget in {study.budget.unit}; continue it with a budget in {former.unit}, or in another folder"
        )
    return found


def as_ruled(study: Study, into: str | Path) -> Study:
    """The study whose stages choose by the rules that the run in ``into`` was started with, if the study itself names
    none: by another rule, a run that is complete would want trainings again.
    """
    try:
        tables = (Kept if is_address(into) else RunFolder).open(into).settings.get("stages", ())  # type: ignore[arg-type]
    except ZoneSearchError:  # none there, or one that opening it to write says more about
        return study
    kept = {table.get("name"): as_it_was(table) for table in tables if isinstance(table, Mapping)}
    stages = []
    for stage in study.stages:
        table, given = kept.get(stage.name, {}), study.given.get(stage.name, frozenset())
        rules: dict[str, Any] = {
            key: table[key] for key in getattr(stage, "formers", {}) if key in table and key not in given
        }
        before = table.get("schedules", ()) if table.get("epochs") == getattr(stage, "epochs", None) else ()
        if "schedules" not in given and hasattr(stage, "schedules") and set(before) > set(stage.schedules):
            rules["schedules"] = tuple(before)
        stages.append(replace(stage, **rules) if rules else stage)  # type: ignore[type-var]
    return replace(study, stages=tuple(stages))


def as_recorded(study: Study, objective: Objective, into: str | Path) -> tuple[Objective, str]:
    """The objective with the defaults that the run in ``into`` was started with, and a sentence if those differ.

    A changed default makes another experiment of a study that does not set the value; an existing run continues with
    the old one.
    """
    formers, unnamed = getattr(objective, "formers", None), getattr(objective, "unnamed", None)
    silent = isinstance(objective, FunctionObjective) and not objective.named
    if formers is None and unnamed is None and not silent:
        return objective, ""
    try:
        run = (Kept if is_address(into) else RunFolder).open(into)  # type: ignore[arg-type]
        kept, now = run.identity, identity_of(study, objective)
        if not differences(kept, now):
            return objective, ""
        if unnamed is not None and not differences(kept, identity_of(study, unnamed)):
            store = run if isinstance(run, Kept) else Store(run, writer=None)
            searched = store.load().trials.metric  # what the first key of the function's dict has named so far
            is_named = (searched.name, searched.direction) == (study.metric.name, study.metric.direction)
            return (unnamed if is_named else objective), ""
        named = dict(kept.get("objective", {})).get("metric")
        if isinstance(objective, FunctionObjective) and silent and named is not None:
            metric = Metric.parse(named)
            metric = replace(metric, direction=objective.metric.direction) if objective.directed else metric
            measured = replace(objective, metric=metric, named=True, directed=True)
            if differences(kept, identity_of(study, measured)):
                objective = measured if objective.directed else objective  # refused by the direction that it gives
            else:
                return measured, (
                    f"This run was begun with the metric {metric.name} ({metric.direction}), and keeps it: the study "
                    "does not name one now."
                )
    except ZoneSearchError:  # none there, or one that opening it to write says more about
        return objective, ""
    for former in () if formers is None else formers():
        then = identity_of(study, former)
        if not differences(kept, then):
            return former, (
                f"This run was started with other values for settings that its study does not give, and keeps them "
                f"({'; '.join(differences(then, now))} is what a new run takes)."
            )
    return objective, ""


def open_run(
    study: Study, objective: Objective, into: str | Path, *, fresh: bool = False, at_once: bool = True
) -> RunFolder | Kept:
    """The run folder of ``study``, or its run in a storage; arguments and errors as for
    :meth:`RunFolder.create_or_open`.
    """
    identity, older, text = identity_of(study, objective), _older_identities(study, objective), study.text or None
    settings = study.settings()
    if is_address(into):
        return Kept.create_or_open(
            str(into), identity, name=study.name, settings=settings, study_text=text, fresh=fresh, older=older
        )
    return RunFolder.create_or_open(
        into,
        identity,
        name=study.name,
        settings=settings,
        study_text=text,
        fresh=fresh,
        older=older,
        at_once=at_once,
    )


def refuse_beyond(study: Study, trials: Trials, folder: RunFolder | Kept) -> None:
    """Refuse to continue a run with other settings under a budget that is spent, before anything is written.

    Raises:
        StudyError: the study wants trainings that its budget does not pay for; names the fix.
    """
    if study.budget is None or not folder.pending:
        return
    if next_round(study.stages, trials, study.budget).refused:
        raise StudyError(
            f"the budget of {study.budget} is spent, and with these settings the run wants trainings other than the "
            f"{len(trials):,} that it holds: give a larger budget, or another folder (--into); the run is unchanged"
        )
