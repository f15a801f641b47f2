"""How a budget is shared between stages: each may spend half of what is left when it begins, the last one all of it.
More than half only what those that follow cannot use, by the most that they can want.

What a stage leaves over goes to those that follow. A stage is sized before it trains anything, by its share and what is
known then: a grid gets coarser rows rather than holes, intervals are searched in fewer zones, finalists get fewer
seeds. A stage that has no way to be sized gets the first of the trainings that it wants, and is told that the others
failed. Everything is a function of the trials: a run that goes on is rationed as an unbroken one.
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
from zonesearch.search.budget import Account, Budget
from zonesearch.search.stage import Plan, Rationed, Stage
from zonesearch.statistics.findings import StageRecord

__all__ = ["changes", "check_budget", "cut", "ended_by", "later_costs", "probe", "share_of", "sized"]

_PROBE = 9  # points of the first stage, with one seed each: rims and middle of two axes, where times may differ much


def share_of(left: float, later: float) -> float:
    """What a stage may spend of what is ``left``, when all that follow can spend ``later`` at most."""
    return max(left / 2, left - later)


def later_costs(stages: Sequence[Stage], given: Any, account: Account) -> float:
    """The most that the stages after the first of ``stages`` can spend, in the budget's unit.

    Args:
        stages: the one that is sized and those that follow.
        given: what the one before them handed on.
        account: knows what a training costs.
    """
    n_given: Any = len(given) if isinstance(given, Sequence) else 0
    cost = 0.0
    for i, stage in enumerate(stages):
        expected = stage.forecast(n_given)
        if i > 0:
            cost += expected.n_trainings * account.unit_price(expected.epochs)
        n_given = expected.n_output
    return cost


def least(stage: Stage) -> int:
    """Fewer new trainings than this make no stage: the seeds of a point, and one more to judge it."""
    return Seeds.parse(getattr(stage, "seeds", 1)).first + 1


def check_budget(stages: Sequence[Stage], budget: Budget) -> None:
    """Check that every stage may get something, whatever the others take; of a time that is not known beforehand.

    Raises:
        StudyError: naming the stage and the least budget.
    """
    if budget.unit == "seconds":
        return
    shares = [0.5 ** (i + 1) for i in range(len(stages) - 1)]
    shares.append(shares[-1] if shares else 1.0)
    price = Account(budget).unit_price
    needs = [least(stage) * price(getattr(stage, "epochs", 1)) for stage in stages]
    needed = math.ceil(max(need / share for need, share in zip(needs, shares, strict=True)))
    for stage, need, share in zip(stages, needs, shares, strict=True):
        if budget.amount * share < need:
            raise StudyError(
                f"[search] budget of {budget} is too small: stage {stage.name} may get {budget.amount * share:g} and "
                f"needs {need:g}; give at least {needed}"
            )


def sized(stage: Stage, given: Any, account: Account, share: float, n_probed: int = 0) -> Stage:
    """The stage, made so small that its ``share``, in the budget's unit, pays for it; itself when it does.

    ``n_probed`` of its trainings are paid already.
    """
    n = max(least(stage), account.affordable(share, getattr(stage, "epochs", 1)))
    return _fitting(stage, n, given, account, n_probed)


def probe(stage: Stage, given: Any, trials: Trials, account: Account) -> Plan:
    """A few trainings of a stage by which its time is known; part of what it may spend."""
    with suppress(StudyError):  # one that cannot be made so small
        stage = _fitting(stage, _PROBE * Seeds.parse(getattr(stage, "seeds", 1)).first, given, account)
    first: dict[Any, Training] = {}
    for training in stage.plan(given, trials).trainings:
        first.setdefault(training.identity[0], training)
    return Plan(tuple(first.values())[:_PROBE])


def cut(stage: Stage, given: Any, trials: Trials, account: Account, share: float) -> tuple[Plan, int]:
    """The plan of a stage without what its share does not pay for, and how many trainings that were.

    What is cut off is answered as failed, so that the stage comes to its output with what there is.
    """
    if account.budget.unit == "seconds":
        return _timed(stage, given, trials, account, share)
    refused: dict[Any, Trial] = {}
    while True:
        plan = stage.plan(given, trials | Trials(refused.values()))
        kept, beyond, after, cost = [], [], dict(account.paid), 0.0
        for training in plan.trainings:
            price = account.price(training, after)
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


def _timed(stage: Stage, given: Any, trials: Trials, account: Account, share: float) -> tuple[Plan, int]:
    """The same for time, round by round: what a stage wants is begun as long as its rounds before took less.

    The rounds are played again from the stage's beginning, so one that was broken off is completed as it was meant.
    """
    known = Trials(r for i in account.paid for r in trials.records_of(i))
    now, refused = account, set[Any]()
    while True:
        plan = stage.plan(given, known)
        wanted = known.missing(plan.trainings)
        kept = tuple(training for training in plan.trainings if training.identity not in refused)
        if not wanted:
            return Plan(kept, plan.output, plan.notes), len(refused)
        if now.spent - account.spent >= share and len(now.paid) > len(account.paid):
            refused |= {training.identity for training in wanted}
            known |= Trials(map(_refusal, wanted))
        elif trials.missing(wanted):
            return Plan(kept), len(refused)
        else:
            known |= Trials(r for training in wanted for r in trials.records_of(training))
            now = now.paying(wanted, trials)


def _refusal(training: Training) -> Trial:
    return Trial(training, "failed", error="the budget does not pay for it")


def changes(stage: Stage, small: Stage, n_refused: int = 0) -> str:
    """What a budget took away from a stage: ``keep = 2 (not 5), repeats = 4 (not 7)``; empty for nothing."""
    found = [f"{n_refused:,} training{'s' if n_refused > 1 else ''} fewer than it wanted"] if n_refused else []
    for field in _fields(stage) if stage is not small else ():
        before, after = getattr(stage, field.name), getattr(small, field.name)
        if before != after:
            after = f"{len(after)} of {len(before)}" if isinstance(before, tuple) else after
            found.append(f"{field.name} = {after}" + (f" (not {before})" if isinstance(before, int | float) else ""))
    return ", ".join(found)


def ended_by(budget: Budget, records: Sequence[StageRecord]) -> str:
    """What the budget took away, in a sentence; empty when it was enough for all that was wanted."""
    cuts = [f"{record.name} ({record.rationed})" for record in records if record.rationed]
    return f"The budget of {budget} ended the search early: it cut {', '.join(cuts)}." if cuts else ""


def _fields(stage: Stage) -> tuple[Field[Any], ...]:
    return fields(stage) if is_dataclass(stage) else ()


def _fitting(stage: Stage, n: int, given: Any, account: Account, n_probed: int = 0) -> Stage:
    if isinstance(stage, Rationed):
        return stage.within(n, given, account.paid)
    n += n_probed
    if any(field.name == "n_trainings" for field in _fields(stage)) and n < getattr(stage, "n_trainings", 0):
        return replace(stage, n_trainings=n)  # type: ignore[type-var]
    return stage
