"""Schedule specifications as strings.

A string is read by Python's own parser, and only names, literals and calls of schedules are accepted: nothing is
executed.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Sequence
from functools import cache
from typing import Any

from zonesearch.core.plugins import load, registered
from zonesearch.errors import StudyError, did_you_mean
from zonesearch.training.schedules.cyclical import ExpRange, Sgdr, Triangular, Triangular2
from zonesearch.training.schedules.decay import Constant, Cosine, Exponential, Linear, OneCycle, Plateau, Step
from zonesearch.training.schedules.ensembling import Fge, Snapshot, Swa
from zonesearch.training.schedules.foreign import adapted
from zonesearch.training.schedules.schedule import Schedule
from zonesearch.training.schedules.sweep import Sweep
from zonesearch.training.schedules.warmup import Warmup

__all__ = ["known_schedules", "parse", "ships"]

_CLASSES = (
    Constant, Step, Plateau, Linear, Exponential, Cosine, OneCycle, Triangular, Triangular2, ExpRange, Sgdr,
    Snapshot, Fge, Swa, Sweep, Warmup,
)  # fmt: skip


_BUILT_IN: dict[str, type[Schedule]] = {cls.name: cls for cls in _CLASSES}


def known_schedules() -> tuple[str, ...]:
    """The names of all schedules: built-in ones, and plug-ins of the entry-point group ``zonesearch.schedules``."""
    return (*_BUILT_IN, *(name for name in registered("schedules") if name not in _BUILT_IN))


def ships(name: str) -> bool:
    """Whether the schedule of this name is built in."""
    return name in _BUILT_IN


def _made_by(name: str, spec: str) -> Any:
    """The class or function that makes the schedule of this name.

    Raises:
        StudyError: there is none, or the plug-in cannot be imported.
    """
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    if name not in registered("schedules"):
        raise StudyError(f'unknown schedule "{name}"; {did_you_mean(name, known_schedules())}')
    made = load("schedules", name, f'schedule "{spec}"')
    if not callable(made):
        raise StudyError(f'schedule "{name}" of a plug-in is {type(made).__name__}, not a class or function')
    return made


@cache
def parse(spec: str) -> Schedule:
    """The schedule that ``spec`` describes; arguments may be positional or named.

    Raises:
        StudyError: naming the schedule or argument that is unknown, missing or out of range, and the closest valid one.

    >>> str(parse("warmup(5, then=step(every=7))"))
    'warmup(epochs=5, then=step(every=7, factor=0.5))'
    """
    try:
        node = ast.parse(spec.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        node = None
    if not isinstance(node, ast.Name | ast.Call):
        raise StudyError(f'schedule "{spec}" is neither a name nor a call such as step(every=7, factor=0.5)')
    return _schedule(node, spec)


def _schedule(node: ast.expr, spec: str) -> Schedule:
    called = node.func if isinstance(node, ast.Call) else node
    if not isinstance(called, ast.Name):
        raise StudyError(f'schedule "{spec}" is neither a name nor a call such as step(every=7, factor=0.5)')
    cls = _made_by(called.id, spec)
    places = list(inspect.signature(cls).parameters)
    given = [] if not isinstance(node, ast.Call) else node.args
    keywords = [] if not isinstance(node, ast.Call) else node.keywords
    if len(given) > len(places):
        raise StudyError(f'schedule "{called.id}" takes {_list(places)}, but "{spec}" gives {len(given)} values')
    arguments = {name: _value(argument, spec) for name, argument in zip(places, given, strict=False)}
    for keyword in keywords:
        if keyword.arg not in places:
            said = keyword.arg or "**"
            raise StudyError(f'schedule "{called.id}" has no argument "{said}"; {did_you_mean(said, places)}')
        if keyword.arg in arguments:
            raise StudyError(f'schedule "{called.id}": {keyword.arg} is given twice in "{spec}"')
        arguments[keyword.arg] = _value(keyword.value, spec)
    needed = [
        name for name, parameter in inspect.signature(cls).parameters.items() if parameter.default is parameter.empty
    ]
    missing = [name for name in needed if name not in arguments]
    if missing:
        raise StudyError(f'schedule "{called.id}" needs {_list(missing)}, as {called.id}({missing[0]}=0.01)')
    try:
        return adapted(cls(**arguments), ast.unparse(node))
    except (TypeError, ValueError) as error:
        raise error if isinstance(error, StudyError) else StudyError(f'schedule "{spec}": {error}') from None


def _value(node: ast.expr, spec: str) -> Any:
    """A literal, or a schedule inside a schedule."""
    if isinstance(node, ast.Name | ast.Call):
        return _schedule(node, spec)
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise StudyError(f'schedule "{spec}": {ast.unparse(node)} is neither a value nor a schedule') from None


def _list(names: Sequence[str]) -> str:
    return " and ".join(names) if len(names) < 3 else ", ".join(names)
