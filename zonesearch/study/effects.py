"""Settings of a recipe without effect are refused: those of another kind of network, optimizer or data set, say.

A key or an axis without effect is refused, so that no result is attributed to a setting that was never used, and no map
is flat along an axis that was never varied. The question is whether any training of the study may read the setting: the
kind may itself be an axis, or differ between arms. A user's own network, data set or schedule may read anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from zonesearch.core.objective import Configured
from zonesearch.core.space import Space
from zonesearch.core.tables import known, laid_over
from zonesearch.core.wording import toml_key
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
        arms: the tables of each arm, as given.

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
                    _refuse(f"[arms.{toml_key(name)}] {table}.{key}", search.useless(table, key, arm=name))
    _check_axes(tables, space, arms)
    for axis in space.names:
        table, key = setting_of(axis)
        fixed = tables.get(table, {})
        own = [arm for arm, laid in arms.items() if laid.get(table, {}).get(key, ...) != fixed.get(key, ...)]
        for arm in (*[""] * (bool(table) and key in fixed), *(own if table else ())):
            if search.replaced(table, key, axis, arm):
                place = f"arms.{arm}" if arm else table
                raise StudyError(f'[{place}] {key} has no effect beside the axis "{axis}"; leave out one of them')
    stopping = [each["early_stopping"] for each in (tables, *arms.values()) if "early_stopping" in each]
    rules = ("patience", "rise", "after")
    if any(not any(rule in table or f"early_stopping.{rule}" in space.names for rule in rules) for table in stopping):
        raise StudyError("[early_stopping] has no effect without a rule: set patience, rise or after")


def check_axes_of(objective: object, space: Space) -> None:
    """Check that some training of an objective made in Python reads each axis, if that can be known.

    Args:
        objective: only checked if it provides its settings (:class:`~zonesearch.core.objective.Configured`).
        space: that is searched.

    Raises:
        StudyError: naming the axis and what does not read it.
    """
    if isinstance(objective, Configured):
        tables = dict(objective.settings_tables())
        _check_axes(tables, space, tables.pop("arms", {}))


def _check_axes(tables: Tables, space: Space, arms: Mapping[str, Tables]) -> None:
    """Refuse axes that are read nowhere. An axis that is read at some points only is allowed: a learning rate may be
    crossed with schedules of which only some use it.
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
        """Why a setting has no effect in any training; empty if it has one.

        The study of a single setting, as written for the winner of a search, keeps the axes of that search: one of them
        may be without effect because of the value of another.

        Args:
            table, key: the setting.
            axis: the axis, if the setting is one; empty for a key of a table.
            arm: the arm, if it is a key of one.
        """
        held = {"arm": arm} if arm else {}
        reason = partial(self._useless_at, table, key, axis, arm)
        found, gates = reason_everywhere(self._space, reason, axis, held)
        alone = all(len(other.row()) == 1 for other in self._space.axes)
        return "" if alone and gates else found

    def replaced(self, table: str, key: str, axis: str, arm: str = "") -> bool:
        """Whether the axis applies wherever a training would read the setting that is given beside it."""

        def reason(point: Point) -> str:
            return axis if point.values(axis) is not None else self._useless_at(table, key, "", arm, point)

        return bool(reason_everywhere(self._space, reason, held={"arm": arm} if arm else {})[0])

    def _useless_at(self, table: str, key: str, axis: str, arm: str, point: Point) -> str:
        tables = self._tables
        if arm:
            tables = self._arms[arm]
        elif self._arms and (picked := point.values("arm")) is not None:
            if len(picked) > 1:
                return ""
            tables = self._arms.get(str(picked[0]), tables)
        return Variant(tables, point, axis, varied=bool(axis or arm)).useless(table, key)
