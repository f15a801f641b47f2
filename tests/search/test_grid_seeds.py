"""The grid with seeds where they matter."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from zonesearch import Study, StudyError, run_pipeline
from zonesearch.core.seeds import Seeds
from zonesearch.core.space import Space
from zonesearch.core.trials import Training, Trial, Trials
from zonesearch.search.stages.grid import Grid
from zonesearch.statistics.map import Map
from zonesearch.study.building import describe_stage

SPACE = Space.parse({"x": {"low": 0, "high": 6, "row": 6}, "y": {"low": 0, "high": 6, "row": 6}})
SEEDS = Seeds(1, 3)


def two_peaks(params: Any) -> float:
    """Peaks at (2, 2) and (4, 4), the valley between them 11 standard deviations of the noise lower."""
    x, y = params["x"], params["y"]
    hills = sum(np.exp(-((x - c) ** 2 + (y - c) ** 2) / 2) for c in (2, 4))
    return 0.7 + 0.0425 * float(hills)


def trained(training: Training, seed: int = 0, surface: Any = two_peaks, sd: float = 0.001) -> Trial:
    rng = np.random.default_rng([seed, training.seed, *(int(v) for v in training.params.values())])
    offset = rng.normal(0, sd)
    curve = [surface(training.params) - 0.1 * 0.5**epoch + offset for epoch in range(1, training.epochs + 1)]
    return Trial(training, accuracy=max(curve), curve={"validation_accuracy": curve})


def played(grid: Grid, seed: int = 0, **more: Any) -> tuple[Any, Trials]:
    trials = Trials()
    while missing := trials.missing((plan := grid.plan(None, trials)).trainings):
        trials |= Trials(trained(training, seed, **more) for training in missing)
    return plan, trials


def test_both_peaks_are_found_with_half_of_the_trainings() -> None:
    both, n = [], []
    for seed in range(20):
        plan, trials = played(Grid(SPACE, 1, seeds=SEEDS), seed)
        both.append({tuple(zone.peak.values()) for zone in plan.output} >= {(2, 2), (4, 4)})
        n.append(len(trials))
    assert sum(both) >= 19
    assert np.mean(n) < 3 * 49 / 2


def test_cells_of_zones_have_all_seeds_and_most_others_one() -> None:
    plan, _ = played(Grid(SPACE, 1, seeds=SEEDS))
    found = plan.output
    assert isinstance(found, Map)
    n_seeds = {tuple(cell.params.values()): n for cell, n in zip(found.cells, found.n_seeds, strict=True)}
    assert all(n_seeds[tuple(cell.values())] == 3 for zone in found for cell in zone.cells)
    assert sum(n == 1 for n in n_seeds.values()) > 25
    assert [len(cell.values) for cell in found.cells] == list(found.n_seeds)
    assert found.noise.source == "seeds"


def test_the_same_whatever_the_order_and_whatever_else_is_known() -> None:
    grid = Grid(SPACE, 1, seeds=SEEDS)
    plan, trials = played(grid)
    records = list(trials.records())
    random.Random(0).shuffle(records)
    more = [trained(Training(point, seed, 1)) for point in list(SPACE.grid())[:20] for seed in (1, 2)]
    assert grid.plan(None, Trials(records)) == plan
    assert grid.plan(None, Trials(records) | Trials(more)) == plan


def test_without_noise_nobody_gets_a_third_seed() -> None:
    plan, trials = played(Grid(SPACE, 1, seeds=SEEDS), sd=0.0)
    assert max(plan.output.n_seeds) == 2
    assert len(trials) <= 49 + 12


def test_with_rungs_cells_that_leave_keep_their_seeds() -> None:
    plan, trials = played(Grid(SPACE, 8, seeds=SEEDS, rungs=(2,)))
    assert {tuple(zone.peak.values()) for zone in plan.output} >= {(2, 2), (4, 4)}
    full = sum(t.epochs for t in played(Grid(SPACE, 8, seeds=3))[1])
    assert sum(t.epochs for t in plan.trainings) < full / 3
    assert trials.missing(plan.trainings) == []
    assert plan.output.left


def test_a_limit_on_further_seeds_gives_them_to_the_most_promising() -> None:
    plan, trials = played(Grid(SPACE, 1, seeds=SEEDS, seeds_max=5))
    assert len(trials) <= 49 + 5
    counts = dict(zip([tuple(c.params.values()) for c in plan.output.cells], plan.output.n_seeds, strict=True))
    assert counts[2, 2] + counts[4, 4] > 2


def test_a_budget_sizes_the_grid_for_the_seeds_that_zones_will_want() -> None:
    grid = Grid(SPACE, 1, seeds=SEEDS)
    assert grid.within(3 * 49, None, ()) is grid
    middle = grid.within(75, None, ())
    assert middle.cells_max is None
    assert middle.seeds_max == 75 - 49
    small = grid.within(30, None, ())
    assert small._rows(None).n_cells + small.seeds_max == 30
    assert len(played(small)[1]) <= 30
    whole = Grid(SPACE, 1, seeds=2).within(50, None, ())
    assert whole.seeds_max is None


def test_a_study_says_seeds_as_a_number_or_a_table() -> None:
    def study(seeds: Any = None) -> Study:
        search = {"stages": ["grid"]} | ({} if seeds is None else {"seeds": seeds})
        return Study.from_tables({"space": {"x": [1, 2, 3]}, "objective": {"function": "math:sqrt"}, "search": search})

    assert study().seeds == Seeds(1, 3)
    assert study(2).seeds == Seeds(2, 2)
    table = study({"first": 2, "zone": 5})
    assert table.seeds == Seeds(2, 5)
    assert describe_stage(table.stages[0])["seeds"] == {"first": 2, "zone": 5}
    again = Study.from_settings(table.settings(), name="again")
    assert again.stages == table.stages
    assert again.seeds == table.seeds
    for wrong, said in (
        (0, "seeds must be a whole number, at least 1, or a table"),
        (True, "seeds must be"),
        ({"fist": 1}, 'did you mean "first"'),
        ({"first": 3, "zone": 2}, "zone must be at least first"),
        ({"zone": 2.5}, "zone must be a whole number"),
    ):
        with pytest.raises(StudyError, match="seeds") as refused:
            study(wrong)
        assert said in str(refused.value)


def test_a_pipeline_with_the_defaults_runs_to_its_verdict() -> None:
    def objective(params: Any, seed: int) -> float:
        return float(two_peaks(params) + np.random.default_rng([seed, *map(int, params.values())]).normal(0, 0.001))

    result = run_pipeline(SPACE, objective=objective, polish={"keep": 3, "repeats": 3})
    assert result.results.map is not None
    assert result.zones == result.results.map.zones
    assert result.verdict is not None
    assert {zone.number for zone in result.zones} >= {s.finalist.zone for s in result.verdict.standings}
