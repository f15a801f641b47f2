"""How a budget is allocated to stages: each may spend a share of what is left when it begins, the last one all of it.

The share is half, for a search that places its trainings itself four fifths, or with fewer than 20 trainings all but
one, a fresh seed that judges; more where those that follow cannot use the rest, by the most that they can want, and
never so much that one of them gets nothing. A search that found less to judge than its share leaves for that goes on
with the difference. What a stage leaves goes to those that follow, and the last one spends it on more seeds of what
cannot be told apart: a budget is there to be spent, and what is left of it means that the verdict is settled.

A stage is sized before it trains anything, by its share and what is known then: a grid gets coarser rows rather than
holes, intervals are searched in fewer zones, finalists get fewer seeds, or more. A stage that has no way to be sized
gets the first of the trainings that it wants, and is told that the others failed. Everything is a function of the
trials: a run that goes on is allocated the same as an unbroken one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import Field, fields, is_dataclass, replace
from typing import Any

from zonesearch.core.seeds import Seeds
from zonesearch.core.trials import Training, Trial, Trials
from zonesearch.errors import StudyError
from zonesearch.search.budget import Budget, Ledger
from zonesearch.search.stage import Growing, Lasting, Plan, Sizable, Stage
from zonesearch.statistics.search_results import StageRecord
from zonesearch.statistics.verdict import Verdict

__all__ = [
    "changes",
    "check_budget",
    "cut",
    "ended_by",
    "fraction",
    "gone_on",
    "grown",
    "later_costs",
    "least_costs",
    "longer",
    "probe",
    "settled_after",
    "share_of",
    "sized",
    "unspent",
]

_PROBE = 9  # points of the first stage, with one seed each: rims and middle of two axes, where times may differ much
_TINY = 20  # trainings: four fifths of fewer leave too few to judge more than one finalist
_GOING_ON = ("planned", "thorough")  # settings of a search that goes on: no part of what a budget takes away
_UNSPENT = 0.05  # of a budget: so much may be left over without a word


def fraction(stages: Sequence[Stage], n_left: float = math.inf) -> float:
    """The part of what is left that a stage may have in any case: most of it where it looks for the best itself.

    Args:
        stages: the one that is asked about and those that follow.
        n_left: how many trainings what is left pays for. Of few of them each that judges is missed by the search, and
            too few are left to tell finalists apart anyway.
    """
    if not any(field.name == "n_trainings" for field in _fields(stages[0])):
        return 0.5
    judged_next = len(stages) == 2 and hasattr(stages[1], "fewest")
    return 1.0 if judged_next and n_left < _TINY else 0.8


def share_of(left: float, later: float, part: float = 0.5, least_later: float = 0.0, need: float = 0.0) -> float:
    """What a stage may spend of what is ``left``.

    Args:
        left: of the budget.
        later: the most that all stages after it can spend.
        part: of what is left that it may have in any case.
        least_later: what the stages after it need at least.
        need: what it needs itself at least.
    """
    return max(0.0, min(max(part * left, left - later, need), left - least_later))


def later_costs(stages: Sequence[Stage], given: Any, ledger: Ledger) -> float:
    """The most that the stages after the first of ``stages`` can spend, in the budget's unit.

    Args:
        stages: the one that is sized and those that follow.
        given: what the one before them handed on.
        ledger: knows what a training costs.
    """
    n_given: Any = len(given) if isinstance(given, Sequence) else 0
    cost = 0.0
    for i, stage in enumerate(stages):
        expected = stage.forecast(n_given)
        if i > 0:
            cost += expected.n_trainings * ledger.unit_price(expected.epochs)
        n_given = expected.n_output
    return cost


def least(stage: Stage) -> int:
    """Fewer new trainings than this make no stage: the seeds of a point, and one more to judge it; or as it says."""
    return int(getattr(stage, "fewest", Seeds.parse(getattr(stage, "seeds", 1)).first + 1))


def least_costs(stages: Sequence[Stage], ledger: Ledger) -> float:
    """What all of ``stages`` need at least, in the budget's unit; 0 as long as the price of a training is not known."""
    costs = [least(stage) * ledger.unit_price(getattr(stage, "epochs", 1)) for stage in stages]
    return 0.0 if any(map(math.isnan, costs)) else math.fsum(costs)


def check_budget(stages: Sequence[Stage], budget: Budget | None) -> None:
    """Check that every stage may get something, whatever the others take; of a time that is not known beforehand.

    Raises:
        StudyError: naming the stage and the least budget; or there is no budget, and a grid is too large to be listed.
    """
    if budget is None:
        check_size = getattr(stages[0], "check_size", None) if stages else None
        if check_size is not None:
            check_size()
        return
    if budget.unit == "seconds":
        return
    found = _too_small(stages, budget)
    if found is None:
        return
    stage, share, need = found
    needed = math.ceil(least_costs(stages, Ledger(budget)))
    while _too_small(stages, replace(budget, amount=needed)) is not None:
        needed += 1
    raise StudyError(
        f"[search] budget of {budget} is too small: stage {stage.name} may get {share:g} and needs {need:g}; "
        f"give at least {needed}"
    )


def _too_small(stages: Sequence[Stage], budget: Budget) -> tuple[Stage, float, float] | None:
    """The first stage that would get less than it needs when all before it spend their shares; None when all get it."""
    ledger = Ledger(budget)
    left = budget.amount
    for i, stage in enumerate(stages):
        need, after = least_costs([stage], ledger), least_costs(stages[i + 1 :], ledger)
        n_left = ledger.affordable(left, getattr(stage, "epochs", 1))
        share = share_of(left, math.inf, fraction(stages[i:], n_left) if i + 1 < len(stages) else 1.0, after, need)
        if share < need:
            return stage, share, need
        left -= share
    return None


def sized(stage: Stage, given: Any, ledger: Ledger, share: float, n_probed: int = 0) -> Stage:
    """The stage, made so small that its ``share``, in the budget's unit, pays for it; itself when it does.

    ``n_probed`` of its trainings are paid already.
    """
    n = max(least(stage), ledger.affordable(share, getattr(stage, "epochs", 1)))
    return _fitting(stage, n, given, ledger, n_probed)


def gone_on(
    stages: Sequence[Stage], small: Stage, plan: Plan, n_refused: int, given: Any, trials: Trials, ledger: Ledger
) -> tuple[Stage, Plan, int]:
    """A search, gone on with what those after it cannot use, by what it found so far; as it was while it is not done.

    Args:
        stages: itself as the study has it, and those that follow.
        small: itself as it was sized.
        plan, n_refused: what it wants and what was refused, as :func:`cut` says.
        given, trials: what the stage before handed on, and what is known.
        ledger: as it was before it began.
    """
    if ledger.budget.unit == "seconds" or len(stages) < 2:
        return small, plan, n_refused
    price = ledger.unit_price(getattr(small, "epochs", 1))
    while isinstance(small, Lasting) and not trials.missing(plan.trainings):
        after = ledger.paying(plan.trainings, trials)
        spare = after.left - _usable(stages[1:], plan.output, after)
        n = ledger.affordable(spare, getattr(small, "epochs", 1)) if spare > 0 else 0
        larger = longer(stages[0], small, n)
        if larger is None:
            break
        more, refused = cut(larger, given, trials, ledger, after.spent - ledger.spent + n * price)
        if set(more.trainings) <= set(plan.trainings):
            break
        small, plan, n_refused = larger, more, refused
    return small, plan, n_refused


def longer(stage: Stage, small: Stage, n: int) -> Stage | None:
    """A search gone on with ``n`` trainings, as far as its own settings go; None where it cannot go on.

    Args:
        stage: as the study has it.
        small: as it was sized, or gone on before.
    """
    if not isinstance(small, Lasting) or n < 1:
        return None
    wish, has = (getattr(each, "n_trainings", None) for each in (stage, small))
    if wish is None or has is None:
        return small.further(n)
    larger = small.further(max(0, min(n, wish - has)))
    return None if larger == small else larger


def _usable(stages: Sequence[Stage], given: Any, ledger: Ledger) -> float:
    """The most that ``stages`` can use, by what is handed to the first of them; in the budget's unit."""
    able = getattr(stages[0], "usable", None)
    if able is not None and len(stages) == 1:
        n = able(given, ledger.paid)
        return math.inf if math.isinf(n) else n * ledger.unit_price(getattr(stages[0], "epochs", 1))
    n_given: Any = len(given) if isinstance(given, Sequence) else 0
    first = stages[0].forecast(n_given)
    cost = first.n_trainings * ledger.unit_price(first.epochs)
    return cost + later_costs(stages, given, ledger)


def grown(stage: Stage, given: Any, trials: Trials, ledger: Ledger, share: float) -> Stage:
    """The last stage, made so large that it can use up its ``share`` as long as it is not settled; itself otherwise."""
    n = ledger.affordable(share, getattr(stage, "epochs", 1))
    return stage.spending(n, given, ledger.paid, trials) if isinstance(stage, Growing) else stage


def probe(stage: Stage, given: Any, trials: Trials, ledger: Ledger) -> Plan:
    """A few trainings of a stage by which its time is known; part of what it may spend."""
    with suppress(StudyError):  # one that cannot be made so small
        stage = _fitting(stage, _PROBE * Seeds.parse(getattr(stage, "seeds", 1)).first, given, ledger)
    first: dict[Any, Training] = {}
    for training in stage.plan(given, trials).trainings:
        first.setdefault(training.identity[0], training)
    return Plan(tuple(first.values())[:_PROBE])


def cut(stage: Stage, given: Any, trials: Trials, ledger: Ledger, share: float) -> tuple[Plan, int]:
    """The plan of a stage without what its share does not pay for, and how many trainings that were.

    What is cut off is answered as failed, so that the stage comes to its output with what there is.
    """
    if ledger.budget.unit == "seconds":
        return _timed(stage, given, trials, ledger, share)
    refused: dict[Any, Trial] = {}
    while True:
        plan = stage.plan(given, trials | Trials(refused.values()))
        kept, beyond, after, cost = [], [], dict(ledger.paid), 0.0
        for training in plan.trainings:
            price = ledger.price(training, after)
            if cost + price > share + 1e-9 or training.identity in refused:
                beyond.append(training)
                continue
            cost += price
            after[training.identity] = max(training.epochs, after.get(training.identity, 0))
            kept.append(training)
        new = [training for training in beyond if training.identity not in refused]
        if trials.missing(kept) or not new:
            return Plan(tuple(kept), plan.output, plan.notes), len(refused)
        refused.update((t.identity, _refusal(t)) for t in new)


def _timed(stage: Stage, given: Any, trials: Trials, ledger: Ledger, share: float) -> tuple[Plan, int]:
    """The same for time, round by round: what a stage wants is begun as long as its rounds before took less.

    The rounds are played again from the stage's beginning, so one that was broken off is completed as it was meant.
    """
    known = Trials(r for i in ledger.paid for r in trials.records_of(i))
    now, refused = ledger, set[Any]()
    while True:
        plan = stage.plan(given, known)
        wanted = known.missing(plan.trainings)
        kept = tuple(training for training in plan.trainings if training.identity not in refused)
        if not wanted:
            return Plan(kept, plan.output, plan.notes), len(refused)
        if now.spent - ledger.spent >= share and len(now.paid) > len(ledger.paid):
            refused |= {training.identity for training in wanted}
            known |= Trials(map(_refusal, wanted))
        elif trials.missing(wanted):
            return Plan(kept), len(refused)
        else:
            known |= Trials(r for training in wanted for r in trials.records_of(training))
            now = now.paying(wanted, trials)


def _refusal(training: Training) -> Trial:
    return Trial(training, "failed", error="the budget does not cover it")


def changes(stage: Stage, small: Stage, n_refused: int = 0, n_all: float = math.inf) -> str:
    """What a budget took away from a stage: ``keep = 2 (not 5), repeats = 4 (not 7)``; empty for nothing.

    A search that would take the whole budget, ``n_all`` trainings, if it were given it, was not cut by its share.
    """
    found = [f"{n_refused:,} training{'s' if n_refused > 1 else ''} fewer than it wanted"] if n_refused else []
    for field in _fields(stage) if stage is not small else ():
        before, after = getattr(stage, field.name), getattr(small, field.name)
        if (field.name == "n_trainings" and before >= n_all) or field.name in _GOING_ON:
            continue
        if before != after:
            after = f"{len(after)} of {len(before)}" if isinstance(before, tuple) else after
            found.append(f"{field.name} = {after}" + (f" (not {before})" if isinstance(before, int | float) else ""))
    return ", ".join(found)


def ended_by(budget: Budget, records: Sequence[StageRecord], *, left: bool = False) -> str:
    """What the budget took away, in a sentence; empty when it was enough for all that was wanted.

    Where more than a little of it is ``left``, it made stages smaller, but did not end the search.
    """
    cuts = [f"{record.name} ({record.budget_cut})" for record in records if record.budget_cut]
    if not cuts:
        return ""
    if left:
        return f"The budget of {budget} made the search smaller: it cut {', '.join(cuts)}."
    return f"The budget of {budget} ended the search early: it cut {', '.join(cuts)}."


def unspent(ledger: Ledger) -> bool:
    """Whether more of the budget is left than may be left without a word."""
    return ledger.left > _UNSPENT * ledger.budget.amount


def settled_after(ledger: Ledger, verdict: Verdict) -> str:
    """Why some of a budget is left, in a sentence; empty when it was spent."""
    if not unspent(ledger):
        return ""
    whole = ledger.budget.unit != "seconds"
    all_spent = ledger.spent + ledger.beside
    spent = f"{all_spent:,.0f}" if whole else str(Budget("seconds", all_spent))
    if verdict.settled:
        return f"The verdict is settled after {spent} of {ledger.budget}."
    return f"The search wanted no more than {spent} of {ledger.budget}."


def _fields(stage: Stage) -> tuple[Field[Any], ...]:
    return fields(stage) if is_dataclass(stage) else ()


def _fitting(stage: Stage, n: int, given: Any, ledger: Ledger, n_probed: int = 0) -> Stage:
    if isinstance(stage, Sizable):
        return stage.within(n, given, ledger.paid)
    n += n_probed
    if any(field.name == "n_trainings" for field in _fields(stage)) and n < getattr(stage, "n_trainings", 0):
        return replace(stage, n_trainings=n)  # type: ignore[type-var]
    return stage
