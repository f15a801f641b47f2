"""Running a study: the loop around :func:`zonesearch.run.pipeline.advance`, with a run folder or in memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from zonesearch.core.limits import time_limit
from zonesearch.core.metric import ACCURACY, Metric
from zonesearch.core.objective import Bundle, ChecksLength, Objective, whole
from zonesearch.core.reading import BEST, Reading
from zonesearch.core.seeds import Seeds
from zonesearch.core.space import Space
from zonesearch.core.trials import Trial, Trials
from zonesearch.errors import ObjectiveError, StudyError
from zonesearch.run.engines.gpus import visible_gpus
from zonesearch.run.engines.runner import Engine, InProcess, open_engine, order_of_work
from zonesearch.run.pipeline import Round, find, next_round, round_bundles
from zonesearch.run.result import Result
from zonesearch.run.shards import Deal, Shard, deal, remaining
from zonesearch.run.sharing import live_view
from zonesearch.run.storage.first_identity import FORMAT as IDENTITY_FORMAT
from zonesearch.run.storage.identity import fingerprint
from zonesearch.run.storage.run_folder import RunFolder
from zonesearch.run.storage.store import Store
from zonesearch.search.budget import Budget
from zonesearch.search.stage import Stage
from zonesearch.statistics.findings import StageRecord
from zonesearch.study.files import read_study
from zonesearch.study.study import DEFAULT_STAGES, Study

if TYPE_CHECKING:
    from zonesearch.optuna.view import LiveView

__all__ = [
    "Memory",
    "Observer",
    "Silent",
    "check_metric",
    "identity_of",
    "open_run",
    "run_pipeline",
    "run_study",
    "stop_when_hopeless",
]

_HOPELESS = 5  # so many trainings that all failed, and none that did not, end a run early


class Observer(Protocol):
    """Who watches a run: a progress bar, a log, a live view."""

    def round_begins(self, at: Round, bundles: Sequence[Bundle], n_stages: int) -> None:
        """A stage wants trainings; ``bundles`` are those that are still to be trained here."""
        ...

    def bundle_moves(self, key: str, share: float) -> None:
        """A bundle under way is done to this share, 0..1."""
        ...

    def trials_came(self, new: Sequence[Trial], trials: Trials) -> None:
        """``new`` came back and are recorded; ``trials`` is all that is known."""
        ...

    def ended(self) -> None:
        """The run is over, for whatever reason."""
        ...


class Silent:
    """An observer that says nothing."""

    def round_begins(self, at: Round, bundles: Sequence[Bundle], n_stages: int) -> None:
        """Say nothing."""

    def bundle_moves(self, key: str, share: float) -> None:
        """Say nothing."""

    def trials_came(self, new: Sequence[Trial], trials: Trials) -> None:
        """Say nothing."""

    def ended(self) -> None:
        """Say nothing."""


def run_pipeline(
    study: Study | Space | Mapping[str, Any] | str | Path,
    *,
    objective: Objective | Callable[..., Any] | None = None,
    into: str | Path | None = None,
    seed: int = 0,
    epochs: int = 1,
    seeds: Seeds | int | Mapping[str, int] = Seeds(),  # noqa: B008 (frozen)
    reading: str | Reading = BEST,
    stages: Sequence[Stage | str] = DEFAULT_STAGES,
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
    **settings: Mapping[str, Any],
) -> Result:
    """Search: grid, interval, polish, or other stages, until nothing more is wanted.

    Args:
        study: a study or the path of a study file, or a space (a :class:`Space`, or its axes as plain data, as
            ``{"width": {"low": 64, "high": 4096, "scale": "log", "row": "doubling"}, "batch": [16, 32, 64]}``).
        objective: for a space: what is trained; an objective, or a function ``f(params, seed, epochs)`` that returns
            a value or yields one an epoch; a value is a number, or a dict of several by name.
        into: the run folder: finished trials are kept there, and a run that was interrupted goes on. Without one
            everything is kept in memory.
        seed, epochs, seeds, reading, stages, budget, metric, direction, constraints, name: for a space: see
            :meth:`Study.of`.
        workers: processes on this machine; by default what the study says, else 1.
        engine: ``local`` or ``dask://HOST:PORT``; by default what the study says, else local.
        timeout: the longest a training may take, in seconds; what takes longer is ended and recorded as failed. By
            default what the study says, else there is no limit. Trainings then run in processes of their own, with
            one worker too.
        fresh: move an old run in the folder aside and begin anew.
        retry_failed: train those again that failed before.
        observer: is told how it goes.
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
            raise StudyError("a space alone cannot be trained: give objective=, a function or a recipe")
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
            raise StudyError(f"{given}= is for a space; a study brings its own settings")
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
    view: str | None = None,
    finish: Callable[[Result], None] = lambda result: None,
    apart: bool = False,
    in_process: Callable[[], None] = lambda: None,
) -> Result:
    """Run a study (see :func:`run_pipeline`); with ``shard`` only its part of what is wanted now.

    With ``wait`` a shard then waits for the others, who write into the same folder, and goes on to the next stage.
    With ``view``, an Optuna storage URL, the run is shown there as it goes; a storage that is away stops nothing.
    ``finish`` is given the result before the folder is let go, for what belongs into it: a folder that is gone by then
    is an error too. ``apart`` has even a single worker train in a process of its own; ``in_process`` is called before
    trainings begin in this one.
    """
    if wait and (shard is None or into is None):
        raise StudyError("waiting for others needs a shard and a folder that they share: --shard I/N --into RUN --wait")
    observer = observer or Silent()
    into = None if into is None else Path(into).absolute()  # an objective may change the working directory
    if view is not None:
        from zonesearch.optuna.storage import absolute_url

        view = absolute_url(view)
    objective = study.objective()
    check(study, objective)
    n_workers = workers if workers is not None else int(study.run.get("workers", 1))
    where = engine if engine is not None else str(study.run.get("engine", "local"))
    limit = time_limit(timeout if timeout is not None else study.run.get("timeout"), "timeout")
    provenance = {"shard": str(shard)} if shard else None
    n_threads, gpus = int(study.run.get("threads", 1)), visible_gpus() if n_workers > 1 else ()
    with open_engine(
        where, workers=n_workers, threads=n_threads, gpus=gpus, provenance=provenance, timeout=limit, apart=apart
    ) as crew:
        if into is None:
            memory = Memory()
            _loop(study, objective, memory, crew, observer, retry_failed, shard, wait)
            result = Result(find(study, memory.trials, fingerprint(identity_of(study, objective))))
            finish(result)
            return result
        folder = open_run(study, objective, into, fresh=fresh)
        with Store(folder, shard.writer if shard else "main") as store:
            store.load()
            if view is not None:
                observer = _Viewed(observer, live_view(study, folder, lambda: store.trials, view), store.trials)
            if isinstance(crew, InProcess):
                in_process()
            _loop(study, objective, store, crew, observer, retry_failed, shard, wait)
            result = Result(find(study, store.trials, folder.study), folder.path)
            finish(result)
        return result


class _Viewed:
    """An observer that also keeps an Optuna view up to date."""

    def __init__(self, observer: Observer, view: LiveView, known: Trials) -> None:
        self._observer = observer
        self._view = view
        self.round_begins = observer.round_begins
        self.bundle_moves = observer.bundle_moves
        view.add(known)

    def trials_came(self, new: Sequence[Trial], trials: Trials) -> None:
        self._view.add(new)
        self._observer.trials_came(new, trials)

    def ended(self) -> None:
        n_behind = self._view.close()
        self._observer.ended()
        if n_behind:
            trouble = self._view.trouble or "the storage is slow"
            warnings.warn(f"the view lacks {n_behind} trials ({trouble}); `zonesearch view` adds them", stacklevel=2)


def identity_of(study: Study, objective: Objective) -> dict[str, Any]:
    """All that changes the result of a training, apart from its params and seed."""
    return {"format": IDENTITY_FORMAT, "objective": dict(objective.fingerprint()), "seed": study.seed}


def _older_identities(study: Study, objective: Objective) -> list[dict[str, Any]]:
    """The same as older versions described it, where the objective knows."""
    older = getattr(objective, "older_fingerprints", list)
    return [{"objective": dict(described), "seed": study.seed} for described in older()]


def open_run(study: Study, objective: Objective, into: str | Path, *, fresh: bool = False) -> RunFolder:
    """The run folder of ``study``; raises as :meth:`RunFolder.create_or_open` does."""
    return RunFolder.create_or_open(
        into,
        identity_of(study, objective),
        name=study.name,
        settings=study.settings(),
        study_text=study.text or None,
        fresh=fresh,
        older=_older_identities(study, objective),
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


def _loop(
    study: Study,
    objective: Objective,
    store: Store | Memory,
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
    first: Bundle | None = None

    def came(new: list[Trial]) -> None:
        nonlocal hopeful
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
            bundles = round_bundles(objective, at)
            mine = bundles if shard is None else _part(bundles, shard, store)
            todo = remaining(mine, known())
            observer.round_begins(at, todo, len(study.stages))
            if todo:
                first = order_of_work(todo)[0]
                crew.run(objective, todo, came, observer.bundle_moves)
            _stop_when_nothing_came(at.records[at.stage], store.trials)
            if wait and isinstance(store, Store):
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


def _part(bundles: Sequence[Bundle], shard: Shard, store: Store | Memory) -> Sequence[Bundle]:
    """What falls to ``shard``; what falls to each is written down for those who look without the objective."""
    parts = deal(bundles, shard.n)
    if isinstance(store, Store):
        store.note_deal(Deal.of(parts))
    return parts[shard.index - 1]


def stop_when_hopeless(trials: Trials, easiest: Bundle | None = None) -> None:
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
            f"failed; mend the objective and run again (--fresh, or --retry-failed)"
        )


def _stop_when_nothing_came(stage: StageRecord, trials: Trials) -> None:
    """All trainings of a stage came back, and none of them has an accuracy, nor the losses of a range test."""
    back = [trial for training in stage.wanted if (trial := trials.get(training)) is not None]
    if not back or len(back) < len(stage.wanted) or any(t.complete or t.curve.get("step_loss") for t in back):
        return
    n_diverged = sum(trial.state == "diverged" for trial in back)
    if n_diverged == len(back):
        reason = "all diverged (their accuracy or loss is not finite): lower the learning rate, or mend the objective"
    else:
        failed = next(trial for trial in back if trial.state == "failed")
        reason = f"none was complete ({n_diverged} diverged), a failed one with: {failed.reason}"
    raise ObjectiveError(f"stage {stage.name}: of {len(back)} trainings {reason}")
