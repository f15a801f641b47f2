"""How sharp zones are, and whether the best cell lies in one: on simulated maps and on recorded ones.

Simulated: maps of doubling cells with a known truth (one peak, two equal peaks, a ridge, a plateau) and noise between
seeds that grows with the error, one to five seeds a cell, with and without a finite validation set whose answers are
known one by one. "in" is the share of maps whose truly best cell lies in a zone, "cells" the mean share of the map that
lies in zones, and "of oracle" how many cells that is for each one kept by the same rule when it is told the true
variances. Recorded: three of the recorded seeds of each cell, drawn many times; the truth is the mean of all of them.
``python -m benchmarks.zones`` prints the tables in docs/zones.md.
"""

from __future__ import annotations

import argparse
import json
import math
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from zonesearch.benchmark.recording import read_map
from zonesearch.core.seeds import Seeds
from zonesearch.core.space import Space
from zonesearch.core.trials import Trial, Trials
from zonesearch.search.stages.grid import Grid
from zonesearch.statistics.examples import n_right
from zonesearch.statistics.noise import Cell, Noise, measure_noise
from zonesearch.statistics.scattered_zones import scattered_zones
from zonesearch.statistics.zones import find_zones

SPACE = Space.parse(
    {
        "width": {"low": 16, "high": 1024, "scale": "log", "row": "doubling"},
        "batch": {"low": 4, "high": 256, "scale": "log", "row": "doubling"},
    }
)
RECORDED = Path(__file__).parent / "recorded"
ANSWERS = Path(__file__).parent / "answers"
LEVEL = 0.95
SEEDS = (1, 2, 3, 5)


def _hill(u: np.ndarray, v: np.ndarray, at: tuple[float, float], wide: float) -> np.ndarray:
    return ((u - at[0]) ** 2 + (v - at[1]) ** 2) / wide**2


SHAPES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "one peak": lambda u, v: _hill(u, v, (3.7, 2.6), 2.5),
    "two equal peaks": lambda u, v: np.minimum(_hill(u, v, (2, 4), 1.4), _hill(u, v, (4, 2), 1.4)),
    "ridge": lambda u, v: ((u - v - 1) / 1.7) ** 2 + ((u + v - 6) / 9) ** 2,
    "plateau": lambda u, v: np.maximum(_hill(u, v, (4, 3), 2.2) - 0.6, 0.0) + 0.01 * _hill(u, v, (4.2, 3.3), 2.2),
}
"""How bad each cell is, in units of its log-odds of the error, 0 at the best."""


@dataclass(frozen=True)
class Truth:
    """A map as it really is: errors of the population, and of single trainings the standard deviation."""

    error: np.ndarray
    sd: np.ndarray

    @classmethod
    def of(cls, shape: str, rng: np.random.Generator, share: float = 0.15, best: float = 0.02) -> Truth:
        """Noise grows with the error (``share`` of it), and single cells stray from that (8 degrees of freedom)."""
        points = np.array([SPACE.unit(params) * 6 for params in SPACE.grid()])
        badness = SHAPES[shape](points[:, 0], points[:, 1])
        odds = math.log(best / (1 - best)) + np.minimum(badness, 3.5) + 1e-6 * rng.random(len(points))
        error = 1 / (1 + np.exp(-odds))
        sd = share * error * (1 - error) * np.sqrt(8 / rng.chisquare(8, len(points)))
        return cls(error, sd)

    def draw(self, n_seeds: int, n: int, rng: np.random.Generator) -> list[Cell]:
        """A measured map; of ``n`` validation examples, or of infinitely many with 0."""
        cells = []
        hard = rng.normal(0, 1, n)  # of each example, the same for all cells
        for params, error, sd in zip(SPACE.grid(), self.error, self.sd, strict=True):
            errors = np.clip(error + sd * rng.normal(0, 1, n_seeds), 1e-5, 0.999)
            if not n:
                cells.append(Cell(params, tuple((1 - errors).tolist())))
                continue
            luck = rng.normal(0, 1, (n_seeds, n))
            right = math.sqrt(OWN) * hard + math.sqrt(1 - OWN) * luck > ndtri(errors)[:, None]
            bits = tuple(np.packbits(row).tobytes() for row in right)
            cells.append(Cell(params, tuple(right.mean(axis=1).tolist()), n, right=bits))
        return cells


OWN = 0.6  # correlation of the answers of two seeds to one example, of the normal deviates behind them


def _anew(error: np.ndarray) -> np.ndarray:
    """The variance of a single answer that another seed draws anew, beyond what the example makes of it."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    weights = weights / weights.sum()
    wrong = ndtr((ndtri(error)[:, None] - math.sqrt(OWN) * nodes) / math.sqrt(1 - OWN))
    anew: np.ndarray = (wrong * (1 - wrong)) @ weights
    return anew


class Oracle(Noise):
    """The noise of a map whose variances are known."""

    def __init__(self, variances: dict[Any, float]) -> None:
        super().__init__()
        object.__setattr__(self, "known", variances)

    def estimates(self, cells: Any) -> Any:
        """The true ones."""
        known = [self.known[tuple(cell.params.values())] / len(cell.values) for cell in cells]  # type: ignore[attr-defined]
        return np.array(known), np.full(len(cells), math.inf)


def simulated(shape: str, n_seeds: int, n: int, n_maps: int) -> dict[str, float]:
    """Mean figures over maps of one kind."""
    found: dict[str, list[float]] = {"in": [], "cells": [], "oracle": [], "oracle in": [], "zones": []}
    for i in range(n_maps):
        rng = np.random.default_rng([i, n_seeds, n, list(SHAPES).index(shape)])
        truth = Truth.of(shape, rng)
        cells = truth.draw(n_seeds, n, rng)
        best = int(np.argmin(truth.error))
        spread = truth.sd**2 + (_anew(truth.error) / n if n else 0.0)
        variances = {tuple(c.params.values()): float(s) for c, s in zip(cells, spread, strict=True)}
        for name, noise in (("", measure_noise(cells, SPACE)), ("oracle ", Oracle(variances))):
            zones = find_zones(SPACE, cells, noise, level=LEVEL, zones_min=1)
            inside = [cell for zone in zones for cell in zone.cells]
            found[f"{name}in"].append(cells[best].params in inside)
            found[name.strip() or "cells"].append(len(inside) / len(cells))
            if not name:
                found["zones"].append(len(zones))
    mean = {name: float(np.mean(values)) for name, values in found.items()}
    return {**mean, "of oracle": mean["cells"] / mean["oracle"]}


def recorded(name: str, n_seeds: int, n_draws: int) -> dict[str, float]:
    """Mean figures over draws of seeds from a recorded map; examples are not recorded there."""
    table = read_map(RECORDED / f"{name}.json")
    best = table.cells[int(np.argmax(table.means))].params
    shares, inside = [], []
    for draw in range(n_draws):
        rng = np.random.default_rng(draw)
        cells = []
        for cell in table.cells:
            kept = [cell.curves[i] for i in rng.permutation(len(cell.curves))[:n_seeds]]
            values = tuple(table.reading(curve) for curve in kept if curve)
            cells.append(Cell(cell.params, values, table.n_validation))
        zones = find_zones(table.space, cells, measure_noise(cells, table.space), level=LEVEL, zones_min=1)
        found = [c for zone in zones for c in zone.cells]
        shares.append(len(found) / len(cells))
        inside.append(best in found)
    return {"cells": float(np.mean(shares)), "in": float(np.mean(inside))}


def answered(n_seeds: int, n_draws: int, known: bool) -> dict[str, float]:
    """The same from a recorded map of which every single answer is known, compared example by example or not."""
    table = json.loads((ANSWERS / "digits.json").read_text(encoding="utf-8"))
    space, n = Space.parse(table["space"]), table["n_validation"]
    rights = [[b64decode(bits) for bits in cell["right"]] for cell in table["cells"]]
    points = [cell["params"] for cell in table["cells"]]
    best = points[int(np.argmax([np.mean([n_right(bits) for bits in right]) for right in rights]))]
    shares, inside = [], []
    for draw in range(n_draws):
        rng = np.random.default_rng(draw)
        cells = []
        for params, right in zip(points, rights, strict=True):
            kept = tuple(right[i] for i in rng.permutation(len(right))[:n_seeds])
            cells.append(Cell(params, tuple(n_right(b) / n for b in kept), n, right=kept if known else ()))
        zones = find_zones(space, cells, measure_noise(cells, space), level=LEVEL, zones_min=1)
        found = [cell for zone in zones for cell in zone.cells]
        shares.append(len(found) / len(cells))
        inside.append(best in found)
    return {"cells": float(np.mean(shares)), "in": float(np.mean(inside))}


def _apart(peaks: tuple[tuple[int, int], tuple[int, int]]) -> np.ndarray:
    """Two equal peaks, in units of the noise: the valley between them lies 11 standard deviations below."""
    points = np.array([SPACE.unit(params) * 6 for params in SPACE.grid()])
    hills = sum(np.exp(-((points - np.array(peak)) ** 2).sum(axis=1) / 2) for peak in peaks)
    value = np.asarray(hills).reshape(7, 7)
    (a, b), (c, d) = peaks
    between = value[min(a, c) : max(a, c) + 1, min(b, d) : max(b, d) + 1]
    inner = np.sort(between.ravel())[-3]  # the best cell beside both peaks
    return (value / (value[a, b] - inner) * 11).ravel()


def searched(surface: np.ndarray, sds: np.ndarray, seeds: Seeds, rng: np.random.Generator, high: float) -> Any:
    """The map of a grid on a simulated surface, and how many trainings it took."""
    where = {tuple(params.values()): i for i, params in enumerate(SPACE.grid())}
    grid, trials = Grid(SPACE, 1, seeds=seeds, level=LEVEL), Trials()
    while missing := trials.missing((plan := grid.plan(None, trials)).trainings):
        found = [where[t.params["width"], t.params["batch"]] for t in missing]
        values = surface[found] + sds[found] * rng.normal(0, 1, len(found))
        trials |= Trials(Trial(t, accuracy=min(float(v), high)) for t, v in zip(missing, values, strict=True))
    return plan.output, len(trials)


PLANS = {"1": Seeds(1, 1), "2": Seeds(2, 2), "3": Seeds(3, 3), "first 1, zone 3": Seeds(1, 3)}


def two_peaks(seeds: Seeds, peaks: tuple[tuple[int, int], tuple[int, int]], n_maps: int) -> tuple[float, float]:
    """The share of runs that find both peaks as zones of their own, and the trainings that takes."""
    surface = _apart(peaks)
    points = list(SPACE.grid())
    cells = [points[a * 7 + b] for a, b in peaks]
    both, n = [], []
    for i in range(n_maps):
        mapped, trainings = searched(surface, np.ones(49), seeds, np.random.default_rng([i, seeds.zone]), math.inf)
        homes = [next((zone.number for zone in mapped if cell in zone.cells), 0) for cell in cells]
        both.append(0 not in homes and homes[0] != homes[1])
        n.append(trainings)
    return float(np.mean(both)), float(np.mean(n))


def sharpness(shape: str, seeds: Seeds, n_maps: int) -> tuple[float, float, float]:
    """Whether the best cell is in a zone, the share of cells in zones, and the trainings of a map."""
    inside, cells, n = [], [], []
    for i in range(n_maps):
        rng = np.random.default_rng([i, seeds.zone])
        truth = Truth.of(shape, rng)
        mapped, trainings = searched(1 - truth.error, truth.sd, seeds, rng, 0.9999)
        best = list(SPACE.grid())[int(np.argmin(truth.error))]
        found = [cell for zone in mapped for cell in zone.cells]
        inside.append(best in found)
        cells.append(len(found) / 49)
        n.append(trainings)
    return float(np.mean(inside)), float(np.mean(cells)), float(np.mean(n))


def seeds_tables(n_maps: int) -> None:
    """Seeds everywhere against seeds where they matter."""
    print("\n| seeds | both peaks 2.8 apart | trainings | both peaks 3.2 apart | trainings |")
    print("| --- | --- | --- | --- | --- |")
    for name, seeds in PLANS.items():
        near, far = two_peaks(seeds, ((2, 2), (4, 4)), n_maps), two_peaks(seeds, ((2, 1), (3, 4)), n_maps)
        print(f"| {name} | {100 * near[0]:.1f} % | {near[1]:.0f} | {100 * far[0]:.1f} % | {far[1]:.0f} |", flush=True)
    print("\n| map | seeds | in | cells | trainings |")
    print("| --- | --- | --- | --- | --- |")
    for shape in SHAPES:
        for name, seeds in PLANS.items():
            found = sharpness(shape, seeds, n_maps)
            print(
                f"| {shape} | {name} | {100 * found[0]:.1f} % | {100 * found[1]:.0f} % | {found[2]:.0f} |", flush=True
            )


def pure_noise(n_points: int, n_axes: int, n_draws: int) -> float:
    """The share of draws of points without any structure in which a zone is shown all the same."""
    space = Space.parse({f"x{i}": {"low": 0.0, "high": 1.0} for i in range(n_axes)})
    shown = []
    for draw in range(n_draws):
        rng = np.random.default_rng([draw, n_points, n_axes])
        places = rng.random((n_points, n_axes)).tolist()
        cells = [Cell(dict(zip(space.names, place, strict=True)), (float(rng.normal()),)) for place in places]
        shown.append(bool(scattered_zones(space, cells).zones))
    return float(np.mean(shown))


def noise_table(n_draws: int) -> None:
    """Scattered points of pure noise."""
    print("\n| points | axes | shows a zone |")
    print("| --- | --- | --- |")
    for n_points, n_axes in ((30, 2), (100, 4), (100, 6), (60, 9)):
        print(f"| {n_points} | {n_axes} | {100 * pure_noise(n_points, n_axes, n_draws):.1f} % |", flush=True)


def main() -> None:
    """All tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", type=int, default=400)
    parser.add_argument("--draws", type=int, default=40)
    parser.add_argument(
        "--noise", action="store_true", help="only how often scattered points of pure noise show a zone"
    )
    options = parser.parse_args()
    if options.noise:
        noise_table(options.maps)
        return
    print("| map | validation examples | seeds | in | cells | of oracle | oracle in | zones |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for shape in SHAPES:
        for n in (0, 300):
            for n_seeds in SEEDS:
                f = simulated(shape, n_seeds, n, options.maps)
                print(
                    f"| {shape} | {n or 'infinite'} | {n_seeds} | {100 * f['in']:.1f} % | {100 * f['cells']:.0f} % | "
                    f"{f['of oracle']:.2f} | {100 * f['oracle in']:.1f} % | {f['zones']:.2f} |",
                    flush=True,
                )
    print("\n| recorded map | seeds | cells in zones | best cell in a zone |")
    print("| --- | --- | --- | --- |")
    for name in ("digits", "mnist_rates", "digits_rates"):
        for n_seeds in SEEDS:
            f = recorded(name, n_seeds, options.draws)
            print(f"| {name} | {n_seeds} | {100 * f['cells']:.0f} % | {100 * f['in']:.0f} % |", flush=True)
    for known in (False, True):
        name = f"digits again, its answers {'compared' if known else 'left out'}"
        for n_seeds in SEEDS:
            f = answered(n_seeds, options.draws, known)
            print(f"| {name} | {n_seeds} | {100 * f['cells']:.0f} % | {100 * f['in']:.0f} % |", flush=True)
    seeds_tables(options.maps)
    noise_table(options.maps)


if __name__ == "__main__":
    main()
