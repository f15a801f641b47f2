"""What the source said of its map, on maps for which the answer is known."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("zonesearch.benchmark.recorded")

from benchmarks import statements as said
from benchmarks.pictures import Picture, Row, mean_interval, n_peaks, share_interval
from zonesearch.benchmark.recorded import RecordedCell, RecordedMap
from zonesearch.core.reading import BEST
from zonesearch.core.space import Space

WIDTHS, BATCHES, EPOCHS, N = [128, 256, 512, 1024], [16, 64, 256, 512, 1024], 80, 10_000
SPACE = Space.parse({"width": WIDTHS, "batch": BATCHES})
Height = Callable[[int, int, int], float]
"""Accuracy of width, batch and epoch, without noise."""


def made(height: Height, noise: float = 0.0005, seeds: int = 3, train: float = 0.99) -> RecordedMap:
    """A map with jitter from epoch to epoch."""
    rng = np.random.default_rng(5)
    cells = []
    for point in SPACE.grid():
        true = np.array([height(point["width"], point["batch"], epoch) for epoch in range(1, EPOCHS + 1)])
        curves = np.round(N * (true + noise * rng.standard_normal((seeds, EPOCHS)))) / N
        cells.append(
            RecordedCell(point, tuple(map(tuple, curves.tolist())), tuple((train,) * EPOCHS for _ in range(seeds)))
        )
    return RecordedMap("made", SPACE, EPOCHS, tuple(cells), n_validation=N)


def hill(width: int, batch: int, epoch: int) -> float:
    """Rises with the width, best at batch 256, at rest from the first epoch on."""
    return 0.97 + 0.004 * math.log2(width / 128) - 0.003 * math.log2(batch / 256) ** 2


def waves(width: int, batch: int, epoch: int) -> float:
    """Two optima in every row."""
    return 0.97 + {128: 0.0, 256: 0.01, 512: -0.01, 1024: 0.008}[width]


def growing(width: int, batch: int, epoch: int) -> float:
    """The widest network comes last, and all is settled at 60."""
    return hill(width, batch, epoch) - 0.001 * max(0, 60 - epoch) * (width == 1024)


def test_what_rises_steadily_has_one_optimum_and_what_looks_otherwise_is_noise() -> None:
    flat = said.one_optimum(Picture.of(made(lambda *where: 0.98)))
    assert flat.verdict == "did not hold: what looks so is noise"
    assert "wider network is worse in 0 of 5 rows, a second optimum stands in 0" in flat.here
    rising = said.one_optimum(Picture.of(made(hill)))
    assert rising.verdict == flat.verdict
    assert rising.here.count("the widest beats the narrowest in 5") == 2
    assert said.one_optimum(Picture.of(made(waves))).verdict == "held"
    assert said.one_optimum(Picture.of(made(waves, seeds=1))).verdict == "cannot be told"


def test_a_picture_that_only_jitters_does_not_differ_later() -> None:
    assert said.differs_later(Picture.of(made(hill))).verdict.startswith("did not hold")
    changing = Picture.of(made(growing))
    assert said.differs_later(changing).verdict == "held"
    assert said.settles(changing).verdict == "held"
    assert said.settles(Picture.of(made(hill))).verdict == "cannot be told"


def test_a_zone_shows_where_there_is_one() -> None:
    found = said.shows_a_zone(made(hill, noise=0.003))
    assert found.verdict == "held"
    assert "zone 1 around 1024 x 256" in found.here
    assert said.zones_of(made(hill))[0].peak == {"width": 1024, "batch": 256}
    assert said.shows_a_zone(made(lambda *where: 0.98)).verdict != "held"


def test_cells_are_alike_or_not_or_it_cannot_be_told() -> None:
    cells = [(1024, 512), (1024, 256), (512, 64), (512, 512)]

    def verdict(recorded: RecordedMap, margin: float = 0.3) -> str:
        return said.cells_alike(Picture.of(recorded), cells, margin).verdict

    assert verdict(made(lambda *where: 0.98)) == "held, within 0.3 points"
    assert verdict(made(lambda *where: 0.98), margin=0.001) == "cannot be told"
    assert verdict(made(hill)) == "the opposite holds"


def test_training_accuracy_counts_as_one_where_four_digits_say_so() -> None:
    assert said.all_ones([Picture.of(made(hill, train=0.99996))]).verdict == "held"
    assert said.all_ones([Picture.of(made(hill, train=0.9999))]).verdict == "did not hold"


def test_repeats_differ_by_what_their_noise_says() -> None:
    noise = 0.002
    expected = 100 * noise * 2 / math.sqrt(math.pi)
    picture = Picture.of(made(hill, noise))
    assert said.repeats_differ(picture, expected).verdict == "held"
    assert said.repeats_differ(picture, 2 * expected).verdict == "did not hold: less"
    assert said.repeats_differ(picture, expected / 2).verdict == "did not hold: more"
    spread = 100 * 0.003 * 16  # batch 16 against 256
    assert said.spread_of_width(picture, 128, spread).verdict.startswith("held")
    assert said.spread_of_width(picture, 128, 3 * spread).verdict == "did not hold: narrower"


def test_two_accuracies_of_ten_thousand_images_overlap() -> None:
    found = said.indistinguishable(9860, 9869, 10_000)
    assert "98.60 (98.35 to 98.81)" in found.here
    assert found.verdict == "held"
    assert said.indistinguishable(9800, 9869, 10_000).verdict == "did not hold"


@pytest.mark.parametrize(
    ("values", "least", "peaks"),
    [
        ([1, 2, 3], 0, 1),
        ([3, 2, 1], 0, 1),
        ([1, 3, 2, 4], 0, 2),
        ([1, 3, 2, 4], 1.5, 1),
        ([5, 1, 5], 3, 2),
        ([2], 0, 1),
    ],
)
def test_peaks_stand_above_the_valleys_between_them(values: list[float], least: float, peaks: int) -> None:
    assert n_peaks(np.array(values, dtype=float), least) == peaks


def test_a_picture_is_read_as_the_map_was_recorded() -> None:
    recorded = made(hill, noise=0.0)
    picture = Picture.of(recorded)
    assert (picture.widths, picture.batches, picture.n_seeds) == (tuple(WIDTHS), tuple(BATCHES), 3)
    assert picture.at(BEST, 512, 64) == pytest.approx(100 * hill(512, 64, 1) * np.ones(3), abs=0.01)
    lost = RecordedMap("lost", SPACE, EPOCHS, recorded.cells[:-1])
    with pytest.raises(ValueError, match="not a full map"):
        Picture.of(lost)


def test_intervals_are_students_and_wilsons() -> None:
    found = mean_interval([1.0, 2.0, 3.0])
    assert (found.value, found.high - 2.0) == pytest.approx((2.0, 4.302653 / math.sqrt(3)))
    assert math.isnan(mean_interval([1.0]).low)
    assert share_interval(9860, 10_000).low == pytest.approx(0.98350, abs=1e-5)
    row = Row(64, (1, 2), np.array([[0.0, 2.0], [0.0, 2.0]]))
    assert row.variance == 2.0
    assert row.least_difference(1) == pytest.approx(4.302653 * math.sqrt(2))
