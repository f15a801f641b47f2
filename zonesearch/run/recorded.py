"""A run on disk, opened read-only, without calling anything that it names.

A run folder may come from a stranger. So the study is built from the plain settings in ``run.json``, with stages and
line methods that are installed here; its study file is shown as text and never parsed, its objective never created. If
a stage is not installed here, or does not accept the settings, only the results of earlier stages are shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zonesearch.core.metric import ACCURACY
from zonesearch.core.wording import excerpt
from zonesearch.errors import StudyError, ZoneSearchError
from zonesearch.run.pipeline import find, metric_of
from zonesearch.run.shards import Deal, odd_shards
from zonesearch.run.storage.kept import Kept
from zonesearch.run.storage.run_folder import RunFolder
from zonesearch.run.storage.storage import is_address
from zonesearch.run.storage.store import Store
from zonesearch.statistics.search_results import SearchResults, StageRecord
from zonesearch.study.study import Study

__all__ = ["Recorded", "read_recorded", "read_run", "read_trials", "study_of"]


_LONGEST_ROW = 100_000


@dataclass(frozen=True)
class Recorded:
    """What a run folder holds.

    Args:
        folder: the run folder, or a run in a storage.
        study: what it searches for, as far as it is known here; without an objective.
        results: what was found so far.
        n_torn: lines that were cut or damaged and skipped.
        deals: assignments of trainings to shards.
        notes: notes on the folder itself, as sentences; also part of the results' notes.
    """

    folder: RunFolder | Kept
    study: Study
    results: SearchResults
    n_torn: int
    deals: tuple[Deal, ...]
    notes: tuple[str, ...]


def study_of(folder: RunFolder | Kept) -> Study:
    """The study of a run folder, for looking at its results; it has no objective.

    It is cut before the first stage that is not known here.

    Raises:
        StudyError, SpaceError: the folder does not say what it searches for, or it cannot be interpreted.
    """
    return _study_and_rest(folder)[0]


def _study_and_rest(folder: RunFolder | Kept) -> tuple[Study, tuple[StageRecord, ...]]:
    """The study up to the first stage that is not known here, and the remaining stages."""
    if not folder.settings:
        raise StudyError(
            f"{_said(folder)} does not say what it searches for; `zonesearch run STUDY.toml --into` it first"
        )
    seed = folder.identity.get("seed", 0)
    text = folder.study_text or ""
    try:
        _check_rows(folder.settings["space"])
        tables = list(folder.settings["stages"])
        for n_known in range(len(tables), -1, -1):
            settings = {**folder.settings, "stages": tables[:n_known]}
            try:
                study = Study.from_settings(settings, name=folder.name, seed=int(seed), text=text)
                break
            except ZoneSearchError as error:
                if n_known == 0:
                    raise
                reason = str(error)
    except ZoneSearchError:
        raise
    except (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError) as error:
        raise StudyError(
            f"what {_said(folder)} says the run looks for cannot be understood ({type(error).__name__}: "
            f"{excerpt(str(error), 200)}): `zonesearch run STUDY.toml --into` another folder and merge this one into it"
        ) from error
    note = "not known here, so nothing from here on is shown"
    rest = [
        StageRecord(str(table.get("name")), _plain(table), notes=(f"{reason}: {note}",) if i == 0 else ())
        for i, table in enumerate(tables[n_known:])
    ]
    return study, tuple(rest)


def _said(folder: RunFolder | Kept) -> str:
    """Where a run describes its search, for messages."""
    return folder.place if isinstance(folder, Kept) else str(folder.path / "run.json")


def _opened(path: str | Path) -> tuple[RunFolder | Kept, Store | Kept]:
    """A run opened for reading, with its trials. Only the caller may name a storage, never a run."""
    if is_address(path):
        kept = Kept.open(str(path))
        return kept, kept
    folder = RunFolder.open(path)
    return folder, Store(folder, writer=None)


def _check_rows(axes: Mapping[str, Any]) -> None:
    """Refuse huge rows: a number takes no space in a file, but that many values do in memory."""
    for name, axis in axes.items():
        row = axis.get("row") if isinstance(axis, Mapping) else None
        if isinstance(row, int) and row > _LONGEST_ROW:
            raise StudyError(f"axis {name} has a row of {row} values, more than the {_LONGEST_ROW} that are read")


def _plain(table: Mapping[str, Any]) -> dict[str, Any]:
    return {str(key): value for key, value in table.items()}


def read_recorded(path: str | Path) -> Recorded:
    """The content of the run in the folder ``path``; raises like :func:`read_run`."""
    folder, store = _opened(path)
    loaded = store.load()
    study, rest = _study_and_rest(folder)
    results = find(study, loaded.trials, folder.study)
    notes = [*folder.notes, *loaded.notes, *(note for record in rest for note in record.notes)]
    odd = odd_shards(loaded.trials)
    if odd:
        words = ", ".join(f'"{word}"' for word in odd[:3]) + (", ..." if len(odd) > 3 else "")
        notes.append(f"There is no shard {words}; what records say of it was ignored.")
    turned = _turned(folder.identity)
    if turned and results.metric == ACCURACY:
        notes.append(
            f"An older version recorded {turned} with its sign turned: values are shown as they were recorded."
        )
    if rest:
        results = replace(results, stages=(*results.stages, *rest), verdict=None, study=dict(folder.settings))
    results = replace(results, notes=(*results.notes, *notes))
    return Recorded(folder, study, results, loaded.n_torn, store.deals, tuple(notes))


def read_trials(path: str | Path) -> SearchResults:
    """The trials in the folder ``path`` with the study's name and space, but without stage outputs; raises like the
    others.
    """
    folder, store = _opened(path)
    trials = store.load().trials
    study = study_of(folder)
    return SearchResults(folder.name, study.space, trials, metric=metric_of(study, trials))


def read_run(path: str | Path) -> tuple[SearchResults, int]:
    """The results of the run in the folder ``path`` so far, and the number of torn lines that were skipped.

    Raises:
        StoreError: there is no run folder, or it cannot be read.
        StudyError, SpaceError, MergeError: it cannot be interpreted here.
    """
    recorded = read_recorded(path)
    return recorded.results, recorded.n_torn


def _turned(identity: Mapping[str, Any]) -> str:
    """The name of an error metric whose sign was flipped when it was recorded; otherwise empty."""
    objective = identity.get("objective")
    training = objective.get("training") if isinstance(objective, Mapping) else None
    if not isinstance(objective, Mapping) or not isinstance(training, Mapping):
        return ""
    metric, direction = str(training.get("metric", "")), str(training.get("direction", ""))
    minimized = metric in ("mae", "rmse") or (":" in metric and direction.startswith("minimi"))
    code = objective.get("code")
    return metric if minimized and not (isinstance(code, Mapping) and "sign" in code) else ""
