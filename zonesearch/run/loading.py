"""Open any run folder, finished or not, as the same result that ``run_pipeline`` returns."""

from __future__ import annotations

import os
from pathlib import Path

from zonesearch.run.recorded import read_run
from zonesearch.run.result import Result
from zonesearch.run.storage.storage import place_of

__all__ = ["load_run"]


def load_run(folder: str | os.PathLike[str]) -> Result:
    """The result of the run in ``folder`` as it stands on the disk: ``.verdict, .zones, .trials, .frame(), .figures,
    .report()``.

    Everything is derived from the recorded trials and settings: nothing is trained or written, and no module that the
    study names is imported, so a stranger's run can be opened anywhere. A running search gives its results so far; load
    it again to see more.

    Args:
        folder: a run folder, such as ``runs/digits``; or ``NAME://ADDRESS``, a plug-in's storage.

    Returns:
        The result; before the corresponding stages are done, its ``verdict`` is None and its zones may be empty.

    Raises:
        StoreError: there is no run folder, or it cannot be read.
        StudyError: the folder does not say what it searches for, or one of its stages is not registered here.
        MergeError: a newer version wrote it, or its files belong to different studies.
    """
    path = place_of(os.fspath(folder))
    return Result(read_run(path)[0], path if isinstance(path, Path) else None)
