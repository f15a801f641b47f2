"""What learning from earlier runs is worth: the controller before and after ``k`` runs on other tasks of a family.

``python -m benchmarks.home CORPUS.npz PRIOR.npz --families mnist [--k 1 3] [--factor 30] [--out FILE.json]`` with a
prior that was made without these families. Every earlier run is a search of 25 trainings by the controller as it ships,
on another task of the family. With ``--factor`` learning rates of all tasks are so many times those of the corpus,
as where a loss is divided otherwise: a user whose optima lie consistently elsewhere.

``--misleading`` teaches runs with that factor and asks for tasks without it; ``--empty`` teaches runs whose values are
noise: both must not hurt. Regret as in :mod:`benchmarks.controller`, paired, of the recommendation at each budget.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

import zonesearch.search.controller.stage as controller_stage
from benchmarks.controller import Params, Surface
from controller.recorded import CorpusTask, read_corpus
from zonesearch.core.reading import BEST
from zonesearch.core.space import Space
from zonesearch.core.trials import Training, Trial, Trials
from zonesearch.search.controller.lessons import Lesson, lesson_of
from zonesearch.search.controller.prior import load_prior
from zonesearch.search.controller.stage import Controller

BUDGETS = (1, 2, 5, 10)
_LESSON = 25  # trainings of an earlier run


class Shifted:
    """A task whose learning rates are ``factor`` times what they are in the corpus."""

    def __init__(self, task: CorpusTask, factor: float) -> None:
        self.task, self.factor = task, factor
        self.surface = Surface(task)
        axes: dict[str, Any] = {axis.name: dict(axis.describe()) for axis in self.surface.space.axes}
        for end in ("low", "high"):
            axes["learning_rate"][end] *= factor
        self.space = Space.parse(axes)
        self.optimizer = task.about["optimizer"]

    def _plain(self, params: Params) -> Params:
        axis: Any = self.surface.space["learning_rate"]
        rate = min(max(params["learning_rate"] / self.factor, axis.low), axis.high)
        return {**params, "learning_rate": rate}

    def trial(self, training: Training, noise: np.random.Generator | None = None) -> Trial:
        """What comes of a training; a draw of ``noise`` alone where that is given."""
        value = self.surface.value(self._plain(dict(training.params)), training.seed)
        value = value if noise is None else float(0.5 + 0.1 * noise.normal())
        return Trial(training, accuracy=value, curve={"validation_accuracy": (value,)})

    def regret(self, params: Params) -> float:
        return self.surface.regret(self._plain(params))

    def searched(self, n: int, seed: int, noise: np.random.Generator | None = None, **more: Any) -> Trials:
        """The trials of a search of ``n`` trainings."""
        trials = Trials(())
        stage = Controller(self.space, 1, n_trainings=n, study_seed=seed, optimizer=self.optimizer, **more)
        while missing := trials.missing(stage.plan(None, trials).trainings):
            trials |= Trials(tuple(self.trial(t, noise) for t in missing))
        return trials

    def regrets(self, seed: int, **more: Any) -> list[float]:
        """Of what is recommended at each budget."""
        found = []
        trials = Trials(())
        for budget in BUDGETS:
            stage = Controller(self.space, 1, n_trainings=budget, study_seed=seed, optimizer=self.optimizer, **more)
            while missing := trials.missing((plan := stage.plan(None, trials)).trainings):
                trials |= Trials(tuple(self.trial(t) for t in missing))
            found.append(self.regret(dict(plan.output[0].peak)) if plan.output else 1.0)
        return found

    def lesson(self, empty: bool) -> Lesson:
        """An earlier run on this task."""
        noise = np.random.default_rng(5) if empty else None
        trials = self.searched(_LESSON, 77, noise)
        return lesson_of(self.task.name, self.space, trials, BEST, 1, self.optimizer)


def measure(
    tasks: list[CorpusTask], prior: Path, ks: list[int], seeds: int, taught: float, asked: float, empty: bool, say: Any
) -> dict[str, Any]:
    """Regrets by k (0: as it ships) and task, shape (seeds, budgets)."""
    found: dict[str, Any] = {}
    with patch.object(controller_stage, "load_prior", lambda: load_prior(prior)):
        lessons = {task.name: Shifted(task, taught).lesson(empty).describe() for task in tasks}
        for i, task in enumerate(tasks):
            target = Shifted(task, asked)
            others = [lessons[other.name] for other in tasks[i + 1 :] + tasks[:i]]
            for k in (0, *ks):
                regrets = [target.regrets(seed, learned=tuple(others[:k])) for seed in range(seeds)]
                found.setdefault(str(k), {})[task.name] = regrets
                say(f"{task.name:18} after {k} runs  " + " ".join(f"{r:.3f}" for r in np.mean(regrets, 0)), flush=True)
    return found


def table(found: list[dict[str, Any]]) -> str:
    """Mean regret over tasks by k, with the 95 % half-width of the paired difference to k = 0."""
    means: dict[str, Any] = {}
    for part in found:
        for k, by_task in part.items():
            means.setdefault(k, []).extend(np.mean(regrets, 0) for regrets in by_task.values())
    lines = ["| earlier runs | " + " | ".join(map(str, BUDGETS)) + " |", "| --- " * (len(BUDGETS) + 1) + "|"]
    base = np.array(means["0"])
    for k, rows in means.items():
        values, apart = np.array(rows), np.array(rows) - base
        half = 1.96 * apart.std(0, ddof=1) / np.sqrt(len(apart))
        cells = [
            f"{v:.3f}" + (f" ({d:+.3f} ± {h:.3f})" if k != "0" else "")
            for v, d, h in zip(values.mean(0), apart.mean(0), half, strict=True)
        ]
        lines.append(f"| {k} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, f"\n{len(base)} tasks."])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, nargs="?")
    parser.add_argument("prior", type=Path, nargs="?")
    parser.add_argument("--families", nargs="+", default=[])
    parser.add_argument("--tasks", type=int, default=6, help="of each family, at most (6)")
    parser.add_argument("--k", type=int, nargs="+", default=[1, 3])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--factor", type=float, default=1.0)
    parser.add_argument("--misleading", action="store_true", help="the factor is taught and not asked for")
    parser.add_argument("--empty", action="store_true", help="what is taught is noise")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--table", type=Path, nargs="+", default=[], metavar="FILE.json", help="sum up, search nothing")
    wanted = parser.parse_args()
    if wanted.table:
        print(table([json.loads(file.read_text()) for file in wanted.table]))
        return
    everything = read_corpus(wanted.corpus)
    found = []
    for family in wanted.families:
        tasks = [task for task in everything if task.about["family"] == family][: wanted.tasks]
        asked = 1.0 if wanted.misleading else wanted.factor
        found.append(measure(tasks, wanted.prior, wanted.k, wanted.seeds, wanted.factor, asked, wanted.empty, print))
        if wanted.out:
            wanted.out.write_text(json.dumps({k: {t: r for p in found for t, r in p[k].items()} for k in found[0]}))
    print(table(found))


if __name__ == "__main__":
    main()
