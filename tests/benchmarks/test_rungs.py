"""The replays by which rungs are measured."""

from __future__ import annotations

import pytest

from zonesearch.core.space import Space

recorded = pytest.importorskip("zonesearch.benchmark.recorded")

EPOCHS = 8


def made():
    """A peak that is there from the beginning, ten seeds with offsets of their own."""
    space = Space.parse({"x": {"low": 0, "high": 6, "row": 6}, "y": {"low": 0, "high": 6, "row": 6}})

    def curve(point, seed):
        height = 0.9 - 0.02 * ((point["x"] - 2) ** 2 + (point["y"] - 4) ** 2)
        return tuple(height * (1 - 0.5**epoch) + 0.001 * seed for epoch in range(1, EPOCHS + 1))

    cells = tuple(recorded.RecordedCell(p, tuple(curve(p, s) for s in range(10))) for p in space.grid())
    return recorded.RecordedMap("made", space, EPOCHS, cells)


def test_a_replay_saves_epochs_and_its_regret_is_of_seeds_that_were_not_drawn() -> None:
    from benchmarks.rungs import Draw

    draw = Draw.of(made(), 3, 0)
    assert len(set(draw.seeds)) == 3
    full, cut = draw.replay(), draw.replay((2,))
    assert full.epochs == 3 * EPOCHS * 49
    assert cut.epochs < 0.7 * full.epochs
    assert dict(full.peak) == dict(cut.peak) == {"x": 2, "y": 4}
    assert full.regret == cut.regret == 0
    assert not cut.warned
    others = [s for s in range(10) if s not in draw.seeds]
    expected = 0.9 * (1 - 0.5**EPOCHS) + 0.001 * sum(others) / len(others)
    assert draw.truth[2, 4] == pytest.approx(expected)
    assert draw.replay((), 2).epochs == 3 * 2 * 49


def test_rows_begin_early_and_double() -> None:
    from benchmarks.rungs import ladders

    names = [name for name, _, _ in ladders(20)]
    assert names == ["2", "5", "10", "2, 4, 8, 16", "5, 10", "only 2", "only 5", "only 10"]
