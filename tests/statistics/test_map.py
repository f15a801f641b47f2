"""The map as an object: its zones as a sequence, and what limits it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from zonesearch.core.metric import Metric
from zonesearch.core.space import Space
from zonesearch.statistics.map import Map
from zonesearch.statistics.noise import Cell, measure_noise
from zonesearch.statistics.zones import find_zones

SPACE = Space.parse({"x": {"low": 0, "high": 9, "row": 9}})


def mapped(cells) -> Map:
    noise = measure_noise(cells, SPACE)
    return Map(SPACE, tuple(cells), noise, find_zones(SPACE, cells, noise))


def answered(n: int, n_seeds: int, luck: float, seed: int = 0) -> list[Cell]:
    """Cells whose seeds differ in a share ``luck`` of the hard examples."""
    rng = np.random.default_rng(seed)
    hard = rng.normal(size=n)
    cells = []
    for i, params in enumerate(SPACE.grid()):
        own = rng.normal(size=n)  # what this setting makes of single examples
        rows = [1.5 - abs(i - 4) / 8 - hard - 0.5 * own + luck * rng.normal(size=n) > 0 for _ in range(n_seeds)]
        values = tuple(float(np.mean(row)) for row in rows)
        cells.append(Cell(params, values, n, right=tuple(np.packbits(row).tobytes() for row in rows)))
    return cells


def test_a_map_is_the_sequence_of_its_zones() -> None:
    cells = [Cell({"x": i}, (0.9 - 0.01 * abs(i - 4), 0.901 - 0.01 * abs(i - 4))) for i in range(10)]
    found = mapped(cells)
    assert len(found) == len(list(found)) == len(found.zones)
    assert found[0] is found.zones[0]
    assert found[:1] == found.zones[:1]
    assert found.best is not None
    assert found.best.params == {"x": 4}
    assert found.zones_of(cells) == found.zones
    assert found == mapped(list(cells))


def test_the_limit_is_the_examples_where_seeds_agree_and_the_seeds_where_they_do_not() -> None:
    few = mapped(answered(200, 5, 0.1)).limit
    assert few.by_examples
    assert few.sentence.startswith("More seeds will not sharpen this map: 200 validation examples limit it to ±")
    assert "points" in few.sentence
    loud = []
    for cell in answered(4000, 2, 0.1):
        shift = 0.05 * (-1) ** int(cell.params["x"])
        loud.append(Cell(cell.params, tuple(v + s * shift for v, s in zip(cell.values, (1, -1), strict=True)), 4000,
                         right=cell.right))  # fmt: skip
    many = mapped(loud).limit
    assert not many.by_examples
    assert many.sentence.startswith("More validation examples will not sharpen this map: the noise between seeds")


def test_without_answers_the_limit_says_what_is_not_known() -> None:
    cells = [Cell({"x": i}, (0.9 - 0.01 * i, 0.91 - 0.01 * i), 300) for i in range(10)]
    limit = mapped(cells).limit
    assert math.isnan(limit.examples)
    assert "was not recorded" in limit.sentence
    bare = [Cell(c.params, c.values, metric=Metric("latency", unit="ms")) for c in cells]
    assert mapped(bare).limit.sentence.startswith("The noise between seeds limits this map to ±")
    assert mapped(bare).limit.sentence.endswith(
        " ms; only numbers are known, and no examples behind them, so the zones count that noise alone."
    )
    assert mapped([Cell({"x": 1}, (0.5,))]).limit.sentence == ""


def test_a_map_of_single_seeds_does_not_blame_the_examples() -> None:
    """One answer each does not tell what another seed would answer: the examples seem to matter more than they do."""
    single = [
        Cell(cell.params, cell.values[:1], cell.n_validation, right=cell.right[:1]) for cell in answered(200, 5, 0.1)
    ]
    limit = mapped(single).limit
    assert not limit.measured
    assert limit.sentence.startswith("No cell was repeated")
    assert limit.sentence.endswith("more seeds will sharpen this map.")


def test_answers_of_some_cells_only_are_said_to_be_of_some() -> None:
    cells = answered(200, 5, 0.1)
    cells[3] = replace(cells[3], right=())
    assert "right was not recorded of every cell, so" in mapped(cells).limit.sentence


def test_repeats_without_noise_limit_nothing() -> None:
    cells = [Cell({"x": i}, (0.9 - 0.01 * abs(i - 4),) * 3) for i in range(10)]
    assert mapped(cells).limit.sentence == ""
    counted = [replace(cell, n_validation=300) for cell in cells]
    assert mapped(counted).limit.sentence.startswith("Repeats gave the same values; which of the 300 validation")
