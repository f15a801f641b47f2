"""What the source said about its map, held against ours: each statement as a function of a recorded map.

The source trained each cell once and read the last epoch. Statements about how its picture looks are checked in that
reading, and at the best epoch too. A verdict follows from intervals alone, by the rule in the function's docstring.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats

from benchmarks.pictures import LEVEL, Array, Interval, Picture, mean_interval, n_peaks, share_interval
from zonesearch.benchmark.recorded import RecordedMap
from zonesearch.core.reading import BEST, Reading
from zonesearch.statistics.noise import map_cells, measure_noise
from zonesearch.statistics.zones import Zone, find_zones

__all__ = [
    "LAST",
    "Statement",
    "all_ones",
    "cells_alike",
    "differs_later",
    "indistinguishable",
    "one_optimum",
    "repeats_differ",
    "settles",
    "shows_a_zone",
    "spread_of_width",
    "statements_table",
    "zones_of",
]

LAST = Reading("last")
HELD, FAILED, OPPOSITE, PARTLY, OPEN = "held", "did not hold", "the opposite holds", "held in part", "cannot be told"

_RESAMPLES = 500
_ABOUT = 0.25
_ONE = 0.99995
"""What Keras prints as 1.0000."""


@dataclass(frozen=True)
class Statement:
    """One statement.

    Args:
        says: the statement in words, with the source's number.
        here: what was found, with intervals and n.
        verdict: in words.
    """

    says: str
    here: str
    verdict: str


def one_optimum(picture: Picture) -> Statement:
    """Along the widths of one batch size accuracy neither grows steadily nor has one optimum.

    Held when most batch sizes have a fall and a second optimum beyond the noise (at a level for all pairs of all rows
    together), in either reading; did not hold when none has either.
    """
    n_compared = len(picture.batches) * math.comb(len(picture.widths), 2)
    said, counts = [], []
    n = len(picture.batches)
    for name, reading in (("last epoch", LAST), ("best epoch", BEST)):
        rows = list(picture.rows(reading))
        falls = sum(row.falls(n_compared) for row in rows)
        second = sum(row.optima(n_compared) > 1 for row in rows)
        rises = sum(row.rises() for row in rows)
        single = np.mean([n_peaks(row.values[:, seed]) for row in rows for seed in range(row.n_seeds)])
        counts.append((falls, second))
        said.append(
            f"{name}: one seed alone shows {single:.1f} optima a row; beyond the noise a wider network is worse in "
            f"{falls} of {n} rows, a second optimum stands in {second}, the widest beats the narrowest in {rises}"
        )
    same = [_same_steps(row.values) for row in picture.rows(LAST)]
    said.append(f"steps between neighbours go the same way with another seed in {_percent(mean_interval(same))}")
    if any(falls > n / 2 and second > n / 2 for falls, second in counts):
        verdict = HELD
    else:
        verdict = f"{FAILED}: what looks so is noise" if not any(map(any, counts)) else PARTLY
    if picture.n_seeds < 2:
        verdict = OPEN
    return Statement("at one batch size accuracy neither grows steadily nor has one optimum", "; ".join(said), verdict)


def _same_steps(values: Array) -> float:
    """The share of steps from one width to the next whose sign two seeds share, over all pairs of seeds."""
    signs = np.sign(np.diff(values, axis=0))
    pairs = list(combinations(range(values.shape[1]), 2))
    return float(np.mean([np.mean(signs[:, a] == signs[:, b]) for a, b in pairs])) if pairs else math.nan


def _changes(picture: Picture, before: int, after: int) -> Array:
    """How far each training moved between two epochs against the mean of its row and seed, in points; shape
    (n_batches * n_widths * n_seeds,). They are taken as independent, though those of a row move around their mean.
    """
    moved = picture.curves[..., after - 1] - picture.curves[..., before - 1]
    found: Array = np.abs(moved - moved.mean(axis=1, keepdims=True)).ravel()
    return found


def differs_later(picture: Picture, before: int = 20, after: int = 40) -> Statement:
    """The picture at 20 epochs differs from the one at 40.

    Held when cells move further between these epochs than from one epoch to the next, by an interval above 0 of the
    difference paired by training.
    """
    moved, jitter = _changes(picture, before, after), _changes(picture, after - 1, after)
    more = mean_interval(moved - jitter)
    verdict = HELD if more.low > 0 else f"{FAILED} beyond the jitter from one epoch to the next" if more.n > 1 else OPEN
    here = (
        f"cells move {mean_interval(moved).text()} points against each other from epoch {before} to {after}, and "
        f"{mean_interval(jitter).text()} from {after - 1} to {after}: {more.text(sign=True)} more ({more.n} trainings)"
    )
    return Statement(f"the picture at {before} epochs differs from that at {after}", here, verdict)


def settles(longer: Picture) -> Statement:
    """It settles by 60 to 80 epochs (at batch 64).

    Held when cells move less from 60 to 80 than from 20 to 40, by an interval of the difference paired by training.
    """
    early, late, jitter = (_changes(longer, a, b) for a, b in ((20, 40), (60, 80), (79, 80)))
    less, beyond = mean_interval(early - late), mean_interval(late - jitter)
    said = ", ".join(
        f"{a} to {b}: {mean_interval(_changes(longer, a, b)).text()}"
        for a, b in ((20, 40), (40, 60), (60, 80), (79, 80))
    )
    top = _top_widths(longer)
    verdict = HELD if less.low > 0 else OPPOSITE if less.high < 0 else OPEN
    here = (
        f"batch 64, points that cells move against each other, epochs {said} ({longer.n_seeds} seeds); from 60 to 80 "
        f"{less.text(sign=True)} less than from 20 to 40, {beyond.text(sign=True)} more than from 79 to 80; best width "
        f"at 20, 40, 60, 80: {top}"
    )
    return Statement("... and is settled at 60 to 80", here, verdict)


def _top_widths(longer: Picture) -> str:
    def top(epochs: int) -> str:
        seeds = longer.curves[0, :, :, epochs - 1]
        return "/".join(str(longer.widths[int(i)]) for i in seeds.argmax(axis=0))

    return ", ".join(top(epochs) for epochs in (20, 40, 60, 80))


def zones_of(recorded: RecordedMap) -> tuple[Zone, ...]:
    """The zones of a recorded map, as the stage grid finds them."""
    trials = recorded.trials
    cells = map_cells(
        recorded.space.grid(), trials, seeds=range(recorded.n_seeds), epochs=recorded.epochs, reading=recorded.reading
    )
    return find_zones(recorded.space, cells, measure_noise(cells, recorded.space))


def shows_a_zone(recorded: RecordedMap) -> Statement:
    """A zone shows.

    Held when the first zone has several cells and leaves out at least half of the map, and the ranks of the cells agree
    between seeds (interval above 0, by resampling cells).
    """
    picture = Picture.of(recorded)
    zone = zones_of(recorded)[0]
    n = len(recorded.cells)
    whole, inside = _agreement(picture, None), _agreement(picture, zone)
    good = 1 < len(zone.cells) <= n / 2 and whole.low > 0
    peak = f"{zone.peak['width']} x {zone.peak['batch']}"
    among = f", {inside.text()} within the zone" if inside.n > 3 else ""
    here = (
        f"zone 1 around {peak} (width x batch) has {len(zone.cells)} of {n} cells ({recorded.n_seeds} seeds, best "
        f"epoch); ranks of cells correlate by {whole.text()} between two seeds{among}"
    )
    return Statement("a zone shows", here, HELD if good else FAILED if whole.low <= 0 else PARTLY)


def _agreement(picture: Picture, zone: Zone | None) -> Interval:
    """Spearman's correlation between the maps of two seeds, mean over the pairs; its interval by resampling cells."""
    values = picture.read(BEST).reshape(-1, picture.n_seeds)
    if zone is not None:
        places = [
            picture.batches.index(int(cell["batch"])) * len(picture.widths) + picture.widths.index(int(cell["width"]))
            for cell in zone.cells
        ]
        values = values[places]
    n = len(values)
    if n < 4 or picture.n_seeds < 2:
        return Interval(math.nan, math.nan, math.nan, n)
    rng = np.random.default_rng(0)
    drawn = [_correlation(values[rng.integers(n, size=n)]) for _ in range(_RESAMPLES)]
    low, high = np.nanquantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(_correlation(values), float(low), float(high), n)


def _correlation(values: Array) -> float:
    """Mean over pairs of seeds; NaN where a resample holds one cell only."""
    ranks = stats.rankdata(values, axis=0)
    with np.errstate(invalid="ignore"):
        found = np.corrcoef(ranks, rowvar=False)
    return float(np.mean([found[a, b] for a, b in combinations(range(values.shape[1]), 2)]))


def cells_alike(picture: Picture, cells: Sequence[tuple[int, int]], margin: float) -> Statement:
    """Some cells (width, batch) are alike.

    Held when the intervals of all differences (at a level for all pairs together) lie within ``margin``, in points; the
    opposite holds when one lies beyond 0 altogether. Both readings must agree.
    """
    said, verdicts = [], []
    for name, reading in (("last epoch", LAST), ("best epoch", BEST)):
        rows = {row.batch: row for row in picture.rows(reading)}
        values = [picture.at(reading, width, batch) for width, batch in cells]
        n_pairs, n = math.comb(len(cells), 2), picture.n_seeds
        degrees = (n - 1) * len(picture.widths)
        quantile = float(stats.t.ppf(1 - (1 - LEVEL) / (2 * n_pairs), degrees)) if degrees else math.inf
        gaps = []
        for (a, first), (b, second) in combinations(list(zip(cells, values, strict=True)), 2):
            half = quantile * math.sqrt((rows[a[1]].variance + rows[b[1]].variance) / n)
            gap = float(first.mean() - second.mean())
            gaps.append(Interval(gap, gap - half, gap + half, n))
        widest = max(gaps, key=lambda gap: abs(gap.value))
        apart = sum(gap.low > 0 or gap.high < 0 for gap in gaps)
        within = all(-margin < gap.low and gap.high < margin for gap in gaps)
        means = ", ".join(f"{value.mean():.2f}" for value in values)
        said.append(
            f"{name} {means}, largest difference {widest.text(sign=True)}, {apart} of {n_pairs} pairs told apart"
        )
        verdicts.append(OPPOSITE if apart else f"{HELD}, within {margin:g} points" if within else OPEN)
    names = ", ".join(f"{width} x {batch}" for width, batch in cells)
    verdict = verdicts[0] if verdicts[0] == verdicts[1] else f"last epoch: {verdicts[0]}; best epoch: {verdicts[1]}"
    return Statement(
        f"four cells are alike: {names} (width x batch)", f"{'; '.join(said)} ({picture.n_seeds} seeds)", verdict
    )


def all_ones(pictures: Sequence[Picture], batch: int = 64, epochs: int = 40) -> Statement:
    """Widths to 2048 reach training accuracy 1.0 at 40 epochs.

    At epoch 40 itself, as four digits show it. Held when Wilson's interval of the share of trainings lies above one
    half, did not hold when it lies below.
    """
    found: dict[int, tuple[Array, Array]] = {}
    for picture in pictures:
        for j, width in enumerate(picture.widths):
            curves = picture.train[picture.batches.index(batch), j, :, :epochs]
            found[width] = (curves[:, -1], curves.max(axis=1))
    last = np.concatenate([found[width][0] for width in found])
    best = np.concatenate([found[width][1] for width in found])
    share = share_interval(int((last >= 100 * _ONE).sum()), len(last))
    ever = share_interval(int((best >= 100 * _ONE).sum()), len(best))
    verdict = HELD if share.low > 0.5 else FAILED if share.high < 0.5 else OPEN
    each = ", ".join(f"{width}: {found[width][0].mean():.2f}" for width in sorted(found))
    here = (
        f"batch {batch}, training accuracy of epoch {epochs} by width {each}; 1.0000 in {_percent(share)} of {share.n} "
        f"trainings, in some epoch before in {_percent(ever)}"
    )
    return Statement(f"widths to {max(found)} reach training accuracy 1.0 at {epochs} epochs", here, verdict)


def repeats_differ(picture: Picture, claimed: float) -> Statement:
    """Repeats of a cell differ by ``claimed`` points on average (last epoch).

    Held when the interval of the mean difference of two repeats, over the cells, reaches the number; else less or more.
    """
    pairs = list(combinations(range(picture.n_seeds), 2))
    if not pairs:
        return Statement(f"repeats of a cell differ by {claimed:g} points on average", "one seed", OPEN)

    def differ(values: Array) -> Interval:
        gaps = np.array([np.abs(values[..., a] - values[..., b]) for a, b in pairs]).mean(axis=0)
        return mean_interval(gaps.ravel())

    last, best = differ(picture.read(LAST)), differ(picture.read(BEST))
    here = f"last epoch {last.text()}, best epoch {best.text()} ({last.n} cells, {picture.n_seeds} seeds)"
    return Statement(f"repeats of a cell differ by {claimed:g} points on average", here, _by(last, claimed))


def spread_of_width(picture: Picture, width: int, claimed: float) -> Statement:
    """All trainings of one width, over all batch sizes, spread over ``claimed`` points (last epoch).

    A range grows with the number of trainings, so that of one seed at a time is given too. Held when the range of all
    is within a quarter of the number.
    """
    values = picture.read(LAST)[:, picture.widths.index(width)]
    each, whole = mean_interval(np.ptp(values, axis=0)), float(np.ptp(values))
    read = picture.read(BEST)[:, picture.widths.index(width)]
    means = ", ".join(f"{b}: {m:.2f}" for b, m in zip(picture.batches, values.mean(axis=1), strict=True))
    here = (
        f"last epoch {whole:.2f} over all {values.size} trainings ({values.min():.2f} to {values.max():.2f}), one seed "
        f"at a time {each.text()} (n = {each.n}); best epoch {float(np.ptp(read)):.2f}; means by batch {means}"
    )
    wide = "narrower" if whole < claimed else "wider"
    verdict = f"{HELD}, about as wide" if abs(whole / claimed - 1) <= _ABOUT else f"{FAILED}: {wide}"
    return Statement(f"at {width} neurons all batch sizes together spread over {claimed:g} points", here, verdict)


def _by(found: Interval, claimed: float) -> str:
    if math.isnan(found.low):
        return OPEN
    if found.low <= claimed <= found.high:
        return HELD
    return f"{FAILED}: {'less' if found.high < claimed else 'more'}"


def indistinguishable(first: int, second: int, n: int) -> Statement:
    """Two test accuracies cannot be told apart by Wilson's interval: a statement of arithmetic."""
    a, b = share_interval(first, n), share_interval(second, n)
    table = [[first, n - first], [second, n - second]]
    p_value = float(stats.fisher_exact(table).pvalue)
    told = a.low > b.value or a.high < b.value
    here = f"Wilson {_percent(a)} and {_percent(b)}; Fisher's exact test p = {p_value:.2f} (one training each)"
    says = f"{100 * first / n:.2f} (a plain grid) and {100 * second / n:.2f} (careful work) cannot be told apart"
    return Statement(says, here, FAILED if told else HELD)


def _percent(share: Interval) -> str:
    scaled = Interval(100 * share.value, 100 * share.low, 100 * share.high, share.n)
    return scaled.text(2 if share.n > 1000 else 0, "") + " %"


def statements_table(statements: Sequence[Statement]) -> str:
    """As a Markdown table."""
    rows = ["| said there | found here, 95 % intervals | verdict |", "| --- | --- | --- |"]
    rows += [f"| {found.says} | {found.here} | {found.verdict} |" for found in statements]
    return "\n".join(rows)
