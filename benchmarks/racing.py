"""Racing finalists: how often an equal one is wronged, how often a worse one is found, and what it saves.

Simulated finalists with normal noise between seeds of standard deviation 1; "fixed" gives every finalist all seeds and
judges once (Holm over all pairs), "race" is ``race.run_race``. ``python -m benchmarks.racing``
prints the tables in docs/search-methods.md and docs/zones.md.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence

import numpy as np

from zonesearch.statistics.candidates import Finalist
from zonesearch.statistics.race import Race, run_race
from zonesearch.statistics.significance import t_interval
from zonesearch.statistics.verdict import Repeats, Verdict, judge


def play(values: np.ndarray, level: float, margin: float) -> tuple[Race, Verdict]:
    """One race over ``values`` (finalists, seeds), and the verdict that all its seeds give."""
    rows = [dict(enumerate(row)) for row in values.tolist()]
    race = run_race(rows, [set(row) for row in rows], range(values.shape[1]), level=level, margin=margin)
    repeats = [Repeats(Finalist({"i": i}, "", 0.0, number=i), row, {}) for i, row in enumerate(rows)]
    return race, judge(repeats, level=level)


def table(differences: Sequence[float], n_races: int, finalists: int, seeds: int, level: float, margin: float) -> None:
    """Print one line per difference between the best finalist and all others, in standard deviations."""
    print(f"\n{finalists} finalists, at most {seeds} seeds, level {level}, margin {margin}, {n_races} races a line\n")
    print("| best above by (sd) | said wrongly | same, fixed | worse ones found | same, fixed | seeds saved | ends |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for difference in differences:
        rng = np.random.default_rng([finalists, seeds, round(100 * difference)])
        wrong = wrong_fixed = saved = 0
        found: list[float] = []
        found_fixed: list[float] = []
        ends: dict[str, int] = {}
        for _ in range(n_races):
            values = rng.normal(0, 1, (finalists, seeds))
            values[0] += difference
            race, verdict = play(values, level, margin)
            fixed = {s.finalist.number: s.differs for s in verdict.standings}
            worse = range(1, finalists) if difference else range(0)
            wrong += race.left[0] if difference else any(race.left)
            wrong_fixed += fixed[0] if difference else any(fixed.values())
            found += [race.left[i] for i in worse]
            found_fixed += [fixed[i] for i in worse]
            saved += race.n_saved
            ends[race.ending] = ends.get(race.ending, 0) + 1
        se = math.sqrt(wrong / n_races * (1 - wrong / n_races) / n_races)
        shares = ", ".join(f"{name} {100 * n / n_races:.0f} %" for name, n in sorted(ends.items()))
        power = [f"{100 * np.mean(p):.1f} %" if p else "" for p in (found, found_fixed)]
        print(
            f"| {difference:g} | {100 * wrong / n_races:.1f} +- {100 * se:.1f} % | {100 * wrong_fixed / n_races:.1f} % "
            f"| {power[0]} | {power[1]} | {100 * saved / n_races / finalists / seeds:.0f} % | {shares} |",
            flush=True,
        )


def behind(n_runs: int, level: float) -> None:
    """How often the cheapest is further behind the best finalist than the verdict's "at most"; true means are drawn
    with the standard deviation of the line, and later finalists are cheaper.
    """
    print(f"\nTrue difference beyond what the verdict says at most, level {level}, {n_runs} runs a line\n")
    print("| finalists | seeds | sd of true means | beyond | after a race | median at most | median difference |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for finalists, seeds in [(2, 3), (3, 7), (5, 5), (5, 7), (5, 20)]:
        for spread in (0.0, 0.5, 1.0):
            rng = np.random.default_rng([finalists, seeds, round(10 * spread), 1])
            beyond, raced = 0, 0
            most, real = [], []
            for _ in range(n_runs):
                means = rng.normal(0, spread, finalists)
                values = means[:, None] + rng.normal(0, 1, (finalists, seeds))
                race = play(values, level, 0.0)[0]
                rows = [dict(enumerate(row)) for row in values.tolist()]
                fixed = judge(_costed(rows), level=level)
                given = [dict(list(row.items())[:n]) for row, n in zip(rows, race.n_seeds, strict=True)]
                after = judge(_costed(given), level=level, race=race)
                beyond += _is_beyond(fixed, means)
                raced += _is_beyond(after, means)
                if fixed.best is not None and fixed.cheapest is not None and fixed.best is not fixed.cheapest:
                    most.append(fixed.cheapest.behind_at_most)
                    real.append(_shortfall(fixed, means))
            print(
                f"| {finalists} | {seeds} | {spread:g} | {100 * beyond / n_runs:.1f} % | {100 * raced / n_runs:.1f} % "
                f"| {np.median(most):.2f} | {np.median(real):.2f} |",
                flush=True,
            )


def _costed(rows: Sequence[dict[int, float]]) -> list[Repeats]:
    return [
        Repeats(Finalist({"i": i}, "", 0.0, number=i), row, {}, n_parameters=len(rows) - i)
        for i, row in enumerate(rows)
    ]


def _shortfall(verdict: Verdict, means: np.ndarray) -> float:
    """The true difference between the best finalist and the cheapest of those like it."""
    assert verdict.best is not None
    assert verdict.cheapest is not None
    return float(means[verdict.best.finalist.params["i"]] - means[verdict.cheapest.finalist.params["i"]])  # type: ignore[call-overload]


def _is_beyond(verdict: Verdict, means: np.ndarray) -> bool:
    return verdict.cheapest is not None and _shortfall(verdict, means) > verdict.cheapest.behind_at_most


def coverage(n_runs: int, level: float) -> None:
    """How often the interval of the best finalist holds its true mean, though it was picked; all finalists equal."""
    print(f"\nInterval of the best of equal finalists at level {level}, {n_runs} runs a line\n")
    print("| finalists | seeds | named beforehand | as the verdict has it | after a race |")
    print("| --- | --- | --- | --- | --- |")
    for finalists, seeds in [(1, 5), (2, 3), (3, 7), (5, 5), (5, 7), (7, 5), (5, 20)]:
        rng = np.random.default_rng([finalists, seeds])
        plain = picked = raced = 0
        for _ in range(n_runs):
            values = rng.normal(0, 1, (finalists, seeds))
            race, verdict = play(values, level, 0.0)
            assert verdict.best is not None
            low, high = t_interval(list(verdict.best.accuracies.values()), level)
            plain += low <= 0.0 <= high
            picked += verdict.best.seed_interval[0] <= 0.0 <= verdict.best.seed_interval[1]
            given = [dict(enumerate(row[:n])) for row, n in zip(values.tolist(), race.n_seeds, strict=True)]
            after = judge(
                [Repeats(Finalist({"i": i}, "", 0.0, number=i), row, {}) for i, row in enumerate(given)],
                level=level,
                race=race,
            )
            assert after.best is not None
            raced += after.best.seed_interval[0] <= 0.0 <= after.best.seed_interval[1]
        shares = (f"{100 * n / n_runs:.1f} %" for n in (plain, picked, raced))
        print(f"| {finalists} | {seeds} | {' | '.join(shares)} |", flush=True)


def shared_examples(n_runs: int, level: float) -> None:
    """How often equal finalists are said to differ when they answer one small test set: by seeds alone, and by both."""
    print(f"\nTwo equal finalists on 300 shared test examples, 5 seeds, level {level}, {n_runs} runs\n")
    print("| compared over | said wrongly |")
    print("| --- | --- |")
    wrong = {"seeds": 0, "seeds and examples": 0}
    for run in range(n_runs):
        rng = np.random.default_rng([300, run])
        hard = rng.normal(0, 1, 300)
        pair = []
        for i in range(2):
            own = hard + 0.5 * rng.normal(0, 1, 300)
            rows = {seed: 1.8 - own + 0.7 * rng.normal(0, 1, 300) > 0 for seed in range(5)}
            pair.append((i, {s: float(r.mean()) for s, r in rows.items()}, rows))
        for name in wrong:
            repeats = [
                Repeats(
                    Finalist({"i": i}, "", 0.0, number=i),
                    values,
                    values,
                    n_test=300,
                    right={s: np.packbits(r).tobytes() for s, r in rows.items()} if name != "seeds" else {},
                )
                for i, values, rows in pair
            ]
            wrong[name] += any(standing.differs for standing in judge(repeats, level=level).standings)
    for name, n in wrong.items():
        print(f"| {name} | {100 * n / n_runs:.1f} % |", flush=True)


def main() -> None:
    """Both sizes, without a margin and with one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--races", type=int, default=2000)
    parser.add_argument("--power-races", type=int, default=300)
    parser.add_argument("--level", type=float, default=0.95)
    arguments = parser.parse_args()
    for finalists, seeds, margin in [(5, 5, 0.0), (5, 10, 0.0), (5, 20, 0.0), (3, 20, 2.0)]:
        table([0.0], arguments.races, finalists, seeds, arguments.level, margin)
        table([0.5, 1.0, 1.5, 2.0], arguments.power_races, finalists, seeds, arguments.level, margin)
    coverage(arguments.races, arguments.level)
    behind(arguments.races, arguments.level)
    shared_examples(arguments.races, arguments.level)


if __name__ == "__main__":
    main()
