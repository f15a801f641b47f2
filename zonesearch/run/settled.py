"""The setting of a run to train for use: the verdict's, or the best so far if there is no verdict yet."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median_low
from typing import Any

from zonesearch.core.seeding import FRESH
from zonesearch.core.trials import Params, Training, Trial
from zonesearch.errors import StudyError, did_you_mean
from zonesearch.statistics.candidates import CHEAPEST
from zonesearch.statistics.search_results import SearchResults

__all__ = ["Settled", "chosen_epochs", "settle"]


@dataclass(frozen=True)
class Settled:
    """A setting and what the run knows about it.

    Args:
        params: the setting.
        why: why it was chosen, in a few words.
        seeds: with which the run has trained it completely; those that took no part in choosing come first.
        note: a sentence for the user; may be empty.
    """

    params: Params
    why: str
    seeds: tuple[int, ...] = ()
    note: str = ""

    def seeds_of(self, n: int) -> tuple[int, ...]:
        """``n`` seeds: known ones first, then fresh ones."""
        fresh = (seed for seed in range(FRESH, FRESH + n + len(self.seeds)) if seed not in self.seeds)
        return (*self.seeds, *fresh)[:n]


def settle(results: SearchResults, setting: str | None = None) -> Settled:
    """Find the setting that ``setting`` names.

    Args:
        results: of the run.
        setting: ``best``, ``cheapest`` (of those that cannot be told apart from the best) or the number of a
            finalist; by default the one that the verdict recommends, which is the cheapest.

    Raises:
        StudyError: there is no such setting, or no complete training.
    """
    if setting is not None and setting not in ("best", "cheapest") and not setting.isdecimal():
        raise StudyError(f'--setting is best, cheapest or the number of a finalist, not "{setting}"; '
                         f"{did_you_mean(setting, ('best', 'cheapest'))}")  # fmt: skip
    verdict = results.verdict
    if verdict is None or not verdict.standings:
        return _so_far(results, setting)
    best, cheapest = verdict.best, verdict.cheapest
    assert best is not None
    assert cheapest is not None
    if setting is not None and setting.isdecimal():
        by_number = {_number(place, s.finalist.number): s for place, s in enumerate(verdict.standings, start=1)}
        standing = by_number.get(int(setting))
        if standing is None:
            raise StudyError(f"there is no finalist {setting}: the run has {', '.join(map(str, sorted(by_number)))}")
        why = f"finalist {setting}"
    else:
        standing = best if setting == "best" else cheapest
        why = "the best finalist" if setting == "best" else "the cheapest that cannot be told apart from the best"
        why = why if best is not cheapest else "the best finalist, and the cheapest of those like it"
        why = why if setting is not None else f"the recommended setting, {why}"
    note = ""
    if standing.differs:
        note = "The verdict says that this finalist differs from the best one."
    elif not results.finished:
        note = "The run is not finished: the verdict may change."
    params = standing.finalist.params
    return Settled(params, why, _seeds(results, params, tuple(standing.accuracies)), note)


def _number(place: int, number: int) -> int:
    """The number of a finalist, or its position in the verdict if it has none."""
    return number or place


def _so_far(results: SearchResults, setting: str | None) -> Settled:
    """The best candidate, zone peak or trial of a search without a verdict."""
    if setting is not None and setting.isdecimal():
        raise StudyError(
            f"there is no finalist {setting}: the run has no verdict yet; leave out --setting, or finish it"
        )
    metric = results.metric
    found: list[tuple[Params, float, str]] = []
    if setting == "cheapest":
        found = [(c.params, c.value, "cheapest candidate") for c in results.candidates if c.origin == CHEAPEST]
        found = found or [
            (zone.cheapest, zone.cheapest_value, f"cheapest cell of zone {zone.number}")
            for zone in results.zones[:1]
            if zone.cheapest is not None
        ]
    if not found:
        expected = all(math.isfinite(c.expected) for c in results.candidates)
        rank = (lambda c: c.expected_score) if expected else (lambda c: c.score)
        best = max((c for c in results.candidates if math.isfinite(c.value)), key=rank, default=None)
        found = [] if best is None else [(best.params, best.value, "best candidate")]
    if not found:
        found = [(zone.peak, zone.value, f"peak of zone {zone.number}") for zone in results.zones[:1]]
    if not found:
        complete = [trial for trial in results.trials if trial.complete and trial.feasible]
        found = [(trial.params, trial.value(results.reading), "best training") for trial in complete]
    found = [each for each in found if math.isfinite(each[1])]
    if not found:
        raise StudyError("there is nothing to train: none of the run's trainings was completed without a violation")
    params, value, what = max(found, key=lambda each: metric.score(each[1]))
    said = f"{metric.text(value)} on validation, optimistic, because it was chosen"
    note = f"The run has no verdict: this is the {what} so far ({said})."
    return Settled(params, f"the {what} so far", _seeds(results, params, ()), note)


def _seeds(results: SearchResults, params: Params, first: tuple[int, ...]) -> tuple[int, ...]:
    """The seeds of complete trials of a setting, those of the verdict (``first``) first."""
    of_all = [trial.seed for trial in results.trials.of(params) if trial.complete]
    return (*first, *(seed for seed in of_all if seed not in first))


def wanted(results: SearchResults, params: Params, seed: int) -> Training:
    """The training of a setting and a seed, with the length that the run used for it or for other seeds."""
    identity, same = Training(params, seed).identity, Training(params).identity[0]
    of_stages = [training for record in results.stages for training in record.wanted]
    mine = [training.epochs for training in of_stages if training.identity == identity]
    alike = [training.epochs for training in of_stages if training.identity[0] == same]
    known = [trial.epochs for trial in results.trials.of(params)]
    epochs = next((max(lengths) for lengths in (mine, alike, known) if lengths), results.epochs)
    return Training(params, seed, epochs, test=True)


def recorded(results: SearchResults, training: Training) -> Trial | None:
    """The complete trial of exactly this training; None if the run has none."""
    records = results.trials.records_of(training)
    return next((t for t in reversed(records) if t.complete and t.epochs == training.epochs), None)


def chosen_epoch(trial: Trial, tested: str) -> int:
    """The number of epochs after which the network of a trial was taken: the best by validation, or the last."""
    curve, offset = trial.counted_curve, (trial.averaged_from or 1) - 1
    if tested == "last":
        return offset + len(curve)
    return offset + 1 + list(curve).index(trial.metric.best(curve))


def chosen_epochs(results: SearchResults, training: Training, tested: str) -> tuple[int, Trial] | None:
    """The number of epochs that validation chose for a setting (the median over its seeds), and a trial with that
    number.

    None if the run has no complete trial of this setting and length.
    """
    trials = [
        trial
        for trial in results.trials.of(training.params)
        if trial.complete and trial.epochs == training.epochs and trial.counted_curve
    ]
    if not trials:
        return None
    n = median_low(chosen_epoch(trial, tested) for trial in trials)
    mine = [trial for trial in trials if trial.seed == training.seed]
    return n, (mine or [trial for trial in trials if chosen_epoch(trial, tested) == n])[0]


def describe(results: SearchResults) -> Mapping[str, Any] | None:
    """The verdict as plain data; None before there is one."""
    return None if results.verdict is None else results.verdict.describe()
