"""The contest with a data set left out: what its table says of searches, and in which order they come."""

from __future__ import annotations

from benchmarks.left_out import QUICK, table, units
from controller.recorded import CorpusTask


def row(method: str, family: str, task: str, seed: int, regret: float) -> dict[str, object]:
    return {
        "contest": "corpus",
        "method": method,
        "family": family,
        "task": task,
        "seed": seed,
        "regrets": [regret] * 5,
    }


def test_data_sets_weigh_alike_however_many_tasks_they_have() -> None:
    rows = [row("controller", "a", f"a{i}", 0, 0.2) for i in range(3)] + [row("controller", "b", "b0", 0, 0.6)]
    assert "| controller | 0.400 | 0.400 |" in table(rows, "corpus")


def test_difference_is_paired_and_of_searches_that_both_have() -> None:
    ours = [row("controller", "a", "a0", seed, 0.1 * seed) for seed in range(4)]
    theirs = [row("strong", "a", "a0", seed, 0.1 * seed + 0.05) for seed in range(1, 3)]
    assert "(+0.050, +0.050 to +0.050)" in table(ours + theirs, "corpus")
    assert "| 2 on 1 tasks of 1 |" in table(ours + theirs, "corpus")


def test_any_prefix_of_the_units_is_balanced_over_tasks() -> None:
    tasks = [CorpusTask(name, {"family": name[0]}, {}, None) for name in ("a0", "a1", "b0")]  # type: ignore[arg-type]
    first = list(units(tasks, seeds=3, gp_seeds=1))[: 3 * len(QUICK)]
    assert {(u.task, u.method) for u in first} == {(t.name, m) for t in tasks for m in QUICK}
    assert {u.seed for u in first} == {0}
