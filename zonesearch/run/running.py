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
from zonesearch.core.objective import ChecksLength, Job, Objective, whole
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
from zonesearch.study.files import read_study
from zonesearch.study.study import Study

__all__ = [
    "Memory",
    "Observer",
    "Silent",
    "as_begun",
    "as_recorded",
    "check_metric",
    "identity_of",
    "open_run",
    "run_pipeline",
    "run_study",
    "stop_when_hopeless",
]

_TELLING = 3  # trainings of a stage that all came to nothing, after others that did not
_HOPELESS = 5  # so many trainings that all failed, and none that did not, end a run early


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
    """Search: grid, interval, polish beyond two axes surrogate, polish or other stages, until nothing more is wanted.

    Args:
        study: a study or the path of a study file, or a space (a :class:`Space`, or its axes as plain data, as
            ``{"width": {"low": 64, "high": 4096, "scale": "log", "row": "doubling"}, "batch": [16, 32, 64]}``).
        objective: for a space: what is trained; an objective, or a function ``f(params, seed, epochs)`` that returns
            a value or yields one an epoch; a value is a number, or a dict of several by name.
        into: the run folder, or ``NAME://ADDRESS`` of a storage: finished trials are kept there, and a run that was
            interrupted goes on. Without one everything is kept in memory.
        seed, epochs, seeds, reading, stages, budget, metric, direction, constraints, name: for a space: see
            :meth:`Study.of`.
        workers: processes on this machine; by default what the study says, else 1.
        engine: ``local``, ``dask://HOST:PORT``, or ``NAME`` or ``NAME://ADDRESS`` of a plug-in; by default what the
            study says, else local.
        timeout: the longest a training may take, in seconds; what takes longer is ended and recorded as failed. By
            default what the study says, else there is no limit. Trainings then run in processes of their own, with
            one worker too.
        fresh: move an old run in the folder aside and start again.
        retry_failed: retry trainings that failed before.
        observer: is told how it goes.
        progress: whether to show it: a bar a stage with the time left, in a terminal or a notebook; plain lines in a
            pipe. By default where somebody sees it, and not in a pipe.
        settings: for a space: a table of settings for each stage, as ``polish={"keep": 3}``.

    Returns:
        The result, with trials, zones, candidates, finalists and verdict.

    Raises:
        StudyError, SpaceError: the study makes no sense, or differs from the one in ``into``.
        ObjectiveError: parameters that cannot work, or no training that was complete.
        StoreError: the run folder cannot be used.
        KeyboardInterrupt: what was finished is kept; the same call goes on.
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
    """Run a study (see :func:`run_pipeline`); with ``shard`` only its part of what is wanted now.

    With ``wait`` a shard then waits for the others, who write into the same folder, and goes on to the next stage.
    ``watching`` makes an observer that needs to know the run's folder (as an Optuna view does) around ``observer``.
    ``finish`` is given the result before the folder is let go, for what belongs into it: a folder that is gone by then
    is an error too. ``apart`` has even a single worker train in a process of its own; ``in_process`` is called before
    trainings begin in this one.
    """
    if wait and (shard is None or into is None):
        raise StudyError("waiting for others needs a shard and a folder that they share: --shard I/N --into RUN --wait")
    observer = observer or Silent()
    if into is not None and not is_address(into):
        into = Path(into).absolute()  # an objective may change the working directory
    if watching is not None and into is not None and is_address(into):
        raise StudyError(f"a live view needs a run folder, and {into} is a storage: leave out --view")
    study = study if into is None or fresh or is_address(into) else as_begun(study, into)
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
            early.prepare(study.imports)  # while this process loads the same
        objective = study.objective()
        check(study, objective)
        crew = early or ending.enter_context(opened())
        if into is None:
            memory = Memory()
            _loop(study, objective, memory, crew, observer, retry_failed, shard, wait)
            result = Result(find(study, memory.trials, fingerprint(identity_of(study, objective))))
            finish(result)
            return result
        objective, former = (objective, "") if fresh else as_recorded(study, objective, into)
        folder = open_run(study, objective, into, fresh=fresh)
        store: Store | Kept = folder if isinstance(folder, Kept) else Store(folder, shard.writer if shard else "main")
        with store:
            store.load()
            if watching is not None and isinstance(folder, RunFolder):
                observer = watching(study, folder, lambda: store.trials, observer)
            if isinstance(crew, InProcess):
                in_process()
            _loop(study, objective, store, crew, observer, retry_failed, shard, wait)
            results = find(study, store.trials, folder.study)
            if former:
                results = replace(results, notes=(*results.notes, former))
            result = Result(results, folder.path)
            finish(result)
        return result


def identity_of(study: Study, objective: Objective) -> dict[str, Any]:
    """All that changes the result of a training, apart from its params and seed."""
    return {"format": IDENTITY_FORMAT, "objective": dict(objective.fingerprint()), "seed": study.seed}


def _older_identities(study: Study, objective: Objective) -> list[dict[str, Any]]:
    """The same as older versions described it, where the objective knows."""
    older = getattr(objective, "older_fingerprints", list)
    return [{"objective": dict(described), "seed": study.seed} for described in older()]


def as_begun(study: Study, into: str | Path) -> Study:
    """The study with the stages that the run in ``into`` was begun with, where the study itself names none.

    What "auto" takes depends on the space, the budget and the version; a run that was begun goes on as it was meant.
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


def as_recorded(study: Study, objective: Objective, into: str | Path) -> tuple[Objective, str]:
    """The objective with the defaults that the run in ``into`` was begun with, and a sentence on it where those differ.

    A default that changed makes another experiment of a study that names no value; a run that was begun goes on as it
    was meant.
    """
    formers = getattr(objective, "formers", None)
    if formers is None:
        return objective, ""
    try:
        kept = (Kept if is_address(into) else RunFolder).open(into).identity  # type: ignore[arg-type]
    except ZoneSearchError:  # none there, or one that opening it to write says more about
        return objective, ""
    now = identity_of(study, objective)
    if not differences(kept, now):
        return objective, ""
    for former in formers():
        then = identity_of(study, former)
        if not differences(kept, then):
            return former, (
                f"This run was started with other values for settings that its study does not give, and keeps them "
                f"({'; '.join(differences(then, now))} is what a new run takes)."
            )
    return objective, ""


def open_run(study: Study, objective: Objective, into: str | Path, *, fresh: bool = False) -> RunFolder | Kept:
    """The run folder of ``study``, or what a storage keeps of it; raises as :meth:`RunFolder.create_or_open` does."""
    identity, older, text = identity_of(study, objective), _older_identities(study, objective), study.text or None
    settings = study.settings()
    if is_address(into):
        return Kept.create_or_open(
            str(into), identity, name=study.name, settings=settings, study_text=text, fresh=fresh, older=older
        )
    return RunFolder.create_or_open(
        into, identity, name=study.name, settings=settings, study_text=text, fresh=fresh, older=older
    )


def check(study: Study, objective: Objective) -> None:
    """Ask the objective about what the stages may want, before anything is trained.

    Raises:
        ObjectiveError: naming the parameter that cannot work.
    """
    given = 0
    for stage in study.stages:
        expected = stage.forecast(given)
        for training in expected.example:
            objective.check(training.params)
            if isinstance(objective, ChecksLength):
                objective.check_length(training)
        given = expected.n_output


class Memory:
    """A store that forgets: nothing is written anywhere."""

    def __init__(self) -> None:
        self.trials = Trials()

    def append(self, trials: Sequence[Trial]) -> None:
        self.trials = self.trials | Trials(trials)

    def note_deal(self, deal: Deal) -> None:
        """Forget it: nobody else can look."""

    def wait_for(self, trainings: Sequence[Training]) -> Trials:
        """Nobody else writes here."""
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
) -> None:
    """While trainings are missing: train them, add the trials."""
    forgotten = {t.key for t in store.trials if t.state == "failed"} if retry_failed else set()

    def known() -> Trials:
        if not forgotten:
            return store.trials
        return Trials(t for t in store.trials.records() if t.state != "failed" or t.key not in forgotten)

    hopeful = False  # asked only as long as nothing but failures came: the trials are many
    first: Job | None = None
    n_came = 0

    def came(new: list[Trial]) -> None:
        nonlocal hopeful, n_came
        n_came += len(new)
        new = [whole(trial, objective) for trial in new]
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
            observer.round_begins(at, todo, len(study.stages))
            if todo:
                first = order_of_work(todo)[0]
                n_before = n_came
                crew.run(objective, todo, came, observer.job_moves)
                if n_came == n_before:  # of a plug-in: the same jobs would be asked for again and again
                    raise StudyError(f"the engine returned no trial for the {len(todo)} jobs it was given")
            if len(at.records[at.stage].wanted) >= _HOPELESS or not _wants_more(study, at, known()):
                _stop_when_nothing_came(at.records[at.stage], store.trials)
            if wait:
                store.wait_for(at.plan.trainings)
            elif shard is not None:
                return
    finally:
        observer.ended()


def check_metric(new: Sequence[Trial], metric: Metric, known: Trials) -> None:
    """Values of another metric, or of another direction, are never recorded beside those that are known.

    Args:
        new: not recorded yet.
        metric: what the study names; where that is nothing, the first trial says what is searched.
        known: all that is recorded.

    Raises:
        ObjectiveError: the objective gave something else than before.
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
    """What falls to ``shard``; what falls to each is written down for those who look without the objective."""
    parts = deal(jobs, shard.n)
    store.note_deal(Deal.of(parts))
    return parts[shard.index - 1]


def stop_when_hopeless(trials: Trials, easiest: Job | None = None) -> None:
    """End a run whose first few trainings all failed, ``easiest`` among them: it is the objective, not the parameters.

    Raises:
        ObjectiveError: with the reason of the first.
    """
    if easiest is not None and any(trials.get(training) is None for training in easiest.trainings):
        return  # what failed so far may only have been too large
    states = [trial.state for trial in trials]
    if len(states) >= _HOPELESS and set(states) == {"failed"}:
        first = next(iter(trials))
        raise ObjectiveError(
            f"the first {len(states)} trainings all failed, the first with: {first.reason}. They are recorded as "
            f"failed; fix the objective and run again (--fresh, or --retry-failed)"
        )


def _wants_more(study: Study, at: Round, trials: Trials) -> bool:
    """Whether the stage of a round goes on after it: one that asks a point at a time learns from a first bad one."""
    after = next_round(study.stages, trials, study.budget)
    return not after.finished and after.stage == at.stage


def _stop_when_nothing_came(stage: StageRecord, trials: Trials) -> None:
    """All trainings of a stage finished, and none of them has an accuracy, nor the losses of a range test."""
    back = [trial for training in stage.wanted if (trial := trials.get(training)) is not None]
    if not back or len(back) < len(stage.wanted) or any(t.complete or t.curve.get("step_loss") for t in back):
        return
    if len(back) < _TELLING and any(trial.complete for trial in trials):
        return  # a fresh seed or two may be bad luck, and what was found before stays
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
