"""Budget allocation: each stage may spend a share of what is left when it begins, and the last one all of it.

The share is one half; for a search that places its trainings itself it is four fifths, or with fewer than 20 trainings
all but one, which is left for a fresh seed. It is larger if later stages cannot use the rest, given the most that they
can want, and never so large that one of them gets nothing. A search that leaves more for the verdict than its results
need continues with the difference. What a stage leaves goes to later stages, and the last one spends it on more seeds
of settings that do not differ significantly: a budget is meant to be spent, and a remainder means that the verdict is
settled.

A stage is sized before it trains anything, by its share and what is known then: a grid gets coarser rows rather than
holes, intervals are searched in fewer zones, finalists get fewer or more seeds. A stage that cannot be sized gets the
first of the trainings that it wants, and the others count as failed. Everything is a function of the trials: a resumed
run has the same allocation as an uninterrupted one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import Field, fields, is_dataclass, replace
from typing import Any

from zonesearch.core.seeds import Seeds
from zonesearch.core.trials import Training, Trials
from zonesearch.errors import StudyError
from zonesearch.search.budget import Budget, Ledger
from zonesearch.search.replay import cut
from zonesearch.search.stage import FEWER_CHOICES, Containing, Growing, Lasting, Plan, Sizable, Stage
from zonesearch.statistics.search_results import StageRecord
from zonesearch.statistics.verdict import Verdict

__all__ = [
    "changes",
    "check_budget",
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
    "stage_share",
    "unspent",
]

_PROBE = 9  # points of the first stage, with one seed each: edges and middle of two axes, where times may differ a lot
_TINY = 20  # trainings: with fewer, four fifths leave too few to compare more than one finalist
_GOING_ON = (
    "planned",
    "thorough",
    "begun",
)  # settings of a continued search, which are not reported as cut by a budget
_OF_BUDGET = "[search] budget: "
_UNSPENT = 0.05  # of a budget: a remainder up to this is not reported


def fraction(stages: Sequence[Stage], n_left: float = math.inf) -> float:
    """The part of the remainder that a stage may always have: most of it if the stage looks for the best setting
    itself.

    Args:
        stages: the stage in question and those after it.
        n_left: the number of trainings that the remainder pays for. If there are few, the search needs every one, and
            too few would be left to compare finalists anyway.
    """
    if not _searches(stages[0]):
        return 0.5
    judged_next = len(stages) == 2 and hasattr(stages[1], "fewest") and not _searches(stages[1])
    return 1.0 if judged_next and n_left < _TINY else 0.8


def _searches(stage: Stage) -> bool:
    """Whether the stage looks for the best setting itself, with a number of trainings."""
    return any(field.name == "n_trainings" for field in _fields(stage))


def share_of(left: float, later: float, part: float = 0.5, least_later: float = 0.0, need: float = 0.0) -> float:
    """What a stage may spend of the amount ``left``.

    Args:
        left: the remainder of the budget.
        later: the most that all later stages can spend.
        part: the fraction of the remainder that it may always have.
        least_later: the least that later stages need.
        need: the least that it needs itself.
    """
    return max(0.0, min(max(part * left, left - later, need), left - least_later))


def later_costs(stages: Sequence[Stage], given: Any, ledger: Ledger) -> float:
    """The most that the stages after the first of ``stages`` can spend, in the budget's unit.

    Args:
        stages: the stage to size and those after it.
        given: the output of the stage before them.
        ledger: for the price of a training.
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
    """The fewest new trainings that make sense for a stage: the seeds of a point plus one more to evaluate it, unless
    the stage says otherwise.
    """
    return int(getattr(stage, "fewest", Seeds.parse(getattr(stage, "seeds", 1)).first + 1))


def least_costs(stages: Sequence[Stage], ledger: Ledger) -> float:
    """The least that all ``stages`` need, in the budget's unit; 0 while the price of a training is not known."""
    costs = [least(stage) * ledger.unit_price(getattr(stage, "epochs", 1)) for stage in stages]
    return 0.0 if any(map(math.isnan, costs)) else math.fsum(costs)


def stage_share(stages: Sequence[Stage], i: int, given: Any, ledger: Ledger) -> float:
    """What stage ``i`` may spend of the remainder when it begins, in the budget's unit."""
    part = fraction(stages[i:], ledger.affordable(ledger.left, getattr(stages[i], "epochs", 1)))
    later, need = later_costs(stages[i:], given, ledger), least_costs([stages[i]], ledger)
    least_later = least_costs(stages[i + 1 :], ledger)
    share = share_of(ledger.left, later, part, least_later, need)
    if i == 0 or i + 1 == len(stages) or not hasattr(stages[i], "zones_max"):
        return share
    # More seeds of what a map found do not replace a look between its cells: a zone, and what is best of it.
    each = [(expected.n_trainings, expected.epochs) for expected in (stage.forecast(1) for stage in stages[i:])]
    one, *judged = [n * ledger.unit_price(epochs) for n, epochs in each]
    return max(share, one) if one + math.fsum(judged) <= ledger.left else share


def check_budget(stages: Sequence[Stage], budget: Budget | None) -> None:
    """Check that every stage can get something, whatever the others take, unless times are not known beforehand.

    Raises:
        StudyError: naming the stage and the smallest budget; or there is no budget, and a grid is too large to list.
    """
    if budget is None:
        check_size = getattr(stages[0], "check_size", None) if stages else None
        if check_size is not None:
            check_size()
        return
    if budget.unit == "seconds":
        return
    reason = _lacking(stages, budget)
    if not reason:
        return
    low, high = int(budget.amount), max(int(budget.amount) + 1, math.ceil(least_costs(stages, Ledger(budget))))
    while _lacking(stages, replace(budget, amount=high)):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _lacking(stages, replace(budget, amount=middle)) else (low, middle)
    choices = FEWER_CHOICES.partition(",")[2] if "choices" in reason else ""
    raise StudyError(
        f"[search] budget of {budget} is too small: {reason}; give at least {high:,}{choices and f',{choices}'}"
    )


def _lacking(stages: Sequence[Stage], budget: Budget) -> str:
    """What a budget is too small for; empty if it is large enough."""
    found = _too_small(stages, budget)
    if found is not None:
        stage, share, need = found
        return f"stage {stage.name} may get {share:g} and needs {need:g}"
    ledger = Ledger(budget)
    share = ledger.left if len(stages) == 1 else stage_share(stages, 0, None, ledger)
    try:
        sized(stages[0], None, ledger, share)
    except StudyError as error:
        return str(error).removeprefix(_OF_BUDGET).removesuffix(FEWER_CHOICES)
    return ""


def _too_small(stages: Sequence[Stage], budget: Budget) -> tuple[Stage, float, float] | None:
    """The first stage that would get less than it needs if all earlier ones spend their shares; else None."""
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
    """The stage, reduced so that its ``share``, in the budget's unit, pays for it; unchanged if it does already.

    ``n_probed`` of its trainings are paid already.
    """
    n = max(least(stage), ledger.affordable(share, getattr(stage, "epochs", 1)))
    return _fitting(stage, n, given, ledger, n_probed)


def gone_on(
    stages: Sequence[Stage], small: Stage, plan: Plan, n_refused: int, given: Any, trials: Trials, ledger: Ledger
) -> tuple[Stage, Plan, int]:
    """A search, continued with what later stages cannot use, given its results so far; unchanged while it is not
    finished.

    Args:
        stages: the search as in the study, and the stages after it.
        small: the search as sized.
        plan, n_refused: its plan and the number of refused trainings, from :func:`cut`.
        given, trials: the output of the previous stage, and all known trials.
        ledger: as before the search began.
    """
    if ledger.budget.unit == "seconds" or len(stages) < 2:
        return small, plan, n_refused
    if isinstance(stages[0], Containing):
        return _filled(stages, small, plan, n_refused, given, trials, ledger)
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


def _filled(
    stages: Sequence[Stage], small: Stage, plan: Plan, n_refused: int, given: Any, trials: Trials, ledger: Ledger
) -> tuple[Stage, Plan, int]:
    """A grid with more values between those that it has, where the stages after it cannot use the rest.

    What it found decides what they can use: lines in one zone want less than lines in five.

    Args: as in :func:`gone_on`.
    """
    if any(isinstance(stage, Lasting) or hasattr(stage, "usable") for stage in stages[1:]):
        return small, plan, n_refused
    epochs = getattr(small, "epochs", 1)
    while not n_refused and not trials.missing(plan.trainings):
        after = ledger.paying(plan.trainings, trials)
        wanted = _usable(stages[1:], plan.output, after)
        lines = getattr(stages[1], "lines", None)
        if lines is not None and len(stages) == 2:
            known = Trials(record for identity in after.paid for record in trials.records_of(identity))
            wanted = lines(plan.output, known) * ledger.unit_price(getattr(stages[1], "epochs", 1))
        spare = after.left - wanted
        share = after.spent - ledger.spent + spare
        assert isinstance(stages[0], Containing)
        n = ledger.affordable(share, epochs)
        larger = stages[0].enlarged(small, n, given, ledger.paid) if ledger.affordable(spare, epochs) > 0 else None
        if larger is None:
            break
        small = larger
        plan, n_refused = cut(larger, given, trials, ledger, share)
    return small, plan, n_refused


def longer(stage: Stage, small: Stage, n: int) -> Stage | None:
    """A search continued with ``n`` trainings, within its own settings; None if it cannot continue.

    Args:
        stage: as in the study.
        small: as sized or continued before.
    """
    if not isinstance(small, Lasting) or n < 1:
        return None
    wish, has = (getattr(each, "n_trainings", None) for each in (stage, small))
    if wish is None or has is None:
        return small.further(n)
    larger = small.further(max(0, min(n, wish - has)))
    return None if larger == small else larger


def _usable(stages: Sequence[Stage], given: Any, ledger: Ledger) -> float:
    """The most that ``stages`` can use, given the input of the first of them; in the budget's unit."""
    able = getattr(stages[0], "usable", None)
    if able is not None and len(stages) == 1:
        n = able(given, ledger.paid)
        return math.inf if math.isinf(n) else n * ledger.unit_price(getattr(stages[0], "epochs", 1))
    n_given: Any = len(given) if isinstance(given, Sequence) else 0
    first = stages[0].forecast(n_given)
    cost = first.n_trainings * ledger.unit_price(first.epochs)
    return cost + later_costs(stages, given, ledger)


def grown(stage: Stage, given: Any, trials: Trials, ledger: Ledger, share: float) -> Stage:
    """The last stage, enlarged so that it can use up its ``share`` while it is not settled; otherwise unchanged."""
    n = ledger.affordable(share, getattr(stage, "epochs", 1))
    return stage.spending(n, given, ledger.paid, trials) if isinstance(stage, Growing) else stage


def probe(stage: Stage, given: Any, ledger: Ledger) -> Plan:
    """The first few trainings of a stage, which measure its time; part of what it may spend."""
    if isinstance(stage, Sizable):
        with suppress(StudyError):  # one that cannot be made this small
            stage = _fitting(stage, _PROBE * Seeds.parse(getattr(stage, "seeds", 1)).first, given, ledger)
    first: dict[Any, Training] = {}
    for training in stage.plan(given, Trials()).trainings:
        first.setdefault(training.identity[0], training)
    return Plan(tuple(first.values())[:_PROBE])


def changes(stage: Stage, small: Stage, n_refused: int = 0, n_all: float = math.inf) -> str:
    """What a budget cut from a stage: ``keep = 2 (not 5), repeats = 4 (not 7)``; empty if nothing.

    A search that would use any budget, up to all ``n_all`` trainings, does not count as cut.
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
    """A sentence on what the budget cut; empty if it was enough for everything.

    If more than a little of it is ``left``, it made stages smaller but did not end the search.
    """
    cuts = [f"{record.name} ({record.budget_cut})" for record in records if record.budget_cut]
    if not cuts:
        return ""
    if left:
        return f"The budget of {budget} made the search smaller: it cut {', '.join(cuts)}."
    return f"The budget of {budget} ended the search early: it cut {', '.join(cuts)}."


def unspent(ledger: Ledger) -> bool:
    """Whether enough of the budget is left to be reported."""
    return ledger.left > _UNSPENT * ledger.budget.amount


def settled_after(ledger: Ledger, verdict: Verdict | None, records: Sequence[StageRecord] = ()) -> str:
    """A sentence on why some of the budget is left; empty if it was spent.

    Args:
        ledger: what was spent.
        verdict: None for a search that ends without one.
        records: the stages of such a search.
    """
    if not unspent(ledger):
        return ""
    whole = ledger.budget.unit != "seconds"
    all_spent = ledger.spent + ledger.beside
    spent = f"{all_spent:,.0f}" if whole else str(Budget("seconds", all_spent))
    if verdict is not None and verdict.settled:
        return f"The verdict is settled after {spent} of {ledger.budget}."
    if verdict is None and records and records[-1].budget_cut:
        return f"The search ended after {spent} of {ledger.budget}: the rest does not pay for a larger one."
    if verdict is None and any(record.budget_cut for record in records):
        return f"The search ended after {spent} of {ledger.budget}: stage {records[-1].name} wanted no more."
    if not whole:
        return f"The search ended after {spent} of {ledger.budget}."
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
