"""What the commands about many machines need of a study and its trials: shards, the Optuna view, an imported search."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zonesearch.core.seeds import Seeds
from zonesearch.core.trials import Params, Trial, Trials
from zonesearch.core.values import same
from zonesearch.run.pipeline import find, metric_of, next_round
from zonesearch.run.shards import Deal, ShardStatus, shard_statuses
from zonesearch.run.storage.files import refuse_link
from zonesearch.run.storage.run_folder import RunFolder
from zonesearch.run.storage.store import Store
from zonesearch.statistics.zones import Zone
from zonesearch.study.study import Study

if TYPE_CHECKING:
    from zonesearch.optuna.importing import Imported
    from zonesearch.optuna.view import Describe, LiveView, OptunaView

__all__ = ["describe_by", "import_run", "live_view", "open_view", "shards_of"]


def shards_of(study: Study, deals: Iterable[Deal], trials: Trials) -> list[ShardStatus]:
    """How far each shard is with what the study wants now.

    Empty when nothing more is wanted, or what is wanted now was dealt to nobody yet.

    Args:
        study: the study; its objective is not needed.
        deals: what was dealt, as the files of trials have it.
        trials: all that is known here.
    """
    at = next_round(study.stages, trials, study.budget)
    return [] if at.finished else shard_statuses(at.plan.trainings, deals, trials)


def describe_by(study: Study, trials: Trials) -> Describe:
    """For the Optuna view: the stage that first wanted a training, and the zone that its parameters belong to."""
    findings = find(study, trials)
    stages: dict[Any, str] = {}
    for record in findings.stages:
        for training in record.wanted:
            stages.setdefault(training.identity, record.name)

    def describe(trial: Trial) -> Mapping[str, Any]:
        zone = next((zone for zone in findings.zones if _belongs(zone, trial.params)), None)
        return {"stage": stages.get(trial.training.identity, ""), "zone": zone.number if zone else None}

    return describe


def _belongs(zone: Zone, params: Params) -> bool:
    """Whether ``params`` is one of the zone's cells, or lies on a line through its peak within its intervals."""
    own = {name: params.get(name) for name in zone.peak}
    if any(own == dict(cell) for cell in zone.cells):
        return True
    moved = [name for name in own if own[name] != zone.peak[name]]
    if len(moved) != 1:
        return not moved
    value, interval = own[moved[0]], zone.intervals[moved[0]]
    if isinstance(value, int | float) and all(isinstance(end, int | float) for end in interval):
        return min(interval) <= value <= max(interval)  # type: ignore[operator, type-var]
    return any(same(value, other) for other in interval)


def open_view(
    study: Study, folder: RunFolder, trials: Trials, url: str | None = None, *, rebuild: bool = False
) -> OptunaView:
    """The Optuna view of a run; ``url`` is by default the journal file ``view.journal`` in its folder.

    Raises:
        StoreError: the storage does not answer, or shows something else under this name.
    """
    from zonesearch.optuna.view import OptunaView

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
    refuse_link(path)
    return str(path)


def live_view(study: Study, folder: RunFolder, trials_now: Callable[[], Trials], url: str | None = None) -> LiveView:
    """A view that is written while a run goes on; feed it with ``.add`` and ``.close`` it at the end.

    A training is described when it is written: the zones of the map are known only to what comes after it. The view
    asked for again with ``rebuild`` knows them all.

    Args:
        study, folder, url: as for :func:`open_view`.
        trials_now: all trials known at the moment; called from the view's thread.
    """
    from zonesearch.optuna.view import LiveView, OptunaView

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
    """An Optuna study as a run folder: its trials, complete as they are.

    Importing again adds what is new; the arguments are those of
    :func:`zonesearch.optuna.importing.import_study`.

    Raises:
        StoreError: the study cannot be read, or the folder not written.
        StudyError: the folder belongs to something else, or it is not said what is to be imported.
    """
    from zonesearch.optuna.importing import import_study
    from zonesearch.search.stages.imported import ImportedTrials

    into = Path(into)
    known = Store(RunFolder.open(into), writer=None).load().trials if (into / "run.json").is_file() else Trials()
    imported = import_study(url, name, objective=objective, as_seeds=as_seeds, known=known)
    space, epochs, reading = imported.space, imported.epochs, imported.reading
    seeds = len({trial.seed for trial in imported.trials}) or 1
    stage = ImportedTrials(space, epochs, reading)
    study = Study(imported.name, space, (stage,), None, epochs, Seeds(seeds, seeds), reading, metric=imported.metric)
    folder = RunFolder.create_or_open(into, imported.identity(), name=imported.name)
    folder = RunFolder.create(folder.path, replace(folder.heading, settings=study.settings()))
    with Store(folder, "import") as store:
        known = store.load().trials
        store.append(trial for trial in imported.trials.records() if known.get(trial.training) is None)
    return imported, folder
