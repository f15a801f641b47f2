"""A run as it stands on disk: looked at, never changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from zonesearch.domain.findings import Findings
from zonesearch.domain.metric import ACCURACY
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
    findings = find(study_of(folder), loaded.trials, folder.study)
    turned = _turned(folder.identity)
    if turned and findings.metric == ACCURACY:
        said = f"An older version recorded {turned} with its sign turned: values are shown as they were recorded."
        findings = replace(findings, notes=(said, *findings.notes))
    return findings, loaded.n_torn


def _turned(identity: Mapping[str, Any]) -> str:
    """The error whose sign was turned when this was recorded; empty for anything else."""
    objective = identity.get("objective", {})
    training = objective.get("training", {})
    metric, direction = str(training.get("metric", "")), str(training.get("direction", ""))
    minimized = metric in ("mae", "rmse") or (":" in metric and direction.startswith("minimi"))
    return metric if minimized and "measured" not in objective else ""
