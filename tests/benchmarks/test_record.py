"""The recorder of maps, and what is searched of a recorded map first."""

from __future__ import annotations

import pytest

from zonesearch.study.files import read_study


def test_recorder_wants_every_cell_with_every_seed() -> None:
    from benchmarks.record import gridded

    study = gridded(read_study("studies/digits.toml"), 4)
    assert [stage.name for stage in study.stages] == ["grid"]
    assert study.settings()["seeds"] == 4


def test_search_of_the_inner_part_may_go_on_to_the_ends_of_the_map() -> None:
    from benchmarks.choosing import Surface, search
    from benchmarks.widening import CUTS, inner, price

    name, part = CUTS["MNIST, width to 512"]
    whole = Surface(name, smooth=True)
    surface = whole.within(inner(whole.space, part))
    assert surface.space["width"].row() == (128, 192, 256, 384, 512)
    assert surface.lacks({"width": 1024, "batch": 256}) == pytest.approx(0.0)
    stays, goes = (search(surface, 0, {"grid": {"widen": n}}, price) for n in (0, 3))
    assert stays["price"] < goes["price"]
    assert stays["trainings"] < goes["trainings"]
