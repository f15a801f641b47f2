"""What a search wants next: the stages are asked one after the other, within a budget, including what others leave of
it.

There is no "current stage" anywhere: the state of a search is found by asking the stages again. A run that continues
with a larger budget is first replayed within the smaller one, which is inferred from its trials.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from zonesearch.core.trials import Trials
from zonesearch.core.values import point
from zonesearch.errors import StudyError
from zonesearch.run.played import MOST_TRIES, Round, fits_budget, gone_round, only, replayed, stage_share
from zonesearch.search.allocation import (
    sized,
    unspent,
)
from zonesearch.search.budget import Budget, Ledger
from zonesearch.search.stage import Containing, Lasting, Sizable, Stage
from zonesearch.statistics.candidates import Candidates
from zonesearch.statistics.verdict import Verdict

__all__ = ["Round", "next_round"]


_LITTLE = 0.05  # of the budget: up to this much outside the plan is saved in the last stage only
_LOSS = 0.125  # of the budget: how much of what a smaller budget paid for may be lost for a larger first stage
_MOST_BUDGETS = 1000  # smaller budgets that are tried as the beginning of a search
_MOST_BEGUN = 8  # of what they make of it, by how much of that was trained
_MOST_LISTED = 10_000  # trainings of a plan without a budget; larger ones are seldom complete


def next_round(stages: Sequence[Stage], trials: Trials, budget: Budget | None = None) -> Round:
    """Ask the stages in order what they want, up to the first that wants something.

    With a ``budget``, each gets its share of what is left (see :mod:`zonesearch.search.allocation`). What the last one
    leaves goes back to the last search that can continue (for lines that did not fit, or more points), and then to the
    last stage again. Everything that was trained counts as spent: a run that continues with a larger budget has the
    difference.
    """
    kept = None if budget is None else _kept(stages, trials, budget)
    if kept is not None:
        return kept
    contains = any(isinstance(stage, Containing) for stage in stages)
    if contains and budget is not None and budget.earlier:
        enlarged = _enlarged(stages, trials, budget)
        if enlarged is not None:
            return enlarged
    known = budget.earlier if budget is not None and not contains else ()
    at, ledger, beside = gone_round(stages, trials, budget, 0.0, begun=known, exact=True)
    if ledger is None or beside <= 0 or not stages:
        return at
    complete = _complete(stages, trials, ledger.budget)
    if complete is not None:
        return complete
    if known:
        gone, paid, _ = gone_round(stages, trials, ledger.budget, 0.0, begun=known)
        if paid is not None and _goes_on(gone, paid, trials):
            return gone
    if beside > _LITTLE * ledger.budget.amount:
        resumed = _resumed(stages, trials, ledger.budget, at, beside)
        if resumed is not None:
            stages, at, ledger, beside = resumed
            if beside <= 0 or _goes_on(at, ledger, trials):
                return at
    # Trainings outside the plan are spent as well; the plan gets the rest.
    for early in (True, False) if beside > _LITTLE * ledger.budget.amount else (False, True):
        found = _sparing(stages, trials, ledger.budget, beside, early=early)
        if found is not None:
            return found
    return at if fits_budget(at, ledger.budget, trials) else _overspent(at, ledger.budget, trials)


def _resumed(
    stages: Sequence[Stage], trials: Trials, budget: Budget, before: Round, beside: float
) -> tuple[Sequence[Stage], Round, Ledger, float] | None:
    """The stages as a smaller budget may have started them, so that its trainings count; None if that is no better.

    The smaller budget is inferred from the trials: one whose first stage they contain. That stage is enlarged if the
    rest of the smaller budget is small compared with the larger one; otherwise it stays, and the stages continue from
    where they were.

    Args:
        stages, trials, budget: as in :func:`next_round`.
        before: the state without a smaller budget.
        beside: what is lost in that case.
    """
    i = next((i for i, stage in enumerate(stages) if isinstance(stage, Sizable)), None)
    if i is None or budget.unit == "seconds" or before.stage < i:
        return None
    begun = _begun(stages, i, trials, budget, before)
    found: list[tuple[Sequence[Stage], Round, Ledger, float]] = []
    for small, _ in begun:
        stage = stages[i]
        larger = stage.containing(small) if isinstance(stage, Containing) else stage
        if larger != stage:
            chosen = [*stages[:i], larger, *stages[i + 1 :]]
            at, ledger, lost = gone_round(chosen, trials, budget, 0.0)
            spared = gone_round(chosen, trials, budget, lost) if lost > 0 else None
            if spared is not None and spared[-1] <= lost:
                at, ledger, lost = spared
            assert ledger is not None
            if lost <= _LOSS * budget.amount:
                found.append((chosen, at, ledger, lost))
    if not found:
        for _, smaller in begun:
            at, ledger, lost = gone_round(stages, trials, budget, 0.0, begun=[smaller])
            assert ledger is not None
            found.append((stages, at, ledger, lost))
            if lost <= 0:
                break
    best = min(found, key=lambda each: each[-1], default=None)
    return None if best is None or best[-1] > beside else best


def _begun(
    stages: Sequence[Stage], i: int, trials: Trials, budget: Budget, before: Round
) -> list[tuple[Stage, Budget]]:
    """Versions of stage ``i`` under smaller budgets, each with the largest such budget; the most completely trained
    first.
    """
    given = before.records[i - 1].given if i else None
    known = {trial.training.identity for trial in trials}
    price = Ledger(budget).unit_price(getattr(stages[i], "epochs", 1))
    n_all = Ledger(budget).affordable(budget.amount, getattr(stages[i], "epochs", 1))
    made: dict[Stage, Budget] = {}
    for n in range(n_all - 1, 0, -max(1, n_all // _MOST_BUDGETS)):
        smaller = replace(budget, amount=round(n * price))
        ledger = Ledger(smaller).paying((t for record in before.records[:i] for t in record.wanted), trials)
        with suppress(StudyError):
            small = sized(stages[i], given, ledger, stage_share(stages, i, given, ledger))
            made.setdefault(small, smaller)
    trained: dict[Stage, tuple[float, int]] = {}
    for small in made:
        first = {training.identity for training in small.plan(given, Trials()).trainings}
        n = len(first & known)
        if n:
            trained[small] = n / len(first), n
    likely = sorted(trained, key=lambda small: (trained[small], made[small].amount), reverse=True)[:_MOST_BEGUN]
    return [(small, made[small]) for small in likely]


def _complete(stages: Sequence[Stage], trials: Trials, budget: Budget) -> Round | None:
    """The complete state of a run that holds more than its budget pays for: without a budget, or with a larger one.

    A budget limits what is trained, not what is evaluated: the run keeps its verdict, and says so.
    """
    spent = Ledger(budget).paying((trial.training for trial in trials), trials).spent
    if budget.unit == "seconds" or spent <= budget.amount:
        return None
    most = min(math.ceil(spent * (1 + _LITTLE)), int(spent + _MOST_BEGUN))
    known = [replace(budget, amount=amount) for amount in budget.after if amount > budget.amount]
    for larger in (*known, None, *(replace(budget, amount=n) for n in range(math.ceil(spent), most + 1))):
        first = stages[0].forecast(None).n_trainings if larger is None else 0
        if first > _MOST_LISTED:
            continue
        begun = larger.earlier if larger is not None else ()
        with suppress(StudyError):
            at, ledger, beside = gone_round(stages, trials, larger, 0.0, begun=begun, exact=bool(begun))
            if at.finished and (ledger is None or beside <= 0):
                return _beyond(at, budget, trials)
    return None


def _kept(stages: Sequence[Stage], trials: Trials, budget: Budget) -> Round | None:
    """The state of a run that was complete within a larger budget before this one was lowered; None if there is none.

    It need not have spent all of either.
    """
    most = max(budget.after, default=0)
    if most <= budget.amount:
        return None
    at = next_round(stages, trials, replace(budget, amount=most))
    return _beyond(at, budget, trials) if all(record.finished for record in at.records) else None


def _beyond(at: Round, budget: Budget, trials: Trials) -> Round:
    """``at`` with a note that nothing more is trained within the budget, and on what is evaluated."""
    last = at.records[-1]
    spent = Ledger(budget).paying((trial.training for trial in trials), trials).spent
    note = (
        f"The run holds {len(trials):,} trainings, more than the budget of {budget} pays for: nothing more is trained, "
        "and what they were planned for is judged."
        if spent > budget.amount
        else f"The run was complete within an earlier budget, larger than {budget}: nothing more is trained."
    )
    output = replace(last.output, budget="") if isinstance(last.output, Verdict) else last.output
    return replace(at, records=(*at.records[:-1], replace(last, output=output, notes=(*last.notes, note))))


def _goes_on(at: Round, ledger: Ledger, trials: Trials) -> bool:
    """Whether an earlier search reaches a verdict within the budget, including trainings that it does not want."""
    judged = not at.finished or not isinstance(at.output, Verdict) or bool(at.output.standings)
    return judged and ledger.spent + ledger.beside <= ledger.budget.amount and fits_budget(at, ledger.budget, trials)


def _sparing(stages: Sequence[Stage], trials: Trials, budget: Budget, beside: float, *, early: bool) -> Round | None:
    """The stages, sized for what trainings outside the plan leave; None if that leaves no verdict.

    Args:
        stages, trials, budget: as in :func:`next_round`.
        beside: what is spent on those if nothing is saved.
        early: save it from the first stage on, rather than in the last one.
    """
    found = None
    for i in range(2 * MOST_TRIES):
        at, ledger, unwanted = gone_round(stages, trials, budget, beside, early=early)
        assert ledger is not None
        if unwanted <= beside and fits_budget(at, budget, trials):
            found = at
            break
        beside = max(unwanted, i / (2 * MOST_TRIES) * budget.amount)
    if found is None or (isinstance(found.output, Verdict) and not found.output.standings):
        return None
    assert ledger is not None
    if not early or not found.finished or not unspent(ledger):
        return found
    low, high = 0.0, beside  # no stage can continue: find the largest plan that leaves room for what is outside it
    for _ in range(MOST_TRIES):
        beside = (low + high) / 2
        at, _, unwanted = gone_round(stages, trials, budget, beside, early=True)
        if unwanted <= beside and fits_budget(at, budget, trials):
            found, high = at, beside
        else:
            low = beside
    return found


def _overspent(at: Round, budget: Budget, trials: Trials) -> Round:
    """A round of a run that holds more than its budget pays for: nothing more is trained, with a note that says why."""
    spent = Ledger(budget).paying((trial.training for trial in trials), trials)
    state = "leaves too little for a verdict" if unspent(spent) else "is spent"
    note = (
        f"The budget of {budget} {state}: the run holds {len(trials):,} trainings already, and this plan, with another "
        "budget or other stages, wants others. Give a larger budget or another folder."
    )
    records = [replace(record, notes=(note,)) if i == at.stage else record for i, record in enumerate(at.records)]
    return Round(len(records), at.plan, (), tuple(records), note)


def _enlarged(stages: Sequence[Stage], trials: Trials, budget: Budget) -> Round | None:
    """The state of a run with a grid after smaller budgets that it remembers; None if it has trainings of other plans.

    With each larger budget the grid gets more values between those that it has, if what else was trained is little
    beside that budget and no search has followed the grid; otherwise it stays, and the stages continue from where they
    were. If they leave more than that in the end, the grid gets the values after all, and former candidates remain.
    """
    i = next((i for i, stage in enumerate(stages) if isinstance(stage, Containing)), None)
    if i is not None and any(isinstance(stage, Lasting) for stage in stages[i + 1 :]):
        i = None  # what a search found after a coarse grid it would not have found after another one
    chosen, begun, seen, lost, gone = list(stages), list[Budget](), set[Any](), 0.0, None
    former: list[Round] = []
    for now in (*budget.earlier, replace(budget, after=())):
        if gone is not None and not gone.at.finished:
            break  # as it was begun
        refined = None
        if gone is not None and i is not None:
            stage, small = stages[i], gone.fits[i]
            larger = stage.containing(small) if isinstance(stage, Containing) else stage
            refined = [*stages[:i], larger, *stages[i + 1 :]] if larger != stage else None
        if refined is not None:
            beside = gone_round(refined, only(trials, seen), now, 0.0)[-1]
            if beside <= _LOSS * now.amount:
                chosen, begun, lost, refined = refined, [], beside, None
        gone = replayed(chosen, trials, now, lost, begun=begun, exact=True, seen=seen)
        if refined is not None and gone.at.finished and not isinstance(gone.at.output, Verdict):
            assert gone.ledger is not None
            beside = gone_round(refined, only(trials, gone.seen), now, 0.0)[-1]
            if unspent(gone.ledger) and beside < gone.ledger.left:  # it would leave more than it loses
                chosen, begun, lost = refined, [], beside
                former.append(gone.at)
                gone = replayed(chosen, trials, now, lost, begun=begun, exact=True, seen=gone.seen)
        begun.append(now)
        seen = gone.seen
    assert gone is not None
    return _joined(gone.at, former) if gone.beside <= 0 else None


def _joined(at: Round, former: Sequence[Round]) -> Round:
    """The state with the candidates of ``former`` ones, whose zones it does not have."""
    last = at.records[-1]
    if not at.finished or not isinstance(last.output, Candidates):
        return at
    candidates, wanted = {point(each.params): each for each in last.output}, list(last.wanted)
    for round_ in former:
        wanted += round_.records[-1].wanted
        if isinstance(round_.output, Candidates):
            for each in round_.output:
                candidates.setdefault(point(each.params), replace(each, zone=0))
    output = Candidates.of(candidates.values(), last.output.others)
    last = replace(last, wanted=tuple(dict.fromkeys(wanted)), output=output)
    return replace(at, records=(*at.records[:-1], last))
