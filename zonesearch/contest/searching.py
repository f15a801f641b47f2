"""The loop of a contest: :func:`zonesearch.pipeline.next_round` asked until the budget is spent."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from zonesearch.contest.methods import Method
from zonesearch.contest.problem import Problem
from zonesearch.contest.recommending import recommend
from zonesearch.domain.candidates import Candidate
from zonesearch.domain.contest import Contest, Search
from zonesearch.domain.reading import BEST, Reading
from zonesearch.domain.trials import Params, Training, Trial, Trials
from zonesearch.domain.zones import Zone
from zonesearch.pipeline import next_round

__all__ = ["checkpoints", "compare", "search"]


def checkpoints(budget: int, n: int = 10) -> tuple[int, ...]:
    """``n`` budgets at equal distances, the whole one last; fewer when the budget is smaller."""
    return tuple(sorted({math.ceil(budget * i / n) for i in range(1, n + 1)}))


def compare(
    problem: Problem,
    methods: Sequence[Method],
    *,
    budget: int,
    repeats: Iterable[int],
    rule: str = "observed",
    reading: Reading = BEST,
    came: Callable[[Search], None] = lambda search: None,
) -> Contest:
    """Every method with every repeat; ``came`` is told of each search as it ends."""
    searches = []
    for repeat in repeats:
        for method in methods:
            searches.append(search(method, problem, budget=budget, repeat=repeat, rule=rule, reading=reading))
            came(searches[-1])
    return Contest(problem.name, budget, problem.noise, problem.best - problem.median, rule, tuple(searches))


def search(
    method: Method,
    problem: Problem,
    *,
    budget: int,
    repeat: int = 0,
    rule: str = "observed",
    reading: Reading = BEST,
    at: Sequence[int] = (),
) -> Search:
    """One search of ``budget`` trainings of full length.

    What a round wants beyond the budget is cut off, in the order of the plan. A shorter training costs its share, and
    one that continues a shorter one of the same point and seed only what it adds.

    Args:
        method: gives the stages.
        problem: answers and knows the truth.
        budget: trainings of full length.
        repeat: the seed of the method and of the noise.
        rule: of the recommendation; ``reading`` of the curves.
        at: budgets at which it is asked for a recommendation; by default :func:`checkpoints`.
    """
    stages = method.stages(problem.space, budget, problem.epochs, repeat)
    trials, came, spent = Trials(), [], [0.0]
    length: dict[Any, int] = {}
    seconds = 0.0
    output: Any = None
    while True:
        start = time.perf_counter()
        round_ = next_round(stages, trials)
        seconds += time.perf_counter() - start
        output = round_.output if round_.finished else output
        asked = _affordable(round_.missing, length, problem.epochs, budget - spent[-1])
        if not asked:
            break
        new = problem.answer(asked, repeat)
        for trial in new:
            cost = _cost(trial.training, length, problem.epochs)
            length[trial.training.identity] = max(trial.epochs, length.get(trial.training.identity, 0))
            came.append(trial)
            spent.append(spent[-1] + cost)
        trials |= Trials(new)
    asked_at = tuple(at) or checkpoints(budget)
    shown = [recommend(problem.space, _until(came, spent, n), rule, reading) for n in asked_at]
    regret = [problem.best - (problem.median if params is None else problem.truth(params)) for params in shown]
    return Search(
        method=method.name,
        repeat=repeat,
        at=tuple(map(float, asked_at)),
        regret=tuple(regret),
        recommended=dict(shown[-1] or {}),
        zones=_peaks(output),
        n_trainings=len(came),
        seconds=seconds,
    )


def _affordable(missing: Sequence[Training], length: dict[Any, int], epochs: int, left: float) -> list[Training]:
    asked = []
    for training in missing:
        left -= _cost(training, length, epochs)
        if left < -1e-9:
            break
        asked.append(training)
    return asked


def _cost(training: Training, length: dict[Any, int], epochs: int) -> float:
    return max(0, training.epochs - length.get(training.identity, 0)) / epochs


def _until(came: Sequence[Trial], spent: Sequence[float], n: float) -> list[Trial]:
    return [trial for trial, after in zip(came, spent[1:], strict=True) if after <= n + 1e-9]


def _peaks(output: Any) -> tuple[Params, ...]:
    """The peaks of zones, or candidates, that the last stage handed on."""
    if not isinstance(output, tuple):
        return ()
    peaks = [
        item.peak if isinstance(item, Zone) else item.params for item in output if isinstance(item, Zone | Candidate)
    ]
    return tuple(dict(peak) for peak in peaks)
