"""The only place where stages, training and engine meet.

:func:`advance` is the whole search as a function of the trials; everything else here is a loop around it. There is no
"current stage" anywhere: a run is resumed, followed, planned, sharded and reported by asking the stages again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from zonesearch.core.metric import ACCURACY, Metric
from zonesearch.core.objective import Job, Objective
from zonesearch.core.seeding import FRESH
from zonesearch.core.trials import Training, Trials
from zonesearch.core.widening import has_limits
from zonesearch.core.wording import rounded_sentences
from zonesearch.run.engines.worker import train_job
from zonesearch.search.allocation import (
    changes,
    cut,
    ended_by,
    fraction,
    gone_on,
    grown,
    later_costs,
    least_costs,
    longer,
    probe,
    settled_after,
    share_of,
    sized,
    unspent,
)
from zonesearch.search.budget import Budget, Ledger
from zonesearch.search.stage import Plan, Stage
from zonesearch.statistics.search_results import SearchResults, StageRecord
from zonesearch.statistics.verdict import Verdict
from zonesearch.study.building import describe_stage
from zonesearch.study.study import Study

__all__ = ["Round", "StageCost", "advance", "estimate", "find", "forecast", "metric_of", "next_round", "round_jobs"]


_SECOND = 0.75  # of what is left at the end, for the search: the rest repeats what it finds
_MOST_TRIES = 6  # to find a plan that leaves room for what was trained and is not wanted any more
_LITTLE = 0.05  # of the budget: so much beside the plan is spared in the last stage, and makes no other one smaller
_MOST_PASSES = 8  # in which what is left at the end goes back to the search


@dataclass(frozen=True)
class Round:
    """Where a search stands: what it wants next, or what it found.

    Args:
        stage: the position of the stage that wants trainings; the number of stages when all are finished.
        plan: that stage's plan (the last one's, when all are finished).
        missing: its trainings that have to be trained; empty when all stages are finished.
        records: one per stage, in order.
    """

    stage: int
    plan: Plan
    missing: tuple[Training, ...]
    records: tuple[StageRecord, ...]

    @property
    def finished(self) -> bool:
        return not self.missing

    @property
    def output(self) -> Any:
        """What the last stage handed on; None before it did."""
        return self.records[-1].output


def next_round(stages: Sequence[Stage], trials: Trials, budget: Budget | None = None) -> Round:
    """Ask the stages, one after the other, what they want; stop at the first that wants something.

    With a ``budget`` each gets its share of what is left (see :mod:`zonesearch.search.allocation`). What the last one
    leaves goes back to the last search that can go on (to lines that did not fit, to more points), and then
    to the last one again. All that was trained counts as spent: a run that goes on with a larger budget has the
    difference.
    """
    at, ledger, beside = _gone_round(stages, trials, budget, 0.0)
    if ledger is None or beside <= 0:
        return at
    # What the plan would not want is spent as well: it is made for the rest.
    for early in (True, False) if beside > _LITTLE * ledger.budget.amount else (False, True):
        found = _sparing(stages, trials, ledger.budget, beside, early=early)
        if found is not None:
            return found
    return at if _fits(at, ledger.budget, trials) else _overspent(at, ledger.budget, len(trials))


def _fits(at: Round, budget: Budget, trials: Trials) -> bool:
    """Whether what is wanted now can be paid beside all that was trained."""
    wanted = (*(trial.training for trial in trials), *at.missing)
    return not at.missing or budget.unit == "seconds" or Ledger(budget).paying(wanted, trials).spent <= budget.amount


def _sparing(stages: Sequence[Stage], trials: Trials, budget: Budget, beside: float, *, early: bool) -> Round | None:
    """The stages made for what is left beside trainings that they do not want; None where that leaves no verdict.

    Args:
        stages, trials, budget: as in :func:`next_round`.
        beside: what is spent on those, if nothing is spared.
        early: spare it from the first stage on, and not from the last one.
    """
    found = None
    for i in range(2 * _MOST_TRIES):
        at, ledger, unwanted = _gone_round(stages, trials, budget, beside, early=early)
        assert ledger is not None
        if unwanted <= beside and _fits(at, budget, trials):
            found = at
            break
        beside = max(unwanted, i / (2 * _MOST_TRIES) * budget.amount)
    if found is None or (isinstance(found.output, Verdict) and not found.output.standings):
        return None
    assert ledger is not None
    if not early or not found.finished or not unspent(ledger):
        return found
    low, high = 0.0, beside  # nobody can go on: the largest plan that leaves room for what is beside it
    for _ in range(_MOST_TRIES):
        beside = (low + high) / 2
        at, _, unwanted = _gone_round(stages, trials, budget, beside, early=True)
        if unwanted <= beside and _fits(at, budget, trials):
            found, high = at, beside
        else:
            low = beside
    return found


def _overspent(at: Round, budget: Budget, n: int) -> Round:
    """A round of a run that holds more than its budget pays for: nothing more is trained, and it says why."""
    note = (
        f"The budget of {budget} is spent: the run holds {n:,} trainings already, and this plan, with another budget "
        "or other stages, wants others. Give a larger budget or another folder."
    )
    records = [replace(record, notes=(note,)) if i == at.stage else record for i, record in enumerate(at.records)]
    return Round(len(records), at.plan, (), tuple(records))


def _beside(at: Round, ledger: Ledger, trials: Trials) -> float:
    """What was trained and is wanted by no stage of ``at``, in the budget's unit."""
    wanted = ledger.paying((training for record in at.records for training in record.wanted), trials)
    return wanted.paying((trial.training for trial in trials), trials).spent - wanted.spent


def _gone_round(
    stages: Sequence[Stage], trials: Trials, budget: Budget | None, beside: float, *, early: bool = False
) -> tuple[Round, Ledger | None, float]:
    """The stages, and again with what they left over, until it is spent or nobody wants more.

    Args:
        stages, trials, budget: as in :func:`next_round`.
        beside: what is thought to be spent on what these stages do not want.
        early: whether all stages are made smaller by that, or the last one alone.

    Returns:
        Where they stand, what was spent, and what is in fact spent on what they do not want.
    """
    first = beside if early else 0.0
    at, ledger, fits = _played(stages, trials, budget, first, beside)
    if ledger is None:
        return at, ledger, 0.0
    for _ in range(_MOST_PASSES):
        unwanted = _beside(at, ledger, trials)
        ledger = replace(ledger, beside=unwanted)
        if ledger.budget.unit == "seconds" or not at.finished or not unspent(ledger):
            break
        able = [longer(stages[i], fits[i], 1) is not None for i in range(len(fits) - 1)]
        able = [a or "zones_max" in record.budget_cut for a, record in zip(able, at.records, strict=False)]
        last = max((i for i, a in enumerate(able) if a), default=None)
        if last is None:
            break
        later, ledger_later, fits_later = _played(stages, trials, budget, first, unwanted, (at, fits), last)
        assert ledger_later is not None
        if later.finished and ledger_later.spent <= ledger.spent:
            break
        at, ledger, fits = later, ledger_later, fits_later
    return at, ledger, _beside(at, ledger, trials)


def _played(
    stages: Sequence[Stage],
    trials: Trials,
    budget: Budget | None,
    early: float = 0.0,
    late: float = 0.0,
    before: tuple[Round, Sequence[Stage]] | None = None,
    going_on: int = -1,
) -> tuple[Round, Ledger | None, Sequence[Stage]]:
    """The stages one after the other, what was spent, and the stages as they were sized.

    Args:
        stages, trials, budget: as in :func:`next_round`.
        early, late: of the budget, spent on what an earlier plan wanted, as the stages are sized by; the last one, and
            one that goes on, by the latter.
        before: how they ended with some of the budget left, and how they were sized; the stage at ``going_on`` gets
            most of that on top, and those that follow the rest. All that was wanted then is paid.
    """
    records = [StageRecord(stage.name, describe_stage(stage)) for stage in stages]
    given: Any = None
    plan = Plan(())
    ledger = None if budget is None else Ledger(budget, beside=early)
    fits = list(stages)
    for i, stage in enumerate(stages):
        if ledger is None:
            plan = stage.plan(given, trials)
        else:
            n_probed = 0
            if math.isnan(ledger.rate):
                plan = probe(stage, given, trials, ledger)
                missing = tuple(trials.missing(plan.trainings))
                if missing:
                    records[i] = replace(records[i], wanted=plan.trainings)
                    return Round(i, plan, missing, tuple(records)), ledger, fits
                ledger, n_probed = ledger.paying(plan.trainings, trials), len(plan.trainings)
            part = fraction(stages[i:], ledger.affordable(ledger.left, getattr(stage, "epochs", 1)))
            later, need = later_costs(stages[i:], given, ledger), least_costs([stage], ledger)
            least_later = least_costs(stages[i + 1 :], ledger)
            last = i + 1 == len(stages)
            if last or (before is not None and i >= going_on):
                ledger = replace(ledger, beside=late)
            share = ledger.left if last else share_of(ledger.left, later, part, least_later, need)
            had = 0.0  # what it had before and would be counted again
            going = before[1][i] if before is not None and i <= going_on else None
            if before is not None and i == going_on:
                ledger = ledger.paying((t for record in before[0].records for t in record.wanted), trials)
                share = _SECOND * ledger.left
                n_more = max(1, ledger.affordable(share, getattr(stage, "epochs", 1)))
                going = longer(stage, before[1][i], n_more)
            if before is not None and i >= going_on and going is None:
                counted = [t for t in before[0].records[i].wanted if i == going_on or t.seed >= FRESH]
                had = len(counted) * ledger.unit_price(getattr(stage, "epochs", 1))
            small = sized(stage, given, ledger, share + had, n_probed) if going is None else going
            fit = grown(small, given, trials, ledger, share + had) if i + 1 == len(stages) else small
            if before is not None and i < going_on:
                share = math.inf  # as much as it had
            plan, n_refused = cut(fit, given, trials, ledger, share)
            if before is None and i + 1 < len(stages):
                fit, plan, n_refused = gone_on(stages[i:], fit, plan, n_refused, given, trials, ledger)
            n_all = ledger.affordable(budget.amount, getattr(stage, "epochs", 1)) if budget is not None else math.inf
            taken = changes(stage, small if i + 1 == len(stages) else fit, n_refused, n_all)
            records[i] = replace(records[i], settings=describe_stage(fit), budget_cut=taken)
            fits[i] = fit
        missing = tuple(trials.missing(plan.trainings))
        finished = not missing
        records[i] = replace(records[i], wanted=plan.trainings, finished=finished)
        if finished:
            records[i] = replace(records[i], output=plan.output, notes=plan.notes)
        if missing:
            return Round(i, plan, missing, tuple(records)), ledger, fits
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
    return Round(len(stages), plan, (), tuple(records)), ledger, fits


def advance(stages: Sequence[Stage], trials: Trials, budget: Budget | None = None) -> tuple[Training, ...] | Any:
    """The trainings wanted next (a tuple of them, not empty), or the final output of the stages."""
    at = next_round(stages, trials, budget)
    return at.missing if at.missing else at.output


def round_jobs(objective: Objective, at: Round) -> list[Job]:
    """The jobs of a round, ordered by key.

    They are formed from all trainings of the stage's plan and not from what happens to be missing, so that an
    interrupted run, a sharded one and an unbroken one train the same jobs.
    """
    return sorted(objective.jobs(at.plan.trainings), key=lambda job: job.key)


def find(study: Study, trials: Trials, fingerprint: str = "") -> SearchResults:
    """Everything that ``trials`` say about ``study``, in whatever state the run is."""
    at = next_round(study.stages, trials, study.budget)
    results = SearchResults(
        name=study.name,
        space=study.space,
        trials=trials,
        stages=at.records,
        reading=study.reading,
        epochs=study.epochs,
        map_seeds=tuple(range(study.seeds.zone)),
        study=study.settings(),
        study_text=study.text,
        fingerprint=fingerprint,
        seed=study.seed,
        metric=metric_of(study, trials),
    )
    for record in at.records:
        found = getattr(record.output, "found", dict)  # nothing of what only a plug-in reads
        results = replace(results, **found())
    if results.map is not None and has_limits(study.space):
        results = replace(results, space=results.map.space)  # as far as the grid went
    return replace(results, notes=_notes(results))


def metric_of(study: Study, trials: Trials) -> Metric:
    """What is searched: as the study names it, else as the trials say, if they do."""
    named = study.metric.name != ACCURACY.name or trials.metric == ACCURACY
    return study.metric if named else trials.metric


def _notes(results: SearchResults) -> tuple[str, ...]:
    """What the user should know, in sentences."""
    notes = [f"Stage {stage.name}: {note}" for stage in results.stages for note in stage.notes]
    notes += [f"Zone {zone.number}: {zone.advice}." for zone in results.zones if zone.advice]
    imported = any(stage.settings.get("kind") == "imported" for stage in results.stages)
    for state, word in (("diverged", "diverged"), ("failed", "failed")):
        n = sum(trial.state == state for trial in results.trials)
        if n:
            reason = next((trial.reason for trial in results.trials if trial.state == state and trial.error), "")
            said = f", the first with: {reason}" if reason else ""
            marked = "; they are marked on the map" if not imported or results.zones else ""
            notes.append(f"{n} of {len(results.trials)} trainings {word}{said}{marked}.")
    n_violating = sum(trial.complete and not trial.feasible for trial in results.trials)
    if n_violating:
        notes.append(f"{n_violating} of {len(results.trials)} trainings report a violation; they cannot be peaks.")
    n_pruned = sum(trial.state == "pruned" for trial in results.trials)
    if n_pruned:
        notes.append(
            f"{n_pruned} of {len(results.trials)} trainings were pruned: their curves are kept, they have no value."
        )
    notes += results.training_notes
    notes += _earlier(results)
    budget_cut = any(stage.budget_cut for stage in results.stages)
    if budget_cut and results.verdict is None and results.finished:
        notes.append(ended_by(Budget.parse(results.study["budget"]), results.stages))
    notes += [f"Conflict: {conflict}." for conflict in results.trials.conflicts]
    notes += rounded_sentences(results.trials.rounded)
    if results.map is not None and not imported:
        limit = results.map.limit
        notes += [note for note in (*results.map.notes, limit.sentence if limit.measured else "") if note]
        if results.map.noise.source != "seeds" and results.zones:
            notes.append(
                "Every cell has one seed, so the noise between seeds was not measured; leave [search] seeds out, or "
                "give 2 or more, to measure it."
            )
    return tuple(notes)


def _earlier(results: SearchResults) -> list[str]:
    """What a folder holds that the plan does not want: an earlier plan trained it, and its cost counts."""
    if "budget" not in results.study or not results.finished:
        return []
    wanted = {training.identity for stage in results.stages for training in stage.wanted}
    n = len({trial.training.identity for trial in results.trials} - wanted)
    if not n:
        return []
    budget = Budget.parse(results.study["budget"])
    return [
        f"{n:,} of {len(results.trials):,} trainings were wanted by an earlier plan, with another budget or other "
        f"stages, and are not wanted by this one; the budget of {budget} counts them."
    ]


@dataclass(frozen=True)
class StageCost:
    """The most that a stage may need.

    Args:
        name: of the stage.
        n_trainings: at most; ``n_epochs`` their epochs together.
        cost: in the unit of the objective's jobs.
        seconds: on this machine, by a probe; NaN without one.
    """

    name: str
    n_trainings: int
    n_epochs: int
    cost: float
    seconds: float = math.nan


def forecast(study: Study, objective: Objective) -> list[StageCost]:
    """The most each stage may need, nothing trained; stages after the first are priced at the first one's mean.

    With a budget of trainings or epochs no more than its share; what a stage leaves over others may need beyond that.
    """
    costs: list[StageCost] = []
    given: int = 0
    for stage in study.stages:
        expected = stage.forecast(given)
        jobs = objective.jobs(expected.example)
        mean = math.fsum(job.cost for job in jobs) / max(1, len(expected.example))
        n = expected.n_trainings
        costs.append(StageCost(stage.name, n, n * expected.epochs, n * mean))
        given = expected.n_output
    return costs if study.budget is None else _within(costs, study)


def _within(costs: Sequence[StageCost], study: Study) -> list[StageCost]:
    """The costs with each stage at its share of the budget at most; as they are where the unit is not known."""
    budget = study.budget
    assert budget is not None
    left = budget.amount
    found = []
    for i, cost in enumerate(costs):
        value = _value(cost, budget)
        after = math.fsum(_value(later, budget) for later in costs[i + 1 :])
        least_after = least_costs(study.stages[i + 1 :], Ledger(budget))
        per_training = value / max(1, cost.n_trainings)
        n_left = left / per_training if per_training > 0 else math.inf
        usual = fraction(study.stages[i:], n_left)
        need = least_costs([study.stages[i]], Ledger(budget))
        part = share_of(left, after, usual, least_after, need) if i + 1 < len(costs) else left
        if value > part:
            n = math.floor(cost.n_trainings * part / value)
            epochs = cost.n_epochs // max(1, cost.n_trainings)
            per = 1 / max(1, cost.n_trainings)
            cost = StageCost(cost.name, n, n * epochs, n * per * cost.cost, n * per * cost.seconds)
        left -= 0 if math.isnan(value) else min(value, part)
        found.append(cost)
    return found


def _value(cost: StageCost, budget: Budget) -> float:
    return {"trainings": cost.n_trainings, "epochs": cost.n_epochs, "seconds": cost.seconds}[budget.unit]


def estimate(study: Study, objective: Objective, *, workers: int = 1, n_probes: int = 3) -> list[StageCost]:
    """:func:`forecast` with seconds, by training ``n_probes`` jobs of the first stage for one epoch each.

    The probes are spread over the jobs by cost; nothing of them is kept. Each is trained twice and the quicker time
    counts, so that what is paid once (loading data, making the weights that an arm begins with) does not; nor do probes
    that fail.
    """
    import time

    costs = forecast(study, objective)
    example = study.stages[0].forecast(0).example
    short = [Training(training.params, training.seed, 1) for training in example]
    jobs = sorted(objective.jobs(short), key=lambda job: job.cost)
    places = sorted({round(i * (len(jobs) - 1) / max(1, n_probes - 1)) for i in range(n_probes)})
    seconds = cost = 0.0
    for place in places:
        took = math.inf
        for _ in range(2):  # the first may make what the others find ready: data, pretrained weights, compiled products
            start = time.perf_counter()
            trials = list(train_job(objective, jobs[place], lambda share: None))
            if any(trial.state != "failed" for trial in trials):
                took = min(took, time.perf_counter() - start)
        if took < math.inf:
            seconds += took
            cost += jobs[place].cost
    timed = [replace(stage, seconds=stage.cost * seconds / cost / workers if cost else math.nan) for stage in costs]
    return timed if study.budget is None else _within(timed, study)
