"""Runs as Optuna studies and Optuna studies as runs: the view of a run, live or afterwards, and the import."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from zonesearch.core.seeds import Seeds
from zonesearch.core.trials import Trial, Trials
from zonesearch.optuna.importing import Imported, import_study
from zonesearch.optuna.storage import absolute_url
from zonesearch.optuna.view import LiveView, OptunaView
from zonesearch.run.observing import Observer, Watching
from zonesearch.run.pipeline import metric_of
from zonesearch.run.sharing import Describe, describe_by
from zonesearch.run.storage.files import refuse_special
from zonesearch.run.storage.run_folder import RunFolder
from zonesearch.run.storage.store import Store
from zonesearch.search.stages.imported import ImportedTrials
from zonesearch.study.study import Study

__all__ = ["import_run", "live_view", "open_view", "viewed"]


def open_view(
    study: Study, folder: RunFolder, trials: Trials, url: str | None = None, *, rebuild: bool = False
) -> OptunaView:
    """The Optuna view of a run; ``url`` is by default the journal file ``view.journal`` in its folder.

    Raises:
        StoreError: the storage does not answer, or contains another study under this name.
    """
    return OptunaView(
        url or _journal(folder),
        folder.name,
        folder.study,
        study.space,
        describe_by(study, trials),
        metric=metric_of(study, trials),
        rebuild=rebuild,
    )


def _journal(folder: RunFolder) -> str:
    path = folder.path / "view.journal"
    refuse_special(path)
    return str(path)


def live_view(study: Study, folder: RunFolder, trials_now: Callable[[], Trials], url: str | None = None) -> LiveView:
    """A view that is written during a run; pass it trials with ``.add`` and ``.close`` it at the end.

    A training is described when it is written, so zones appear only on trainings written after the map. Rebuilding the
    view with ``rebuild`` adds them to all.

    Args:
        study, folder, url: see :func:`open_view`.
        trials_now: returns all trials known at the moment; called from the view's thread.
    """
    known: dict[str, Describe] = {}

    def describe(trial: Trial) -> Mapping[str, Any]:
        found = known["describe"](trial) if known else {}
        if not found.get("stage"):  # a stage that began since
            known["describe"] = describe_by(study, trials_now())
            found = known["describe"](trial)
        return found

    place = url or _journal(folder)

    def view() -> OptunaView:
        metric = metric_of(study, trials_now())
        return OptunaView(place, folder.name, folder.study, study.space, describe, metric=metric)

    return LiveView(view)


def import_run(
    url: str,
    name: str | None,
    into: str | Path,
    *,
    objective: int | str | None = None,
    as_seeds: bool = False,
) -> tuple[Imported, RunFolder]:
    """Import an Optuna study, with all its trials, as a run folder.

    Importing again adds new trials; the arguments are those of
    :func:`zonesearch.optuna.importing.import_study`.

    Raises:
        StoreError: the study cannot be read, or the folder not written.
        StudyError: the folder belongs to something else, or the choice of what to import is ambiguous.
    """
    into = Path(into)
    known = Store(RunFolder.open(into), writer=None).load().trials if (into / "run.json").is_file() else Trials()
    imported = import_study(url, name, objective=objective, as_seeds=as_seeds, known=known)
    space, epochs, reading = imported.space, imported.epochs, imported.reading
    seeds = len({trial.seed for trial in imported.trials}) or 1
    stage = ImportedTrials(space, epochs, reading)
    study = Study(imported.name, space, (stage,), None, epochs, Seeds(seeds, seeds), reading, metric=imported.metric)
    folder = RunFolder.create_or_open(into, imported.identity(), name=imported.name, at_once=False)
    folder = replace(folder, heading=replace(folder.heading, settings=study.settings()), pending=True)
    with Store(folder, "import") as store:
        known = store.load().trials
        store.append(trial for trial in imported.trials.records() if known.get(trial.training) is None)
        store.begin()
    return imported, store.folder


def viewed(url: str) -> Watching:
    """For ``run_study(watching=...)``: shows the run in the Optuna storage ``url`` while it is running.

    An unreachable storage does not stop the run; a warning at the end gives the number of trials missing from the view.
    """
    url = absolute_url(url)  # an objective may change the working directory

    def watching(study: Study, folder: RunFolder, trials_now: Callable[[], Trials], observer: Observer) -> Observer:
        return _Viewed(observer, live_view(study, folder, trials_now, url), trials_now())

    return watching


class _Viewed:
    """An observer that also updates an Optuna view."""

    def __init__(self, observer: Observer, view: LiveView, known: Trials) -> None:
        self._observer = observer
        self._view = view
        self.round_begins = observer.round_begins
        self.job_moves = observer.job_moves
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
