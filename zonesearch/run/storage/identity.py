"""What makes trials comparable: the identity of a study, its fingerprint, and the differences between two of them.

The identity is plain JSON: everything that affects a result apart from parameters and seed. Its hash, the fingerprint,
is in every record, so that trials of different experiments are never mixed. The identity itself is stored too, so that
a refusal can name the difference instead of two hashes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from zonesearch.run.storage.first_identity import comparable
from zonesearch.study.objectives import OBJECTIVE_TABLES

__all__ = ["differences", "fingerprint", "plain_identity"]

_ABSENT = object()
_SAID = {
    "content": "the content of the data",
    "source": "the code of the function",
    "objective": "[objective] kind",
    **dict.fromkeys(("metric.name", "training.metric"), "the metric"),
    **dict.fromkeys(("metric.direction", "training.direction"), "the direction of the metric"),
}
"""Names for keys of an identity that a study file does not have, or may have in several places."""


def plain_identity(identity: Mapping[str, Any]) -> dict[str, Any]:
    """``identity`` as it is read back from a file: tuples as lists, keys as strings.

    Raises:
        TypeError, ValueError: a value cannot be represented in JSON.
    """
    plain: dict[str, Any] = json.loads(json.dumps(identity, allow_nan=False))
    return plain


def fingerprint(identity: Mapping[str, Any]) -> str:
    """16 hexadecimal digits, the same on every machine: SHA-256 of the canonical JSON of ``identity``."""
    text = json.dumps(plain_identity(identity), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between two identities, one entry per key, in the order of the keys: ``[training] batch: 64 -> 32``.

    Empty if they are the same experiment, even if an older version wrote one of them differently.
    """
    if plain_identity(old) == plain_identity(new):
        return []
    before, after = (dict(_flat(identity)) for identity in comparable(plain_identity(old), plain_identity(new)))
    return [
        f"{_in_study_file(key)}: {_shown(before.get(key, _ABSENT))} -> {_shown(after.get(key, _ABSENT))}"
        for key in sorted(before.keys() | after.keys())
        if _kind_and_value(before.get(key, _ABSENT)) != _kind_and_value(after.get(key, _ABSENT))
    ]


def _in_study_file(key: str) -> str:
    """A key of an identity in the notation of study files; unchanged if no study file has it."""
    whole, (objective, _, rest) = key, key.partition(".")
    table, dot, key = rest.partition(".")
    if objective != "objective":
        return whole
    if rest in _SAID:
        return _SAID[rest]
    if table in ("modules", "own_code") and dot:
        return f"the code of {'the module ' if table == 'modules' else ''}{key}"
    if table == "code" and dot:
        return f"the version of the code of {key}"
    if table == "arms" and key.count(".") == 2:
        return f"[arms.{key.split('.')[0]}] {key.partition('.')[2]}"
    if rest in ("function", "version") or (table == "arguments" and dot):
        return f"[objective] {rest}"
    return f"[{table}] {key}" if table in OBJECTIVE_TABLES and dot else whole


def _kind_and_value(value: object) -> str | object:
    """A form for comparison: True differs from 1, but 1.0 equals 1."""
    return json.dumps(value) if isinstance(value, bool) else value


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            yield from _flat(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", inner


def _shown(value: object) -> str:
    if value is _ABSENT:
        return "(absent)"
    return json.dumps(value, ensure_ascii=False)
