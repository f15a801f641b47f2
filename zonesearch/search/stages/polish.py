"""Stage polish: train candidates under several schedules, repeat the best few with fresh seeds, then give a verdict."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any, ClassVar, Literal

from zonesearch.core.coarse import examples
from zonesearch.core.reading import BEST, Reading
from zonesearch.core.seeding import FRESH, fresh_seeds
from zonesearch.core.seeds import Seeds
from zonesearch.core.space import Space
from zonesearch.core.trials import Params, Training, Trials
from zonesearch.search.fresh import apart, is_unpaid, mostly_violates, outcome
from zonesearch.search.stage import Forecast, Plan, checked_seeds, require
from zonesearch.statistics.candidates import AS_THEY_ARE, CHEAPEST, RIVAL, Candidate, Finalist, as_candidates, others_of
from zonesearch.statistics.choosing import Setting, added, copies
from zonesearch.statistics.expected import rated, says_more
from zonesearch.statistics.map import Map
from zonesearch.statistics.noise import Cell, cell_of
from zonesearch.statistics.race import FIRST_LOOK, Race, run_race
from zonesearch.statistics.verdict import judge
from zonesearch.statistics.zones import Zone

__all__ = ["SCHEDULES", "SCHEDULES_BLIND", "Polish", "differing"]

_ROOM = 2  # combinations that get all selection seeds, per finalist
_INSTEAD = 10  # other points that are tried, when the fresh seeds of all candidates report a violation
_STEP = 0.01  # of an axis: how far the first one is from points that violate; twice as far with every further one,
_FAR = 0.2  # up to this
_AGAIN = 3  # points that violated when choosing and are tried once more, when there are no others
_FEWEST = 3  # fresh seeds: with two, Student's t has one degree of freedom and separates nothing

SCHEDULES = ("constant", "step(every=7, factor=0.5)", "plateau(patience=3)", "plateau(patience=10)")
"""Constant; halve every 7 epochs; halve after 3 or 10 epochs without a better validation accuracy."""

SCHEDULES_BLIND = SCHEDULES[:2]
"""Those that do not read validation values, for trainings that are not evaluated after every epoch."""

_DIFFER_FROM = dict(zip(SCHEDULES, (1, 8, 5, 12), strict=True))
"""From how many epochs on they may differ from the constant rate."""


def differing(schedules: tuple[str, ...], epochs: int) -> tuple[str, ...]:
    """Those of the default ``schedules`` under which trainings of ``epochs`` epochs are not all the same."""
    return tuple(schedule for schedule in schedules if epochs >= _DIFFER_FROM[schedule])


@dataclass(frozen=True)
class _Combination:
    """A candidate under a schedule.

    Args:
        params: with the schedule among them.
        schedule, candidate: which.
        value: the mean over its selection seeds, or that of the map.
        worth: the score by which it is chosen.
        copy: whether its trainings are those of another combination.
    """

    params: Params
    schedule: str
    candidate: Candidate
    value: float
    worth: float
    copy: bool = False

    @property
    def finalist(self) -> Finalist:
        return Finalist(self.params, self.schedule, self.value, self.candidate.zone)


@dataclass(frozen=True)
class Polish:
    """Every candidate with every schedule, and the best ``keep`` repeated with fresh seeds; outputs a verdict.

    Selection uses the seeds of the map; the seeds of the verdict take no part in any selection. If there is a single
    combination with a known value, nothing is selected and no training is spent on it.

    Args:
        space, epochs, reading: as in the grid.
        seeds: for selection: a number for every combination, or ``first`` for all and ``zone`` for the most promising
            ones, twice as many as there are finalists.
        schedules: specifications of learning-rate schedules; empty for objectives without a learning rate.
        own_schedule: the schedule of the study's trainings; a candidate's trainings under it are those of the map and
            are not repeated.
        candidates_max: number of candidates that compete, those with the best values; all by default. The cheapest
            cells of zones compete by their cost: they are not counted, and no training selects among them.
        keep: number of finalists.
        repeats: fresh seeds per finalist; in a race the most that one can get.
        race: give fresh seeds one round at a time and drop finalists that are significantly worse (see
            :mod:`zonesearch.statistics.race`); the verdict says how the race ended.
        repeats_max: fresh seeds of all finalists together. With it, finalists that do not differ significantly get more
            than ``repeats``, in a race, until they do or the seeds are used up; set by a budget.
        margin: differences up to this, in the metric's unit, do not matter: the verdict says whether similar finalists
            are equivalent within it, and a race ends when they are; 0 for none.
        level: of intervals and of "differs".
        choose: what finalists are chosen by: what a candidate is expected to be worth given the whole map, where
            candidates come with it, and what its schedule adds (see :mod:`zonesearch.statistics.choosing`), different
            points before one point under several schedules; or ``mean``, the mean over the selection seeds.
        rivals: the most further cells of zones that may become finalists, where an earlier stage names them; the first
            that a budget leaves out. They compete under the schedule of their zone's best candidate, and no training
            selects among them.
    """

    heeds: ClassVar[frozenset[str]] = frozenset({"when", "constraints"})
    formers: ClassVar[Mapping[str, str]] = {"choose": "mean"}
    takes: ClassVar[tuple[str, ...]] = ("zones", "candidates")
    gives: ClassVar[str] = "a verdict"

    space: Space
    epochs: int
    seeds: Seeds | int = 1
    reading: Reading = BEST
    schedules: tuple[str, ...] = SCHEDULES
    own_schedule: str = "constant"
    candidates_max: int | None = None
    keep: int = 5
    repeats: int = 5
    race: bool = False
    margin: float = 0.0
    level: float = 0.95
    repeats_max: int | None = None
    choose: Literal["posterior", "mean"] = "posterior"
    rivals: int = 4
    name: str = "polish"

    def __post_init__(self) -> None:
        object.__setattr__(self, "seeds", checked_seeds(self.seeds, self.name))
        fits = self.candidates_max is None or self.candidates_max >= 1
        require(fits, self.name, "candidates_max", "at least 1", self.candidates_max)
        require(self.keep >= 1, self.name, "keep", "at least 1", self.keep)
        require(self.repeats >= 1, self.name, "repeats", "at least 1", self.repeats)
        fits = self.repeats_max is None or self.repeats_max >= 1
        require(fits, self.name, "repeats_max", "at least 1", self.repeats_max)
        require(self.rivals >= 0, self.name, "rivals", "0 or more", self.rivals)
        require(self.margin >= 0, self.name, "margin", "0 or more", self.margin)
        require(0 < self.level < 1, self.name, "level", "between 0 and 1", self.level)

    @property
    def fewest(self) -> int:
        """The fewest trainings for a verdict: a fresh seed, and the selection trainings if even a single candidate
        needs selection.
        """
        as_before = not self.schedules or self.own_schedule in self.schedules
        return 1 if as_before else Seeds.parse(self.seeds).first + 1

    def plan(self, given: Sequence[Zone | Candidate], trials: Trials) -> Plan:
        """Candidates times schedules, then the finalists' repeats; the output is the verdict."""
        choosing = self._choosing(given)
        if trials.missing(choosing):
            return Plan(tuple(dict.fromkeys(choosing)))
        choosing += self._further(given, trials)
        if trials.missing(choosing):
            return Plan(tuple(dict.fromkeys(choosing)))
        finalists, out = self._chosen(given, trials)
        tried = [known for params in out for known in self._fresh(params, trials)]
        race = self._race_of(finalists, trials, out)
        given_seeds = race.n_seeds if race else [self.repeats] * len(finalists)
        repeats = [self._repeats(*pair) for pair in zip(finalists, given_seeds, strict=True)]
        first = [training for finalist in finalists for training in self._first(finalist, trials)]
        if trials.missing(first) and any(trial.violation is not None for trial in trials):
            return Plan(tuple(dict.fromkeys((*choosing, *tried, *first))))  # one that violates costs two seeds
        outcomes = [outcome(*pair, trials, self.reading) for pair in zip(finalists, repeats, strict=True)]
        if race:  # what it wanted, as far as the budget paid for it
            paid = (sum(not is_unpaid(training, trials) for training in row) for row in repeats)
            race = replace(race, n_seeds=tuple(paid))
        wanted = (*choosing, *tried, *(training for trainings in repeats for training in trainings))
        verdict = judge(outcomes, level=self.level, race=race, metric=trials.metric, margin=self.margin)
        judged = {_identity(each.finalist.params) for each in verdict.standings}
        verdict = replace(verdict, violating=tuple(params for params in out if _identity(params) not in judged))
        return Plan(tuple(dict.fromkeys(wanted)), verdict)

    def finalists(self, given: Sequence[Zone | Candidate], trials: Trials) -> tuple[Finalist, ...]:
        """From every zone the best combination of candidate and schedule, and the zone's cheapest cell under the same
        schedule, as far as there is room; then the next best combinations. Ranked by the mean over the selection seeds.

        A setting is dropped if more than half of its fresh seeds report a violation, and the next best takes its place:
        when no candidate is left, one of the other points that the stages before name, in their order. If the first
        fresh seed violates, a second one confirms it. If all of these violate too, or the budget ends, the one that
        violates under the fewest seeds is the only finalist.
        """
        return self._chosen(given, trials)[0]

    def _chosen(self, given: Sequence[Zone | Candidate], trials: Trials) -> tuple[tuple[Finalist, ...], list[Params]]:
        """The finalists, and settings that would be finalists if their fresh seeds had satisfied the constraints."""
        out: dict[Any, Params] = {}
        while True:
            found = self._ranked_finalists(given, trials, out)
            bad = [finalist.params for finalist in found if self._violates(finalist.params, trials)]
            if not bad or self._waits(found, trials, list(out.values())):
                break
            out.update((_identity(params), params) for params in bad)
        return found or self._instead(given, trials, out), list(out.values())

    def _first(self, finalist: Finalist, trials: Trials) -> list[Training]:
        """The fresh seeds that tell whether a setting is tried further: one, or two if the first one violates."""
        most = self._repeats(finalist, min(2, self._most))
        trial = trials.get(most[0])
        return most[:1] if trial is None or trial.feasible else most

    def _waits(self, finalists: Sequence[Finalist], trials: Trials, out: Sequence[Params]) -> bool:
        """Whether some of the fresh seeds that are trained at once, after the first ones, are still missing.

        Only when all are there it is seen which settings violate, in later looks of a race as in the first one: a run
        that was interrupted in between trains the same.
        """
        first = [self._first(finalist, trials) for finalist in finalists]
        bad = (all((trial := trials.get(known)) is not None and not trial.feasible for known in row) for row in first)
        if any(bad) or trials.missing([known for row in first for known in row]):
            return False
        race = self._race_of(finalists, trials, out)
        n_seeds = race.n_seeds if race else [self.repeats] * len(finalists)
        at_once = [self._repeats(finalist, n) for finalist, n in zip(finalists, n_seeds, strict=True)]
        return bool(trials.missing([known for row in at_once for known in row]))

    def _instead(
        self, given: Sequence[Zone | Candidate], trials: Trials, out: dict[Any, Params]
    ) -> tuple[Finalist, ...]:
        """The finalist when no candidate can be one; none if nothing was complete without a violation.

        Args:
            out: the settings that violate, to which those that are tried here are added.
        """
        own = self.own_schedule if self.schedules else ""
        left = {True: _INSTEAD, False: _AGAIN}  # by whether they are feasible by what is known
        n_before = len(out)
        for params in others_of(given):
            cell = self._selected(params, trials)
            if _identity(params) in out or not cell.values or not left[cell.feasible]:
                continue
            n_tried = len(out) - n_before
            if out and min(apart(self.space, params, each) for each in out.values()) < min(_STEP * 2**n_tried, _FAR):
                continue
            finalist = Finalist(params, own, cell.mean, number=1)
            if is_unpaid(self._repeats(finalist, 1)[0], trials):
                break
            if not self._violates(params, trials):
                return (finalist,)
            out[_identity(params)] = params
            left[cell.feasible] -= 1
        least: tuple[float, Params] | None = None
        for setting in out.values():
            back = [trials.get(known) for known in self._fresh(setting, trials)]
            bad = [not trial.feasible for trial in back if trial is not None and trial.complete]
            if not all(bad) and (least is None or sum(bad) / len(bad) < least[0]):
                least = sum(bad) / len(bad), setting
        if least is None:
            return ()
        schedule = str(least[1].get("schedule", own)) if self.schedules else own
        return (Finalist(least[1], schedule, self._selected(least[1], trials).mean, number=1),)

    def _selected(self, params: Params, trials: Trials) -> Cell:
        """What is known of a point without its fresh seeds."""
        seeds = [trial.seed for trial in trials.of(params) if trial.seed < FRESH]
        return cell_of(params, [Training(params, seed, self.epochs) for seed in seeds], trials, self.reading)

    def _violates(self, params: Params, trials: Trials) -> bool:
        """Whether more than half of its fresh seeds violate, of two at least where there may be two."""
        known = [trial for training in self._fresh(params, trials) if (trial := trials.get(training))]
        return mostly_violates(known) and len(known) >= min(2, self._most)

    def _fresh(self, params: Params, trials: Trials) -> list[Training]:
        """The finished trainings with fresh seeds, up to the first missing one."""
        seeds = fresh_seeds(self._most)
        wanted = (Training(params, seed, self.epochs, test=True) for seed in seeds)
        return list(takewhile(lambda training: trials.get(training) is not None, wanted))

    def _ranked_finalists(
        self, given: Sequence[Zone | Candidate], trials: Trials, out: Container[Any]
    ) -> tuple[Finalist, ...]:
        candidates = self._candidates(given)
        known = self._ranked(given, trials, Seeds.parse(self.seeds).zone)
        known = [each for each in known if _identity(each.params) not in out]
        cheap = {c.zone: c for c in candidates if c.origin == CHEAPEST}
        chosen: dict[Any, Finalist] = {}
        best: dict[int, _Combination] = {}
        for each in known:
            zone = each.candidate.zone
            if not zone or zone in best:
                continue
            best[zone] = each
            chosen.setdefault(_identity(each.params), each.finalist)
            if zone in cheap:
                setting = self._under(each.schedule, cheap[zone])
                if _identity(setting) in out:
                    continue
                chosen.setdefault(_identity(setting), Finalist(setting, each.schedule, cheap[zone].value, zone))
        chosen = dict(list(chosen.items())[: self.keep])
        rest = known if self.choose == "mean" else self._by_turns(known, best, candidates, list(chosen.values()))
        for each in rest:
            if len(chosen) >= self.keep:
                break
            if _identity(each.params) not in out:
                chosen.setdefault(_identity(each.params), each.finalist)
        score = trials.metric.score
        ranked = sorted(chosen.values(), key=lambda finalist: -score(finalist.selected))
        return tuple(replace(finalist, number=number) for number, finalist in enumerate(ranked, start=1))

    def _by_turns(
        self,
        known: Sequence[_Combination],
        best: Mapping[int, _Combination],
        candidates: Sequence[Candidate],
        chosen: Sequence[Finalist],
    ) -> list[_Combination]:
        """Combinations and rivals by what they are expected to be worth, new points before points that are taken; last
        those whose trainings are copies of others.

        Args:
            known: the combinations, ``best`` the best one of each zone; a rival comes under the same schedule.
            candidates: among which the rivals are.
            chosen: the finalists so far, whose points are taken.
        """
        rivals = [
            _Combination(
                self._under(first.schedule, c),
                first.schedule,
                c,
                c.value,
                c.expected_score + first.worth - first.candidate.expected_score,
            )
            for c in candidates
            if c.origin == RIVAL and (first := best.get(c.zone)) is not None
        ]
        rest = sorted((*known, *rivals), key=lambda each: (each.copy, -each.worth))
        taken = {self._point(finalist.params) for finalist in chosen}
        new: list[_Combination] = []
        others: list[_Combination] = []
        for each in rest:
            at = self._point(each.params)
            (others if at in taken else new).append(each)
            taken.add(at)
        return [*new, *others]

    def _ranked(self, given: Sequence[Zone | Candidate], trials: Trials, n_seeds: int) -> list[_Combination]:
        """The combinations with a value, best first; with ``n_seeds``, those with that many seeds come first."""
        combinations = self._combinations(self._candidates(given))
        wanted = [[Training(params, seed, self.epochs) for seed in range(n_seeds)] for params, _, _ in combinations]
        cells = [
            cell_of(params, trainings, trials, self.reading)
            for (params, _, _), trainings in zip(combinations, wanted, strict=True)
        ]
        if self._nothing_to_choose(combinations) and not cells[0].values and not cells[0].n_lost:
            params, _, candidate = combinations[0]
            cells = [Cell(params, (candidate.value,), metric=candidate.metric)]
        known = [
            (_Combination(params, schedule, candidate, cell.mean, cell.score), cell, trainings)
            for cell, (params, schedule, candidate), trainings in zip(cells, combinations, wanted, strict=True)
            if cell.values and cell.feasible
        ]
        found = [each for each, _, _ in known]
        if self.choose == "posterior":
            found = self._expected(found, [trainings for _, _, trainings in known], trials)
        full = [len(cell.values) + cell.n_lost >= n_seeds for _, cell, _ in known]
        order = sorted(range(len(found)), key=lambda i: (found[i].copy, not full[i], -found[i].worth))
        return [found[i] for i in order]

    def _expected(
        self, known: Sequence[_Combination], wanted: Sequence[Sequence[Training]], trials: Trials
    ) -> list[_Combination]:
        """The combinations with what they are expected to be worth, where candidates come with it, and which of them
        are copies.
        """
        settings = []
        for each, trainings in zip(known, wanted, strict=True):
            back = {t.seed: trial for t in trainings if (trial := trials.get(t)) is not None and trial.complete}
            scores = {seed: trial.metric.score(trial.value(self.reading)) for seed, trial in back.items()}
            results = {seed: (scores[seed], dict(trial.curve)) for seed, trial in back.items()}
            settings.append(Setting(_identity(each.candidate.params), each.schedule, scores, results))
        copied = copies(settings)
        found = [replace(each, copy=i in copied) for i, each in enumerate(known)]
        if not all(math.isfinite(each.candidate.expected) for each in known):
            return found
        own: dict[Any, dict[int, float]] = {}
        for setting, each, trainings in zip(settings, known, wanted, strict=True):
            if setting.point not in own:
                usual = [Training(each.candidate.params, training.seed, self.epochs) for training in trainings]
                back = {t.seed: trial for t in usual if (trial := trials.get(t)) is not None and trial.complete}
                own[setting.point] = {s: trial.metric.score(trial.value(self.reading)) for s, trial in back.items()}
        more = added(settings, own)
        if not all(map(math.isfinite, more)):
            return found
        return [replace(f, worth=f.candidate.expected_score + m) for f, m in zip(found, more, strict=True)]

    def _worth(self, candidates: Sequence[Candidate]) -> Callable[[Candidate], float]:
        """By what candidates are ranked."""
        if self.choose == "posterior" and all(math.isfinite(candidate.expected) for candidate in candidates):
            return lambda candidate: candidate.expected_score
        return lambda candidate: candidate.score

    def within(self, n: int, given: Sequence[Zone | Candidate], paid: Container[Any]) -> Polish:
        """This stage with fewer candidates, so that selection takes at most half of ``n``; then with fewer fresh seeds
        and, before these fall below three, fewer finalists.
        """

        def price(stage: Polish) -> int:
            first = sum(training.identity not in paid for training in dict.fromkeys(stage._choosing(given)))
            combinations = stage._combinations(stage._candidates(given))
            return first + (0 if stage._nothing_to_choose(combinations) else stage._n_further(len(combinations)))

        def judging(stage: Polish) -> int:
            candidates = stage._candidates(given)
            n_others = sum(candidate.origin in AS_THEY_ARE for candidate in candidates)
            return min(stage.keep, len(stage._combinations(candidates)) + n_others) * stage.repeats

        if price(self) + judging(self) <= n:
            return self
        rivals = any(candidate.origin == RIVAL for candidate in self._candidates(given))
        small = replace(self, rivals=0) if rivals else self
        most = sum(candidate.origin not in AS_THEY_ARE for candidate in self._candidates(given))
        while price(small) > n / 2 and most > 1:
            most -= 1
            small = replace(small, candidates_max=most)
        if price(small) > n / 2 and len(small.schedules) > 1:
            own = self.own_schedule if self.own_schedule in self.schedules else self.schedules[0]
            small = replace(small, schedules=(own,))
        if price(small) > n / 2:
            small = replace(small, seeds=Seeds.parse(self.seeds).first)
        left = max(1, n - price(small))
        if judging(small) > left:
            keep = max(1, min(small.keep, left // min(_FEWEST, small.repeats)))
            small = replace(small, keep=keep, repeats=min(small.repeats, left // keep))
        return small

    def spending(self, n: int, given: Sequence[Zone | Candidate], paid: Container[Any], trials: Trials) -> Polish:
        """This stage with a race for everything that selection leaves of ``n``, if that is more than its repeats."""
        choosing = self._choosing(given)
        if not trials.missing(choosing):
            choosing += self._further(given, trials)
        n -= sum(training.identity not in paid for training in dict.fromkeys(choosing))
        if trials.missing(choosing):
            others = sum(candidate.origin in AS_THEY_ARE for candidate in self._candidates(given))
            n_finalists = min(self.keep, len(self._combinations(self._candidates(given))) + others)
        else:
            n_finalists = len(self.finalists(given, trials))
        if self.repeats_max is not None or n <= n_finalists * self.repeats:
            return self
        return replace(self, repeats_max=n)

    def usable(self, given: Sequence[Zone | Candidate], paid: Container[Any]) -> float:
        """The most trainings that it can use: unlimited if finalists may have to be separated."""
        n_candidates = len(self._candidates(given))
        combinations = self._combinations(self._candidates(given))
        if n_candidates > 1 or len(combinations) > 1:
            return math.inf
        if not n_candidates:
            return 0.0
        choosing = self._choosing(given)
        further = 0 if not choosing else self._n_further(1)
        return sum(training.identity not in paid for training in choosing) + further + self.repeats

    def forecast(self, given: int) -> Forecast:
        """All combinations of ``given`` candidates, and the repeats of all finalists."""
        given = given if self.candidates_max is None else min(given, self.candidates_max)
        combinations = given * max(1, len(self.schedules))
        finalists = min(self.keep, combinations)
        # Every schedule once, and every cell under the study's own: examples that cover all possible faults.
        first = Candidate(next(self.space.grid()), math.nan, math.nan)
        schedules = (Training(params, 0, self.epochs) for params, _, _ in self._combinations([first]))
        example = tuple(dict.fromkeys((*examples(self.space, self.epochs), *schedules)))
        choosing = combinations * Seeds.parse(self.seeds).first + self._n_further(combinations)
        judging = finalists * self.repeats if self.repeats_max is None else self.repeats_max
        return Forecast(choosing + judging, self.epochs, finalists, example)

    def _candidates(self, given: Sequence[Zone | Candidate]) -> tuple[Candidate, ...]:
        """The competing candidates, and the cheapest cells of their zones."""
        candidates = as_candidates(given)
        if self.choose == "posterior" and isinstance(given, Map) and says_more(given, self.epochs):
            candidates = tuple(rated(given.space, given.zones, candidates, given.cells, given.noise))
        rivals = sorted((c for c in candidates if c.origin == RIVAL), key=lambda c: -c.expected_score)
        out = rivals if self.choose == "mean" else rivals[self.rivals :]
        candidates = tuple(candidate for candidate in candidates if candidate not in out)
        competing = [i for i, candidate in enumerate(candidates) if candidate.origin not in AS_THEY_ARE]
        if self.candidates_max is None or len(competing) <= self.candidates_max:
            return candidates
        score = self._worth([candidates[i] for i in competing])
        best = sorted(competing, key=lambda i: -score(candidates[i]))[: self.candidates_max]
        zones = {candidates[i].zone for i in best}
        return tuple(
            candidate
            for i, candidate in enumerate(candidates)
            if i in best or (candidate.origin in AS_THEY_ARE and candidate.zone in zones)
        )

    def _choosing(self, given: Sequence[Zone | Candidate]) -> list[Training]:
        """The first seeds of every combination; empty if there is nothing to select."""
        combinations = self._combinations(self._candidates(given))
        if self._nothing_to_choose(combinations):
            return []
        first = Seeds.parse(self.seeds).first
        return [Training(params, seed, self.epochs) for params, _, _ in combinations for seed in range(first)]

    def _further(self, given: Sequence[Zone | Candidate], trials: Trials) -> list[Training]:
        """The remaining seeds of combinations that may become finalists according to the first ones."""
        seeds = Seeds.parse(self.seeds)
        if seeds.everywhere or self._nothing_to_choose(self._combinations(self._candidates(given))):
            return []
        ranked = self._ranked(given, trials, seeds.first)[: _ROOM * self.keep]
        return [Training(each.params, seed, self.epochs) for each in ranked for seed in range(seeds.first, seeds.zone)]

    def _n_further(self, n_combinations: int) -> int:
        seeds = Seeds.parse(self.seeds)
        return min(_ROOM * self.keep, n_combinations) * (seeds.zone - seeds.first)

    def _combinations(self, candidates: Sequence[Candidate]) -> list[tuple[Params, str, Candidate]]:
        return [
            (self._under(schedule, candidate), schedule, candidate)
            for candidate in candidates
            if candidate.origin not in AS_THEY_ARE
            for schedule in self.schedules or ("",)
        ]

    def _nothing_to_choose(self, combinations: Sequence[tuple[Params, str, Candidate]]) -> bool:
        """Whether there is a single combination that an earlier stage has trained."""
        if len(combinations) != 1:
            return False
        _, schedule, candidate = combinations[0]
        return schedule in ("", self.own_schedule) and math.isfinite(candidate.value)

    def _under(self, schedule: str, candidate: Candidate) -> Params:
        """The parameters of a candidate under a schedule."""
        own = schedule in ("", self.own_schedule)
        return dict(candidate.params) if own else {**candidate.params, "schedule": schedule}

    def _point(self, params: Params) -> tuple[tuple[str, Any], ...]:
        """What the settings of a point under different schedules have in common."""
        return _identity({name: value for name, value in params.items() if not (self.schedules and name == "schedule")})

    @property
    def _most(self) -> int:
        """The most fresh seeds of one finalist."""
        return max(self.repeats, self.repeats_max or 0)

    @property
    def _look(self) -> int:
        """The fresh seeds of each finalist before it is first asked which of them can be told apart."""
        if self.race:
            return FIRST_LOOK
        return self.repeats if self.repeats_max is None else max(FIRST_LOOK, self.repeats)

    def _race_of(self, finalists: Sequence[Finalist], trials: Trials, out: Sequence[Params]) -> Race | None:
        """The race of the finalists, if there is to be one, after those that are ``out`` had their fresh seeds."""
        if not self.race and self.repeats_max is None:
            return None
        left_out = {_identity(params): params for params in out}
        for finalist in finalists:
            left_out.pop(_identity(finalist.params), None)
        return self._race(finalists, trials, sum(len(self._fresh(params, trials)) for params in left_out.values()))

    def _race(self, finalists: Sequence[Finalist], trials: Trials, n_tried: int = 0) -> Race:
        """The race, replayed on the known trials: on the test split if every training has it, as in the verdict.

        ``n_tried`` fresh seeds went to settings that have been dropped since.
        """
        most = self._most
        wanted = [self._repeats(finalist, most) for finalist in finalists]
        back = [[trial for training in row if (trial := trials.get(training)) is not None] for row in wanted]
        outcomes = [outcome(*pair, trials, self.reading) for pair in zip(finalists, wanted, strict=True)]
        on_test = all(set(outcome.test) == set(outcome.validation) for outcome in outcomes)
        return run_race(
            [outcome.sample(on_test, trials.metric) for outcome in outcomes],
            [{trial.seed for trial in row} for row in back],
            fresh_seeds(most),
            level=self.level,
            margin=self.margin,
            first=self._look,
            total=None if self.repeats_max is None else max(len(finalists), self.repeats_max - n_tried),
        )

    def _repeats(self, finalist: Finalist, n: int) -> list[Training]:
        return [Training(finalist.params, seed, self.epochs, test=True) for seed in fresh_seeds(n)]


def _identity(params: Params) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(params.items()))
