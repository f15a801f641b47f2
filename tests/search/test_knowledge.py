"""The value of one more training: against simulation, and which of them is worth most."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from scipy.linalg import cho_solve

from zonesearch.search.stages.surrogate.knowledge import by_gain, gains
from zonesearch.statistics.gp.kernel import Hyper
from zonesearch.statistics.gp.process import Data, Posterior

Array = npt.NDArray[np.float64]


def posterior(means: list[float], counts: list[float], noise: float = 0.3, scale: float = 0.3) -> Posterior:
    """Of evenly spaced points on one axis."""
    points = np.linspace(0, 1, len(means))[:, None]
    data = Data(points, np.array(means), np.array(counts), 0.0, np.array([False]))
    return Posterior.at(data, Hyper(np.array([scale]), 0.5, 0.5, noise))


def test_a_gain_is_what_a_simulation_finds() -> None:
    known = posterior([0.0, 0.7, 0.9, 0.2], [1, 3, 1, 2])
    points, found = gains(known, np.array([[0.5]]))
    rng = np.random.default_rng(0)
    best = known.at_points(known.data.points)[0].max()
    for i, point in enumerate(points):
        mean, sd = (float(values[0]) for values in known.at_points(point[None]))
        risen = []
        for y in mean + rng.normal(size=400) * np.hypot(sd, np.sqrt(0.3)):
            means, counts = np.append(known.data.means, y), np.append(known.data.counts, 1.0)
            places = np.vstack([known.data.points, point])
            if i < 4:  # a repeat
                means, counts, places = known.data.means.copy(), known.data.counts.copy(), known.data.points
                means[i] += (y - means[i]) / (counts[i] + 1)
                counts[i] += 1
            later = Posterior.at(Data(places, means, counts, 0.0, known.data.choices), known.hyper)
            kernel_mean = later.at_points(places)[0].max()
            risen.append(kernel_mean - best)
        assert found[i] == pytest.approx(np.mean(risen), abs=4 * np.std(risen) / 20 + 0.01)


def test_where_nothing_can_change_a_repeat_is_worth_nothing() -> None:
    _, found = gains(posterior([0.0, 0.0, 3.0, 0.0], [50, 50, 50, 50], scale=0.05), np.empty((0, 1)))
    assert found.max() < 1e-6


def test_without_noise_only_a_new_point_is_worth_a_training() -> None:
    _, found = gains(posterior([0.0, 0.7, 0.9, 0.2], [1, 1, 1, 1], noise=1e-9), np.array([[0.5]]))
    assert found[:4].max() < 1e-3 < found[4]


def test_of_two_contenders_the_one_less_known_is_repeated() -> None:
    _, found = gains(posterior([-1.0, 0.9, -1.0, 0.9], [1, 20, 1, 2], scale=0.05), np.empty((0, 1)))
    assert int(np.argmax(found)) == 3


def test_what_would_change_nothing_is_not_proposed() -> None:
    known = posterior([0.0, 0.7, 0.9, 0.2], [1, 3, 1, 2])
    assert {0.3, 0.5} <= set(by_gain(known, np.array([[0.3], [0.5]]))[:, 0])
    known = posterior([0.0, 0.0, 3.0, 0.0], [50, 50, 50, 50], scale=0.05)
    assert not len(by_gain(known, np.empty((0, 1))))


def test_a_gain_beside_running_trainings_is_what_a_simulation_finds() -> None:
    known, running, new = posterior([0.0, 0.7, 0.9, 0.2], [1, 3, 1, 2]), np.array([[2 / 3], [0.8]]), np.array([[0.5]])
    points, found = gains(known, new, running)
    assert points.tolist() == [*known.data.points.tolist(), [0.5]]
    rng = np.random.default_rng(0)

    def values(place: Array, functions: Array) -> Array:
        return functions[:, [int(np.argmin(np.abs(grid - place)))]] + rng.normal(size=(len(functions), 1)) * 0.3**0.5

    grid = np.array([0.0, 1 / 3, 0.5, 2 / 3, 0.8, 1.0])
    means, covariance = known.covariance(grid[:, None])
    functions = rng.multivariate_normal(means, covariance, size=150)
    for point, gain in zip(points, found, strict=True):
        risen = []
        returned = np.hstack([values(place[0], functions) for place in (*running, point)])
        for ys in returned:
            later, without = (_later(known, [*running, point][:n], ys[:n]) for n in (3, 2))
            risen.append(later - without)
        assert gain == pytest.approx(np.mean(risen), abs=4 * np.std(risen) / 150**0.5 + 0.01)


def _later(known: Posterior, places: list[Array], values: Array) -> float:
    """The highest posterior mean at known and returned points."""
    points, means, counts = known.data.points.tolist(), known.data.means.tolist(), known.data.counts.tolist()
    for place, y in zip(places, values, strict=True):
        if place.tolist() in points:
            i = points.index(place.tolist())
            means[i] += (y - means[i]) / (counts[i] + 1)
            counts[i] += 1
        else:
            points, means, counts = [*points, place.tolist()], [*means, y], [*counts, 1.0]
    data = Data(np.array(points), np.array(means), np.array(counts), 0.0, known.data.choices)
    return float(_with_mean(data, known).at_points(data.points)[0].max())


def _with_mean(data: Data, known: Posterior) -> Posterior:
    """Of ``data``, with the constant mean of ``known``, which running trainings are not assumed to change."""
    found = Posterior.at(data, known.hyper)
    alpha = cho_solve((found.factor, True), data.means - known.mean)
    return Posterior(data, known.hyper, known.mean, alpha, found.factor)


def test_what_is_running_is_not_worth_a_second_training_as_much_as_before() -> None:
    known = posterior([-1.0, 0.9, -1.0, 0.9], [1, 2, 1, 2], scale=0.05)
    _, alone = gains(known, np.empty((0, 1)))
    _, beside = gains(known, np.empty((0, 1)), np.array([[1.0]]))
    assert alone[1] == pytest.approx(alone[3])
    assert beside[3] < 0.8 * alone[3]
    assert beside[1] > beside[3]


def test_a_running_point_that_may_not_be_the_best_is_no_rival() -> None:
    known = posterior([0.0, 0.7, 3.0, 0.2], [1, 3, 1, 2], scale=0.05)
    barred = Posterior.at(replace(known.data, barred=np.array([False, False, True, False])), known.hyper)
    points, alone = gains(barred, np.array([[0.5]]))
    _, beside = gains(barred, np.array([[0.5]]), np.array([[2 / 3]]))
    assert len(points) == 4
    assert beside == pytest.approx(alone)
