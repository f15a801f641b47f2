"""Spread of repeats, on curves made of known noise."""

from __future__ import annotations

import numpy as np
import pytest

from zonesearch.core.trials import Training, Trial
from zonesearch.statistics.repeats import measure_spread, spread_table


def repeats(seed_sd: float, epoch_sd: float, n: int = 400, epochs: int = 40, width: int = 128):
    rng = np.random.default_rng(0)
    for seed in range(n):
        curve = 0.9 + rng.normal(0, seed_sd) + rng.normal(0, epoch_sd, epochs)
        training = Training({"width": width}, seed, epochs)
        yield Trial(training, accuracy=max(curve), curve={"validation_accuracy": curve})


def test_jitter_and_seeds_are_told_apart() -> None:
    (spread,) = measure_spread(repeats(seed_sd=0.001, epoch_sd=0.002))
    assert spread.sd_epochs == pytest.approx(0.002, rel=0.05)
    assert spread.sd_last == pytest.approx(np.hypot(0.001, 0.002), rel=0.1)
    assert spread.jitter_share == pytest.approx(0.8, abs=0.15)
    assert spread.sd_best < 0.7 * spread.sd_last


def test_without_jitter_all_is_the_seed() -> None:
    (spread,) = measure_spread(repeats(seed_sd=0.001, epoch_sd=1e-9))
    assert spread.jitter_share == pytest.approx(0, abs=1e-6)
    assert spread.sd_best == pytest.approx(spread.sd_last, rel=1e-3)


def test_cells_are_kept_apart_and_lonely_or_lost_ones_left_out() -> None:
    trials = [*repeats(0.001, 0.001, n=5), *repeats(0.001, 0.001, n=3, width=256), *repeats(0.1, 0.1, n=1, width=512)]
    trials.append(Trial(Training({"width": 128}, 9, 40), "diverged"))
    spreads = measure_spread(trials)
    assert [(s.params["width"], s.n) for s in spreads] == [(128, 5), (256, 3)]
    assert len(spread_table(spreads).splitlines()) == 4


def test_equal_repeats_do_not_divide_by_zero() -> None:
    curve = {"validation_accuracy": [0.5, 0.5]}
    trials = [Trial(Training({"width": 1}, seed, 2), accuracy=0.5, curve=curve) for seed in range(3)]
    assert measure_spread(trials)[0].jitter_share == 1.0
