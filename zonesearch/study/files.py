"""Study files: TOML, with single keys replaced from the command line."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from zonesearch.errors import StudyError
from zonesearch.study.study import Study

__all__ = ["TEMPLATE", "parse_study", "read_study", "read_tables", "tables_in"]

_REPLACED = "#:set "
"""The form of a replaced key in the text of a study."""

TEMPLATE = """\
# A study: which hyperparameters to search, on which network, and how.
name = "{name}"
seed = 0

[space.width]                # number of hidden neurons
low = 16
high = 512
scale = "log"
row = "doubling"             # or "midpoints", a number of equal steps, or a list

[space.batch]
low = 16
high = 256
scale = "log"
row = "doubling"

[data]
name = "digits"              # ships with zonesearch; "mnist" is downloaded once

[network]
kind = "mlp"

[optimizer]
name = "adam"
learning_rate = 1e-3

[training]
epochs = 20

[search]
seeds = 2                    # trainings per cell of the map: two or more measure the noise

[polish]
keep = 3                     # finalists
repeats = 5                  # fresh seeds for each
"""


def read_study(path: str | Path, replacements: Iterable[str] = (), *, recorded: bool = False) -> Study:
    """Read a study file.

    Args:
        path: a TOML file.
        replacements: ``key=value`` with a dotted key, such as ``training.epochs=5`` or ``space.width.row=[128, 512]``;
            the value is TOML, or a plain string if it is not valid TOML.
        recorded: whether it is the study of an existing run that is only read: see :meth:`Study.from_tables`.

    Raises:
        StudyError, SpaceError: the file cannot be read or understood; names the file, the key and the mend.
    """
    path = Path(path)
    text, folder = _text(path, replacements), path.absolute().parent
    return parse_study(text, name=path.stem, where=str(path), folder=folder, recorded=recorded)


def read_tables(path: str | Path, replacements: Iterable[str] = ()) -> dict[str, Any]:
    """The tables of a study file as plain data, with replaced keys as in :func:`read_study`.

    Raises:
        StudyError: the file cannot be read.
    """
    return tables_in(_text(Path(path), replacements), str(path))


def _text(path: Path, replacements: Iterable[str]) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StudyError(f"study file {path} cannot be read: {reason}; `zonesearch new NAME` writes one") from None
    replaced = "".join(f"\n{_REPLACED}{replacement}" for replacement in replacements)
    return text + (f"{replaced}\n" if replaced else "")


def parse_study(text: str, *, name: str, where: str, folder: Path | None = None, recorded: bool = False) -> Study:
    """The study in the text of a study file as kept by :func:`read_study`, with replaced keys below it.

    Raises:
        StudyError, SpaceError: as :func:`read_study`; ``where`` names the file, and ``folder`` is its folder.
    """
    tables = tables_in(text, where)
    return Study.from_tables(tables, name=name, text=text, where=where, folder=folder, recorded=recorded)


def tables_in(text: str, where: str) -> dict[str, Any]:
    """The tables in the text of a study file, with replaced keys below it, as plain data.

    Raises:
        StudyError: it is not valid TOML.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise StudyError(f"study file {where} is not valid TOML: {error}") from None
    for line in text.splitlines():
        if line.startswith(_REPLACED):
            _replace(tables, line.removeprefix(_REPLACED))
    return tables


def _keys(key: str) -> list[str]:
    """A dotted key, one by one; a quoted part may hold dots, as in TOML."""
    if '"' not in key and "'" not in key:
        return key.split(".")
    try:
        table: Any = tomllib.loads(f"{key} = 0")
    except tomllib.TOMLDecodeError:
        return key.split(".")
    found: list[str] = []
    while isinstance(table, dict):
        ((name, table),) = table.items()
        found.append(name)
    return found


def _replace(tables: dict[str, Any], replacement: str) -> None:
    key, equals, raw = replacement.partition("=")
    parts = _keys(key.strip())
    if not equals or not all(parts):
        raise StudyError(f"--set takes KEY=VALUE, such as training.epochs=5, not {replacement!r}")
    try:
        value = tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        value = raw.strip()
    table = tables
    for part in parts[:-1]:
        inner = table.setdefault(part, {})
        if not isinstance(inner, dict):
            raise StudyError(f"--set {replacement}: {part} is {inner!r} in the study file, not a table")
        table = inner
    table[parts[-1]] = value
