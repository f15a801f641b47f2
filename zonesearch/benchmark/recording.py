"""Recorded maps as files, and finished runs as recorded maps.

A file is JSON with a cell on each line: its params, and of each seed the accuracies after every epoch as whole
ten-thousandths (null for a training that was lost). That is all a contest needs, and small enough to keep. A file with
a ``metric`` holds values of that metric as they are, to six digits.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from zonesearch.benchmark.recorded import RecordedCell, RecordedMap
from zonesearch.core.metric import ACCURACY, Metric
from zonesearch.core.reading import Reading
from zonesearch.core.space import Space
from zonesearch.core.trials import Params, Trial
from zonesearch.core.values import usable
from zonesearch.errors import StoreError, StudyError
from zonesearch.run.storage.storage import refuse_address
from zonesearch.statistics.findings import Findings

__all__ = ["map_of", "read_map", "write_map"]

_FORMAT = 2
_UNIT = 10_000
_DIGITS = 6


def map_of(findings: Findings) -> RecordedMap:
    """The map of a run: every point of its space that was trained to full length, with all its seeds.

    Points with further parameters (the schedules of a polish) are left out. Where the objective gave no learning
    curves, a training counts as one epoch.

    Raises:
        StudyError: no training of full length was complete.
    """
    names = set(findings.space.names)
    found: dict[Any, list[Trial]] = {}
    for trial in findings.trials:
        long_enough = trial.epochs >= findings.epochs or trial.state == "diverged"
        if set(trial.params) == names and long_enough and findings.space.contains(trial.params):
            found.setdefault(trial.training.identity[0], []).append(trial.at(findings.epochs))
    trials = [trial for cell in found.values() for trial in cell if trial.complete]
    curved = all(len(trial.validation_curve) == findings.epochs for trial in trials)
    cells = [
        RecordedCell(
            {name: cell[0].params[name] for name in findings.space.names},
            tuple(_curve(trial, findings.reading, curved) for trial in sorted(cell, key=lambda trial: trial.seed)),
        )
        for cell in found.values()
    ]
    n_validation = next((trial.n_validation for trial in trials if trial.n_validation), None)
    epochs = findings.epochs if curved else 1
    return RecordedMap(
        findings.name, findings.space, epochs, tuple(cells), findings.reading, n_validation, findings.metric
    )


def _curve(trial: Trial, reading: Reading, curved: bool) -> tuple[float, ...]:
    if not trial.complete:
        return ()
    return trial.validation_curve if curved else (trial.value(reading),)


def read_map(path: str | Path) -> RecordedMap:
    """A recorded map: a file that :func:`write_map` wrote, or the folder of a run.

    Raises:
        StudyError: it is neither; StoreError: it cannot be read.
    """
    path = Path(path)
    refuse_address(path)
    if path.is_dir():
        from zonesearch.run.recorded import read_run

        return map_of(read_run(path)[0])
    try:
        tables = json.loads(path.read_text(encoding="utf-8"))
        if tables["format"] > _FORMAT:
            raise StudyError(f"{path} was written by a newer zonesearch (format {tables['format']}): update this one")
        metric = Metric.parse(tables.get("metric", "accuracy"))
        cells = tuple(_cell(table, 1 if "metric" in tables else _UNIT) for table in tables["cells"])
        reading = Reading.parse(tables["reading"])
        space = Space.parse(tables["space"])
        return RecordedMap(tables["name"], space, tables["epochs"], cells, reading, tables["n_validation"], metric)
    except OSError as error:
        raise StoreError(f"recorded map {path} cannot be read: {error.strerror}; name a file or a run folder") from None
    except StudyError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise StudyError(f"{path} is not a recorded map ({reason}); benchmarks/record.py writes one") from None


def _cell(table: Any, unit: int) -> RecordedCell:
    params: Params = {str(name): value for name, value in table["params"].items()}
    curves = [tuple(value / unit for value in curve or ()) for curve in table["curves"]]
    return RecordedCell(params, tuple(curve if all(map(usable, curve)) else () for curve in curves))


def write_map(recorded: RecordedMap, path: str | Path) -> int:
    """Write ``recorded`` to ``path``, replacing what is there; gives its size in bytes.

    Raises:
        StoreError: it cannot be written.
    """
    in_parts = recorded.metric == ACCURACY and all(
        0 <= value <= 1 for cell in recorded.cells for curve in cell.curves for value in curve
    )
    head = {
        "format": 1 if in_parts else _FORMAT,
        "name": recorded.name,
        "space": recorded.space.describe(),
        "epochs": recorded.epochs,
        "reading": str(recorded.reading),
        "n_validation": recorded.n_validation,
        **({} if in_parts else {"metric": recorded.metric.describe()}),
    }
    lines = [_compact({"params": dict(cell.params), "curves": _numbers(cell, in_parts)}) for cell in recorded.cells]
    text = f'{_compact(head)[:-1]},"cells":[\n' + ",\n".join(lines) + "\n]}\n"
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"recorded map {path} cannot be written: {error.strerror}; name another file") from None
    return len(text)


def _numbers(cell: RecordedCell, in_parts: bool) -> list[list[float] | None]:
    def written(value: float) -> float:
        return round(value * _UNIT) if in_parts else float(f"{value:.{_DIGITS}g}")

    return [[written(value) for value in curve] or None for curve in cell.curves]


def _compact(table: Any) -> str:
    return json.dumps(table, separators=(",", ":"))
