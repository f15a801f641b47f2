"""What is asked about very many points at once, as an import does, is answered in pieces that fit into the memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from zonesearch.core.space import Space
from zonesearch.statistics.gp.cube import Cube
from zonesearch.statistics.gp.process import Prior, fit
from zonesearch.statistics.gp.targets import Known

MANY = 20_000


def test_many_points_take_no_more_memory_than_a_piece_and_give_the_same() -> None:
    cube = Cube(Space.parse({"x": {"low": 0.0, "high": 1.0}, "y": {"low": 0.0, "high": 1.0}}))
    rng = np.random.default_rng(0)
    places = rng.random((80, 2)).round(3)
    known = {tuple(place): [float(1 - (place[0] - 0.4) ** 2 - (place[1] - 0.6) ** 2)] for place in places.tolist()}
    data, _ = Known(known, frozenset()).data(cube)
    posterior = fit(data, Prior())
    points = rng.random((MANY, 2))
    tracemalloc.start()
    means, sds = posterior.at_points(points)
    alone = posterior.means(points)
    worse = posterior.worse(np.array([0.4, 0.6]), points)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert means.shape == sds.shape == worse.shape == (MANY,)
    assert np.array_equal(alone, means)
    assert peak < MANY * len(data) * 8, "less than one matrix of all points"
    for part in (slice(0, 50), slice(1990, 2010), slice(MANY - 50, MANY)):
        one, spread = posterior.at_points(points[part])
        assert means[part] == pytest.approx(one, rel=1e-9, abs=1e-9)
        assert sds[part] == pytest.approx(spread, rel=1e-4, abs=1e-7)
        assert worse[part] == pytest.approx(posterior.worse(np.array([0.4, 0.6]), points[part]), rel=1e-3, abs=1e-5)
