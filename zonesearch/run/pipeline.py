"""The only place that connects stages, training and engines.

:func:`advance` is the whole search as a function of the trials; everything else is a loop around it. There is no
"current stage" anywhere: to resume, follow, plan, shard or report a run, the stages are asked again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from zonesearch.core.metric import ACCURACY, Metric
from zonesearch.core.objective import Job, Objective, jobs_of, joined
from zonesearch.core.trials import Training, Trials
from zonesearch.core.values import point
from zonesearch.core.widening import has_limits
from zonesearch.core.wording import rounded_sentences
from zonesearch.errors import StudyError
from zonesearch.run.engines.worker import train_job
from zonesearch.run.rounds import Round, next_round
from zonesearch.search.allocation import (
    ended_by,
    fraction,
    least_costs,
    share_of,
)
from zonesearch.search.budget import Budget, Ledger
from zonesearch.search.stage import Reasoning, Stage
from zonesearch.statistics.search_results import SearchResults, StageRecord
from zonesearch.study.study import Study

__all__ = ["Round", "StageCost", "advance", "estimate", "find", "forecast", "metric_of", "next_round", "round_jobs"]

_LEVEL = "nothing tells them apart"  # as a search puts it that says so itself


def advance(stages: Sequence[Stage], trials: Trials, budget: Budget | None = None) -> tuple[Training, ...] | Any:
    """The trainings wanted next (a tuple of them, not empty), or the final output of the stages."""
    at = next_round(stages, trials, budget)
    return at.missing if at.missing else at.output


def round_jobs(objective: Objective, at: Round) -> list[Job]:
    """The jobs of a round, ordered by key.

    They are formed from all trainings in the stage's plan rather than from the missing ones, so that an interrupted, a
    sharded and an uninterrupted run train the same jobs.
    """
    return sorted(jobs_of(objective, at.plan.trainings), key=lambda job: job.key)


def find(study: Study, trials: Trials, fingerprint: str = "") -> SearchResults:
    """Everything that ``trials`` tell about ``study``, whatever the state of the run."""
    trials = _in_unit_of(study, trials)
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
        results = replace(results, **record.found())
    results = replace(results, reasons=_reasons(study.stages, at.records, trials))
    if results.map is not None and has_limits(study.space):
        results = replace(results, space=results.map.space)  # as far as the grid went
    return replace(results, notes=(*_idle_limits(study), *_notes(results, at.left)))


def _idle_limits(study: Study) -> tuple[str, ...]:
    """A sentence about limits beyond which no stage looks, where the stages were selected by the budget."""
    if not has_limits(study.space) or any("limits" in getattr(stage, "heeds", ()) for stage in study.stages):
        return ()
    names = [a.name for a in study.space.axes if getattr(a, "limit_low", None) is not None
             or getattr(a, "limit_high", None) is not None]  # fmt: skip
    return (
        f"Nothing beyond the bounds of {' and '.join(names)} was trained, whatever limit_low and limit_high allow: the "
        "budget with which the run began does not pay for a grid, which looks there.",
    )


def _reasons(stages: Sequence[Stage], records: Sequence[StageRecord], trials: Trials) -> dict[Training, str]:
    """What each stage that can say why it proposed a training says of it."""
    reasons: dict[Training, str] = {}
    given: Any = None
    for stage, record in zip(stages, records, strict=False):
        if isinstance(stage, Reasoning) and record.wanted:
            reasons |= stage.reasons(given, trials)
        given = record.output
    return reasons


def metric_of(study: Study, trials: Trials) -> Metric:
    """The searched metric: as the study names it, otherwise as recorded in the trials; in the unit of the study, if it
    gives one.
    """
    named, recorded = study.metric, trials.metric
    if recorded != ACCURACY and named.name == ACCURACY.name:
        named = replace(recorded, unit=named.unit or recorded.unit)
    same = (named.name, named.direction) == (recorded.name, recorded.direction)
    return replace(named, unit=recorded.unit) if same and not named.unit else named


def _in_unit_of(study: Study, trials: Trials) -> Trials:
    """The trials in the unit that the study gives, which is no part of their identity."""
    metric, recorded = metric_of(study, trials), trials.metric
    if metric == recorded or replace(metric, unit=recorded.unit) != recorded:
        return trials
    return Trials(replace(record, metric=metric) for record in trials.records())


def _notes(results: SearchResults, left: str = "") -> tuple[str, ...]:
    """Notes for the user, as sentences; ``left`` is one on why some of the budget is left."""
    notes = [f"Stage {stage.name}: {note}" for stage in results.stages for note in stage.notes]
    notes += _level(results)
    notes += [f"Zone {zone.number}: {zone.advice}." for zone in results.zones if zone.advice]
    for name, value in results.space.excluded():
        notes.append(f"No setting with {name} {value} was trained: the constraints exclude it.")
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
        notes.append(f"{n_violating} of {len(results.trials)} trainings report a violation: no peak is where most do.")
    n_pruned = sum(trial.state == "pruned" for trial in results.trials)
    if n_pruned:
        notes.append(
            f"{n_pruned} of {len(results.trials)} trainings were pruned: their curves are kept, they have no value."
        )
    notes += results.training_notes
    notes += _earlier(results)
    budget_cut = any(stage.budget_cut for stage in results.stages)
    if budget_cut and results.verdict is None and results.finished:
        notes.append(ended_by(Budget.parse(results.study["budget"]), results.stages, left=bool(left)))
    notes += [left] if left else []
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


def _level(results: SearchResults) -> list[str]:
    """A sentence if all settings of a finished search have the same value, unless a stage says so."""
    if not results.finished or any(_LEVEL in note for stage in results.stages for note in stage.notes):
        return []
    alive = [trial for trial in results.trials if trial.complete and trial.feasible]
    if not alive or any(trial.value(results.reading) != alive[0].value(results.reading) for trial in alive):
        return []
    n = len({point(trial.params) for trial in alive})
    return [f"All {n} settings have the same value, so {_LEVEL}."] if n > 1 else []


def _earlier(results: SearchResults) -> list[str]:
    """Trainings of an earlier plan that the present one does not want, and whose cost counts."""
    if "budget" not in results.study or not results.finished:
        return []
    wanted = {training.identity for stage in results.stages for training in stage.wanted}
    n = len({trial.training.identity for trial in results.trials} - wanted)
    if not n:
        return []
    budget = Budget.parse(results.study["budget"])
    return [
        f"{n:,} of {len(results.trials):,} trainings are not part of the final plan: an earlier one, with another "
        f"budget or other stages, or the measurement of times wanted them. The budget of {budget} counts them."
    ]


@dataclass(frozen=True)
class StageCost:
    """An upper bound on what a stage needs.

    Args:
        name: of the stage.
        n_trainings: the most trainings; ``n_epochs`` their total number of epochs.
        cost: in the unit of the objective's jobs.
        seconds: on this machine, according to a probe; NaN without one.
    """

    name: str
    n_trainings: int
    n_epochs: int
    cost: float
    seconds: float = math.nan


def forecast(study: Study, objective: Objective) -> list[StageCost]:
    """The most that each stage may need, without training anything; later stages are priced at the first one's mean
    cost.

    With a budget of trainings or epochs, at most the stage's share; it may need more if other stages leave some of
    theirs.
    """
    costs: list[StageCost] = []
    given: int = 0
    for stage in study.stages:
        expected = stage.forecast(given)
        jobs = jobs_of(objective, expected.example)
        mean = math.fsum(job.cost for job in jobs) / max(1, len(expected.example))
        n = expected.n_trainings
        costs.append(StageCost(stage.name, n, n * expected.epochs, n * mean))
        given = expected.n_output
    return costs if study.budget is None else _within(costs, study)


def _within(costs: Sequence[StageCost], study: Study) -> list[StageCost]:
    """The costs, with each stage limited to its share of the budget; unchanged if the unit is not known."""
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


_LONG = 5.0  # seconds of a probe, beside which one-time costs are small
_ENOUGH = 20.0  # seconds of probing, after which no further probe is begun


def estimate(
    study: Study,
    objective: Objective,
    *,
    workers: int = 1,
    n_probes: int = 3,
    on_failure: Callable[[str], None] | None = None,
) -> list[StageCost]:
    """:func:`forecast` with seconds, measured by training ``n_probes`` jobs of the first stage for one epoch each.

    The probes are spread by cost over the jobs as this machine trains them (on a GPU, as its memory has room for them);
    their results are discarded. Each is trained twice and the shorter time counts, so that one-time costs (loading
    data, creating pretrained weights, compiling kernels) do not; a long probe is trained only once, and the more
    expensive jobs are skipped if the cheaper ones took long. Failed probes do not count; ``on_failure`` is called with
    the last line of each one's error. If all fail, the seconds are NaN.
    """
    import time

    costs = forecast(study, objective)
    example = study.stages[0].forecast(0).example
    short = [Training(training.params, training.seed, 1) for training in example]
    jobs = sorted(joined(objective, jobs_of(objective, short), workers), key=lambda job: job.cost)
    places = sorted({round(i * (len(jobs) - 1) / max(1, n_probes - 1)) for i in range(n_probes)})
    seconds = cost = 0.0
    began = time.perf_counter()
    for place in places:
        if cost and time.perf_counter() - began > _ENOUGH:
            break
        took = math.inf
        for _ in range(2):
            start = time.perf_counter()
            error = ""
            try:
                trials = list(train_job(objective, jobs[place], lambda share: None))
            except StudyError as wrong:  # of a single epoch; the study's own length may be fine
                error = str(wrong)
            else:
                if all(trial.state == "failed" for trial in trials):
                    error = trials[0].reason if trials else "nothing was trained"
            spent = time.perf_counter() - start
            if error:
                if on_failure is not None:
                    on_failure(error)
                break
            took = min(took, spent)
            if spent > _LONG:
                break
        if took < math.inf:
            seconds += took
            cost += jobs[place].cost
    timed = [replace(stage, seconds=stage.cost * seconds / cost / workers if cost else math.nan) for stage in costs]
    return timed if study.budget is None else _within(timed, study)
