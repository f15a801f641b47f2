"""Stage polish: candidates under several schedules, the best few again with fresh seeds, then the verdict."""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from typing import Any

from zonesearch.domain.candidates import Candidate, Finalist, as_candidates
from zonesearch.domain.noise import map_cells
from zonesearch.domain.race import Race, run_race
from zonesearch.domain.reading import BEST, Reading
from zonesearch.domain.seeding import fresh_seeds
from zonesearch.domain.space import Space
from zonesearch.domain.trials import Params, Training, Trials
from zonesearch.domain.verdict import Repeats, judge
from zonesearch.domain.zones import Zone
from zonesearch.stages.stage import Forecast, Plan, require

__all__ = ["SCHEDULES", "Polish"]

_FEWEST = 3  # fresh seeds: with two, Student's t has one degree of freedom and tells nothing apart

SCHEDULES = ("constant", "step(every=7, factor=0.5)", "plateau(patience=3)", "plateau(patience=10)")
"""No schedule; halve every 7 epochs; halve after 3, after 10 epochs without a better validation accuracy."""


@dataclass(frozen=True)
class Polish:
    """Every candidate with every schedule, the best ``keep`` repeated with fresh seeds; hands on a verdict.

    The seeds that choose are those of the map; the seeds that judge took no part in any choice.

    Args:
        space, epochs, seeds, reading: as in the grid, for choosing.
        schedules: learning-rate schedules by specification; none for objectives without a learning rate.
        own_schedule: the one that the study's trainings have anyway; a candidate's trainings under it are those of
            the map, so they are not repeated.
        candidates_max: so many of the candidates compete, those with the highest accuracy. All by default.
        keep: number of finalists.
        repeats: fresh seeds per finalist; in a race the most that one can get.
        race: give fresh seeds one round at a time and let those leave that are worse for sure (see
            :mod:`zonesearch.domain.race`); the verdict says how the race ended.
        margin: a race also ends when the rest differs by no more than this accuracy; 0 for never.
        level: of intervals and of "differs".
    """

    space: Space
    epochs: int
    seeds: int = 1
    reading: Reading = BEST
    schedules: tuple[str, ...] = SCHEDULES
    own_schedule: str = "constant"
    candidates_max: int | None = None
    keep: int = 5
    repeats: int = 5
    race: bool = False
    margin: float = 0.0
    level: float = 0.95
    name: str = "polish"

    def __post_init__(self) -> None:
        require(self.seeds >= 1, self.name, "seeds", "at least 1", self.seeds)
        fits = self.candidates_max is None or self.candidates_max >= 1
        require(fits, self.name, "candidates_max", "at least 1", self.candidates_max)
        require(self.keep >= 1, self.name, "keep", "at least 1", self.keep)
        require(self.repeats >= 1, self.name, "repeats", "at least 1", self.repeats)
        require(self.margin >= 0, self.name, "margin", "0 or more", self.margin)
        require(0 < self.level < 1, self.name, "level", "between 0 and 1", self.level)

    def plan(self, given: Sequence[Zone | Candidate], trials: Trials) -> Plan:
        """Candidates times schedules, then the finalists' repeats; the output is the verdict."""
        choosing = self._choosing(given)
        if trials.missing(choosing):
            return Plan(tuple(dict.fromkeys(choosing)))
        finalists = self.finalists(given, trials)
        race = self._race(finalists, trials) if self.race else None
        given_seeds = race.n_seeds if race else [self.repeats] * len(finalists)
        repeats = [self._repeats(*pair) for pair in zip(finalists, given_seeds, strict=True)]
        outcomes = [_outcome(*pair, trials, self.reading) for pair in zip(finalists, repeats, strict=True)]
        wanted = (*choosing, *(training for trainings in repeats for training in trainings))
        return Plan(tuple(dict.fromkeys(wanted)), judge(outcomes, level=self.level, race=race))

    def finalists(self, given: Sequence[Zone | Candidate], trials: Trials) -> tuple[Finalist, ...]:
        """The best combinations of candidate and schedule by mean accuracy over the choosing seeds."""
        combinations = self._combinations(self._candidates(given))
        cells = map_cells(
            [params for params, _, _ in combinations],
            trials,
            seeds=range(self.seeds),
            epochs=self.epochs,
            reading=self.reading,
        )
        known = [(cell, combination) for cell, combination in zip(cells, combinations, strict=True) if cell.values]
        known.sort(key=lambda pair: -pair[0].mean)
        return tuple(
            Finalist(params, schedule, cell.mean, candidate.zone, number)
            for number, (cell, (params, schedule, candidate)) in enumerate(known[: self.keep], start=1)
        )

    def within(self, n: int, given: Sequence[Zone | Candidate], paid: Container[Any]) -> Polish:
        """This stage with fewer candidates, so that choosing takes no more than half of ``n``; then with fewer fresh
        seeds and, before these are fewer than three, fewer finalists.
        """

        def price(stage: Polish) -> int:
            return sum(training.identity not in paid for training in dict.fromkeys(stage._choosing(given)))

        def judging(stage: Polish) -> int:
            return min(stage.keep, len(stage._combinations(stage._candidates(given)))) * stage.repeats

        if price(self) + judging(self) <= n:
            return self
        small = self
        most = len(self._candidates(given))
        while price(small) > n / 2 and most > 1:
            most -= 1
            small = replace(small, candidates_max=most)
        if price(small) > n / 2 and len(small.schedules) > 1:
            own = self.own_schedule if self.own_schedule in self.schedules else self.schedules[0]
            small = replace(small, schedules=(own,))
        left = max(1, n - price(small))
        if judging(small) > left:
            keep = max(1, min(small.keep, left // min(_FEWEST, small.repeats)))
            small = replace(small, keep=keep, repeats=min(small.repeats, left // keep))
        return small

    def forecast(self, given: int) -> Forecast:
        """All combinations of ``given`` candidates, and the repeats of as many finalists as are kept."""
        given = given if self.candidates_max is None else min(given, self.candidates_max)
        combinations = given * max(1, len(self.schedules))
        finalists = min(self.keep, combinations)
        # Every schedule once, every cell under the study's own: what may be wanted, and all kinds of what may be wrong.
        first = Candidate(next(self.space.grid()), math.nan, math.nan)
        points = [*self.space.grid(), *(params for params, _, _ in self._combinations([first]))]
        example = tuple(dict.fromkeys(Training(point, 0, self.epochs) for point in points))
        return Forecast(combinations * self.seeds + finalists * self.repeats, self.epochs, finalists, example)

    def _candidates(self, given: Sequence[Zone | Candidate]) -> tuple[Candidate, ...]:
        candidates = as_candidates(given)
        if self.candidates_max is None or len(candidates) <= self.candidates_max:
            return candidates
        best = sorted(range(len(candidates)), key=lambda i: -candidates[i].value)[: self.candidates_max]
        return tuple(candidates[i] for i in sorted(best))

    def _choosing(self, given: Sequence[Zone | Candidate]) -> list[Training]:
        combinations = self._combinations(self._candidates(given))
        return [Training(params, seed, self.epochs) for params, _, _ in combinations for seed in range(self.seeds)]

    def _combinations(self, candidates: Sequence[Candidate]) -> list[tuple[Params, str, Candidate]]:
        found: list[tuple[Params, str, Candidate]] = []
        for candidate in candidates:
            for schedule in self.schedules or ("",):
                own = schedule in ("", self.own_schedule)
                params = dict(candidate.params) if own else {**candidate.params, "schedule": schedule}
                found.append((params, schedule, candidate))
        return found

    def _race(self, finalists: Sequence[Finalist], trials: Trials) -> Race:
        """The race, replayed with what is known: on the test split where every training has it, as the verdict is."""
        wanted = [self._repeats(finalist, self.repeats) for finalist in finalists]
        back = [[trial for training in row if (trial := trials.get(training)) is not None] for row in wanted]
        complete = [trial for row in back for trial in row if trial.complete]
        on_test = all(trial.test_accuracy is not None for trial in complete)
        return run_race(
            [
                {
                    t.seed: t.test_accuracy if on_test and t.test_accuracy is not None else t.value(self.reading)
                    for t in row
                }
                for row in ([trial for trial in row if trial.complete] for row in back)
            ],
            [{trial.seed for trial in row} for row in back],
            fresh_seeds(self.repeats),
            level=self.level,
            margin=self.margin,
            resolution=max((1 / trial.n_test for trial in complete if on_test and trial.n_test), default=0.0),
        )

    def _repeats(self, finalist: Finalist, n: int) -> list[Training]:
        return [Training(finalist.params, seed, self.epochs, test=True) for seed in fresh_seeds(n)]


def _outcome(finalist: Finalist, repeats: Sequence[Training], trials: Trials, reading: Reading) -> Repeats:
    back = [trial for training in repeats if (trial := trials.get(training)) is not None]
    complete = [trial for trial in back if trial.complete]
    return Repeats(
        finalist=finalist,
        validation={trial.seed: trial.value(reading) for trial in complete},
        test={trial.seed: trial.test_accuracy for trial in complete if trial.test_accuracy is not None},
        n_test=next((trial.n_test for trial in complete if trial.n_test), None),
        n_parameters=next((trial.n_parameters for trial in complete if trial.n_parameters is not None), None),
        seconds=math.fsum(trial.seconds for trial in complete) / len(complete) if complete else 0.0,
        n_lost=len(back) - len(complete),
    )
