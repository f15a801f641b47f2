"""A run as it stands on disk: looked at, never changed."""

from __future__ import annotations

from pathlib import Path

from zonesearch.domain.findings import Findings
from zonesearch.engine.run_folder import RunFolder
from zonesearch.engine.store import Store
from zonesearch.errors import StudyError
from zonesearch.pipeline import find
from zonesearch.study.study import Study

__all__ = ["read_run", "study_of"]


def study_of(folder: RunFolder) -> Study:
    """The study that a run folder belongs to, to look at what came out; it has no objective.

    Raises:
        StudyError: the folder does not say what it looks for, or one of its stages is not registered here.
    """
    if not folder.settings:
        raise StudyError(f"{folder.path} does not say what it looks for; `zonesearch run STUDY.toml --into` it first")
    seed = int(folder.identity.get("seed", 0))
    return Study.from_settings(folder.settings, name=folder.name, seed=seed, text=folder.study_text or "")


def read_run(path: str | Path) -> tuple[Findings, int]:
    """What the run in the folder ``path`` found so far, and how many torn lines were skipped.

    Raises:
        StoreError: there is no run folder, or it cannot be read.
        StudyError, MergeError: it cannot be understood here.
    """
    folder = RunFolder.open(path)
    loaded = Store(folder, writer=None).load()
    return find(study_of(folder), loaded.trials, folder.study), loaded.n_torn
