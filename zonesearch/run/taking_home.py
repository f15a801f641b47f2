"""From a run to a trained network in a file: its chosen setting, trained as in the search.

A recorded training is repeated exactly: on its own, or in the same stack of networks, since rounding depends on the
other members of a stack. The stack is not recorded: the stages are replayed on the recorded trials until one of the
rounds wants the training.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zonesearch.core.objective import Job, Objective, Report
from zonesearch.core.trials import Params, Training, Trial, Trials
from zonesearch.errors import ObjectiveError, StudyError
from zonesearch.run.engines.runner import open_engine
from zonesearch.run.named_code import Trainable, check_params, function_of, tables_of, trainable
from zonesearch.run.pipeline import next_round, round_jobs
from zonesearch.run.recorded import read_recorded
from zonesearch.run.settled import Settled, chosen_epoch, chosen_epochs, recorded, settle, wanted
from zonesearch.run.shards import remaining
from zonesearch.run.storage.run_folder import RunFolder
from zonesearch.statistics.search_results import SearchResults
from zonesearch.study.study import Study
from zonesearch.study.winner import winner_study

if TYPE_CHECKING:
    from zonesearch.training.recipe import Recipe
    from zonesearch.training.trained import TrainedNetwork

__all__ = ["Home", "call_of", "open_home"]

Network = Any
"""A ``torch.nn.Module``; torch is for :mod:`zonesearch.training` alone."""

_MOST_THREADS = 256


@dataclass(frozen=True)
class Home:
    """A setting of a run, ready to be trained for use.

    Args:
        folder: of the run.
        results: of the run.
        settled: the setting.
        tables: of the study file; None if there is none.
        given: the recipe; None if the objective is a function, which does its own training.
        function: that function, ``package.module:function`` or "" without a name; None for a recipe.
    """

    folder: RunFolder
    results: SearchResults
    settled: Settled
    tables: Mapping[str, Any] | None
    given: Trainable | None
    function: str | None

    def call(self, seed: int | None = None) -> str:
        """Python code that calls the study's function with the setting."""
        seeds = self.settled.seeds or (0,)
        training = wanted(self.results, self.settled.params, seeds[0] if seed is None else seed)
        arguments = (self.tables or {}).get("objective", {}).get("arguments", {})
        return call_of(self.function or "", training, self.results.metric.name, arguments)

    def study_file(self) -> str:
        """The text of a study file for the setting.

        Raises:
            StudyError: the run holds no study file, and none was named.
        """
        if self.tables is None or "space" not in self.tables:
            raise StudyError(f"the run in {self.folder.path} holds no study file to write the winner's from: name it, "
                             "--study FILE")  # fmt: skip
        verdict = self.results.verdict
        alike = [s for s in verdict.standings if s.finalist.params == self.settled.params] if verdict else []
        repeats = max((len(s.accuracies) for s in alike), default=0)
        name = f"{self.results.name}-winner"
        return winner_study(self.tables, self.settled.params, name=name, repeats=repeats, why=self.settled.why)

    def train(
        self,
        *,
        all_data: bool = False,
        seeds: Sequence[int] | None = None,
        report: Report = lambda share: None,
        say: Callable[[str], None] = lambda sentence: None,
    ) -> TrainedNetwork:
        """Train the setting.

        Args:
            all_data: train on the training and validation splits, for the number of epochs that validation chose.
            seeds: of the networks; by default the first one that the verdict used for the setting.
            report: called with the completed fraction.
            say: called with notes for the user.

        Raises:
            ObjectiveError: a training diverged, or the objective cannot be trained here.
        """
        from zonesearch.training.trained import taken_home

        if self.given is None:
            raise ObjectiveError("the objective of this run is a function, which does its own training")
        seeds = tuple(seeds or self.settled.seeds_of(1))
        parts: list[tuple[Network, Trial, int]] = []
        for place, seed in enumerate(seeds):

            def share(done: float, before: int = place) -> None:
                report((before + done) / len(seeds))

            training = wanted(self.results, self.settled.params, seed)
            parts.append(self._one(self.given, training, all_data, share, say))
        networks, trials, epochs = zip(*parts, strict=True)
        verdict = self.results.verdict
        tested = [trial.test_accuracy for trial in trials if trial.test_accuracy is not None]
        about = {
            "study": self.results.name,
            "fingerprint": self.folder.study,
            "is": self.settled.why,
            "seeds": seeds,
            "epochs": epochs,
            "trained_on": "training and validation" if all_data else "training",
            "metric": self.results.metric.name,
            "validation": [] if all_data else [trial.accuracy for trial in trials],
            "test": tested,
            "versions": {name: str(version) for name, version in trials[0].provenance.items() if name in _VERSIONS},
        }
        recipe = self.given.recipe
        described = None if verdict is None else verdict.describe()
        return taken_home(networks, recipe, self.settled.params, described, about)

    def _one(
        self, given: Trainable, training: Training, all_data: bool, report: Report, say: Callable[[str], None]
    ) -> tuple[Network, Trial, int]:
        """One network, its trial, and the number of epochs after which it was taken."""
        check_params(self.folder, given, training.params)
        given.recipe.check(training.params)
        tested = given.recipe.settings_of(training.params)[0].training.tested
        if all_data:
            chosen = chosen_epochs(self.results, training, tested)
            if chosen is None:
                say(f"Seed {training.seed}: nothing of this length is recorded, so it is trained twice: first to learn "
                    "how many epochs validation chooses.")  # fmt: skip
                _, first = self._train(given, training, lambda share: report(share / 2))
                chosen = chosen_epoch(first, tested), first
                report, whole = (lambda share: whole(0.5 + share / 2)), report
            n_epochs, past = chosen
            scores = [past.metric.score(value) for value in past.validation_curve]
            kept: list[Network] = []
            refitting: Any = _Refitting(given.recipe, n_epochs, tuple(scores), kept)
            [trial] = _trained(refitting, Job((training,)), _threads(past, given.study), report)
            return _only(kept, trial), trial, n_epochs
        network, trial = self._train(given, training, report)
        before = recorded(self.results, training)
        if before is not None:
            _compare(before, trial, say)
        return network, trial, chosen_epoch(trial, tested)

    def _train(self, given: Trainable, training: Training, report: Report) -> tuple[Network, Trial]:
        """Train as the search did, if it did."""
        before = recorded(self.results, training)
        recipe, job = given.recipe, Job((training,))
        if before is not None and before.provenance.get("stacked") is True:
            found = _job_of(given.study, recipe, self.results.trials, training)
            if found is not None:
                for companion in found.trainings:
                    check_params(self.folder, given, companion.params)
                job = found
        elif before is not None:
            recipe = recipe.unstacked()
        kept: dict[Training, Network] = {}
        keeping: Any = _Keeping(recipe, kept)
        trials = _trained(keeping, job, _threads(before, given.study), report)
        trial = next(trial for trial in trials if trial.training.identity == training.identity)
        return _only([network for key, network in kept.items() if key == training], trial), trial


_VERSIONS = ("zonesearch", "torch", "numpy", "python", "device", "precision")


@dataclass(frozen=True)
class _Keeping:
    """A recipe that passes on the networks it trains."""

    recipe: Recipe
    kept: dict[Training, Network]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.recipe, name)

    def train(self, job: Job, report: Report) -> Iterator[Trial]:
        """The recipe's trials."""
        return self.recipe.train(job, report, self.kept.__setitem__)


@dataclass(frozen=True)
class _Refitting:
    """A recipe that trains on all data but the test split."""

    recipe: Recipe
    n_epochs: int
    past: tuple[float, ...]
    kept: list[Network]

    def train(self, job: Job, report: Report) -> Iterator[Trial]:
        """The one trial of the job."""
        yield self.recipe.refit(job.trainings[0], self.n_epochs, self.past, report, self.kept.append)


def _trained(objective: Objective, job: Job, n_threads: int, report: Report) -> list[Trial]:
    """The trials of a job, trained here."""
    trials: list[Trial] = []
    with open_engine("local", workers=1, threads=n_threads) as crew:
        crew.run(objective, [job], trials.extend, lambda key, share: report(share))
    return trials


def _threads(before: Trial | None, study: Study) -> int:
    """The number of threads with which a trial was computed, since rounding depends on it."""
    noted = None if before is None else before.provenance.get("threads")
    if isinstance(noted, int) and not isinstance(noted, bool) and 1 <= noted <= _MOST_THREADS:
        return noted
    return int(study.run.get("threads", 1))


def _only(kept: Sequence[Network], trial: Trial) -> Network:
    """The network of a trial that is complete."""
    if trial.state == "failed":
        raise ObjectiveError(f"the training with seed {trial.seed} failed: {trial.reason}")
    if not kept:
        said = "diverged" if trial.state == "diverged" else "gave no network (a range test is not a training)"
        raise ObjectiveError(f"the training with seed {trial.seed} {said}; take another --seed or --setting")
    return kept[0]


def _compare(before: Trial, now: Trial, say: Callable[[str], None]) -> None:
    """Report a difference between a repeated training and its recorded trial."""
    pairs = [("validation", before.accuracy, now.accuracy), ("test", before.test_accuracy, now.test_accuracy)]
    other = [(name, a, b) for name, a, b in pairs if a is not None and b is not None and a != b]
    if not other:
        return
    name, a, b = other[0]
    metric = before.metric
    keys = ("processor", "device", "torch", "threads", "host")
    places = [f"{key} {before.provenance.get(key)}, here {now.provenance.get(key)}" for key in keys
              if before.provenance.get(key) != now.provenance.get(key)]  # fmt: skip
    why = f" ({'; '.join(places)})" if places else ""
    say(f"Seed {now.seed}: {metric.name} on {name} is {metric.text(b)}, where the run recorded {metric.text(a)}{why}: "
        "results computed on another machine or in another stack are rounded differently.")  # fmt: skip


def _job_of(study: Study, objective: Objective, trials: Trials, wanted: Training) -> Job | None:
    """The job in which an uninterrupted run trained ``wanted``, here with the test split; None if the trials do not
    tell.
    """
    known = Trials()
    while True:
        at = next_round(study.stages, known, study.budget)
        if at.finished:
            return None
        for job in remaining(round_jobs(objective, at), known):
            for training in job.trainings:
                if training.identity == wanted.identity and training.epochs == wanted.epochs:
                    return replace(job, trainings=tuple(wanted if t is training else t for t in job.trainings))
        answers = [trials.get(training) for training in at.missing]
        if None in answers:
            return None
        known = known | Trials(trial for trial in answers if trial is not None)


def open_home(
    run: str | os.PathLike[str],
    setting: str | None = None,
    *,
    study: str | os.PathLike[str] | None = None,
    replacements: Iterable[str] = (),
) -> Home:
    """The setting of a run, ready to be trained.

    Args:
        run: the run folder.
        setting: ``best``, ``cheapest`` or the number of a finalist; by default the recommended one.
        study: the study file, if the run's study names code; with ``replacements`` of its keys.

    Raises:
        StoreError: there is no run folder, or it cannot be read.
        StudyError: there is no such setting; the study names code and was not given; or it is a different experiment.
    """
    found = read_recorded(os.fspath(run))
    folder, path = found.folder, None if study is None else Path(os.fspath(study))
    if not isinstance(folder, RunFolder):
        raise StudyError(f"{os.fspath(run)} is a storage: merge it into a run folder first, zonesearch merge")
    replacements = tuple(replacements)
    if any(stage.settings.get("kind") == "imported" for stage in found.results.stages):
        raise StudyError(f"the run in {folder.path} was imported: what it holds was trained elsewhere, by code that is "
                         "not here")  # fmt: skip
    settled = settle(found.results, setting)
    tables = tables_of(folder, path, replacements)
    function = function_of(folder, tables)
    if function is not None:
        return Home(folder, found.results, settled, tables, None, function)
    if tables is None:
        raise StudyError(f"the run in {folder.path} does not say what trained it: name its study file, --study FILE")
    given = trainable(folder, path, replacements, tables)
    check_params(folder, given, settled.params)
    return Home(folder, found.results, settled, tables, given, None)


def call_of(function: str, training: Training, metric: str, arguments: Mapping[str, Any] | None = None) -> str:
    """Python code that calls a function with a setting.

    Args:
        function: ``package.module:function``; empty if its name is not known.
        training: the setting, its seed and length.
        metric: that it returns.
        arguments: further arguments.
    """
    module, _, name = function.partition(":")
    called = name.rpartition(".")[2] or "objective"
    outer = name.partition(".")[0]
    lines = [f"from {module} import {outer}", ""] if name else []
    value = metric if metric.isidentifier() else "value"
    more = "".join(f", {key}={_written(item)}" for key, item in (arguments or {}).items())
    callee = name or called
    value = "value" if value == callee else value
    return "\n".join([*lines, f"{value} = {callee}({_params(training.params)}, seed={training.seed}, "
                              f"epochs={training.epochs}{more})"])  # fmt: skip


def _params(params: Params) -> str:
    return "{" + ", ".join(f"{json.dumps(name, ensure_ascii=False)}: {_written(v)}" for name, v in params.items()) + "}"


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
