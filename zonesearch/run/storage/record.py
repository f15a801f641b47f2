"""A trial as one line of JSON, without loss.

The format is text, since that can be read in thirty years, appended to without reading, cut at any byte and
concatenated with ``cat``. Floats are written with the shortest digits that round-trip; infinities and NaN, which JSON
does not have, as strings that ``float`` reads. Each line ends with a CRC-32 of the rest, so that a truncated, merged or
damaged line is never taken for a result. Later formats keep this ending, so an intact line of a newer format is
recognised and refused rather than mistaken for damage.

A *heading* is a line with the identity of the study instead of a trial, so that a file outside its run folder still
says what it belongs to.
"""

from __future__ import annotations

import json
import math
import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zonesearch.core.compact import Curves
from zonesearch.core.metric import ACCURACY, Metric, is_usable
from zonesearch.core.trials import Training, Trial
from zonesearch.core.values import ChosenFloat, is_text
from zonesearch.errors import MergeError
from zonesearch.run.storage.decoding import decode_trial
from zonesearch.run.storage.lengths import Looks

__all__ = [
    "DEEPEST",
    "FORMAT",
    "Heading",
    "Line",
    "heading_line",
    "nested_deeper",
    "parse",
    "parse_ending",
    "sound_trial",
    "to_heading",
    "to_trial",
    "trial_line",
]

FORMAT = 1
"""The format that this version writes, and the newest one that it reads."""

Line = dict[str, Any]
"""One intact record as plain JSON values."""

DEEPEST = 50
"""The greatest nesting depth in the metadata of a run."""

_LARGEST = 2**62  # of a count
_LARGEST_PARAM = 2**1000  # an integer that can be represented as a float
_MARK = b', "crc": "'
_KEY = b', "key": "'
_HEADING = b'{"heading": '


@dataclass(frozen=True)
class Heading:
    """What the lines below it belong to.

    Args:
        study: the fingerprint, which is in every line.
        name: the study's name.
        identity: everything that makes trials comparable, as plain JSON values; the fingerprint is its hash.
        settings: space and stages of the run, as plain JSON values; they do not affect a trial's result, so they are
            not part of the identity, but a run keeps them. Empty if not given.
        study_text: the study file, if there was one.
        since: when these settings were first used, in ISO 8601; empty if not given.
    """

    study: str
    name: str
    identity: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    study_text: str | None = None
    since: str = field(default="", compare=False)


def trial_line(trial: Trial, study: str) -> bytes:
    """``trial`` of the study with the fingerprint ``study`` as a line that ends with a newline."""
    training = trial.training
    return _sealed(
        {
            "params": dict(training.params),
            "accuracy": trial.accuracy,
            "test_accuracy": trial.test_accuracy,
            "seed": training.seed,
            "epochs": training.epochs,
            "test": training.test,
            "state": "failed" if trial.state == "pruned" else trial.state,
            "curve": {name: list(values) for name, values in trial.curve.items()},
            "seconds": trial.seconds,
            "n_parameters": trial.n_parameters,
            "n_validation": trial.n_validation,
            "n_test": trial.n_test,
            **_unusual(trial),
            "error": trial.error,
            "provenance": dict(trial.provenance),
            "key": trial.key,
            "study": study,
            "format": FORMAT,
        }
    )


def _unusual(trial: Trial) -> Line:
    """Fields that are written only if they differ from the default, so that older versions can read the rest."""
    found: Line = {}
    if trial.state == "pruned":  # which an older version reads as a failure
        found["pruned"] = True
    if trial.metric != ACCURACY:
        found["metric"] = trial.metric.describe()
    if trial.noted:
        found["noted"] = dict(trial.noted)
    if trial.cost is not None:
        found["cost"] = trial.cost
    for name in ("right", "test_right"):
        if bits := getattr(trial, name):
            found[name] = b64encode(bits).decode("ascii")
    if trial.whole:
        found["whole"] = True
    chosen = [name for name, value in trial.params.items() if type(value) is ChosenFloat]
    if chosen:
        found["chosen"] = chosen  # whole-number floats that are choices beside equal integers
    if trial.n_steps is not None:
        found["n_steps"] = trial.n_steps
    if trial.averaged_from is not None:
        found["averaged_from"] = trial.averaged_from
    if trial.evaluated_every != 1:
        found["evaluated_every"] = trial.evaluated_every
    return found


def heading_line(heading: Heading, deal: Mapping[str, Any] | None = None) -> bytes:
    """``heading`` as a line that ends with a newline; with ``deal``, it also holds the assignment to shards.

    This is part of a heading because every version reads headings and ignores unknown fields in them.
    """
    return _sealed(
        {
            "heading": heading.name,
            "identity": dict(heading.identity),
            "settings": dict(heading.settings),
            "study_text": heading.study_text,
            **({"since": heading.since} if heading.since else {}),
            **({} if deal is None else {"deal": deal}),
            "study": heading.study,
            "format": FORMAT,
        }
    )


def parse(line: bytes) -> Line | None:
    """The record in ``line`` (with or without its newline); None if it was truncated or damaged.

    Raises:
        MergeError: a newer version wrote the line, and it is intact.
    """
    record = decode_trial(line, FORMAT)
    if record is not None:
        return record
    body = _unsealed(line)
    return None if body is None else _read(body + b"}")


def parse_ending(line: bytes) -> Line | None:
    """As :func:`parse`, but for a trial only the fields after its results: ``key``, ``study``, ``format``.

    This is a tenth of the work, and enough for merging, which copies lines unchanged.
    """
    body = _unsealed(line)
    if body is None:
        return None
    start = -1 if body.startswith(_HEADING) else body.rfind(_KEY)  # an identity may have a "key" of its own
    return _read((body if start < 0 else b"{" + body[start + 2 :]) + b"}")


def _unsealed(line: bytes) -> bytes | None:
    """The part before the checksum; None if the checksum is wrong."""
    body, mark, seal = line.rstrip().rpartition(_MARK)
    return body if mark and seal == b'%08x"}' % zlib.crc32(body) else None


def _read(text: bytes) -> Line | None:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):  # a damaged line whose checksum happens to match, or a malicious one
        return None
    if not isinstance(record, dict) or (b"\\ud" in text.lower() and not is_text(_spoken(record))):
        return None
    version = record.get("format")
    if not isinstance(version, int) or version > FORMAT:
        raise MergeError(
            f"a record was written in format {str(version)[:20]}, and this version of zonesearch reads up to format "
            f"{FORMAT}: update zonesearch here"
        )
    if not isinstance(record.get("study"), str) or (not _is_heading(record) and not isinstance(record.get("key"), str)):
        return None
    return record


def _spoken(record: Line) -> str:
    return json.dumps(record, ensure_ascii=False)


def _is_heading(record: Line) -> bool:
    """Whether ``record`` is a heading with fields of the right types, not nested too deeply."""
    return (
        isinstance(record.get("heading"), str)
        and isinstance(record.get("identity"), dict)
        and isinstance(record.get("settings"), dict)
        and isinstance(record.get("study_text"), str | None)
        and not nested_deeper(record["identity"], DEEPEST)
        and not nested_deeper(record["settings"], DEEPEST)
    )


def nested_deeper(value: object, depth: int) -> bool:
    """Whether there are more than ``depth`` lists and nested tables in ``value``, plain JSON values."""
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return False
    return depth == 0 or any(nested_deeper(inner, depth - 1) for inner in value)


def to_trial(record: Line, looks: Looks | None = None) -> Trial:
    """The trial in a record that is not a heading.

    Args:
        record: as :func:`parse` gives it.
        looks: which trainings depend on their length (see :mod:`zonesearch.run.storage.lengths`), for old records that
            do not say so.

    Raises:
        ValueError, TypeError, ...: no version of zonesearch wrote this record.
    """
    curve = record["curve"]
    if not isinstance(curve, Curves) and not _is_sound(record):  # the fast decoder has already checked the types
        raise ValueError("a value of a type that no version writes")
    state: Any = "pruned" if record.get("pruned") else record["state"]
    accuracy = _number(record["accuracy"])
    if state == "complete" and not all(map(is_usable, (accuracy, *_ends(curve)))):  # type: ignore[arg-type]
        state, accuracy = "diverged", None  # as such a value is recorded now
    params = record["params"]
    for name in record.get("chosen", ()):
        params[name] = ChosenFloat(params[name])
    return Trial(
        training=Training(params, record["seed"], record["epochs"], record["test"]),
        state=state,
        accuracy=accuracy,
        curve=curve if isinstance(curve, Curves) else {name: _numbers(values) for name, values in curve.items()},
        test_accuracy=_number(record["test_accuracy"]),
        seconds=float(record["seconds"]),
        n_parameters=record["n_parameters"],
        n_validation=record["n_validation"],
        n_test=record["n_test"],
        error=record["error"],
        provenance=record["provenance"],
        metric=Metric.parse(record["metric"]) if "metric" in record else ACCURACY,
        noted={name: float(value) for name, value in record.get("noted", {}).items()},
        cost=_number(record.get("cost")),
        right=_bits(record.get("right")),
        test_right=_bits(record.get("test_right")),
        whole=bool(record.get("whole", looks is not None and looks(params))),
        n_steps=record.get("n_steps"),
        averaged_from=record.get("averaged_from"),
        evaluated_every=_evaluated_every(record),
    )


def _evaluated_every(record: Line) -> int:
    every = record.get("evaluated_every", 1)
    if type(every) is not int or not 0 < every < _LARGEST:
        raise ValueError("a number of epochs that no version writes")
    return every


def sound_trial(record: Line, looks: Looks | None = None) -> Trial | None:
    """As :func:`to_trial`, but None for a record that no version of zonesearch wrote."""
    try:
        return to_trial(record, looks)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return None


def _is_sound(record: Line) -> bool:
    """Whether values that are used without conversion have the right type; the others fail when they are converted."""
    counts = (record["n_parameters"], record["n_validation"], record["n_test"])
    return (
        type(record["seed"]) is int
        and type(record["epochs"]) is int
        and type(record["test"]) is bool
        and record["seed"] < _LARGEST
        and record["epochs"] < _LARGEST
        and all(count is None or (type(count) is int and 0 <= count < _LARGEST) for count in counts)
        and all(abs(value) < _LARGEST_PARAM for value in record["params"].values() if isinstance(value, int))
        and isinstance(record["error"], str)
        and isinstance(record["provenance"], Mapping)
        and math.isfinite(float(record["seconds"]))
        and (record["accuracy"] is None or math.isfinite(float(record["accuracy"])))
    )


def to_heading(record: Line) -> Heading | None:
    """The heading in a record; None for a trial."""
    if "heading" not in record:
        return None
    return Heading(
        record["study"],
        record["heading"],
        record["identity"],
        record["settings"],
        record.get("study_text"),
        str(record.get("since", "")),
    )


def _bits(text: str | None) -> bytes:
    return b64decode(text, validate=True) if text else b""


def _ends(curve: Mapping[str, Any]) -> tuple[float, ...]:
    """The smallest and the largest value of the searched curve, in either order."""
    values = curve.get("validation_accuracy", ())
    if not values:
        return ()
    return (min(values), max(values)) if isinstance(curve, Curves) else tuple(map(float, values))


def _number(value: float | str | None) -> float | None:
    return None if value is None else float(value)


def _numbers(values: list[float | str]) -> list[float]:
    """The values of a curve. All NaN become the same object, so that tuples of floats compare as equal."""
    if any(isinstance(value, str) for value in values):
        return [math.nan if value == "nan" else float(value) for value in values]
    return values  # type: ignore[return-value]


def _sealed(record: Line) -> bytes:
    try:
        text = json.dumps(record, allow_nan=False)
    except (TypeError, ValueError):  # rare: the whole record is traversed only in this case
        text = json.dumps(_jsonable(record), allow_nan=False)
    if "\\ud" in text and not is_text(_spoken(record)):  # from a path in an error, say, which could not be printed
        text = json.dumps(_jsonable(record), allow_nan=False)
    body = text[:-1].encode("ascii")
    return body + _MARK + b'%08x"}\n' % zlib.crc32(body)


def _jsonable(value: object) -> object:
    """``value`` with non-finite floats as strings, and anything that JSON does not have as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, str) and not is_text(value):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return {str(name): _jsonable(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(inner) for inner in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)
