"""What cells are expected to be worth, given all the others: the posterior mean of a Gaussian process through them.

The cell with the best mean of three seeds is mostly the one with the luckiest seeds. Where neighbours are known, they
say how lucky: a process fitted to all values (:mod:`zonesearch.statistics.gp`) shares the noise among them. Zones are
found without it (:mod:`zonesearch.statistics.grid_zones`); of the cells of a zone, which its test cannot tell apart,
it then says from which one to go on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from zonesearch.core.space import Space
from zonesearch.core.values import point
from zonesearch.statistics.candidates import RIVAL, Candidate
from zonesearch.statistics.grid_zones import Zone, zone_of
from zonesearch.statistics.map import Map
from zonesearch.statistics.noise import Cell, Noise

__all__ = ["expected_scores", "expecting", "rated", "says_more"]

_LEAST = 8  # cells with a value: the prior alone would decide among fewer
_RIVALS = 4  # cells of a zone, besides its candidates, that are named
_MOST = 600  # cells that the process uses: half of them the best, the rest spread over all by rank


def expected_scores(space: Space, cells: Sequence[Cell], noise: Noise) -> list[float] | None:
    """The posterior mean at each cell as a score, NaN without a value; None if too few cells have one.

    Args:
        space: its unit cube is where the process lives.
        cells: all that is known, each point once. Infeasible ones have values too, and count.
        noise: of the map: how noisy cells without repeats are compared with those that have some.
    """
    known = [cell for cell in cells if cell.values]
    if len(known) < _LEAST or len({cell.score for cell in known}) < 2:
        return None
    used = {id(cell) for cell in _some(known)}
    variances = noise.estimates(known)[0]
    what = [
        (
            tuple(cell.params.items()),
            tuple(map(cell.metric.score, cell.values)),
            float(variance) * len(cell.values) if id(cell) in used else math.nan,
        )
        for cell, variance in zip(known, variances, strict=True)
    ]
    found = iter(_posterior_means(space, tuple(what)))
    return [next(found) if cell.values else math.nan for cell in cells]


@lru_cache(maxsize=64)
def _posterior_means(
    space: Space, cells: tuple[tuple[tuple[tuple[str, Any], ...], tuple[float, ...], float], ...]
) -> tuple[float, ...]:
    """The posterior mean at points, each with its scores and their variance, NaN if the process does not use them.
    Cached, since stages are asked again in every round, and for every trial that
    comes.
    """
    from zonesearch.statistics.gp.cube import Cube  # loads scipy, which reading a small map does not need
    from zonesearch.statistics.gp.process import Prior, fit
    from zonesearch.statistics.gp.targets import Known
    from zonesearch.statistics.gp.uneven import uneven

    cube = Cube(space)
    places = [cube.point(dict(params)) for params, _, _ in cells]
    values: dict[tuple[float, ...], list[float]] = {}
    variances: dict[tuple[float, ...], float] = {}
    for place, (_, scores, variance) in zip(places, cells, strict=True):
        if not math.isnan(variance):
            values.setdefault(tuple(place.tolist()), []).extend(scores)
            variances[tuple(place.tolist())] = variance
    data, scale = Known(values).data(cube)
    means = fit(uneven(data, values, variances, scale), Prior()).means(np.array(places))
    return tuple(map(scale.back, means.tolist()))


def _some(cells: Sequence[Cell]) -> list[Cell]:
    """At most ``_MOST`` of the cells."""
    if len(cells) <= _MOST:
        return list(cells)
    order = sorted(range(len(cells)), key=lambda i: (-cells[i].score, i))
    spread = np.linspace(_MOST // 2, len(cells) - 1, _MOST - _MOST // 2).round().astype(int).tolist()
    return [cells[order[i]] for i in sorted({*range(_MOST // 2), *spread})]


def expecting(space: Space, cells: Sequence[Cell], noise: Noise, zones: Sequence[Zone]) -> tuple[Zone, ...]:
    """The zones of a map, each with the cell as its peak that is expected to be its best; their cells stay.

    A cell that lost more seeds than the present peak does not replace it. Unchanged without noise and for few cells.

    Args:
        space, cells, noise: of the map.
        zones: found in it.
    """
    exact = noise.source == "none" or noise.seed_variance == 0.0
    scores = None if exact or all(len(zone.cells) < 2 for zone in zones) else expected_scores(space, cells, noise)
    if scores is None:
        return tuple(zones)
    where = {point(cell.params): i for i, cell in enumerate(cells)}
    moved = []
    for zone in zones:
        mine = [where[point(params)] for params in zone.cells]
        lost = cells[mine[0]].n_lost
        peak = max((i for i in mine if cells[i].n_lost <= lost), key=lambda i: scores[i])  # the first of equal ones
        if peak != mine[0]:
            ordered = [cells[i] for i in (peak, *(i for i in mine if i != peak))]
            zone = zone_of(space, ordered, noise, zone.metric.score(zone.smoothed), zone.number)
        moved.append(zone)
    return tuple(moved)


def says_more(given: Map, epochs: int) -> bool:
    """Whether a map says more of a point than the point's own seeds do: its values are noisy, and those of trainings of
    ``epochs`` epochs.
    """
    return given.noise.source != "none" and given.noise.seed_variance > 0 and given.epochs == epochs


def rated(
    space: Space, zones: Sequence[Zone], candidates: Sequence[Candidate], cells: Sequence[Cell], noise: Noise
) -> list[Candidate]:
    """The candidates with what is expected of them, followed by the rivals of each zone: its next best cells.

    Unchanged if too little is known. Rivals are named only where repeats have measured the noise: a guess at it, from
    neighbours alone, says too little of which cells are alike.

    Args:
        space, zones, noise: of the map.
        candidates: so far.
        cells: of the map, and of all candidates; each point once.
    """
    scores = expected_scores(space, cells, noise)
    where = {point(cell.params): (cell, 0.0 if scores is None else scores[i]) for i, cell in enumerate(cells)}
    named = {point(each.params) for each in candidates}
    if scores is None or any(at not in where or math.isnan(where[at][1]) for at in named):
        return list(candidates)
    found = list(candidates)
    for zone in zones if noise.source == "seeds" else ():
        lost = where[point(zone.peak)][0].n_lost
        others = [where[at] for params in zone.cells if (at := point(params)) not in named and at in where]
        others = [pair for pair in others if pair[0].n_lost <= lost and pair[0].feasible and pair[0].values]
        for cell, _ in sorted(others, key=lambda pair: -pair[1])[:_RIVALS]:
            found.append(Candidate(dict(cell.params), cell.mean, noise.se(cell), zone.number, RIVAL, zone.metric))
    return [replace(each, expected=each.metric.value(where[point(each.params)][1])) for each in found]
