"""The controller against other searches on tasks of the corpus whose data set its prior has not seen.

``python -m benchmarks.controller CORPUS.npz PRIOR.npz --families mnist [--tasks 4] [--seeds 10] [--out FILE.json]``
with a prior made by ``python -m controller.train CORPUS.npz PRIOR.npz --without mnist``; ``--upside-down`` asks for the
worst setting of each task in place of the best, which is as wrong as a prior can be. ``--table FILE.json ...`` sums up.

A task's settings become a surface that can be asked anywhere: a Gaussian process through the standardised means, the
noise between seeds by what two seeds differ there. A search sees values of a seed; regret is that of the noiseless
surface at what is recommended, in units of the task's best minus its median.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import optuna

import zonesearch.search.controller.stage as controller_stage
from controller.recorded import CorpusTask, read_corpus, standardised
from controller.shapes import space_of, surface_of
from zonesearch.core.trials import Training, Trial, Trials
from zonesearch.search.controller.prior import load_prior
from zonesearch.search.controller.stage import Controller
from zonesearch.search.stages.surrogate.stage import Surrogate
from zonesearch.statistics.gp.cube import Cube

Array = npt.NDArray[np.float64]
Params = dict[str, Any]

BUDGETS = (1, 5, 10, 25, 50)


class Surface:
    """A task as a function."""

    def __init__(self, task: CorpusTask, upside_down: bool = False) -> None:
        self.sign = -1.0 if upside_down else 1.0
        self.space = space_of(task)
        self.cube = Cube(self.space)
        self.posterior = surface_of(task)
        points = self.posterior.data.points
        z = standardised(task.best(task.curves.shape[2]), np.ones(len(task.curves), dtype=bool))
        spread = np.abs(z[:, 0] - z[:, 1]) / math.sqrt(2)
        good = z.mean(1) > 0
        self.noise = [math.sqrt(float(np.mean(spread[part] ** 2))) for part in (good, ~good)]
        rng = np.random.default_rng(1)
        drawn = self.posterior.at_points(self.cube.snap(rng.random((20_000, self.cube.n_axes))))[0]
        both = self.sign * np.append(drawn, self.posterior.at_points(points)[0])
        self.top, self.bottom = float(both.max()), float(both.min())
        self.middle = self.sign * float(np.median(drawn))

    def upside_down(self) -> Surface:
        """The same with the worst setting looked for in place of the best."""
        turned = copy.copy(self)
        turned.sign, turned.top, turned.bottom, turned.middle = -self.sign, -self.bottom, -self.top, -self.middle
        return turned

    def mean(self, params: Params) -> float:
        return self.sign * float(self.posterior.at_points(self.cube.point(params)[None])[0][0])

    def value(self, params: Params, seed: int) -> float:
        """Of one training; the same whenever it is asked for."""
        mean = self.mean(params)
        text = json.dumps([sorted(params.items()), seed])
        draw = float(np.random.default_rng(list(text.encode())).normal())
        z = mean + draw * self.noise[0 if mean > 0 else 1]
        return 0.5 + 0.1 * (z if z >= -1 else -math.exp(min(-1 - z, 1.5)))

    def regret(self, params: Params) -> float:
        return (self.top - self.mean(params)) / max(self.top - self.middle, 1e-9)


def _staged(make: Callable[[int], Any], surface: Surface, fresh: bool) -> list[float]:
    """Regrets of what a stage recommends by budget; with ``fresh`` each budget is a search of its own."""
    found = []
    trials = Trials(())
    for budget in BUDGETS:
        if budget == 1 and fresh:
            found.append(math.nan)  # a search without a prior has nothing to recommend yet but what it drew
            continue
        trials = Trials(()) if fresh else trials
        stage = make(budget)
        while missing := trials.missing((plan := stage.plan(None, trials)).trainings):
            trials |= Trials(tuple(_trial(t, surface) for t in missing))
        found.append(surface.regret(dict(plan.output[0].peak)) if plan.output else 1.0)
    return found


def _trial(training: Training, surface: Surface) -> Trial:
    value = surface.value(dict(training.params), training.seed)
    return Trial(training, accuracy=value, curve={"validation_accuracy": (value,)})


def _sampled(sampler: Any, surface: Surface) -> list[float]:
    """Regrets of the best value seen, of a sampler of Optuna."""
    study = optuna.create_study(direction="maximize", sampler=sampler)
    done: list[tuple[float, Params]] = []
    found = []
    for number in range(max(BUDGETS)):
        trial = study.ask()
        params: Params = {}
        for axis in surface.space.axes:
            suggest: Any = trial.suggest_int if axis.integer else trial.suggest_float  # type: ignore[union-attr]
            params[axis.name] = suggest(axis.name, axis.low, axis.high, log=axis.scale == "log")  # type: ignore[union-attr]
        value = surface.value(params, number)
        study.tell(trial, value)
        done.append((value, params))
        if number + 1 in BUDGETS:
            found.append(surface.regret(max(done, key=lambda pair: pair[0])[1]))
    return found


def methods(context: dict[str, Any]) -> dict[str, Callable[[Surface, int], list[float]]]:
    """By name, from (surface, seed) to regrets by budget."""

    def controller(surface: Surface, seed: int, **more: Any) -> list[float]:
        return _staged(lambda n: Controller(surface.space, 1, n_trainings=n, study_seed=seed, **more), surface, False)

    return {
        "controller": controller,
        "controller, optimizer given": lambda s, seed: controller(s, seed, **context),
        "strong": lambda s, seed: _staged(
            lambda n: Surrogate(s.space, 1, n_trainings=n, batch=1, study_seed=seed), s, True
        ),
        "gp": lambda s, seed: _sampled(optuna.samplers.GPSampler(seed=seed), s),
        "tpe": lambda s, seed: _sampled(optuna.samplers.TPESampler(seed=seed), s),
        "random": lambda s, seed: _sampled(optuna.samplers.RandomSampler(seed=seed), s),
    }


def contest(
    tasks: Sequence[CorpusTask],
    prior: Path,
    seeds: int,
    wanted: Sequence[str],
    out: Path | None = None,
    upside_down: bool = False,
) -> None:
    """Write regrets, by method and task, shape (seeds, budgets), after each task."""
    found: dict[str, Any] = {}
    with patch.object(controller_stage, "load_prior", lambda: load_prior(prior)):
        for task in tasks:
            surface = Surface(task, upside_down)
            about = task.about
            context = {"optimizer": about["optimizer"]}
            for name, search in methods(context).items():
                if wanted and name not in wanted:
                    continue
                start = time.perf_counter()
                regrets = [search(surface, seed) for seed in range(seeds)]
                found.setdefault(name, {})[task.name] = regrets
                mean = " ".join(f"{r:.3f}" for r in np.mean(regrets, axis=0))
                print(f"{task.name:18} {name:27} {mean}  ({time.perf_counter() - start:.0f} s)", flush=True)
            if out:
                out.write_text(json.dumps(found))


def table(found: Sequence[dict[str, Any]]) -> str:
    """Mean regret by method and budget over the tasks that all methods have, with the 95 % half-width of the paired
    difference to the first method (of task means: tasks are what one generalises to).
    """
    names = list(dict.fromkeys(name for part in found for name in part))
    tasks = [(part, t) for part in found for t in part[names[0]] if all(t in part.get(name, {}) for name in names)]
    means = {name: np.array([np.mean(part[name][t], axis=0) for part, t in tasks]) for name in names}
    lines = ["| method | " + " | ".join(map(str, BUDGETS)) + " |", "| --- " * (len(BUDGETS) + 1) + "|"]
    for name in names:
        cells = []
        for i in range(len(BUDGETS)):
            column, apart = means[name][:, i], means[name][:, i] - means[names[0]][:, i]
            half = 1.96 * float(np.std(apart, ddof=1)) / math.sqrt(len(tasks))
            text = f"{np.mean(column):.3f}" + (f" (+{np.mean(apart):.3f} ± {half:.3f})" if name != names[0] else "")
            cells.append("" if np.isnan(column).any() else text.replace("+-", "-"))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, f"\n{len(tasks)} tasks."])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, nargs="?")
    parser.add_argument("prior", type=Path, nargs="?")
    parser.add_argument("--families", nargs="+", default=[])
    parser.add_argument("--upside-down", action="store_true", help="look for the worst setting of each task")
    parser.add_argument("--table", type=Path, nargs="+", default=[], metavar="FILE.json", help="sum up, search nothing")
    parser.add_argument("--tasks", type=int, default=4, help="of each family, at most (4)")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--methods", nargs="+", default=[])
    parser.add_argument("--out", type=Path)
    wanted = parser.parse_args()
    if wanted.table:
        print(table([json.loads(file.read_text()) for file in wanted.table]))
        return
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    tasks = []
    for family in wanted.families:
        tasks += [t for t in read_corpus(wanted.corpus) if t.about["family"] == family][: wanted.tasks]
    contest(tasks, wanted.prior, wanted.seeds, wanted.methods, wanted.out, wanted.upside_down)


if __name__ == "__main__":
    main()
