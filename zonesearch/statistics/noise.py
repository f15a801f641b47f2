"""How much of a value is noise, and whether two cells of a map differ significantly.

Two parts. **Seeds**: initial weights and the order of the data. The variance between seeds follows a trend in the value
(worse cells are noisier), and each cell's own repeats are combined with that trend
(:mod:`zonesearch.statistics.variance_trend`); if no cell has repeats, the trend is estimated from what neighbours do
not explain (``statistics.differences``). **Examples**: all cells are evaluated on the same finite validation set, so
two cells are compared example by example (``statistics.examples``) where it was recorded which examples were right;
where only the value is known, the seeds part is used alone. Differences are judged by Student's t with the degrees of
freedom of both parts (Welch 1947, Satterthwaite 1946).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median_low

import numpy as np
import numpy.typing as npt

from zonesearch.core.metric import ACCURACY, Metric
from zonesearch.core.reading import BEST, Reading
from zonesearch.core.space import Space
from zonesearch.core.trials import Params, Training, Trial, Trials
from zonesearch.statistics import distributions
from zonesearch.statistics.differences import residuals
from zonesearch.statistics.distributions import normal_quantile
from zonesearch.statistics.examples import Answering, Shared, answering, n_right, shared
from zonesearch.statistics.variance_trend import Moderated, Slope, fit_residuals, fit_variances

__all__ = [
    "Badness",
    "Cell",
    "Gap",
    "Noise",
    "cell_of",
    "map_cells",
    "measure_noise",
    "preferred",
    "t_quantile",
]

Array = npt.NDArray[np.float64]

_NO_N = 1e-4  # resolution assumed for an error when the number of examples is unknown
_SHARE = Slope(mean=1.0, sd=1.0, beyond=1.0)  # in log-odds of the error: 1 for what is counted, 2 where the sd follows
_RANK = Slope(mean=0.0, sd=1.0, beyond=0.5)
_FEW_RESIDUALS = 8  # contrasts of neighbours: fewer are used only if there are no others
_EXACT = 1e-12  # standard deviations below this fraction of a value are rounding
_TABLE = 65  # quantiles that stand for the ranks of a map


@dataclass(frozen=True)
class Cell:
    """The results at one point of the space: one value per complete seed.

    Args:
        params: the point.
        values: values of the metric by the reading, in their own sign, one per complete seed; empty if no seed
            completed.
        n_validation: number of validation examples behind each value, None when unknown.
        n_parameters: number of free parameters of the network.
        n_lost: number of seeds that diverged or failed.
        metric: what the values are of.
        right: for each value, which examples were right (packed bits); empty if only values are known.
        n_steps: optimizer steps of one training; ``cost`` the cost that the objective reports for the setting.
        violation: the ``violation`` that the objective reports, median over seeds (of an even number the lower one);
            the point is infeasible if above 0, so if more than half of its trainings violate. None if nothing is
            reported.
    """

    params: Params
    values: tuple[float, ...]
    n_validation: int | None = None
    n_parameters: int | None = None
    n_lost: int = 0
    metric: Metric = ACCURACY
    right: tuple[bytes, ...] = ()
    n_steps: int | None = None
    cost: float | None = None
    violation: float | None = None

    @property
    def feasible(self) -> bool:
        """Whether at most half of its trainings report a violation; an infeasible cell keeps its value but is never a
        peak.
        """
        return self.violation is None or self.violation <= 0

    @cached_property
    def mean(self) -> float:
        """The mean over the seeds; NaN when no seed was complete."""
        return math.fsum(self.values) / len(self.values) if self.values else math.nan

    @property
    def score(self) -> float:
        """The mean, with its sign changed if necessary so that larger is better."""
        return self.metric.score(self.mean)

    @cached_property
    def spread(self) -> float:
        """The variance of a single value estimated from the cell's own repeats; 0 with fewer than two."""
        n = len(self.values)
        return math.fsum((value - self.mean) ** 2 for value in self.values) / (n - 1) if n > 1 else 0.0


@dataclass(frozen=True)
class Badness:
    """The x of the trend, which rises as cells get worse: log-odds of the error for fractions, ranks otherwise.

    Args:
        metric: of the values.
        least: for fractions: added to the error and to 1 minus the error, so that log-odds stay finite.
        scores: for everything else: quantiles of the map's scores, rising; x is their rank as a normal deviate.
    """

    metric: Metric
    least: float = _NO_N
    scores: tuple[float, ...] = ()

    @classmethod
    def of(cls, cells: Sequence[Cell]) -> Badness:
        """For a map with at least one cell that has a value."""
        known = [cell for cell in cells if cell.values]
        metric = known[0].metric
        if metric.is_share and all(0.0 <= value <= 1.0 for cell in known for value in cell.values):
            n = next((cell.n_validation for cell in known if cell.n_validation), None)
            return cls(metric, 0.5 / n if n else _NO_N)
        scores = np.quantile([cell.score for cell in known], np.linspace(0, 1, min(_TABLE, max(2, len(known)))))
        return cls(metric, scores=tuple(scores.tolist()))

    @property
    def slope(self) -> Slope:
        """Prior belief about the trend."""
        return _RANK if self.scores else _SHARE

    def __call__(self, means: Array) -> Array:
        """X of mean values in their own sign; same shape."""
        means = np.asarray(means, dtype=float)
        if not self.scores:
            error = 1 - means if self.metric.maximized else means
            odds: Array = np.log((error + self.least) / (1 - error + self.least))
            return odds
        n = len(self.scores)
        deviates = np.array([-normal_quantile((i + 0.5) / n) for i in range(n)])
        scores = means if self.metric.maximized else -means
        x: Array = np.interp(scores, self.scores, deviates)
        return x


@dataclass(frozen=True)
class Gap:
    """The difference of two cells.

    Args:
        difference: of their scores, first minus second: above 0 when the first is better.
        seeds: variance of the difference due to seeds; ``examples`` that due to the finite validation set, 0 if it is
            not known which examples were right.
        degrees: degrees of freedom of both together; infinite if the variance is given rather than measured.
    """

    difference: float
    seeds: float
    examples: float
    degrees: float

    @property
    def se(self) -> float:
        """The standard error of the difference."""
        return math.sqrt(self.seeds + self.examples)


@dataclass(frozen=True)
class Noise:
    """The noise of a map.

    Args:
        seed_variance: variance of a single training, in squared units of the metric; with a trend, the mean over the
            repeated cells.
        degrees: its degrees of freedom; 0 if it was not measured by repeats.
        source: ``seeds``, ``differences`` or ``none``.
        trend: the variance of a single training as a function of x; None if it is constant.
        badness: computes x.
        answering: what the answers of all cells have in common, if it is known which examples were right.
    """

    seed_variance: float = 0.0
    degrees: int = 0
    source: str = "none"
    trend: Moderated | None = None
    badness: Badness | None = None
    answering: Answering = Answering()

    def estimates(self, cells: Sequence[Cell]) -> tuple[Array, Array]:
        """The variance of each cell's mean due to seeds, and its degrees of freedom; shape (n,) each.

        The variance is infinite for cells without a value; the degrees are infinite if the variance is given rather
        than measured.
        """
        counts = np.array([len(cell.values) for cell in cells], dtype=float)
        if self.trend is None or self.badness is None:
            single = np.full(len(cells), self.seed_variance)
            degrees = np.full(len(cells), float(self.degrees) if self.degrees else math.inf)
        else:
            x = self.badness(np.array([cell.mean for cell in cells]))
            own = np.array([cell.spread for cell in cells])
            single, degrees = self.trend.moderated(x, own, np.maximum(counts - 1, 0.0))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(counts > 0, single / counts, math.inf), degrees

    def variance(self, cell: Cell) -> float:
        """The variance of the cell's mean due to seeds, for comparisons within this validation set."""
        return float(self.estimates([cell])[0][0])

    def se(self, cell: Cell) -> float:
        """The standard error of the cell's mean due to seeds."""
        return math.sqrt(self.variance(cell))

    def half_width(self, cell: Cell, level: float = 0.95) -> float:
        """Half-width of Student's interval of the cell's mean over new seeds."""
        variance, degrees = self.estimates([cell])
        return t_quantile(level, float(degrees[0])) * math.sqrt(float(variance[0]))

    def examples(self, a: Cell, b: Cell) -> Shared:
        """The contribution of the finite validation set to the difference of two cells; 0 if unknown."""
        if not a.right or not b.right or not a.n_validation or a.n_validation != b.n_validation:
            return Shared(0.0, 0.0, math.inf)
        return shared(a.right, b.right, a.n_validation, self.answering)

    def gap(self, a: Cell, b: Cell) -> Gap:
        """The difference between two cells that both have a value."""
        variances, degrees = self.estimates([a, b])
        found = self.examples(a, b)
        seeds = [(float(v), float(d)) for v, d in zip(variances, degrees, strict=True)]
        return Gap(a.score - b.score, seeds[0][0] + seeds[1][0], found.variance, welch(seeds, found))


def welch(seeds: Sequence[tuple[float, float]], examples: Shared | None = None) -> float:
    """Degrees of freedom of a sum of variances, including the examples' part (Welch 1947, Satterthwaite 1946); at least
    1.
    """
    parts = [*seeds, (examples.variance, examples.degrees)] if examples else seeds
    total = math.fsum(variance for variance, _ in parts)
    if not 0.0 < total < math.inf:
        return math.inf
    # Relative to the total: squared variances may overflow or underflow.
    weight = math.fsum((variance / total) ** 2 / degrees for variance, degrees in parts if degrees < math.inf)
    return max(1.0, 1 / weight) if weight > 0 else math.inf


def t_quantile(level: float, degrees: float) -> float:
    """The two-sided quantile of Student's t; of the normal distribution for infinite ``degrees``."""
    tail = 0.5 + level / 2
    return distributions.t_quantile(tail, degrees)


def preferred(cell: Cell) -> tuple[float, float]:
    """Sorts cells with a value: feasible ones by value, best first, then the others by violation."""
    return 0.0 if cell.feasible else cell.violation or 0.0, -cell.score


def map_cells(
    points: Iterable[Params], trials: Trials, *, seeds: Sequence[int], epochs: int, reading: Reading = BEST
) -> list[Cell]:
    """The cells at ``points``, in that order, from the trials with these seeds, read after ``epochs`` epochs."""
    return [cell_of(params, [Training(params, seed, epochs) for seed in seeds], trials, reading) for params in points]


def cell_of(params: Params, trainings: Sequence[Training], trials: Trials, reading: Reading = BEST) -> Cell:
    """The cell at ``params``, whose seeds are ``trainings``."""
    values: list[float] = []
    complete: list[Trial] = []
    n_validation = n_parameters = n_steps = cost = None
    n_lost = 0
    for training in trainings:
        trial = trials.get(training)
        if trial is None:
            continue
        if trial.accuracy is None:
            n_lost += 1
            continue
        values.append(trial.value(reading))
        complete.append(trial)
        n_validation = n_validation or trial.n_validation
        n_parameters = trial.n_parameters if n_parameters is None else n_parameters
        n_steps = trial.n_steps if n_steps is None else n_steps
        cost = trial.cost if cost is None else cost
    if not complete:
        return Cell(dict(params), (), n_lost=n_lost)
    n = n_validation or None
    right = _answers(complete, values, n) if complete[0].right else ()
    metric = complete[0].metric
    violations = [trial.violation for trial in complete if trial.violation is not None]
    violation = median_low(violations) if violations else None
    return Cell(dict(params), tuple(values), n, n_parameters, n_lost, metric, right, n_steps, cost, violation)


def _answers(complete: Sequence[Trial], values: Sequence[float], n: int | None) -> tuple[bytes, ...]:
    """Which examples were right with each seed; empty unless that is known for every seed at the epoch read."""
    if not n:
        return ()
    for trial, value in zip(complete, values, strict=True):
        fits = len(trial.right) == -(-n // 8) and trial.n_validation == n
        if not fits or abs(n_right(trial.right) / n - value) > 1e-6:
            return ()
    return tuple(trial.right for trial in complete)


def measure_noise(cells: Sequence[Cell], space: Space | None = None) -> Noise:
    """The noise of the map of ``cells``: between seeds if any cell has several; otherwise, given ``space``, from what
    neighbours do not explain; otherwise none.
    """
    known = [cell for cell in cells if cell.values]
    repeated = [cell for cell in known if len(cell.values) > 1]
    if repeated:
        degrees = np.array([len(cell.values) - 1.0 for cell in repeated])
        variances = np.array([cell.spread for cell in repeated])
        pooled = float(np.average(variances, weights=degrees))
        if pooled <= (_EXACT * max(abs(cell.mean) for cell in repeated)) ** 2:
            return Noise(0.0, int(degrees.sum()), "seeds", answering=_answering(known))
        badness = Badness.of(known)
        x = badness(np.array([cell.mean for cell in repeated]))
        trend = fit_variances(x, variances, degrees, badness.slope)
        return Noise(pooled, int(degrees.sum()), "seeds", trend, badness, _answering(known))
    if space is None or not known:
        return Noise()
    badness = Badness.of(known)
    means = np.array([cell.mean for cell in known])
    x = badness(means)
    values, slopes = _stretched(known, badness)
    trends: list[Moderated] = []
    for places, found in residuals(space, [cell.params for cell in known], values):
        squares = (found / slopes[places]) ** 2
        if not squares.any():
            return Noise(0.0, 0, "differences")
        if len(squares) >= _FEW_RESIDUALS or not trends:
            trends.append(fit_residuals(x[places], squares, badness.slope))
    if not trends:
        return Noise()
    better = np.sort(x)[: max(1, len(x) // 2)]
    trend = min(trends, key=lambda trend: float(np.median(trend.variance(better))))
    return Noise(float(np.median(trend.variance(better))), 0, "differences", trend, badness)


def _stretched(known: Sequence[Cell], badness: Badness) -> tuple[Array, Array]:
    """The cells' values on a scale where noise is more uniform and the surface closer to quadratic, and that scale's
    slope; shape (n,) each.

    For fractions, the log-odds; for anything else, the logarithm of the distance to the best plus an eighth of the
    median distance, so that it stays finite at the best itself.
    """
    values = np.array([cell.mean for cell in known])
    if not badness.scores:
        return badness(values), 1.0 / (values + badness.least) + 1.0 / (1 - values + badness.least)
    scores = np.array([cell.score for cell in known])
    lack = scores.max() - scores
    usual = float(np.median(lack)) / 8
    if usual <= 0.0:
        return scores, np.ones_like(scores)
    return np.log(lack + usual), 1.0 / (lack + usual)


def _answering(known: Sequence[Cell]) -> Answering:
    """What the answers of the cells have in common."""
    best = sorted((cell for cell in known if cell.right), key=lambda cell: -cell.score)
    same = [cell.right for cell in best if cell.n_validation == best[0].n_validation]
    return answering(same, best[0].n_validation) if same and best[0].n_validation else Answering()
