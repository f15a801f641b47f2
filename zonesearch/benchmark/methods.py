"""Search methods by name: the stages of each, sized to fit a budget.

A name is one of :data:`PRESETS`, or names of registered stages joined by ``+`` (``grid+interval``). A stage takes from
the budget what its fields need: ``n_trainings`` or ``budget``; a grid gets rows that spend half of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from zonesearch.core.axes import Axis
from zonesearch.core.coarse import coarser
from zonesearch.core.plugins import registered
from zonesearch.core.reading import BEST, Reading
from zonesearch.core.space import Space
from zonesearch.errors import StudyError, did_you_mean
from zonesearch.optuna.stage import SAMPLERS
from zonesearch.search.stage import Stage
from zonesearch.study.building import build_stage

__all__ = ["PRESETS", "Method", "coarser", "method", "methods"]

Stages = tuple[Stage, ...]


@dataclass(frozen=True)
class Method:
    """A search method.

    Args:
        name: its name in tables.
        build: returns the stages for (space, budget in full-length trainings, epochs of full length, seed).
    """

    name: str
    build: Callable[[Space, int, int, int], Stages]

    def stages(self, space: Space, budget: int, epochs: int = 1, seed: int = 0, reading: Reading = BEST) -> Stages:
        """The stages; they depend only on the space, the budget, the seed and the reading of curves."""
        built = self.build(space, budget, epochs, seed)
        if reading == BEST:
            return built
        return tuple(replace(s, reading=reading) if hasattr(s, "reading") else s for s in built)  # type: ignore[type-var]


def methods(names: str) -> tuple[Method, ...]:
    """Parse a list of methods such as ``grid+interval,tpe,random``.

    Raises:
        StudyError: names the item that is not a method.
    """
    found = tuple(method(name.strip()) for name in names.split(",") if name.strip())
    if not found:
        raise StudyError("--methods takes names separated by commas, such as grid+interval,tpe,random")
    return found


def method(name: str) -> Method:
    """The method of that name.

    Raises:
        StudyError: there is no such method.
    """
    if name in PRESETS:
        return Method(name, PRESETS[name])
    kinds = name.split("+")
    for kind in kinds:
        if kind not in registered("stages"):
            known = [*PRESETS, *registered("stages")]
            raise StudyError(f'unknown search method "{kind}"; {did_you_mean(kind, known)} (join stages with +)')

    def build(space: Space, budget: int, epochs: int, seed: int) -> Stages:
        return tuple(_stage(kind, space, budget, epochs, seed) for kind in kinds)

    return Method(name, build)


def _stage(kind: str, space: Space, budget: int, epochs: int, seed: int, **settings: Any) -> Stage:
    """The stage ``kind`` with its fields set from the budget."""
    common: dict[str, Any] = {
        "space": space,
        "epochs": epochs,
        "seeds": 1,
        "reading": BEST,
        "study_seed": seed,
        "n_trainings": budget,
        "budget": budget,
        "schedules": (),
    }
    return build_stage(kind, settings, common, f"method {kind}")


def _grid_interval(space: Space, budget: int, epochs: int, seed: int) -> Stages:
    """A grid that spends half of the budget, then intervals in as many zones as the rest allows."""
    rows = coarser(space, max(1, budget // 2))
    lines = sum(isinstance(axis, Axis) for axis in space.axes) * 6 + 1  # split(8): 6 new values, then the combination
    n_zones = max(1, (budget - rows.n_cells) // lines)
    return (
        _stage("grid", rows, budget, epochs, seed, zones_min=1, zones_max=n_zones),
        _stage("interval", rows, budget, epochs, seed),
    )


def _stock(sampler: str) -> Callable[[Space, int, int, int], Stages]:
    """An Optuna sampler with default settings, one suggestion at a time."""

    def build(space: Space, budget: int, epochs: int, seed: int) -> Stages:
        return (_stage("optuna", space, budget, epochs, seed, sampler=sampler, batch=1),)

    return build


def _strong(space: Space, budget: int, epochs: int, seed: int) -> Stages:
    """The surrogate, one suggestion at a time."""
    return (_stage("surrogate", space, budget, epochs, seed, batch=1),)


PRESETS: Mapping[str, Callable[[Space, int, int, int], Stages]] = {
    "grid+interval": _grid_interval,
    "strong": _strong,
    **{sampler: _stock(sampler) for sampler in SAMPLERS},
}
"""Methods whose stages need more settings than the budget; they do not affect study files.

The names of Optuna's samplers stand for those samplers with default settings.
"""
