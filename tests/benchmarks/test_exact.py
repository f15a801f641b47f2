"""The benchmark of objectives without noise."""

from __future__ import annotations

import optuna

from benchmarks.exact import row, table

optuna.logging.set_verbosity(optuna.logging.ERROR)


def test_more_trainings_find_no_less_and_all_methods_are_compared() -> None:
    methods = ["auto", "ZoneSampler", "tpe"]
    found = row(2, 3, [12, 20], methods)
    for method in methods[1:]:
        assert found[method][0] >= found[method][1] >= 0
    assert all(0 < used <= n for n, used in zip([12, 20], found["trained"], strict=True))
    assert all(points < used for points, used in zip(found["points"], found["trained"], strict=True)), "a finalist"
    lines = table([found], [12, 20], methods)
    assert len(lines) == 4
    assert "of 1)" in lines[2]
