"""Running a study: the loop around :func:`zonesearch.run.pipeline.advance`, with a run folder or in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from zonesearch.core.limits import time_limit
from zonesearch.core.metric import ACCURACY, Metric
from zonesearch.core.objective import ChecksLength, Job, Objective, joined, whole
from zonesearch.core.reading import BEST, Reading
from zonesearch.core.seeds import Seeds
from zonesearch.core.space import Space
from zonesearch.core.trials import Training, Trial, Trials
from zonesearch.errors import MergeError, ObjectiveError, StoreError, StudyError, ZoneSearchError
from zonesearch.run.engines.engine import Engine, order_of_work
from zonesearch.run.engines.gpus import visible_gpus
from zonesearch.run.engines.in_process import InProcess
from zonesearch.run.engines.runner import open_engine
from zonesearch.run.learning import as_learned
from zonesearch.run.observing import Observer, Silent, Watching
from zonesearch.run.pipeline import Round, find, next_round, round_jobs
from zonesearch.run.result import Result
from zonesearch.run.round_clock import RoundClock
from zonesearch.run.shards import Deal, Shard, deal, remaining
from zonesearch.run.storage.first_identity import FORMAT as IDENTITY_FORMAT
from zonesearch.run.storage.identity import differences, fingerprint
from zonesearch.run.storage.kept import Kept
from zonesearch.run.storage.run_folder import RunFolder
from zonesearch.run.storage.storage import is_address
from zonesearch.run.storage.store import Store
from zonesearch.search.budget import Budget
from zonesearch.search.stage import Stage
from zonesearch.statistics.search_results import StageRecord
from zonesearch.study.auto import AUTO, BEGUN, MAPPED
from zonesearch.study.building import as_begun_with, as_it_was
from zonesearch.study.effects import check_axes_of
from zonesearch.study.files import read_study
from zonesearch.study.study import Study
from zonesearch.training.function import FunctionObjective

__all__ = [
    "Memory",
    "Observer",
    "Silent",
    "as_begun",
    "as_grown",
    "as_recorded",
    "as_ruled",
    "check_metric",
    "identity_of",
    "open_run",
    "refuse_beyond",
    "run_pipeline",
    "run_study",
    "stop_when_hopeless",
]

_TELLING = 3  # trainings of a stage that all failed, after others that did not
_HOPELESS = 5  # this many trainings that all failed end a run early


def run_pipeline(
    study: Study | Space | Mapping[str, Any] | str | Path,
    *,
    objective: Objective | Callable[..., Any] | None = None,
    into: str | Path | None = None,
    seed: int = 0,
    epochs: int = 1,
    seeds: Seeds | int | Mapping[str, int] = Seeds(),  # noqa: B008 (frozen)
    reading: str | Reading = BEST,
    stages: Sequence[Stage | str] | str = AUTO,
    budget: Mapping[str, float] | Budget | None = None,
    metric: Metric | str | Mapping[str, Any] | None = None,
    direction: str | None = None,
    constraints: Sequence[str] = (),
    name: str = "search",
    workers: int | None = None,
    engine: str | None = None,
    timeout: float | None = None,
    fresh: bool = False,
    retry_failed: bool = False,
    observer: Observer | None = None,
    progress: bool | None = None,
    **settings: Mapping[str, Any],
) -> Result:
    """Search with grid, interval and polish (beyond two axes surrogate and polish), or other stages, until nothing more
    is wanted.

    Args:
        study: a study or the path of a study file, or a space (a :class:`Space`, or its axes as plain data, as
            ``{"width": {"low": 64, "high": 4096, "scale": "log", "row": "doubling"}, "batch": [16, 32, 64]}``).
        objective: for a space: an objective, or a function ``f(params, seed, epochs)`` that returns a value or yields
            one per epoch; a value is a number, or a dict of several by name.
        into: the run folder, or ``NAME://ADDRESS`` of a storage, in which finished trials are kept and from which an
            interrupted run continues. By default everything is kept in memory.
        seed, epochs, seeds, reading, stages, budget, metric, direction, constraints, name: for a space: see
            :meth:`Study.of`.
        workers: processes on this machine; by default as in the study, otherwise 1.
        engine: ``local``, ``dask://HOST:PORT``, or ``NAME`` or ``NAME://ADDRESS`` of a plug-in; by default as in the
            study, otherwise local.
        timeout: the longest a training may take, in seconds; one that takes longer is killed and recorded as failed. By
            default as in the study, otherwise no limit. With a limit, trainings run in separate processes even with one
            worker.
        fresh: move an existing run in the folder aside and start again.
        retry_failed: retry trainings that failed before.
        observer: notified of progress.
        progress: whether to show progress: one bar per stage with the time left in a terminal or notebook; plain lines
            in a pipe. By default shown in a terminal or notebook, and not in a pipe.
        settings: for a space: a table of settings for each stage, such as ``polish={"keep": 3}``.

    Returns:
        The result, with trials, zones, candidates, finalists and verdict.

    Raises:
        StudyError, SpaceError: the study is invalid, or differs from the one in ``into``.
        ObjectiveError: parameters cannot work, or no training was complete.
        StoreError: the run folder cannot be used.
        KeyboardInterrupt: finished trainings are kept, and the same call continues.
    """
    if isinstance(study, str | Path):
        study = read_study(study)
    if not isinstance(study, Study):
        if objective is None:
            raise StudyError("a space alone cannot be trained: pass objective=, a function or a recipe")
        study = Study.of(
            study,
            objective,
            name=name,
            stages=stages,
            epochs=epochs,
            seeds=seeds,
            reading=reading,
            seed=seed,
            budget=budget,
            metric=metric,
            direction=direction,
            constraints=constraints,
            **settings,
        )
    else:
        of_a_space: dict[str, Any] = {**settings, "budget": budget, "metric": metric, "direction": direction}
        of_a_space["constraints"] = constraints or None
        for given in (key for key, value in of_a_space.items() if value is not None):
            raise StudyError(f"{given}= is for a space; a study has its own settings")
    if progress and observer is not None:
        raise StudyError("observer= replaces progress=True; pass only one of them")
    if observer is None:
        observer = _shown(study, into, progress)
    return run_study(
        study,
        into=into,
        workers=workers,
        engine=engine,
        timeout=timeout,
        fresh=fresh,
        retry_failed=retry_failed,
        observer=observer,
    )


def _shown(study: Study, into: str | Path | None, progress: bool | None) -> Observer:
    """Bars, or nothing."""
    if progress is False:
        return Silent()
    from zonesearch.run.progress import ProgressBars, is_seen

    folder = None if into is None else Path(into)
    return ProgressBars(study, folder) if progress or is_seen() else Silent()


def run_study(
    study: Study,
    *,
    into: str | Path | None = None,
    workers: int | None = None,
    engine: str | None = None,
    timeout: float | None = None,
    fresh: bool = False,
    retry_failed: bool = False,
    observer: Observer | None = None,
    shard: Shard | None = None,
    wait: bool = False,
    watching: Watching | None = None,
    finish: Callable[[Result], None] = lambda result: None,
    apart: bool = False,
    in_process: Callable[[], None] = lambda: None,
) -> Result:
    """Run a study (see :func:`run_pipeline`); with ``shard``, only its part of what is wanted now.

    With ``wait``, a shard then waits for the others, which write into the same folder, and continues with the next
    stage. ``watching`` wraps ``observer`` in one that needs the run's folder (such as an Optuna view). ``finish`` is
    called with the result before the folder is released, to write files into it: a folder that has disappeared by then
    is an error too. ``apart`` makes even a single worker train in a separate process; ``in_process`` is called before
    trainings begin in this process.
    """
    clock = RoundClock()
    if wait and (shard is None or into is None):
        raise StudyError("waiting for others needs a shard and a folder that they share: --shard I/N --into RUN --wait")
    observer = observer or Silent()
    if into is not None and not is_address(into):
        into = Path(into).absolute()  # an objective may change the working directory
    if watching is not None and into is not None and is_address(into):
        raise StudyError(f"a live view needs a run folder, and {into} is a storage: leave out --view")
    study = study if into is None or fresh or is_address(into) else as_begun(study, into)
    study = study if into is None or fresh else as_ruled(as_grown(study, into), into)
    study = as_learned(study, into, cache=shard is None, fresh=fresh)
    n_workers = workers if workers is not None else int(study.run.get("workers", 1))
    where = engine if engine is not None else str(study.run.get("engine", "local"))
    limit = time_limit(timeout if timeout is not None else study.run.get("timeout"), "timeout")
    n_threads, gpus = int(study.run.get("threads", 1)), visible_gpus() if n_workers > 1 else ()
    opened = partial(
        open_engine, where, workers=n_workers, threads=n_threads, gpus=gpus, timeout=limit, apart=apart,
        provenance={"shard": str(shard)} if shard else None,
    )  # fmt: skip
    with ExitStack() as ending:
        early = ending.enter_context(opened()) if where == "local" and study.imports else None
        if early is not None and hasattr(early, "prepare"):
            early.prepare(study.imports)  # while this process loads the same modules
        objective = study.objective()
        check(study, objective)
        crew = early or ending.enter_context(opened())
        if into is None:
            memory = Memory()
            _loop(study, objective, memory, crew, observer, retry_failed, shard, wait, clock)
            result = Result(find(study, memory.trials, fingerprint(identity_of(study, objective))))
            finish(result)
            return result
        objective, former = (objective, "") if fresh else as_recorded(study, objective, into)
        folder = open_run(study, objective, into, fresh=fresh, at_once=False)
        store: Store | Kept = folder if isinstance(folder, Kept) else Store(folder, shard.writer if shard else "main")
        with store:
            store.load()
            refuse_beyond(study, store.trials, folder)
            if watching is not None and isinstance(folder, RunFolder):
                observer = watching(study, folder, lambda: store.trials, observer)
            if isinstance(crew, InProcess):
                in_process()
            _loop(study, objective, store, crew, observer, retry_failed, shard, wait, clock)
            store.begin()
            results = find(study, store.trials, folder.study)
            if former:
                results = replace(results, notes=(*results.notes, former))
            result = Result(results, folder.path)
            finish(result)
        return result


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


def check(study: Study, objective: Objective) -> None:
    """Check what the stages may want with the objective, before anything is trained.

    Raises:
        ObjectiveError: naming the parameter that cannot work.
        StudyError: no training reads one of the axes.
    """
    check_axes_of(objective, study.space)
    given = 0
    for stage in study.stages:
        expected = stage.forecast(given)
        for training in expected.example:
            objective.check(training.params)
            if isinstance(objective, ChecksLength):
                objective.check_length(training)
        given = expected.n_output


class Memory:
    """A store in memory that writes nothing."""

    def __init__(self) -> None:
        self.trials = Trials()

    def append(self, trials: Sequence[Trial]) -> None:
        self.trials = self.trials | Trials(trials)

    def note_deal(self, deal: Deal) -> None:
        """Do nothing: there are no other readers."""

    def wait_for(self, trainings: Sequence[Training]) -> Trials:
        """Return at once: there are no other writers."""
        return self.trials


def _loop(
    study: Study,
    objective: Objective,
    store: Store | Kept | Memory,
    crew: Engine,
    observer: Observer,
    retry_failed: bool,
    shard: Shard | None,
    wait: bool,
    clock: RoundClock,
) -> None:
    """While trainings are missing: train them, add the trials. ``clock`` runs since the command began."""
    forgotten = {t.key for t in store.trials if t.state == "failed"} if retry_failed else set()

    def known() -> Trials:
        if not forgotten:
            return store.trials
        return Trials(t for t in store.trials.records() if t.state != "failed" or t.key not in forgotten)

    hopeful = False  # checked only while everything has failed: there may be many trials
    first: Job | None = None
    n_came = 0
    timed = study.budget is not None and study.budget.unit == "seconds"

    def came(new: list[Trial]) -> None:
        nonlocal hopeful, n_came
        n_came += len(new)
        new = [whole(trial, objective) for trial in new]
        if timed:
            new = clock.noted(new)
        check_metric(new, study.metric, store.trials)
        store.append(new)
        forgotten.difference_update(trial.key for trial in new)
        observer.trials_came(new, store.trials)
        hopeful = hopeful or any(trial.state != "failed" for trial in new)
        if not hopeful:
            stop_when_hopeless(store.trials, first)

    try:
        while True:
            at = next_round(study.stages, known(), study.budget)
            if at.finished:
                _stop_when_nothing_came(at.records[0], store.trials)
                return
            jobs = round_jobs(objective, at)
            mine = jobs if shard is None else _part(jobs, shard, store)
            todo = remaining(mine, known())
            if getattr(crew, "trains_here", False):
                todo = joined(objective, todo, crew.n_workers)
            observer.round_begins(at, todo, len(study.stages))
            if todo:
                first = order_of_work(todo)[0]
                n_before = n_came
                crew.run(objective, todo, came, observer.job_moves)
                if n_came == n_before:  # a plug-in's engine: the same jobs would be requested again and again
                    raise StudyError(f"the engine returned no trial for the {len(todo)} jobs it was given")
            clock = RoundClock()
            if len(at.records[at.stage].wanted) >= _HOPELESS or not _wants_more(study, at, known()):
                _stop_when_nothing_came(at.records[at.stage], store.trials)
            if wait:
                store.wait_for(at.plan.trainings)
                clock = RoundClock()
            elif shard is not None:
                return
    finally:
        observer.ended()


def check_metric(new: Sequence[Trial], metric: Metric, known: Trials) -> None:
    """Refuse values of another metric or direction than those already recorded.

    Args:
        new: not recorded yet.
        metric: as the study names it; otherwise the first trial determines what is searched.
        known: all recorded trials.

    Raises:
        ObjectiveError: the objective returned another metric than before.
    """
    if metric.name == ACCURACY.name:
        there = next((trial for trial in known.records() if trial.complete), None)
        there = there or next((trial for trial in new if trial.complete), None)
        metric = metric if there is None else there.metric
    for trial in new:
        if trial.state != "failed" and (trial.metric.name, trial.metric.direction) != (metric.name, metric.direction):
            raise ObjectiveError(
                f"the objective gave {trial.metric.name} ({trial.metric.direction}), where {metric.name} "
                f"({metric.direction}) is searched; name what is to be searched: metric = "
                f'"{trial.metric.name}" or "{metric.name}"'
            )


def _part(jobs: Sequence[Job], shard: Shard, store: Store | Kept | Memory) -> Sequence[Job]:
    """The part of ``shard``; all parts are recorded for readers that do not have the objective."""
    parts = deal(jobs, shard.n)
    store.note_deal(Deal.of(parts))
    return parts[shard.index - 1]


def stop_when_hopeless(trials: Trials, easiest: Job | None = None) -> None:
    """End a run whose first few trainings all failed, including the ``easiest``: the fault is in the objective, not the
    parameters.

    Raises:
        ObjectiveError: with the error of the first.
    """
    if easiest is not None and any(trials.get(training) is None for training in easiest.trainings):
        return  # the failed ones may only have been too large
    states = [trial.state for trial in trials]
    if len(states) >= _HOPELESS and set(states) == {"failed"}:
        first = next(iter(trials))
        raise ObjectiveError(
            f"the first {len(states)} trainings all failed, the first with: {first.reason}. They are recorded as "
            f"failed; fix the objective and run again (--fresh, or --retry-failed)"
        )


def _wants_more(study: Study, at: Round, trials: Trials) -> bool:
    """Whether the stage continues after this round: one that asks for single points learns from a bad first one."""
    after = next_round(study.stages, trials, study.budget)
    return not after.finished and after.stage == at.stage


def _stop_when_nothing_came(stage: StageRecord, trials: Trials) -> None:
    """End a run if all trainings of a stage have finished without a value and without the losses of a range test."""
    back = [trial for training in stage.wanted if (trial := trials.get(training)) is not None]
    if not back or len(back) < len(stage.wanted) or any(t.complete or t.curve.get("step_loss") for t in back):
        return
    if len(back) < _TELLING and any(trial.complete for trial in trials):
        return  # one or two fresh seeds may be bad luck, and earlier results stay
    n_diverged = sum(trial.state == "diverged" for trial in back)
    if n_diverged == len(back):
        reason = (
            "all diverged (their accuracy or loss is not finite, or beyond 1e100): lower the learning rate, or fix the "
            "objective"
        )
    else:
        failed = next(trial for trial in back if trial.state == "failed")
        reason = f"none was complete ({n_diverged} diverged), a failed one with: {failed.reason}"
    raise ObjectiveError(f"stage {stage.name}: of {len(back)} trainings {reason}")
