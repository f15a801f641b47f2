"""Settings of a recipe without effect are refused: those of another kind of network, optimizer or data set, say.

A key or an axis without effect is refused, so that nobody takes a result for that of a setting which was never used,
or a map that is flat along an axis for one that was measured. What is asked is whether any training of the study may
read the setting: the kind may be an axis itself, or differ between arms. A network, a data set or a schedule of the
user's own reads what it likes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from zonesearch.core.objective import Configured
from zonesearch.core.space import Space
from zonesearch.core.tables import known, laid_over
from zonesearch.errors import StudyError
from zonesearch.study.anywhere import Point, reason_everywhere
from zonesearch.study.recipe_settings import SETTINGS, setting_of
from zonesearch.study.unread import Tables, Variant

__all__ = ["check_axes_of", "check_effects"]

_CHECKED = (*SETTINGS, "averaging", "early_stopping", "evolution")


def check_effects(tables: Tables, space: Space, arms: Mapping[str, Tables] | None = None) -> None:
    """Check that every key and every axis has an effect in some training.

    Args:
        tables: of the study, as far as they belong to a recipe.
        space: that is searched.
        arms: the tables of each arm, as they are given.

    Raises:
        StudyError: naming the table, the key and what does not read it.
    """
    for table, keys in SETTINGS.items():
        known(tables.get(table, {}), keys, f"[{table}]")
    arms = {name: laid_over(tables, name, arm) for name, arm in (arms or {}).items()}
    search = _Search(space, tables, arms)
    for table in _CHECKED:
        for key in tables.get(table, {}):
            _refuse(f"[{table}] {key}", search.useless(table, key))
        for name, arm in arms.items():
            for key, value in arm.get(table, {}).items():
                if tables.get(table, {}).get(key, ...) != value:
                    _refuse(f"[arms.{name}] {table}.{key}", search.useless(table, key, arm=name))
    _check_axes(tables, space, arms)
    for axis in space.names:
        table, key = setting_of(axis)
        for place, given in {table: tables, **{f"arms.{arm}": laid for arm, laid in arms.items()}}.items():
            if table and key in given.get(table, {}):
                raise StudyError(f'[{place}] {key} has no effect beside the axis "{axis}"; leave out one of them')
    stopping = [each["early_stopping"] for each in (tables, *arms.values()) if "early_stopping" in each]
    rules = ("patience", "rise", "after")
    if any(not any(rule in table or f"early_stopping.{rule}" in space.names for rule in rules) for table in stopping):
        raise StudyError("[early_stopping] has no effect without a rule: set patience, rise or after")


def check_axes_of(objective: object, space: Space) -> None:
    """Check that every axis is read by some training of an objective made in Python, where that can be known.

    Args:
        objective: what is trained; only one that gives its settings (:class:`~zonesearch.core.objective.Configured`) is
            looked at.
        space: that is searched.

    Raises:
        StudyError: naming the axis and what does not read it.
    """
    if isinstance(objective, Configured):
        tables = dict(objective.settings_tables())
        _check_axes(tables, space, tables.pop("arms", {}))


def _check_axes(tables: Tables, space: Space, arms: Mapping[str, Tables]) -> None:
    """An axis that is read at some points and not at others is none without effect: a learning rate may be crossed with
    schedules of which only some move it.
    """
    search = _Search(space, tables, arms)
    for axis in space.names:
        table, key = setting_of(axis)
        if table in _CHECKED:
            reason = search.useless(table, key, axis=axis)
            _refuse(f'axis "{axis}"', f"{reason}; leave out the axis" if reason and ";" not in reason else reason)


def _refuse(what: str, reason: str) -> None:
    if reason:
        raise StudyError(f"{what} has no effect: {reason}")


class _Search:
    """All trainings that a search may want."""

    def __init__(self, space: Space, tables: Tables, arms: Mapping[str, Tables]) -> None:
        self._space = space
        self._tables = tables
        self._arms = arms

    def useless(self, table: str, key: str, *, axis: str = "", arm: str = "") -> str:
        """Why a setting has no effect in any training; empty where it has one.

        One setting alone, as a search puts it into the study of its winner, keeps the axes that it was found on: what
        makes one of them useless there is the value of another.

        Args:
            table, key: the setting.
            axis: the one that it is; empty for a key of a table.
            arm: the one whose key it is.
        """
        held = {"arm": arm} if arm else {}
        reason = partial(self._useless_at, table, key, axis, arm)
        found, gates = reason_everywhere(self._space, reason, axis, held)
        alone = all(len(other.row()) == 1 for other in self._space.axes)
        return "" if alone and gates else found

    def _useless_at(self, table: str, key: str, axis: str, arm: str, point: Point) -> str:
        tables = self._tables
        if arm:
            tables = self._arms[arm]
        elif self._arms and (picked := point.values("arm")) is not None:
            if len(picked) > 1:
                return ""
            tables = self._arms.get(str(picked[0]), tables)
        return Variant(tables, point, axis, varied=bool(axis or arm)).useless(table, key)
