"""The stages of a search, replayed within a budget: what they want, and what they want of what others leave."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from zonesearch.core.seeding import FRESH
from zonesearch.core.trials import Training, Trials
from zonesearch.search.allocation import (
    changes,
    ended_by,
    gone_on,
    grown,
    least_costs,
    longer,
    probe,
    settled_after,
    sized,
    stage_share,
    unspent,
)
from zonesearch.search.budget import Budget, Ledger
from zonesearch.search.replay import cut
from zonesearch.search.stage import Containing, Plan, Stage
from zonesearch.statistics.search_results import StageRecord, output_of
from zonesearch.statistics.verdict import Verdict
from zonesearch.study.building import describe_stage

__all__ = ["MOST_TRIES", "Gone", "Round", "fits_budget", "gone_round", "only", "replayed", "stage_share"]


_SECOND = 0.75  # of what is left at the end, for the search; the rest is for repeats of what it finds
MOST_TRIES = 6  # attempts to find a plan that leaves room for trainings that are no longer wanted
_MOST_PASSES = 8  # in which the remainder goes back to the search


@dataclass(frozen=True)
class Round:
    """The state of a search: what it wants next, or what it found.

    Args:
        stage: index of the stage that wants trainings; the number of stages if all are finished.
        plan: that stage's plan (the last one's if all are finished).
        missing: its trainings that remain to be trained; empty if all stages are finished.
        records: one per stage, in order.
        refused: why nothing more is trained although a stage wants it; empty otherwise.
        left: a sentence on why some of the budget is left, where no verdict says so; empty otherwise.
        probed: the trainings that measured the time of one, which a plan may leave out.
    """

    stage: int
    plan: Plan
    missing: tuple[Training, ...]
    records: tuple[StageRecord, ...]
    refused: str = ""
    left: str = ""
    probed: tuple[Training, ...] = ()

    @property
    def finished(self) -> bool:
        return not self.missing

    @property
    def output(self) -> Any:
        """The output of the last stage; None before it has one."""
        return self.records[-1].given if self.records else None


def _beside(at: Round, ledger: Ledger, trials: Trials, before: Round | None = None) -> float:
    """The cost of trainings that no stage of ``at`` or ``before`` wants, in the budget's unit."""
    records = (*at.records, *(before.records if before else ()))
    probed = (training for training in at.probed if trials.get(training) is not None)
    wanted = ledger.paying((*probed, *(training for record in records for training in record.wanted)), trials)
    return wanted.paying((trial.training for trial in trials), trials).spent - wanted.spent


def _adds(later: Round, ledger: Ledger, trials: Trials) -> bool:
    """Whether ``later`` wants trainings that ``ledger`` has not paid."""
    wanted = (training for record in later.records for training in record.wanted)
    return ledger.paying(wanted, trials).spent > ledger.spent


def _wanted(at: Round) -> set[Any]:
    wanted = {training.identity for record in at.records for training in record.wanted}
    return wanted | {training.identity for training in at.probed}


def only(trials: Trials, identities: set[Any] | None) -> Trials:
    """Those of ``identities``; all without."""
    return trials if identities is None else Trials(t for t in trials.records() if t.training.identity in identities)


def gone_round(
    stages: Sequence[Stage],
    trials: Trials,
    budget: Budget | None,
    beside: float,
    *,
    early: bool = False,
    begun: Sequence[Budget] = (),
    exact: bool = False,
) -> tuple[Round, Ledger | None, float]:
    """The state, what was spent, and the cost of other trainings: see :func:`replayed`."""
    gone = replayed(stages, trials, budget, beside, early=early, begun=begun, exact=exact)
    return gone.at, gone.ledger, gone.beside


class Gone(NamedTuple):
    """A replay: the state, what was spent, the actual cost of trainings that it does not want, the stages as sized, and
    the identities of all trainings that it wanted at some time.
    """

    at: Round
    ledger: Ledger | None
    beside: float
    fits: Sequence[Stage]
    seen: set[Any]


def replayed(
    stages: Sequence[Stage],
    trials: Trials,
    budget: Budget | None,
    beside: float,
    *,
    early: bool = False,
    begun: Sequence[Budget] = (),
    exact: bool = False,
    seen: Collection[Any] = (),
) -> Gone:
    """Replay the stages, again with what they left over, until it is spent or no stage wants more.

    Args:
        stages, trials, budget: as in :func:`next_round`.
        beside: assumed cost of trainings that these stages do not want.
        early: whether all stages are made smaller by that, or only the last one.
        begun: smaller budgets, rising, within which they are replayed first; they continue with the rest.
        exact: whether every training is taken to be of this search: then what came later changes no earlier step.
        seen: with ``exact``, the identities of trainings that were wanted before and are paid.
    """
    first = beside if early else 0.0
    smallest, *larger = (*begun, budget)
    played = _played(stages, trials, smallest, first, beside, seen=set(seen) if exact and seen and not larger else None)
    seen = set(seen) | _wanted(played[0])  # which the passes below add to
    at, ledger, fits = _passes(
        stages, trials, smallest, first, *played, alone=bool(larger) and not exact, past=seen if exact else None
    )
    if ledger is None:
        return Gone(at, ledger, 0.0, fits, seen)
    seen |= _wanted(at)
    for i, then in enumerate(larger, start=1):
        assert then is not None
        ledger = replace(ledger, budget=then)
        past = seen if exact or i < len(larger) else None
        at, ledger, fits = _passes(stages, trials, then, first, at, ledger, fits, past=past, more=True)
        assert ledger is not None
        at = _said(at, ledger)
    if not larger:
        at = _said(at, ledger)
    seen |= _wanted(at)
    beside = _cost(None, ledger, trials) - _cost(seen, ledger, trials) if exact else _beside(at, ledger, trials)
    return Gone(at, ledger, beside, fits, seen)


def _cost(seen: set[Any] | None, ledger: Ledger, trials: Trials) -> float:
    """The cost of the finished trainings among those ``seen``, or of all of them; in the budget's unit."""
    return Ledger(ledger.budget).paying((trial.training for trial in only(trials, seen)), trials).spent


def _said(at: Round, ledger: Ledger) -> Round:
    """The state, with the sentences about the whole budget, in the verdict if there is one."""
    if not at.finished:
        return at
    if not isinstance(at.output, Verdict):
        return replace(at, left=settled_after(ledger, None, at.records))
    sentences = (ended_by(ledger.budget, at.records, left=unspent(ledger)), settled_after(ledger, at.output))
    last = replace(at.records[-1], output=replace(at.output, budget=" ".join(filter(None, sentences))))
    return replace(at, records=(*at.records[:-1], last))


def _passes(
    stages: Sequence[Stage],
    trials: Trials,
    budget: Budget | None,
    first: float,
    at: Round,
    ledger: Ledger | None,
    fits: Sequence[Stage],
    *,
    alone: bool = False,
    past: set[Any] | None = None,
    more: bool = False,
) -> tuple[Round, Ledger | None, Sequence[Stage]]:
    """The stages again with what they left over, until it is spent or no stage wants more.

    Args:
        stages, trials, budget: as in :func:`next_round`.
        first: the part of the budget by which all stages are made smaller.
        at, ledger, fits: as :func:`_played` gives them.
        alone: whether trainings that they do not want came later, and do not count yet.
        past: the identities of the trainings that were wanted so far, which gets those that are wanted here; all others
            came later, and do not count yet. None if there are no later ones.
        more: whether the last stage may continue too, if no other can.
    """
    if ledger is None:
        return at, ledger, fits
    for n in range(_MOST_PASSES):
        assert ledger is not None
        # what they do not want yet they may want once they continue
        spent = replace(ledger, beside=0.0)
        spent = spent if past is None else replace(spent, spent=_cost(past, ledger, trials))
        if (ledger.budget.unit == "seconds" and not more) or not at.finished or not unspent(spent):
            break
        able = [longer(stage, fit, 1) is not None for stage, fit in zip(stages, fits, strict=True)]
        able = [a or "zones_max" in record.budget_cut for a, record in zip(able, at.records, strict=True)]
        able[-1] = able[-1] and not isinstance(at.output, Verdict)
        order = [i for i in reversed(range(len(able))) if able[i]]
        order += [len(stages) - 1] * (more and not able[-1])
        for i in order:
            ends_in_verdict = i + 1 < len(stages) and isinstance(at.output, Verdict)
            judged = _judged(stages[i:], ledger) if ends_in_verdict else 0.0
            enough = spent.left - judged >= ledger.unit_price(getattr(stages[i], "epochs", 1))
            if not enough and (n or not more):  # what it would find could not be judged as well as what is there
                continue
            found = _pass(stages, trials, budget, first, at, ledger, fits, i, judged, alone=alone, past=past, more=more)
            if found is not None:
                break
        else:
            break
        at, ledger, fits = found
        if past is not None:
            past |= _wanted(at)
    if not alone and ledger is not None:
        ledger = replace(ledger, beside=_beside(at, ledger, only(trials, past)))
    return at, ledger, fits


def _judged(stages: Sequence[Stage], ledger: Ledger) -> float:
    """What the stages after the first of ``stages`` want for a single zone or candidate, in the budget's unit."""
    each = [stage.forecast(1) for stage in stages[1:]]
    return math.fsum(expected.n_trainings * ledger.unit_price(expected.epochs) for expected in each)


def _pass(
    stages: Sequence[Stage],
    trials: Trials,
    budget: Budget | None,
    first: float,
    at: Round,
    ledger: Ledger,
    fits: Sequence[Stage],
    going_on: int,
    judged: float,
    *,
    alone: bool,
    past: set[Any] | None,
    more: bool,
) -> tuple[Round, Ledger, Sequence[Stage]] | None:
    """The stages with ``going_on`` continued; None if that adds nothing, or cannot be paid.

    Args: as in :func:`_passes`, and
        judged: of what is left, the part for the stages after it, if there is enough.
    """
    before, beside, most = (at, fits), 0.0, math.nan
    if past is not None:
        beside = _cost(past, ledger, trials) - _cost(_wanted(at), ledger, trials)
    later, ledger_later, fits_later = _played(stages, trials, budget, first, beside, before, going_on, 0.0, judged)
    assert ledger_later is not None
    if not alone and past is None:
        for _ in range(MOST_TRIES - 1):
            unwanted = _beside(later, ledger_later, trials, at)
            if unwanted <= beside:
                break
            most = unwanted if math.isnan(most) else most
            beside = unwanted
            later, ledger_later, fits_later = _played(
                stages, trials, budget, first, beside, before, going_on, 0.0, judged
            )
            assert ledger_later is not None
        if _beside(later, ledger_later, trials, at) > beside:
            paid = _payable(stages, trials, budget, first, most, before, going_on) if more else None
            if paid is None:
                return None
            later, ledger_later, fits_later = paid
    return None if later.finished and not _adds(later, ledger, trials) else (later, ledger_later, fits_later)


def _payable(
    stages: Sequence[Stage],
    trials: Trials,
    budget: Budget | None,
    first: float,
    most: float,
    before: tuple[Round, Sequence[Stage]],
    going_on: int,
) -> tuple[Round, Ledger, Sequence[Stage]] | None:
    """The largest continued plan whose missing trainings the budget pays, with a smaller last stage where needed.

    None if there is none.

    Args:
        stages, trials, budget, first, before, going_on: as in :func:`_played`.
        most: the cost of what the largest plan does not want.
    """
    assert budget is not None
    for i in range(2 * MOST_TRIES):
        late, spare = i / (2 * MOST_TRIES) * most, 0.0
        for _ in range(2):
            at, ledger, fits = _played(stages, trials, budget, first, late, before, going_on, spare)
            assert ledger is not None
            if at.stage < len(stages) - 1:
                break
            if fits_budget(at, budget, trials):
                return at, ledger, fits
            wanted = (*(trial.training for trial in trials), *at.missing)
            spare = Ledger(budget).paying(wanted, trials).spent - budget.amount
    return None


def _played(
    stages: Sequence[Stage],
    trials: Trials,
    budget: Budget | None,
    early: float = 0.0,
    late: float = 0.0,
    before: tuple[Round, Sequence[Stage]] | None = None,
    going_on: int = -1,
    spare: float = 0.0,
    judged: float = 0.0,
    seen: set[Any] | None = None,
) -> tuple[Round, Ledger | None, Sequence[Stage]]:
    """Replay the stages in order; returns the state, what was spent, and the stages as sized.

    Args:
        stages, trials, budget: as in :func:`next_round`.
        early, late: the parts of the budget spent on an earlier plan, by which stages are sized; the last one, and one
            that continues, use ``late``.
        before: their state and sizes when some of the budget was left; the stage at ``going_on`` gets most of that in
            addition, and those after it the rest. Everything that was wanted then is paid.
        spare: of the budget, what the last stage does not get.
        judged: of what is left, the part for the stages after the one at ``going_on``, if there is enough.
        seen: the identities of trainings that are paid, so that ``late`` is known: the cost of those that no stage up
            to then wants. None if it is not.
    """

    def unwanted(now: Ledger) -> float:
        return late if seen is None else now.paying((t.training for t in only(trials, seen)), trials).spent - now.spent

    records = [StageRecord(stage.name, describe_stage(stage)) for stage in stages]
    given: Any = None
    plan = Plan(())
    ledger = None if budget is None else Ledger(budget, beside=early)
    fits = list(stages)
    probed: tuple[Training, ...] = ()
    for i, stage in enumerate(stages):
        if ledger is None:
            plan = stage.plan(given, trials)
        else:
            n_probed = 0
            if math.isnan(ledger.rate):
                plan = probe(stage, given, ledger)
                probed = (*probed, *plan.trainings)
                missing = tuple(trials.missing(plan.trainings))
                if missing:
                    records[i] = replace(records[i], wanted=plan.trainings)
                    return Round(i, plan, missing, tuple(records), probed=probed), ledger, fits
                ledger, n_probed = ledger.paying(plan.trainings, trials), len(plan.trainings)
            last = i + 1 == len(stages)
            if last or (before is not None and i >= going_on):
                at_most = ledger
                if last and seen is not None:  # what it has itself is not beside it
                    whole = sized(stage, given, ledger, ledger.left, n_probed)
                    if not isinstance(stage, Containing) and _zones_of(whole) == _zones_of(stage):
                        whole = grown(whole, given, trials, ledger, ledger.left)
                    at_most = ledger.paying(whole.plan(given, only(trials, seen)).trainings, trials)
                ledger = replace(ledger, beside=unwanted(at_most) + spare * last)
            share = ledger.left if last else stage_share(stages, i, given, ledger)
            had = 0.0  # what it had before, which would be counted again
            going = before[1][i] if before is not None and i <= going_on else None
            if before is not None and i == going_on:
                ledger = ledger.paying((t for record in before[0].records for t in record.wanted), trials)
                price = ledger.unit_price(getattr(stage, "epochs", 1))
                share = _SECOND * ledger.left if not last else ledger.left
                share = min(share, ledger.left - judged) if ledger.left - judged >= price else share
                if share < price <= ledger.left - least_costs(stages[i + 1 :], ledger):
                    share = price
                going = longer(stage, before[1][i], max(1, ledger.affordable(share, getattr(stage, "epochs", 1))))
                if going is None:  # lines of one zone at least, where that leaves enough to judge
                    expected = stage.forecast(1)
                    one = expected.n_trainings * ledger.unit_price(expected.epochs)
                    share = max(share, one) if one <= ledger.left - least_costs(stages[i + 1 :], ledger) else share
            if before is not None and i >= going_on and going is None:
                counted = [t for t in before[0].records[i].wanted if i == going_on or t.seed >= FRESH]
                had = len(counted) * ledger.unit_price(getattr(stage, "epochs", 1))
            small = sized(stage, given, ledger, share + had, n_probed) if going is None else going
            if last and i == going_on and going is None and before is not None:
                small = _more_zones(small, before[1][i], stage, given)
            fit = small
            if last and _zones_of(small) == _zones_of(stage):  # other zones come first
                fit = grown(small, given, trials, ledger, share + had)
            if before is not None and i < going_on:
                share = ledger.paying(before[0].records[i].wanted, trials).spent - ledger.spent  # as much as it had
            plan, n_refused = cut(fit, given, trials, ledger, share)
            if (before is None or i == going_on) and i + 1 < len(stages):
                timed = ledger.budget.unit == "seconds"
                after = late if timed else unwanted(ledger.paying(plan.trainings, trials))
                now = replace(ledger, beside=after if seen is not None else max(ledger.beside, late))
                fit, plan, n_refused = gone_on(stages[i:], fit, plan, n_refused, given, trials, now)
            n_all = ledger.affordable(budget.amount, getattr(stage, "epochs", 1)) if budget is not None else math.inf
            taken = changes(stage, small if i + 1 == len(stages) else fit, n_refused, n_all)
            records[i] = replace(records[i], settings=describe_stage(fit), budget_cut=taken)
            fits[i] = fit
        missing = tuple(trials.missing(plan.trainings))
        finished = not missing
        records[i] = replace(records[i], wanted=plan.trainings, finished=finished)
        if finished:
            records[i] = replace(records[i], output=output_of(plan.output), notes=plan.notes)
        if missing:
            return Round(i, plan, missing, tuple(records), probed=probed), ledger, fits
        given = plan.output
        if ledger is not None:
            ledger = ledger.paying(plan.trainings, trials)
            if isinstance(given, Verdict):
                if given.standings and not given.settled:
                    n_fresh = sum(len(standing.accuracies) for standing in given.standings)
                    unsettled = f"{n_fresh:,} fresh seeds do not settle it"
                    budget_cut = ", ".join(filter(None, (records[i].budget_cut, unsettled)))
                    records[i] = replace(records[i], budget_cut=budget_cut)
                said = (ended_by(ledger.budget, records, left=unspent(ledger)), settled_after(ledger, given))
                given = replace(given, budget=" ".join(filter(None, said)))
                records[i] = replace(records[i], output=given)
    return Round(len(stages), plan, (), tuple(records), probed=probed), ledger, fits


def _zones_of(stage: Stage) -> int | None:
    """The number of zones that a stage searches; None for all, or a stage that searches none."""
    return getattr(stage, "zones_max", None)


def _more_zones(small: Stage, before: Stage, stage: Stage, given: Any) -> Stage:
    """The last stage with at least one zone more than ``before``, of which it gets as much as is left.

    Args:
        small, before: as sized now and before.
        stage, given: as in the study; the output of the stage before it.
    """
    had, has = getattr(before, "zones_max", None), getattr(small, "zones_max", None)
    if had is None or has is None or has > had:
        return small
    if getattr(stage, "zones_max", None) == had or not isinstance(given, Sequence):
        return small
    return stage if had + 1 >= len(given) else replace(small, zones_max=had + 1)  # type: ignore[type-var]


def fits_budget(at: Round, budget: Budget, trials: Trials) -> bool:
    """Whether the budget pays for what is wanted now in addition to everything that was trained."""
    wanted = (*(trial.training for trial in trials), *at.missing)
    return not at.missing or budget.unit == "seconds" or Ledger(budget).paying(wanted, trials).spent <= budget.amount
