"""Stage interval: in each zone, fix all axes but one at the peak and search the interval of that axis.

If a budget leaves something after that, the search goes on around the best of what it found, in intervals of a few
parts of those before, until their values differ by no more than noise: the way a grid search is zoomed in by hand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from zonesearch.core.axes import AnyAxis, Axis, Choice, Number
from zonesearch.core.coarse import examples
from zonesearch.core.reading import BEST, Reading
from zonesearch.core.seeds import Seeds
from zonesearch.core.space import Space
from zonesearch.core.trials import Params, Training, Trials, Value
from zonesearch.core.values import point
from zonesearch.core.widening import has_limits
from zonesearch.search.lines.method import LineMethod, LinePoint
from zonesearch.search.lines.split import Split
from zonesearch.search.stage import UNPAID, Forecast, Plan, checked_seeds, require
from zonesearch.statistics.candidates import Candidate, Candidates, as_candidates, cheapest_of, others_of
from zonesearch.statistics.expected import expected_scores, rated, says_more
from zonesearch.statistics.map import Map
from zonesearch.statistics.noise import Cell, Noise, map_cells, measure_noise, t_quantile
from zonesearch.statistics.zones import Zone

__all__ = ["Interval"]

_ROUNDS = 12  # the most that a budget pays for
_NARROW = 1e-3  # of an axis: narrower intervals are not searched
_SAME = 1e-6  # of an axis: values closer than this are one
_LEVEL = 0.95  # at which values of a round differ
_SETTLED = (
    "the values around the best of each zone do not differ by more than noise, so further lines would tell nothing."
)
_MANY = 64  # parts of an axis by which its values are counted


@dataclass(frozen=True)
class Interval:
    """A one-dimensional search on every axis of every zone; outputs candidates.

    The lines of a zone are independent, and so are the zones. Once the lines of a zone are done, the best values of its
    axes are tried together. A zone's candidates are its peak and, if better, the best point from the lines and their
    combination.

    Args:
        space, epochs, reading: as in the grid.
        seeds: number for every point; of a table with ``first`` and ``zone``, every point gets the first ones, and the
            results of the lines and their combination get the others before they become candidates.
        method: the search on one interval.
        zones_max: number of best zones to search; the others only contribute their peaks. All by default.
        rounds: how often the lines of a zone are searched, each time through the best point so far and in intervals of
            two parts of those before; only with ``split``. A round in which no value differs significantly from the
            best is the last one. A budget that is left when the stage is the last one pays for further rounds.
        choose: what decides which point is better: the posterior mean of a Gaussian process through the map and the
            lines (see :mod:`zonesearch.statistics.expected`), which also names further cells of the zone as rivals; or
            the mean of a point's own seeds. Without a map, or with a small one, always the latter.
    """

    heeds: ClassVar[frozenset[str]] = frozenset({"when", "constraints"})
    formers: ClassVar[Mapping[str, str]] = {"choose": "mean"}
    takes: ClassVar[tuple[str, ...]] = ("zones",)
    gives: ClassVar[str] = "candidates"

    space: Space
    epochs: int
    seeds: Seeds | int = 1
    reading: Reading = BEST
    method: LineMethod = field(default_factory=Split)
    zones_max: int | None = None
    choose: Literal["posterior", "mean"] = "posterior"
    rounds: int = 1
    name: str = "interval"

    def __post_init__(self) -> None:
        require(self.zones_max is None or self.zones_max >= 0, self.name, "zones_max", "0 or more", self.zones_max)
        require(self.rounds >= 1, self.name, "rounds", "at least 1", self.rounds)
        lasting = self.rounds == 1 or isinstance(self.method, Split)
        require(lasting, self.name, "rounds", "1 with a method other than split", self.rounds)
        object.__setattr__(self, "seeds", checked_seeds(self.seeds, self.name))

    def plan(self, given: Sequence[Zone], trials: Trials) -> Plan:
        """The lines' trainings, then the combinations'; the output is a tuple of candidates, zone by zone."""
        wanted: list[tuple[Params, int]] = []
        candidates: list[Candidate] = []
        ended: list[bool] = []
        noise = given.noise if isinstance(given, Map) else None
        space = self.space
        if isinstance(given, Map) and (isinstance(self.method, Split) or has_limits(space)):
            space = given.space  # with the rows that were trained
        n_searched = len(given) if self.zones_max is None else self.zones_max
        helps = self.choose == "posterior" and isinstance(given, Map) and says_more(given, self.epochs)
        mapped = given.cells if isinstance(given, Map) and helps else ()
        lines: list[Cell] = []
        for i, zone in enumerate(given):
            peak = list(as_candidates([zone]))
            if i >= n_searched:
                candidates += peak
                continue
            points, found, cells, settled = self._searched(space, zone, trials, noise, mapped)
            wanted += points
            candidates += found
            lines += cells
            ended.append(settled)
        trainings = tuple(dict.fromkeys(Training(point, seed, self.epochs) for point, n in wanted for seed in range(n)))
        if mapped and noise is not None and not trials.missing(trainings):
            candidates = rated(space, given, candidates, _merged(mapped, lines), noise)
        alive = sorted((cell for cell in lines if cell.values and cell.feasible), key=lambda cell: -cell.score)
        bad = (cell.params for cell in lines if cell.values and not cell.feasible)
        others = (*(cell.params for cell in alive), *others_of(given), *bad)
        notes = (_SETTLED,) if self.rounds > 1 and ended and all(ended) else ()
        return Plan(trainings, Candidates.of(_each_once(candidates), others), notes)

    def within(self, n: int, given: Sequence[Zone], paid: Container[Any]) -> Interval:
        """This stage, searching only as many zones as ``n`` trainings are guaranteed to suffice for."""
        most = len(given) if self.zones_max is None else min(self.zones_max, len(given))
        enough = next((k for k in range(most, 0, -1) if self.forecast(k).n_trainings <= n), 0)
        return self if enough == most else replace(self, zones_max=enough)

    def spending(self, n: int, given: Sequence[Zone], paid: Container[Any], trials: Trials) -> Interval:
        """This stage with as many rounds as have a use, if it searches by equal parts."""
        return replace(self, rounds=max(self.rounds, _ROUNDS)) if isinstance(self.method, Split) else self

    def lines(self, given: Sequence[Zone], trials: Trials) -> int:
        """The most new trainings of one round in these zones, fewer than foreseen where intervals are short."""
        searched = given[: len(given) if self.zones_max is None else self.zones_max]
        if not isinstance(self.method, Split):
            return self.forecast(len(searched)).n_trainings
        seeds = Seeds.parse(self.seeds)
        after = seeds.first + 2 * (seeds.zone - seeds.first)  # the combination, and all seeds of what is found
        once = replace(self, rounds=1)
        return len(trials.missing(once.plan(given, trials).trainings)) + after * len(searched)

    def forecast(self, given: int) -> Forecast:
        """The longest lines of ``given`` zones, and one combination each."""
        numeric = [axis for axis in self.space.axes if not isinstance(axis, Choice)]
        longest = [min(self.method.at_most(), len(axis.between(axis.low, axis.high, _MANY))) for axis in numeric]
        per_zone = sum(longest) + 1
        per_zone += sum(len(axis.row()) - 1 for axis in self.space.axes if isinstance(axis, Choice))
        example = examples(self.space, self.epochs)
        seeds = Seeds.parse(self.seeds)
        n = per_zone * seeds.first + 2 * (
            seeds.zone - seeds.first
        )  # the peak and the resulting candidate get all seeds
        return Forecast(self.rounds * given * n, self.epochs, 2 * given, example)

    def _searched(
        self, space: Space, zone: Zone, trials: Trials, given: Noise | None, mapped: Sequence[Cell]
    ) -> tuple[list[tuple[Params, int]], list[Candidate], list[Cell], bool]:
        """As :meth:`_work`, round by round: each goes on from the best point of the one before. Also whether the values
        of the last round differ by no more than noise.
        """
        wanted, found, cells = self._work(space, zone, trials, given, mapped)
        now, around, settled = zone, cells, False
        for _ in range(1, self.rounds):
            if not found or trials.missing([Training(at, seed, self.epochs) for at, n in wanted for seed in range(n)]):
                break
            best = next((candidate for candidate in found if candidate.origin == "interval"), None)
            centre = zone.peak if best is None else best.params
            intervals = {
                axis.name: _closer(axis, centre[axis.name], now.intervals[axis.name], self.method)
                for axis in space.active(centre)
            }
            settled = not self._differ(around, given)
            if settled or _is_narrow(space, intervals):
                break
            now = replace(zone, peak=centre, intervals=intervals)
            more, later, around = self._work(space, now, trials, given, mapped)
            wanted += more
            if not later:
                return wanted, [], [], False
            cells = _merged(cells, around)
            better = next((candidate for candidate in later if candidate.origin == "interval"), None)
            if better is None or self._unpaid(better.params, trials):
                continue
            found = [found[0], better, *cheapest_of(zone)]
        return wanted, found, cells, settled

    def _unpaid(self, params: Params, trials: Trials) -> bool:
        """Whether a budget refused one of the seeds by which a point is judged."""
        trainings = (Training(params, seed, self.epochs) for seed in range(Seeds.parse(self.seeds).zone))
        return any((trial := trials.get(training)) is not None and trial.error == UNPAID for training in trainings)

    def _differ(self, cells: Sequence[Cell], given: Noise | None) -> bool:
        """Whether any of the cells differs significantly from the best."""
        alive = [cell for cell in cells if cell.values and cell.feasible]
        if len(alive) < 2:
            return False
        noise = given or measure_noise(alive)
        best = max(alive, key=_mean)
        gaps = (noise.gap(best, cell) for cell in alive)
        return any(gap.difference > t_quantile(_LEVEL, gap.degrees) * gap.se for gap in gaps)

    def _work(
        self, space: Space, zone: Zone, trials: Trials, given: Noise | None, mapped: Sequence[Cell]
    ) -> tuple[list[tuple[Params, int]], list[Candidate], list[Cell]]:
        """The points that ``zone`` wants with their numbers of seeds, its candidates so far, and what is known of its
        points. The cells ``mapped`` help to tell which point is better; empty if they are not to.
        """
        seeds = Seeds.parse(self.seeds)
        points: list[Params] = [zone.peak]
        if not isinstance(self.method, Split) and not self._is_known(self._cells(points, trials)[0]):
            # A method proposes by what is known: if the peak came together with the first points of its lines, an
            # interrupted run would continue them in another way than an uninterrupted one.
            return [(zone.peak, seeds.first)], [], []
        best = dict(zone.peak)
        done = True
        for axis in space.active(zone.peak):
            cells = self._line(space, axis, zone, trials)
            more = self._propose(space, axis, zone, cells, given)
            values = [cell.params[axis.name] for cell in cells] + list(more)
            points += [{**zone.peak, axis.name: value} for value in values]
            done = done and not more
            if any(cell.feasible for cell in cells) and not more:
                best[axis.name] = self._best(axis, zone, cells, given)
        if not done:
            return [(point, seeds.first) for point in points], [], []
        if space.contains(best):
            points.append(best)
        wanted = [(point, seeds.first) for point in points]
        cells = self._cells(points, trials)
        peak, top = cells[0], max(cells, key=_better(space, mapped, cells, given))
        if not seeds.everywhere and not self._is_known(cells[-1]):
            # Which point gets the other seeds depends on the combination, whatever came first.
            return [*wanted, (zone.peak, seeds.zone)], [], []
        if not seeds.everywhere:
            # The best of many single values is a lucky one: a point must be better over all seeds to become a
            # candidate.
            wanted += [(peak.params, seeds.zone), (top.params, seeds.zone)]
            peak, top = self._cells([peak.params, top.params], trials, seeds.zone)
            cells = _merged(cells, [peak, top])
        noise = given or measure_noise(cells)
        worth = _better(space, mapped, cells, given)
        found = [_candidate(peak, noise, zone, "peak")]
        if worth(top) > worth(peak):
            found.append(_candidate(top, noise, zone, "interval"))
        return wanted, [*found, *cheapest_of(zone)], cells

    def _line(self, space: Space, axis: AnyAxis, zone: Zone, trials: Trials) -> list[Cell]:
        """The cells on the zone's interval of ``axis`` with all seeds finished, by increasing value."""
        values = [value for value in trials.values_along(zone.peak, axis.name) if _inside(axis, value, zone)]
        if isinstance(self.method, Split) and isinstance(axis, Axis):
            # What later rounds find does not change earlier ones.
            low, *_, high = zone.intervals[axis.name]
            usual = {*axis.row(), *axis.between(low, high, self.method.parts)}
            values = [value for value in values if value in usual]
        values = [value for value in values if self._stays(space, zone, axis, value)]
        cells = self._cells([{**zone.peak, axis.name: value} for value in values], trials)
        return [cell for cell in cells if self._is_known(cell)]

    def _is_known(self, cell: Cell) -> bool:
        """Whether all its first seeds are finished."""
        return len(cell.values) + cell.n_lost == Seeds.parse(self.seeds).first

    def _stays(self, space: Space, zone: Zone, axis: AnyAxis, value: Value) -> bool:
        """Whether the point with this value on the axis is allowed and in the branch of the zone."""
        moved = {**zone.peak, axis.name: value}
        return space.allows(moved) and (not space.conditional or space.branch(moved) == space.branch(zone.peak))

    def _propose(
        self, space: Space, axis: AnyAxis, zone: Zone, cells: Sequence[Cell], given: Noise | None
    ) -> tuple[Value, ...]:
        if isinstance(axis, Choice):
            seen = {axis.place(cell.params[axis.name]) for cell in cells}
            new = (value for i, value in enumerate(axis.row()) if i not in seen)
            return tuple(value for value in new if self._stays(space, zone, axis, value))
        low, high = zone.intervals[axis.name]
        if low == high:
            return ()
        known = self._points(axis, cells, given)
        if not space.constraints and not space.conditional:
            return self._new(axis, self.method.propose(axis, low, high, known), known)  # type: ignore[arg-type]
        worst = min((point.mean for point in known if point.mean == point.mean), default=0.0)
        while True:  # a forbidden value counts as the worst known one, so the method looks elsewhere
            values = self.method.propose(axis, low, high, known)  # type: ignore[arg-type]
            outside = [value for value in values if not self._stays(space, zone, axis, value)]
            if not outside:
                return self._new(axis, values, known)
            told = {point.value for point in known}
            if all(value in told for value in outside):
                return tuple(value for value in values if value not in outside)
            known += [LinePoint(value, worst, 0.0) for value in outside if value not in told]

    @staticmethod
    def _new(axis: Axis, values: Sequence[Number], known: Sequence[LinePoint]) -> tuple[Number, ...]:
        """The values that are not, but for rounding, known: ends and middles of unlike intervals may be the same."""
        places = [axis.to_unit(each.value) for each in known]
        return tuple(value for value in values if all(abs(axis.to_unit(value) - at) > _SAME for at in places))

    def _best(self, axis: AnyAxis, zone: Zone, cells: Sequence[Cell], given: Noise | None) -> Value:
        """The value that the method considers the best of the line; by default the one with the highest mean."""
        low, high = zone.intervals[axis.name][0], zone.intervals[axis.name][-1]
        pick = getattr(self.method, "best", None)
        if pick is None or isinstance(axis, Choice) or low == high or not any(cell.values for cell in cells):
            return max(cells, key=_mean).params[axis.name]
        found: Value = pick(axis, low, high, self._points(axis, cells, given))
        return found

    @staticmethod
    def _points(axis: AnyAxis, cells: Sequence[Cell], given: Noise | None) -> list[LinePoint]:
        noise = given or measure_noise(cells)
        worst = min((cell.score for cell in cells if cell.values), default=0.0)
        return [
            LinePoint(c.params[axis.name], c.score if c.feasible else worst, noise.se(c))  # type: ignore[arg-type]
            for c in cells
        ]

    def _cells(self, points: Sequence[Params], trials: Trials, n_seeds: int | None = None) -> list[Cell]:
        seeds = range(n_seeds or Seeds.parse(self.seeds).first)
        return map_cells(points, trials, seeds=seeds, epochs=self.epochs, reading=self.reading)


def _closer(axis: AnyAxis, value: Value, interval: tuple[Value, ...], method: LineMethod) -> tuple[Value, ...]:
    """One part of the interval to either side of ``value``, or up to its end."""
    if isinstance(axis, Choice):
        return interval
    low, high = interval[0], interval[-1]
    values = axis.between(low, high, method.at_most() - 1)
    below = [each for each in values if each < value]  # type: ignore[operator]
    above = [each for each in values if each > value]  # type: ignore[operator]
    return (below[-1] if below else low, above[0] if above else high)


def _is_narrow(space: Space, intervals: Mapping[str, tuple[Value, ...]]) -> bool:
    """Whether all intervals are narrower than matters."""
    numeric = [(axis, intervals[axis.name]) for axis in space.axes if axis.name in intervals]
    widths = [
        axis.to_unit(interval[-1]) - axis.to_unit(interval[0])
        for axis, interval in numeric
        if not isinstance(axis, Choice)
    ]
    return max(widths, default=0.0) < _NARROW


def _inside(axis: AnyAxis, value: Value, zone: Zone) -> bool:
    if isinstance(axis, Choice):
        return axis.contains(value)
    low, high = zone.intervals[axis.name]
    return axis.contains(value) and low <= value <= high  # type: ignore[operator]


def _mean(cell: Cell) -> float:
    return cell.score if cell.values and cell.feasible else -math.inf


def _merged(cells: Sequence[Cell], others: Sequence[Cell]) -> list[Cell]:
    """Each point once, with the cell that has more values."""
    found: dict[Any, Cell] = {}
    for cell in (*cells, *others):
        kept = found.setdefault(point(cell.params), cell)
        if len(cell.values) > len(kept.values):
            found[point(cell.params)] = cell
    return list(found.values())


def _scores(space: Space, cells: Sequence[Cell], noise: Noise) -> dict[Any, float] | None:
    """By point, the score that is expected of a cell with a value; None if too little is known."""
    scores = expected_scores(space, cells, noise)
    if scores is None:
        return None
    return {point(cell.params): score for cell, score in zip(cells, scores, strict=True) if cell.values}


def _better(
    space: Space, mapped: Sequence[Cell], cells: Sequence[Cell], noise: Noise | None
) -> Callable[[Cell], float]:
    """The function that is larger for the better of two of the ``cells``; ``mapped`` and ``noise`` are of a map."""
    scores = _scores(space, _merged(mapped, cells), noise) if mapped and noise is not None else None
    if scores is None:
        return _mean
    return lambda cell: scores[point(cell.params)] if cell.values and cell.feasible else -math.inf


def _candidate(cell: Cell, noise: Noise, zone: Zone, origin: str) -> Candidate:
    return Candidate(dict(cell.params), cell.mean, noise.se(cell), zone.number, origin, zone.metric)


def _each_once(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """If two zones find the same point, the higher-ranked zone keeps it."""
    kept: dict[Any, Candidate] = {}
    for candidate in candidates:
        kept.setdefault(point(candidate.params), candidate)
    return tuple(kept.values())
