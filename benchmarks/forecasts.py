"""How often forecasts before a search hold: intervals of the best values, and trainings that separate the best two.

``python -m benchmarks.forecasts CORPUS.npz PRIOR.npz --families mnist [--out FILE.json]`` with a prior that was made
without these families; ``--table FILE.json ...`` sums up several. Truth is the surface fitted to a task's recorded
settings (:class:`benchmarks.controller.Surface`) and the noise between its two seeds, by the same definitions.

With ``--taught K`` every forecast is made after K earlier runs of 25 trainings on other tasks of the family.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

import zonesearch.search.controller.stage as controller_stage
from benchmarks.controller import Surface
from benchmarks.home import Shifted
from controller.recorded import read_corpus
from zonesearch.search.controller.foresight import differing, foresee, shortest, spread_points, trainings_to_separate
from zonesearch.search.controller.lessons import Lesson
from zonesearch.search.controller.prior import load_prior
from zonesearch.search.controller.view import View

SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def measured(task: Any, prior: Any, lessons: tuple[Lesson, ...] = ()) -> dict[str, Any]:
    """By axis the smallest share of draws whose interval holds the truth; the true number's rank among draws."""
    surface = Surface(task)
    view = View.of(surface.cube, prior, task.curves.shape[2], task.about["optimizer"], lessons)
    points = spread_points(surface.cube)
    rng = np.random.default_rng(1)
    many = surface.cube.snap(rng.random((20_000, surface.cube.n_axes)))
    truth = many[int(np.argmax(surface.posterior.at_points(many)[0]))]
    draws, noise = view.drawn(points, view.sights[0], 600, np.random.default_rng(2))
    top = np.argmax(draws, axis=1)
    held = {}
    for i, name in enumerate(surface.space.names):
        held[name] = [
            (low <= truth[i] <= high, high - low)
            for low, high in (shortest(points[top][:, i], share) for share in SHARES)
        ]
    apart = differing(surface.cube, points)
    rivals = np.where(apart[top], draws, -np.inf)
    gaps = draws[np.arange(len(top)), top] - rivals.max(1)
    numbers = trainings_to_separate(gaps, 0.5 * (noise[top] + noise[np.argmax(rivals, axis=1)]), 0.95)
    means = surface.posterior.at_points(points)[0]
    best = int(np.argmax(means))
    gap = means[best] - np.where(apart[best], means, -np.inf).max()
    true = float(trainings_to_separate(np.array([gap]), np.array([surface.noise[0] ** 2]), 0.95)[0])
    said = foresee(view)
    return {
        "held": {name: [(bool(a), float(b)) for a, b in row] for name, row in held.items()},
        "true_each": true,
        "rank": float(np.mean(numbers <= true)),
        "said": {
            axis.name: (bool(low - 1e-9 <= truth[place] <= high + 1e-9), axis.share)
            for axis in (() if said is None else said.axes)
            for place in [surface.space.names.index(axis.name)]
            for low, high in [(surface.space[axis.name].to_unit(axis.low), surface.space[axis.name].to_unit(axis.high))]
        },
        "said_each": None if said is None else [said.each_low, said.each, said.each_high],
    }


def table(found: dict[str, Any]) -> str:
    """Coverage by share of draws, and how the true numbers lie in the forecast ones."""
    rows = [row for task in found.values() for row in task["held"].values()]
    held = np.array([[a for a, _ in row] for row in rows], dtype=float)
    wide = np.array([[b for _, b in row] for row in rows])
    half = 1.96 * np.sqrt(held.mean(0) * (1 - held.mean(0)) / len(rows))
    lines = ["| share of draws | held the truth | mean width (share of the axis) |", "| --- | --- | --- |"]
    lines += [
        f"| {share:.2f} | {h:.2f} ± {e:.2f} | {w:.2f} |"
        for share, h, e, w in zip(SHARES, held.mean(0), half, wide.mean(0), strict=True)
    ]
    said = [(name == "learning_rate", *pair) for task in found.values() for name, pair in task["said"].items()]
    for which, name in ((True, "the learning rate"), (False, "other axes")):
        mine = np.array([(held, width) for is_rate, held, width in said if is_rate == which], dtype=float)
        if len(mine):
            share, half = mine[:, 0].mean(), 1.96 * mine[:, 0].std() / np.sqrt(len(mine))
            lines.append(
                f"as it is said, {name}: {share:.2f} ± {half:.2f} of {len(mine)}, width {mine[:, 1].mean():.2f}"
            )
    told = [(task["said_each"], task["true_each"]) for task in found.values() if task["said_each"]]
    within = [low <= min(max(true, 2), 1000) <= high for (low, _, high), true in told]
    lines.append(f"trainings to separate within what is said: {np.mean(within):.2f} of {len(told)}")
    ranks = np.array([task["rank"] for task in found.values()])
    lines.append(f"\n{len(found)} tasks, {len(rows)} axes.")
    by_axis: dict[str, list[Any]] = {}
    for task in found.values():
        for name, row in task["held"].items():
            by_axis.setdefault(name, []).append(row[SHARES.index(0.8)])
    lines += [
        f"{name}: {np.mean([a for a, _ in r]):.2f} of {len(r)}, width {np.mean([b for _, b in r]):.2f}"
        for name, r in by_axis.items()
    ]
    lines.append(
        "true number of trainings below the q of the forecast: "
        + ", ".join(f"{q}: {np.mean(ranks <= q):.2f}" for q in (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95))
    )
    true = np.array([task["true_each"] for task in found.values()])
    lines.append("true: " + " ".join(f"{v:.0f}" for v in np.quantile(true, [0.1, 0.25, 0.5, 0.75, 0.9])))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, nargs="?")
    parser.add_argument("prior", type=Path, nargs="?")
    parser.add_argument("--families", nargs="+", default=[])
    parser.add_argument("--taught", type=int, default=0, help="earlier runs on other tasks of the family (0)")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--table", type=Path, nargs="+", default=[], metavar="FILE.json", help="sum up")
    wanted = parser.parse_args()
    if wanted.table:
        print(table({k: v for file in wanted.table for k, v in json.loads(file.read_text()).items()}))
        return
    prior = load_prior(wanted.prior)
    tasks = [task for task in read_corpus(wanted.corpus) if task.about["family"] in wanted.families]
    lessons: dict[str, Lesson] = {}
    if wanted.taught:
        with patch.object(controller_stage, "load_prior", lambda: prior):
            lessons = {task.name: Shifted(task, 1.0).lesson(False) for task in tasks}
    found = {}
    for i, task in enumerate(tasks):
        family = [other for other in tasks[i + 1 :] + tasks[:i] if other.about["family"] == task.about["family"]]
        taught = tuple(lessons[other.name] for other in family[: wanted.taught])
        if len(taught) == wanted.taught:
            found[task.name] = measured(task, prior, taught)
    if wanted.out:
        wanted.out.write_text(json.dumps(found))
    print(table(found))


if __name__ == "__main__":
    main()
