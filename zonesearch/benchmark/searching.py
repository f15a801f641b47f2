"""The loop of a contest: :func:`zonesearch.run.pipeline.next_round` is called until the budget is spent."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from zonesearch.benchmark.contest import Contest, Search
from zonesearch.benchmark.methods import Method
from zonesearch.benchmark.problem import Problem, Truths
from zonesearch.benchmark.recommending import known_rule, recommend
from zonesearch.core.metric import ACCURACY, Metric
from zonesearch.core.reading import BEST, Reading
from zonesearch.core.trials import Params, Training, Trial, Trials
from zonesearch.errors import ObjectiveError, StudyError
from zonesearch.run.pipeline import next_round
from zonesearch.statistics.candidates import Candidate
from zonesearch.statistics.zones import Zone

__all__ = ["Sought", "check_contest", "checkpoints", "compare", "score", "search", "seek"]


def checkpoints(budget: int, n: int = 10) -> tuple[int, ...]:
    """``n`` equally spaced budgets ending with the full one; fewer if the budget is smaller than ``n``."""
    return tuple(sorted({math.ceil(budget * i / n) for i in range(1, n + 1)}))


def check_contest(methods: Sequence[Method], budget: int, repeats: Sequence[int], rule: str) -> None:
    """Validate a contest before anything is searched.

    Raises:
        StudyError: a budget below 1, no repeat, no method or the same one twice, an unknown rule.
    """
    if budget < 1:
        raise StudyError(f"a comparison needs a budget of at least 1 training, not {budget}")
    if not repeats:
        raise StudyError("a comparison needs at least 1 search per method (--seeds)")
    names = [method.name for method in methods]
    if not names or len(set(names)) < len(names):
        raise StudyError(f"a comparison needs one or more distinct methods, not {', '.join(names) or 'none'}")
    known_rule(rule)


@dataclass(frozen=True)
class Sought:
    """The result of one search before its recommendations are scored.

    Args:
        method, repeat, at, zones, n_trainings, seconds: as in :class:`zonesearch.benchmark.contest.Search`.
        shown: the recommendation at each of ``at``; None before any training has completed.
    """

    method: str
    repeat: int
    at: tuple[float, ...]
    shown: tuple[Params | None, ...]
    zones: tuple[Params, ...]
    n_trainings: int
    seconds: float


def compare(
    problem: Problem,
    methods: Sequence[Method],
    *,
    budget: int,
    repeats: Iterable[int],
    rule: str = "posterior",
    reading: Reading = BEST,
    at: Sequence[int] = (),
    workers: int = 1,
    came: Callable[[Sought], None] = lambda sought: None,
) -> Contest:
    """Run every method with every repeat; ``came`` is called with each search as it ends.

    With several ``workers``, searches run in parallel in separate processes; only for problems without state.

    Raises:
        StudyError: see :func:`check_contest`.
        ObjectiveError: no search had anything to recommend.
    """
    numbers = list(repeats)
    check_contest(methods, budget, numbers, rule)
    sought = []
    each = [(method, problem, budget, repeat, rule, reading, at) for repeat in numbers for method in methods]
    for one in _seek_all(each, workers):
        sought.append(one)
        came(one)
    searches, truths = score(problem, sought)
    metric = _metric(problem)
    scale = metric.score(truths.best - truths.median)
    return Contest(problem.name, budget, truths.noise, scale, rule, tuple(searches), truths.source, metric)


def _metric(problem: Problem) -> Metric:
    found: Metric = getattr(problem, "metric", ACCURACY)
    return found


def _seek_all(each: Sequence[Any], workers: int) -> Iterator[Sought]:
    """Yield the searches in order as they end."""
    if workers == 1:
        yield from (_seek(*one) for one in each)
        return
    from joblib import Parallel, delayed

    yield from Parallel(n_jobs=workers, return_as="generator")(delayed(_seek)(*one) for one in each)


def _seek(method: Method, problem: Problem, budget: int, repeat: int, *how: Any) -> Sought:
    rule, reading, at = how
    return seek(method, problem, budget=budget, repeat=repeat, rule=rule, reading=reading, at=at)


def search(
    method: Method,
    problem: Problem,
    *,
    budget: int,
    repeat: int = 0,
    rule: str = "posterior",
    reading: Reading = BEST,
    at: Sequence[int] = (),
) -> Search:
    """Run and score one search; see :func:`seek`."""
    [found], _ = score(
        problem, [seek(method, problem, budget=budget, repeat=repeat, rule=rule, reading=reading, at=at)]
    )
    return found


def score(problem: Problem, sought: Sequence[Sought]) -> tuple[list[Search], Truths]:
    """Compute the regret of every recommendation; no recommendation counts as a random guess, or as the worst known
    value.

    Raises:
        ObjectiveError: no search had anything to recommend.
    """
    places = {Training(params).identity[0]: params for one in sought for params in one.shown if params is not None}
    if not places:
        raise ObjectiveError(f"{problem.name}: no training of any search was completed, so there is nothing to compare")
    truths = problem.truths(list(places.values()))
    known = dict(zip(places, truths.values, strict=True))
    metric = _metric(problem)
    blind = min(known.values(), key=metric.score) if math.isnan(truths.median) else truths.median
    searches = []
    for one in sought:
        values = [blind if params is None else known[Training(params).identity[0]] for params in one.shown]
        searches.append(
            Search(
                method=one.method,
                repeat=one.repeat,
                at=one.at,
                regret=tuple(metric.score(truths.best - value) for value in values),
                recommended=dict(one.shown[-1] or {}),
                zones=one.zones,
                n_trainings=one.n_trainings,
                seconds=one.seconds,
            )
        )
    return searches, truths


def seek(
    method: Method,
    problem: Problem,
    *,
    budget: int,
    repeat: int = 0,
    rule: str = "posterior",
    reading: Reading = BEST,
    at: Sequence[int] = (),
) -> Sought:
    """Run one search of ``budget`` full-length trainings.

    Trainings of a round beyond the budget are cut off, in the order of the plan. A shorter training costs its fraction
    of a full one, and one that continues a shorter training of the same point and seed costs only the added epochs.

    Args:
        method: gives the stages.
        problem: answers.
        budget: trainings of full length.
        repeat: the seed of the method and of the noise.
        rule: how a recommendation is derived; ``reading``: how curves are read.
        at: budgets at which a recommendation is taken; by default :func:`checkpoints`.
    """
    stages = method.stages(problem.space, budget, problem.epochs, repeat, reading)
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
    shown = tuple(recommend(problem.space, _until(came, spent, n), rule, reading) for n in asked_at)
    return Sought(method.name, repeat, tuple(map(float, asked_at)), shown, _peaks(output), len(came), seconds)


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
    """The peaks of the zones, or the candidates, of the last stage with output."""
    if not isinstance(output, Sequence):
        return ()
    peaks = [
        item.peak if isinstance(item, Zone) else item.params for item in output if isinstance(item, Zone | Candidate)
    ]
    return tuple(dict(peak) for peak in peaks)
