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
from zonesearch.errors import ObjectiveError, StudyError
from zonesearch.run.begun import as_begun, as_grown, as_recorded, as_ruled, identity_of, open_run, refuse_beyond
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
from zonesearch.run.storage.identity import fingerprint
from zonesearch.run.storage.kept import Kept
from zonesearch.run.storage.run_folder import RunFolder
from zonesearch.run.storage.storage import is_address
from zonesearch.run.storage.store import Store
from zonesearch.search.budget import Budget
from zonesearch.search.stage import Stage
from zonesearch.statistics.search_results import StageRecord
from zonesearch.study.auto import AUTO
from zonesearch.study.effects import check_axes_of
from zonesearch.study.files import read_study
from zonesearch.study.study import Study

__all__ = [
    "Memory",
    "Observer",
    "Silent",
    "check_metric",
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
