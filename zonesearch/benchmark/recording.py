"""Recorded maps as files, and finished runs as recorded maps.

A file is JSON with one cell per line: its parameters and, for each seed, the accuracy after every epoch as an integer
number of ten-thousandths (null for a lost training). That is all a contest needs, and small enough to keep. A file with
a ``metric`` stores values of that metric directly, to six digits.

If it is known which validation examples were right, the file has format 3: accuracies are counts of right examples out
of ``unit``, so nothing is rounded; ``right`` holds the answers at the best epoch (packed bits in base 64) and ``train``
the accuracies on the training split, in integer hundred-thousandths.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zonesearch.benchmark.recorded import RecordedCell, RecordedMap
from zonesearch.core.metric import ACCURACY, Metric, is_usable
from zonesearch.core.reading import Reading
from zonesearch.core.space import Space
from zonesearch.core.trials import Params, Trial
from zonesearch.errors import StoreError, StudyError
from zonesearch.run.storage.storage import refuse_address
from zonesearch.statistics.search_results import SearchResults

__all__ = ["map_of", "read_map", "write_map"]

_FORMAT = 3
_UNIT = 10_000
_TRAIN_UNIT = 100_000
_DIGITS = 6
_EXACT = 1e-6  # of an example


def map_of(results: SearchResults) -> RecordedMap:
    """The map of a run: every point of its space that was trained to full length, with all seeds.

    Points with extra parameters (the schedules of a polish) are left out. If the objective gave no learning curves, a
    training counts as one epoch.

    Raises:
        StudyError: no full-length training completed.
    """
    names = set(results.space.names)
    found: dict[Any, list[Trial]] = {}
    for trial in results.trials:
        long_enough = trial.epochs >= results.epochs or trial.state == "diverged"
        if set(trial.params) == names and long_enough and results.space.contains(trial.params):
            found.setdefault(trial.training.identity[0], []).append(trial.at(results.epochs))
    trials = [trial for cell in found.values() for trial in cell if trial.complete]
    curved = all(len(trial.evaluated_epochs) == results.epochs for trial in trials)
    cells = [_recorded(results, sorted(cell, key=lambda trial: trial.seed), curved) for cell in found.values()]
    n_validation = next((trial.n_validation for trial in trials if trial.n_validation), None)
    epochs = results.epochs if curved else 1
    return RecordedMap(results.name, results.space, epochs, tuple(cells), results.reading, n_validation, results.metric)


def _recorded(results: SearchResults, trials: list[Trial], curved: bool) -> RecordedCell:
    """A cell, with training accuracies and answers if all its complete trainings have them."""
    complete = [trial for trial in trials if trial.complete] if curved else []
    train = [tuple(trial.curve.get("train_accuracy", ())) if trial.complete else () for trial in trials]
    has_train = complete and all(len(trial.curve.get("train_accuracy", ())) == results.epochs for trial in complete)
    has_right = complete and all(trial.right for trial in complete)
    return RecordedCell(
        {name: trials[0].params[name] for name in results.space.names},
        tuple(_curve(trial, results.reading, curved) for trial in trials),
        tuple(train) if has_train else (),
        tuple(trial.right for trial in trials) if has_right else (),
    )


def _curve(trial: Trial, reading: Reading, curved: bool) -> tuple[float, ...]:
    if not trial.complete:
        return ()
    return trial.validation_curve if curved else (trial.value(reading),)


def read_map(path: str | Path) -> RecordedMap:
    """Read a recorded map: a file written by :func:`write_map`, or a run folder.

    Raises:
        StudyError: it is neither. StoreError: it cannot be read.
    """
    path = Path(path)
    refuse_address(path)
    if path.is_dir():
        from zonesearch.run.recorded import read_run

        return map_of(read_run(path)[0])
    try:
        tables = json.loads(path.read_text(encoding="utf-8"))
        if tables["format"] > _FORMAT:
            raise StudyError(f"{path} was written by a newer zonesearch (format {tables['format']}): update zonesearch")
        metric = Metric.parse(tables.get("metric", "accuracy"))
        unit = 1 if "metric" in tables else tables.get("unit", _UNIT)
        cells = tuple(_cell(table, unit) for table in tables["cells"])
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
    return RecordedCell(
        params,
        tuple(curve if all(map(is_usable, curve)) else () for curve in curves),
        tuple(tuple(value / _TRAIN_UNIT for value in curve or ()) for curve in table.get("train", ())),
        tuple(base64.b64decode(answers or "", validate=True) for answers in table.get("right", ())),
    )


def write_map(recorded: RecordedMap, path: str | Path) -> int:
    """Write ``recorded`` to ``path``, replacing an existing file; returns its size in bytes.

    Raises:
        StoreError: it cannot be written.
    """
    in_parts = recorded.metric == ACCURACY and all(
        0 <= value <= 1 for cell in recorded.cells for curve in cell.curves for value in curve
    )
    counted = in_parts and _counted(recorded)
    unit = recorded.n_validation if counted and recorded.n_validation else _UNIT
    head = {
        "format": 3 if counted else 1 if in_parts else 2,
        "name": recorded.name,
        "space": recorded.space.describe(),
        "epochs": recorded.epochs,
        "reading": str(recorded.reading),
        "n_validation": recorded.n_validation,
        **({} if in_parts else {"metric": recorded.metric.describe()}),
        **({"unit": unit} if counted else {}),
    }
    lines = [
        _compact(
            {
                "params": dict(cell.params),
                "curves": _numbers(cell.curves, unit if in_parts else None),
                **({"train": _numbers(cell.train, _TRAIN_UNIT)} if counted and cell.train else {}),
                **({"right": [base64.b64encode(bits).decode() or None for bits in cell.right]} if counted else {}),
            }
        )
        for cell in recorded.cells
    ]
    text = f'{_compact(head)[:-1]},"cells":[\n' + ",\n".join(lines) + "\n]}\n"
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"recorded map {path} cannot be written: {error.strerror}; name another file") from None
    return len(text)


def _counted(recorded: RecordedMap) -> bool:
    """Whether the answers of all cells are known, and accuracies are fractions of this many examples."""
    n = recorded.n_validation
    if not n or not all(cell.right for cell in recorded.cells):
        return False
    values = (n * value for cell in recorded.cells for curve in cell.curves for value in curve)
    return all(math.isclose(value, round(value), rel_tol=0.0, abs_tol=_EXACT) for value in values)


def _numbers(curves: Sequence[Sequence[float]], unit: int | None) -> list[list[float] | None]:
    """The values as integer multiples of 1/``unit``; None keeps them unchanged."""

    def written(value: float) -> float:
        return round(value * unit) if unit else float(f"{value:.{_DIGITS}g}")

    return [[written(value) for value in curve] or None for curve in curves]


def _compact(table: Any) -> str:
    return json.dumps(table, separators=(",", ":"))
