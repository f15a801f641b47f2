"""Zones of scattered points: an imported study, a search by a sampler, an interrupted run.

Without a grid there are no neighbours to compare, so one Gaussian process fitted to all points estimates the surface,
and zones are read off it (:mod:`zonesearch.statistics.gp.regions`): a peak among the evaluated points, the evaluated
points that are not significantly different from it, and how far they extend along each axis. Parameters that some
points lack define branches, each a space with zones of its own.

A process finds structure in anything, so cross-validation first checks that it predicts held-out points. If it does
not, or if half of the evaluated points cannot be told apart from the peak, no zone is reported, only how many more
trials would probably show one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from zonesearch.core.cost import Cost
from zonesearch.core.lazy import Lazy
from zonesearch.core.space import Space
from zonesearch.core.trials import Params
from zonesearch.core.values import told_apart
from zonesearch.statistics.gp.cube import Cube
from zonesearch.statistics.gp.process import Data, Prior, fit
from zonesearch.statistics.gp.regions import find_regions
from zonesearch.statistics.gp.targets import Known
from zonesearch.statistics.grid_zones import Zone
from zonesearch.statistics.map import Map
from zonesearch.statistics.noise import Cell, Noise, measure_noise

if TYPE_CHECKING:
    from scipy import special
else:
    special = Lazy("scipy.special")

__all__ = ["scattered_zones"]

Array = npt.NDArray[np.float64]
Place = tuple[float, ...]

_LEAST = 4  # points, plus one per axis: fewer are not enough to fit a process
_USUAL = 10  # points per axis: the number suggested when nothing can be estimated
_MOST = 600  # points that the process uses: half of them the best, the rest spread over all by rank
_PARTS = 5  # folds of the cross-validation
_FAR = 10_000  # trials; no larger number is suggested


@dataclass(frozen=True)
class _Branch:
    """The points with the same set of parameters.

    Args:
        space: of these.
        cells: with a value or without.
    """

    space: Space
    cells: tuple[Cell, ...]

    @property
    def name(self) -> str:
        return ", ".join(self.space.names)


def scattered_zones(space: Space, cells: Sequence[Cell], *, level: float = 0.95, zones_max: int = 5) -> Map:
    """The zones of scattered points.

    Args:
        space: the axes; a point may lack some of them.
        cells: the points with the values of their seeds, in any order; those outside the space are left out.
        level: two points count as different if the posterior of their difference excludes zero at this level.
        zones_max: maximum number of zones per branch.

    Returns:
        A map whose cells are the points. Its zones are ordered by value across all branches; if there are none, its
        notes say why and how many more trials would probably show one.
    """
    branches = _branches(space, cells)
    zones: list[Zone] = []
    notes: list[str] = []
    variances: list[float] = []
    for branch in branches:
        found, note, variance = _of_branch(branch, level, zones_max)
        zones += found
        variances.append(variance)
        if note:
            notes.append(f"Among the points with {branch.name}, {note}" if len(branches) > 1 else _sentence(note))
    zones.sort(key=lambda zone: (-zone.metric.score(zone.value), sorted(map(str, zone.peak.items()))))
    kept = [cell for branch in branches for cell in branch.cells]
    noise = measure_noise(kept)
    if noise.source == "none" and any(math.isfinite(v) for v in variances):
        noise = Noise(min(v for v in variances if math.isfinite(v)), 0, "differences")
    return Map(
        space=space,
        cells=tuple(kept),
        noise=noise,
        zones=tuple(replace(zone, number=number) for number, zone in enumerate(zones, start=1)),
        level=level,
        zones_max=zones_max,
        scattered=True,
        notes=tuple(notes),
    )


def _branches(space: Space, cells: Sequence[Cell]) -> list[_Branch]:
    """The points grouped by the parameters that they have, the largest branch first."""
    groups: dict[tuple[str, ...], dict[tuple[object, ...], Cell]] = {}
    for cell in cells:
        names = tuple(name for name in space.names if name in cell.params)
        if names and all(space[name].contains(cell.params[name]) for name in names):
            params = {name: cell.params[name] for name in names}
            group = groups.setdefault(names, {})
            place = tuple(map(told_apart, params.values()))
            before = group.get(place)
            group[place] = replace(cell, params=params) if before is None else _together(before, cell)
    ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    return [_Branch(Space(tuple(space[name] for name in names)), tuple(group.values())) for names, group in ordered]


def _together(a: Cell, b: Cell) -> Cell:
    """Merge two cells at the same point."""
    right = a.right + b.right if a.right and b.right else ()
    return replace(a, values=tuple(sorted(a.values + b.values)), right=right, n_lost=a.n_lost + b.n_lost)


def _of_branch(branch: _Branch, level: float, zones_max: int) -> tuple[tuple[Zone, ...], str, float]:
    """The zones, a note if there are none, and the process's estimate of the variance of a single value."""
    n_axes = len(branch.space.axes)
    alive = [cell for cell in branch.cells if cell.values and cell.feasible]
    lacking = _LEAST + n_axes - len(alive)
    if lacking > 0:
        more = max(lacking, _USUAL * n_axes - len(alive))
        return (
            (),
            f"{_points(len(alive))} with a value {_are(len(alive))} too few for a zone; {_trials(more)}",
            math.nan,
        )
    cube = Cube(branch.space)
    home = {_place(cube, cell.params): cell for cell in branch.cells}
    known = _thinned(home)
    barred = frozenset(place for place, cell in known.items() if not cell.feasible)  # values, but no peaks
    data, scale = Known({place: _scores(cell) for place, cell in known.items()}, barred).data(cube)
    posterior = fit(data, Prior())
    variance = posterior.hyper.noise * scale.unit**2
    if float(np.ptp(data.means)) == 0.0:
        return (), f"all {len(alive)} points have the same value, so that none of them is a peak", variance
    if not _foretells(data, level):
        more = max(_USUAL * n_axes - len(alive), len(alive))
        note = f"{_points(len(alive))} show no structure beyond chance in {_axes(n_axes)}; {_trials(more)}"
        return (), note, variance
    metric = alive[0].metric
    points = np.array(sorted(_place(cube, cell.params) for cell in alive))
    params = {place: cell.params for place, cell in home.items()}
    zones = find_regions(cube, posterior, scale, params, metric, points=points, level=level, zones_max=zones_max)
    peak = np.array(_place(cube, zones[0].peak))
    worse = posterior.worse(peak, points)
    z = float(special.ndtri(0.5 + level / 2))
    middle = float(np.median(worse))
    if middle <= z:  # half of all points may be as good as the peak
        needed = len(alive) * (z / middle) ** 2 if middle > 0 else math.inf
        more = math.ceil(needed) - len(alive) if needed < _FAR else _FAR
        note = f"half of the {len(alive)} points cannot be told apart from the best one; {_trials(max(1, more))}"
        return (), note, variance
    return tuple(_with_cheapest(zone, home, cube) for zone in zones), "", variance


def _scores(cell: Cell) -> list[float]:
    """The values, signed so that larger is better; a point that lost all of its trainings counts as the worst."""
    return [cell.metric.score(value) for value in cell.values] or [math.nan]


def _place(cube: Cube, params: Params) -> Place:
    return tuple(cube.point(params).tolist())


def _thinned(home: dict[Place, Cell]) -> dict[Place, Cell]:
    """At most ``_MOST`` points."""
    if len(home) <= _MOST:
        return home
    order = sorted(home, key=lambda place: (-home[place].score if home[place].values else math.inf, place))
    half = _MOST // 2
    rest = np.unique(np.linspace(half, len(order) - 1, _MOST - half).round().astype(int))
    return {order[i]: home[order[i]] for i in [*range(half), *rest.tolist()]}


def _foretells(data: Data, level: float) -> bool:
    """Whether processes fitted to the other folds predict the values measured in each fold.

    Length-scales are chosen without the held-out points: with many axes and few points, some always fit.
    """
    n = len(data)
    parts = np.arange(n) % _PARTS  # points are in ascending order, so each fold covers the whole space
    expected = np.empty(n)
    for part in range(_PARTS):
        others = np.flatnonzero(parts != part)
        here = np.flatnonzero(parts == part)
        expected[here] = fit(data.subset(others), Prior()).at_points(data.points[here])[0]
    if not float(np.ptp(expected)) > 1e-9:
        return False
    rho = float(np.corrcoef(data.means, expected)[0, 1])
    quantile = float(special.stdtrit(n - 2, 0.5 + level / 2))
    return rho >= 1.0 or rho * math.sqrt((n - 2) / max(1e-12, 1 - rho**2)) > quantile


def _with_cheapest(zone: Zone, home: dict[Place, Cell], cube: Cube) -> Zone:
    cells = [home[_place(cube, params)] for params in zone.cells]
    costs = [Cost(cell.n_parameters, cell.n_steps, cell.cost) for cell in cells]
    low = min(range(len(cells)), key=lambda i: (costs[i].rank, i))
    if not costs[low].known or not costs[0].known or costs[low].rank == costs[0].rank:
        return zone
    return replace(zone, cheapest=cells[low].params, cheapest_value=cells[low].mean, cheapest_se=math.nan)


def _points(n: int) -> str:
    return "one point" if n == 1 else f"{n} points"


def _are(n: int) -> str:
    return "is" if n == 1 else "are"


def _axes(n: int) -> str:
    return "one parameter" if n == 1 else f"{n} parameters"


def _trials(more: int) -> str:
    if more >= _FAR:
        return "more than 10,000 further trials would be needed to show one"
    return f"about {more} more {'trial' if more == 1 else 'trials'} would probably show a zone"


def _sentence(note: str) -> str:
    return note[0].upper() + note[1:]
