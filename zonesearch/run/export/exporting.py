"""Export a run to an experiment tracker.

As with every view, the trials are authoritative and the tracker is topped up.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from zonesearch.run.export.tracked import Tracked, tracked
from zonesearch.run.recorded import read_run, study_of
from zonesearch.run.sharing import describe_by
from zonesearch.run.storage.run_folder import RunFolder
from zonesearch.statistics.search_results import SearchResults

__all__ = ["Exported", "export_to_mlflow", "export_to_tensorboard"]


@dataclass(frozen=True)
class Exported:
    """The outcome of an export.

    Args:
        place: where the study is shown: a folder, or the id of the parent run.
        n_new: trainings that were added or extended.
        n_trainings: all trainings of the run.
    """

    place: str
    n_new: int
    n_trainings: int


def export_to_mlflow(run: str | Path, uri: str, *, experiment: str | None = None) -> Exported:
    """Add to MLflow whatever is new in the run folder ``run``.

    Args:
        run: a run folder, finished or not.
        uri: of the tracking server or store.
        experiment: by default the study's name.

    Raises:
        StoreError: the run cannot be read, or MLflow is not installed or does not respond.
    """
    from zonesearch.run.export.mlflow import MlflowTracking

    results, trainings = _told(run)
    tracking = MlflowTracking(uri)
    n_new = tracking.write(results, trainings, experiment)
    return Exported(tracking.run_id, n_new, len(results.trials))


def export_to_tensorboard(run: str | Path, folder: str | Path) -> Exported:
    """Add to TensorBoard's ``folder`` whatever is new in the run folder ``run``.

    Raises:
        StoreError: the run cannot be read, tensorboard is not installed, or the folder cannot be written.
    """
    from zonesearch.run.export.tensorboard import TensorBoardFolder

    results, trainings = _told(run)
    board = TensorBoardFolder(Path(folder))
    n_new = board.write(results, trainings, time.time())
    return Exported(str(board.study_folder), n_new, len(results.trials))


def _told(run: str | Path) -> tuple[SearchResults, list[Tracked]]:
    results = read_run(run)[0]
    describe = describe_by(study_of(RunFolder.open(run)), results.trials)
    return results, [tracked(trial, describe(trial), time.time()) for trial in results.trials]
