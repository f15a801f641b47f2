"""Import an existing Optuna study as a space and trials.

Report, zones and verdict are functions of the trials, so they are available for a search that was run elsewhere. The
study is imported unchanged: values keep their sign, a parameter that was not suggested is absent, pruned and failed
trials are recorded as such. What Optuna does not record is filled in with the simplest assumption: evaluations of the
same parameters are seeds 0, 1, ...
"""

from __future__ import annotations

import contextlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from zonesearch.core.metric import Metric, is_usable
from zonesearch.core.reading import BEST, Reading
from zonesearch.core.space import Space
from zonesearch.core.trials import Trial, Trials
from zonesearch.errors import StoreError, StudyError, did_you_mean
from zonesearch.optuna.axes import parameter_value, space_of
from zonesearch.optuna.storage import open_storage, quiet_optuna, storage_errors
from zonesearch.optuna.trials import Conversion, ReadStudy
from zonesearch.run.storage.urls import shown_url

__all__ = ["Imported", "import_study"]

_OURS = "zonesearch:study"  # attribute that marks studies that are views of our own runs
_CURVE = "validation_accuracy"
_LAST = Reading("last")
_PIECE = 500  # trials read from a database per query
_MOST_IDS = 10_000  # ids per query
_LAST_ID = 2**31 - 1  # highest possible id of a trial
_SAID = {"fail": "failed", "complete": "without a finite value"}


@dataclass(frozen=True)
class Imported:
    """The content of one Optuna study, or of several that are seeds of one search.

    Args:
        name: name of the study, or the pattern of the names of several.
        space: one axis for each parameter that any evaluation has.
        trials: the result of each evaluation; unfinished ones are left out.
        metric: the metric to rank by, and its direction.
        n_skipped: number of evaluations that were running or waiting.
        reading: how the values follow from the reports; ``epochs`` is the largest number of reports of one evaluation.
        studies: the names of the studies, in the order of their seeds.
        objective: index, from 0, of the value to rank by; None if there is only one.
    """

    name: str
    space: Space
    trials: Trials
    metric: Metric
    n_skipped: int = 0
    reading: Reading = BEST
    epochs: int = 1
    studies: tuple[str, ...] = ()
    objective: int | None = None

    def identity(self) -> dict[str, Any]:
        """What makes these trials comparable with each other: they are values of one objective of this study."""
        one = {} if self.objective is None else {"objective": self.objective}
        return {"optuna_study": self.name, "metric": self.metric.describe(), **one}


def import_study(
    url: str,
    name: str | None = None,
    *,
    objective: int | str | None = None,
    as_seeds: bool = False,
    known: Iterable[Trial] = (),
) -> Imported:
    """Read the Optuna study ``name`` from the storage at ``url``; nothing is written there.

    Args:
        url: see :func:`zonesearch.optuna.storage.open_storage`.
        name: optional if the storage holds a single study; ``fold*`` selects all studies that match.
        objective: of several objectives, the one to rank by: its index from 0 as in Optuna's ``trial.values``, or its
            name if the study names its metrics. The others are kept as notes.
        as_seeds: treat several studies (folds, repeats) as seeds of one search.
        known: trials imported before; an evaluation among them keeps its seed.

    Raises:
        StoreError: the storage does not answer, there is no such study, or it holds no evaluation with a value.
        StudyError: the choice among several studies or objectives is ambiguous.
    """
    with quiet_optuna():
        storage = open_storage(url, create=False)
        with storage_errors(url):
            names = sorted(optuna.get_all_study_names(storage), key=_natural)
        chosen = _chosen(names, name, as_seeds, shown_url(url))
        with storage_errors(url):
            studies = [_read(study, storage) for study in chosen]
    _alike(studies)
    which = _objective(studies[0], objective)
    metric = _metric(studies[0], which)
    where = f"the study {chosen[0]!r}" if len(chosen) == 1 else f"the {len(chosen)} studies"
    evaluations = [evaluation for study in studies for evaluation in study.finished]
    valued = [e for e in evaluations if e.state == TrialState.COMPLETE and is_usable(e.values[which])]
    if not valued:
        states = Counter(e.state.name.lower() for study in studies for e in study.evaluations)
        said = ", ".join(f"{n} {_SAID.get(state, state)}" for state, n in sorted(states.items())) or "none at all"
        raise StoreError(f"{where} in {shown_url(url)} has no evaluation with a value yet; it holds: {said}")
    space = space_of(evaluations, ({n: parameter_value(v) for n, v in e.params.items()} for e in valued))
    if space is None:
        raise StoreError(f"{where} suggested no parameter, so there is nothing to search")
    metric = _renamed(metric, space)
    reading, curve = _curves(valued, which, metric)
    epochs = max(len(e.intermediate_values) for e in evaluations) if curve == _CURVE else 1
    conversion = Conversion(metric, which, space, curve, max(epochs, 1), len(studies), known)
    trials = Trials(conversion.trials(studies))
    return Imported(
        chosen[0] if len(chosen) == 1 else str(name),
        space,
        trials,
        metric,
        sum(len(study.evaluations) for study in studies) - len(evaluations),
        reading,
        max((trial.epochs for trial in trials), default=1),
        tuple(chosen),
        which if len(studies[0].directions) > 1 else None,
    )


def _natural(name: str) -> list[tuple[int, str]]:
    """Natural sort order: fold2 before fold10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _chosen(names: Sequence[str], name: str | None, as_seeds: bool, url: str) -> list[str]:
    """The studies that ``name`` selects.

    Raises:
        StoreError: there is none.
        StudyError: there are several, and ``as_seeds`` is not set.
    """
    held = ", ".join(names) or "none"
    if name is None and len(names) != 1 and not as_seeds:
        raise StoreError(f"name a study (--study) in {url}; it holds: {held}")
    if name in names:
        return [name] if name is not None else []
    found = [study for study in names if name is None or fnmatchcase(study, name)]
    if not found:
        raise StoreError(f'there is no study "{name}" in {url}; it holds: {held}')
    if len(found) > 1 and not as_seeds:
        raise StudyError(
            f'"{name}" fits {len(found)} studies ({", ".join(found)}): name one of them, or read them as seeds of one '
            "search with --as-seeds"
        )
    return found


def _read(name: str, storage: BaseStorage) -> ReadStudy:
    study = optuna.load_study(study_name=name, storage=storage)
    names = tuple(str(metric).strip() for metric in study.metric_names or ())
    ours = _OURS in study.user_attrs
    return ReadStudy(name, tuple(study.directions), names, _evaluations(study, storage), ours)


def _evaluations(study: optuna.Study, storage: BaseStorage) -> list[FrozenTrial]:
    """All evaluations of ``study``, sharing equal distribution objects.

    A database is read in pieces, because SQLAlchemy creates an object for every parameter of all trials in a query.
    """
    at = _ids(study._study_id, storage) if isinstance(storage, RDBStorage) else []
    if len(at) < 2 or any(b - a > _MOST_IDS for a, b in pairwise(at)):  # small, or its ids are widely scattered
        return _shared(study.get_trials(deepcopy=False), {})
    assert isinstance(storage, RDBStorage)
    found: list[FrozenTrial] = []
    distributions: dict[BaseDistribution, BaseDistribution] = {}
    for start, end in pairwise(at):
        ids = set(range(start, end))
        found += _shared(storage._get_trials(study._study_id, None, ids, _LAST_ID), distributions)
    found += _shared(storage._get_trials(study._study_id, None, set(), at[-1] - 1), distributions)
    return found


def _ids(study: int, storage: RDBStorage) -> list[int]:
    """The id of every ``_PIECE``-th trial (querying the number of trials would read them all)."""
    found: list[int] = []
    with contextlib.suppress(KeyError):
        while True:
            found.append(storage.get_trial_id_from_study_id_trial_number(study, len(found) * _PIECE))
    return found


def _shared(
    evaluations: list[FrozenTrial], distributions: dict[BaseDistribution, BaseDistribution]
) -> list[FrozenTrial]:
    """The evaluations with equal distributions replaced by one shared object."""
    for evaluation in evaluations:
        evaluation.distributions = {
            name: distributions.setdefault(distribution, distribution)
            for name, distribution in evaluation.distributions.items()
        }
    return evaluations


def _alike(studies: Sequence[ReadStudy]) -> None:
    """Check that studies can be seeds of one.

    Raises:
        StudyError: they differ in what they search; the message names both.
    """
    first = studies[0]
    for other in studies[1:]:
        if (other.directions, other.names) != (first.directions, first.names):
            raise StudyError(
                f'the studies "{first.name}" and "{other.name}" cannot be seeds of one: '
                f"{_objectives(first)} there, {_objectives(other)} here"
            )


def _objectives(study: ReadStudy) -> str:
    named = zip(study.objectives, study.directions, strict=True)
    return ", ".join(f"{i}: {name} ({direction.name.lower()}d)" for i, (name, direction) in enumerate(named))


def _objective(study: ReadStudy, wanted: int | str | None) -> int:
    """The index of the objective to rank by.

    Raises:
        StudyError: the choice is missing, or there is no objective of that index or name.
    """
    n = len(study.directions)
    names = study.objectives
    if wanted is None:
        if n == 1:
            return 0
        raise StudyError(
            f'the study "{study.name}" has {n} objectives ({_objectives(study)}): say which one is ranked by with '
            "--objective N or NAME; the others become columns"
        )
    if wanted in names:
        return names.index(str(wanted))
    number = str(wanted).strip()
    if number.isdigit() and int(number) < n:
        return int(number)
    raise StudyError(
        f'the study "{study.name}" has no objective "{wanted}" ({_objectives(study)}); {did_you_mean(number, names)}'
    )


def _metric(study: ReadStudy, which: int) -> Metric:
    minimized = study.directions[which] == StudyDirection.MINIMIZE
    return Metric(study.objectives[which], "minimize" if minimized else "maximize")


def _renamed(metric: Metric, space: Space) -> Metric:
    """The metric renamed to clash with no parameter: parameter names of an imported study cannot be changed."""
    name = metric.name
    while name in space.names:
        name = f"objective_{name}"
    return metric.called(name)


def _curves(evaluations: Iterable[FrozenTrial], which: int, metric: Metric) -> tuple[Reading, str]:
    """How the values follow from the reported curve, and the name under which the reports are kept.

    Reports from which the values do not follow by any known reading (a loss reported, an accuracy returned) are kept
    under another name and not interpreted.
    """
    found = [(e.values[which], [v for v in e.intermediate_values.values() if is_usable(v)]) for e in evaluations]
    curves = [(value, curve) for value, curve in found if curve]
    if all(math.isclose(metric.best(curve), value) for value, curve in curves):
        return BEST, _CURVE
    if all(math.isclose(curve[-1], value) for value, curve in curves):
        return _LAST, _CURVE
    return BEST, "reported"
