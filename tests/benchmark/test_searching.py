"""A contest on a surface: the budget, the noise, the score."""

from __future__ import annotations

import numpy as np
import pytest

from zonesearch.benchmark.methods import Method, coarser, method, methods
from zonesearch.benchmark.problem import FunctionProblem
from zonesearch.benchmark.recommending import recommend
from zonesearch.benchmark.searching import checkpoints, compare, search
from zonesearch.core.space import Space
from zonesearch.core.trials import Training, Trial
from zonesearch.errors import StudyError
from zonesearch.search.stage import Plan

SPACE = Space.parse({"x": {"low": 0.0, "high": 1.0}, "y": {"low": 1, "high": 256, "scale": "log"}})


def hill(params):
    u = SPACE.unit(params)
    return 0.9 - (u[0] - 0.3) ** 2 - (u[1] - 0.6) ** 2


PROBLEM = FunctionProblem("hill", SPACE, hill, noise=0.01, best=0.9)


class Ladder:
    """A stage that wants one point at 1, 2 and 4 epochs, then at full length, point after point."""

    name = "ladder"

    def plan(self, given, trials):
        points = [{"x": i / 10, "y": 16} for i in range(10)]
        for rung in (1, 2, 4):
            wanted = tuple(Training(point, 0, rung) for point in points)
            if trials.missing(wanted):
                return Plan(wanted)
        return Plan(wanted, ())


def test_search_spends_no_more_than_its_budget_and_finds_the_hill() -> None:
    found = search(method("grid+interval"), PROBLEM, budget=50)
    assert found.n_trainings <= 50
    assert found.at == tuple(range(5, 51, 5))
    assert found.regret[-1] < 0.1
    assert found.regret[-1] == pytest.approx(0.9 - hill(found.recommended))
    assert found.zones


def test_search_cuts_a_round_at_the_budget() -> None:
    assert search(method("grid+interval"), PROBLEM, budget=7).n_trainings == 7


def test_shorter_trainings_cost_their_share_and_continued_ones_what_they_add() -> None:
    problem = FunctionProblem("hill", SPACE, hill, noise=0.0, best=0.9, epochs=4)
    ladder = Method("ladder", lambda space, budget, epochs, seed: (Ladder(),))
    assert search(ladder, problem, budget=3).n_trainings == 12  # 10 quarters, then two are continued
    assert search(ladder, problem, budget=5).n_trainings == 20
    assert search(ladder, problem, budget=20).n_trainings == 30


def test_another_repeat_is_other_noise_and_the_same_one_the_same() -> None:
    training = Training({"x": 0.5, "y": 16})
    one, again, other = (PROBLEM.answer([training], repeat)[0].accuracy for repeat in (0, 0, 1))
    assert one == again != other
    many = [PROBLEM.answer([training], repeat)[0].accuracy for repeat in range(400)]
    assert np.std(many) == pytest.approx(0.01, rel=0.15)


def test_compare_scores_all_methods_on_the_same_repeats() -> None:
    contest = compare(PROBLEM, methods("grid+interval, grid"), budget=20, repeats=range(4))
    assert contest.methods == ("grid+interval", "grid")
    assert contest.regrets("grid").shape == (4, 10)
    first, second = contest.standings()
    assert first.regret <= second.regret
    assert first.p_value == 1.0
    assert first.rank + second.rank == 3.0
    assert contest.describe()["standings"][0]["method"] == first.method


def test_unknown_method_names_the_nearest() -> None:
    with pytest.raises(StudyError, match=r'unknown search method "gird".*did you mean "grid"'):
        method("gird+interval")
    with pytest.raises(StudyError, match="takes names"):
        methods(" , ")


def test_coarser_grid_fits() -> None:
    for n in (1, 2, 3, 4, 7, 12, 25, 100):
        assert coarser(SPACE, n).n_cells <= n
    assert coarser(SPACE, 25).n_cells == 25
    mixed = Space.parse({"x": {"low": 0, "high": 2}, "kind": ["a", "b", "c"]})
    assert coarser(mixed, 100).n_cells == 9


def test_checkpoints_end_at_the_budget() -> None:
    assert checkpoints(50)[-1] == 50
    assert checkpoints(3) == (1, 2, 3)


def test_recommending_by_posterior_mean_is_not_taken_in_by_luck() -> None:
    def lacking(rule, draw):
        luck = np.random.default_rng(draw).normal(0, 0.03, 21)
        points = [{"x": i / 20, "y": 16} for i in range(21)]
        trials = [Trial(Training(p), accuracy=hill(p) + e) for p, e in zip(points, luck, strict=True)]
        return 0.9 - hill(recommend(SPACE, trials, rule))

    observed, posterior = (np.mean([lacking(rule, draw) for draw in range(20)]) for rule in ("observed", "posterior"))
    assert posterior < 0.9 * observed


def test_recommending_from_nothing_and_by_no_rule() -> None:
    assert recommend(SPACE, [], "posterior") is None
    with pytest.raises(StudyError, match='did you mean "posterior"'):
        recommend(SPACE, [], "posteror")


@pytest.mark.parametrize("name", ["strong", "tpe", "random", "surrogate"])
def test_methods_of_one_stage_spend_the_budget(name) -> None:
    assert search(method(name), PROBLEM, budget=15, rule="posterior").n_trainings == 15
