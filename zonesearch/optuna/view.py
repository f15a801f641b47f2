"""The trials of a run as an Optuna study, for the dashboards that exist for it.

A view is derived: it may be deleted and made again at any time, is topped up with the trainings that it does not
show yet, and is never read back as truth. Each training is one Optuna trial; axes are Float and Int distributions,
because Optuna refuses a new value in a categorical later. Optuna's own contour plot shows the maximum of repeated
cells and its dashboard the last one: means and intervals are our own figures, saved beside the trials.

``LiveView`` writes from a thread of its own, so that a database that is slow or away never keeps a training waiting.
"""

from __future__ import annotations

import json
import re
import threading
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from zonesearch.core.metric import ACCURACY, Metric
from zonesearch.core.space import Axis, Space
from zonesearch.core.trials import Trial, Value
from zonesearch.errors import StoreError
from zonesearch.optuna.storage import open_storage, quiet_optuna, storage_errors
from zonesearch.optuna.view_lock import one_writer
from zonesearch.run.storage.urls import shown_url

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["Describe", "LiveView", "OptunaView", "without"]

Describe = Callable[[Trial], Mapping[str, Any]]
"""What else is known of a trial, as plain JSON values: its stage, its zone, ..."""

_FINGERPRINT = "zonesearch:study"
_STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED}  # all else failed
_MADE = "zonesearch:made"
"""A mark that each making of the study gets: SQLite gives the ids of a deleted study to the next one."""

_NOTE = re.compile(r"dashboard:(\d+):(note_.*)")
"""Under which the dashboard keeps the note of a trial: by the trial's id."""

_RETRY_S = 2.0
_BATCH = 50
"""Trials that are written in one turn, so that nobody waits long for his."""


class OptunaView:
    """The Optuna study ``name`` in the storage at ``url``, made when it is not there yet.

    Args:
        url: see :func:`zonesearch.optuna.storage.open_storage`.
        name: of the Optuna study.
        fingerprint: of our study; a view shows one only.
        space: what is searched; None takes each numeric parameter as it comes.
        describe: further user attributes of each trial.
        metric: what is shown; gives the study its direction.
        rebuild: delete what is there and begin anew.

    Raises:
        StoreError: the storage does not answer, or holds a study of that name that shows something else.
    """

    def __init__(
        self,
        url: str,
        name: str,
        fingerprint: str,
        space: Space | None = None,
        describe: Describe = lambda trial: {},
        *,
        metric: Metric = ACCURACY,
        rebuild: bool = False,
    ) -> None:
        self._space = {axis.name: axis for axis in space.axes} if space else {}
        self._describe = describe
        self._url = url
        self._metric = metric
        self._name = name
        self._fingerprint = fingerprint
        self.n_repaired = 0
        """Trials that stood there twice and were removed by this object."""
        with self._writing():
            self._raw = open_storage(url, create=True)
            self._storage = optuna.storages.get_storage(self._raw)  # remembers trials by the ids of study and trial
            if rebuild and name in optuna.get_all_study_names(self._storage):
                optuna.delete_study(study_name=name, storage=self._storage)
            self.study = self._find()
            self._look()

    def _study(self, storage: BaseStorage, name: str, fingerprint: str) -> optuna.Study:
        """The study, made where it is not there; one of ours that shows no value yet is made anew if it is to be
        turned, since an objective may say only with its first value what it gives.
        """
        how: dict[str, Any] = {"storage": storage, "study_name": name, "direction": self._metric.direction}
        study = optuna.create_study(**how, load_if_exists=True)
        turned = study.direction.name.lower() != self._metric.direction
        ours = study.user_attrs.get(_FINGERPRINT) == fingerprint
        if turned and ours and all(trial.value is None for trial in study.get_trials(deepcopy=False)):
            optuna.delete_study(study_name=name, storage=storage)
            study = optuna.create_study(**how)
        if self._metric.name != ACCURACY.name and study.metric_names is None:
            study.set_metric_names([self._metric.name])
        return study

    def top_up(self, trials: Iterable[Trial]) -> int:
        """Add those of ``trials`` whose training is not shown yet; the number that was added.

        Others may do the same at the same time: they take turns, and look at what the others added. A training that
        is shown twice all the same, as older versions and other programs may leave it, is repaired.

        Raises:
            StoreError: the storage does not answer. What was added before stays; the same call goes on later.
        """
        n = 0
        waiting = list(trials)
        while waiting:
            batch, waiting = waiting[:_BATCH], waiting[_BATCH:]
            with self._writing():
                self._look()
                for trial in batch:
                    if trial.complete and trial.metric.direction != self._metric.direction:
                        raise StoreError(f"{trial.metric.name} is to be {trial.metric.direction}d, the view is not")
                    if trial.key not in self._keys:
                        self.study.add_trial(self._frozen(trial))
                        self._keys.add(trial.key)
                        n += 1
        return n

    def show(self, figures: Mapping[str, go.Figure], note: str = "") -> None:
        """Save figures, each under a name that stays, and a note in Markdown into the dashboard's view of the study.

        Raises:
            StoreError: the storage does not answer, or optuna-dashboard is not installed.
        """
        try:
            from optuna_dashboard import save_note, save_plotly_graph_object
        except ImportError as error:
            raise StoreError("figures in a dashboard need it: pip install 'zonesearch[dashboard]'") from error
        with self.alone() as study:
            for name, figure in figures.items():
                save_plotly_graph_object(study, figure, graph_object_id=name)
            if note:
                save_note(study, note)

    @contextmanager
    def alone(self) -> Iterator[optuna.Study]:
        """The study, as it is now, while no other writer of zonesearch changes it; not to be entered twice.

        Raises:
            StoreError: the storage does not answer.
        """
        with self._writing():
            self._look()
            yield self.study

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with quiet_optuna(), storage_errors(self._url), one_writer(self._url):
            yield

    def _find(self) -> optuna.Study:
        """The study of that name, made when it is not there."""
        study = self._study(self._storage, self._name, self._fingerprint)
        shown = study.user_attrs.get(_FINGERPRINT)
        if shown is None and not study.get_trials(deepcopy=False):
            study.set_user_attr(_FINGERPRINT, self._fingerprint)
        elif shown != self._fingerprint:
            raise StoreError(
                f'the Optuna study "{self._name}" in {shown_url(self._url)} shows something else '
                f"({shown or 'no run of zonesearch'}): give another name, or rebuild it"
            )
        elif study.direction.name.lower() != self._metric.direction:
            raise StoreError(
                f'the Optuna study "{self._name}" in {shown_url(self._url)} is to be {study.direction.name.lower()}d, '
                f"but {self._metric.name} is to be {self._metric.direction}d: rebuild it"
            )
        self._made = study.user_attrs.get(_MADE)
        if self._made is None:
            self._made = _mark(study)
        return study

    def _look(self) -> None:
        """Take note of what is shown now, and repair it where a training is shown twice."""
        try:
            there = self._storage.get_study_id_from_name(self._name)
            is_same = self._storage.get_study_user_attrs(there).get(_MADE) == self._made
        except KeyError:
            is_same = False
        if not is_same:  # deleted, or made anew by another viewer
            self._storage = optuna.storages.get_storage(self._raw)
            self.study = self._find()
        shown = self.study.get_trials(deepcopy=False)
        first = {_key(trial): trial for trial in reversed(shown)}
        doubled = [trial for trial in shown if _key(trial) and first[_key(trial)] is not trial]
        if doubled:
            gone = {trial.number for trial in doubled}
            self.study = without(self.study, gone)
            self._storage, self._made = self.study._storage, self.study.user_attrs[_MADE]
            self.n_repaired += len(gone)
        self._keys = {key for key in first if key}

    def _frozen(self, trial: Trial) -> FrozenTrial:
        params: dict[str, Value] = {}
        distributions: dict[str, BaseDistribution] = {}
        attributes: dict[str, Any] = {}
        for name in dict.fromkeys([*self._space, *trial.params]):  # in the order of the axes
            if name not in trial.params:
                continue
            value = trial.params[name]
            distribution = self._distribution(name, value)
            if distribution is None:
                attributes[f"param:{name}"] = value
            else:
                if isinstance(distribution, CategoricalDistribution) and not _told_apart(distribution.choices):
                    value, distribution = _text(value), _as_texts(distribution)
                params[name], distributions[name] = value, distribution
        attributes |= {  # what people look for first; dashboards show them in this order
            **self._describe(trial),
            "seed": trial.seed,
            "epochs": trial.epochs,
            f"test_{self._metric.name}": trial.test_accuracy,
            **dict(sorted(trial.noted.items())),
            "n_parameters": trial.n_parameters,
            "seconds": trial.seconds,
            "state": trial.state,
            "error": trial.error,
            "key": trial.key,
            "provenance": dict(trial.provenance),
        }
        known = {name: value for name, value in attributes.items() if value not in (None, "")}
        curve = trial.validation_curve
        asked = {epoch: curve[epoch - 1] for epoch in trial.evaluated_epochs}
        frozen = optuna.trial.create_trial(
            state=_STATES.get(trial.state, TrialState.FAIL),
            value=trial.accuracy,
            params=params,
            distributions=distributions,
            user_attrs=json.loads(json.dumps(known, default=str)),
            intermediate_values=asked,
        )
        started = _time(trial.provenance.get("started"))
        if started is not None:
            frozen.datetime_start = started
            frozen.datetime_complete = started + timedelta(seconds=trial.seconds)
        return frozen

    def _distribution(self, name: str, value: Value) -> BaseDistribution | None:
        """How Optuna is told about a value; None for one that it is told as an attribute."""
        axis = self._space.get(name)
        if axis is not None and not isinstance(axis, Axis):
            return _choices(axis.values) if axis.contains(value) else None
        if value is None or isinstance(value, bool | str | tuple):
            return None
        if axis is None:
            return FloatDistribution(value, value)
        log = axis.scale == "log"
        lower, upper = axis.bounds  # Optuna wants one distribution, however the axis grows
        low, high = min(lower, value), max(upper, value)
        if axis.integer:
            return IntDistribution(int(low), int(high), log=log)
        return FloatDistribution(float(low), float(high), log=log)


def _choices(values: Sequence[Any]) -> CategoricalDistribution:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of lists, which are told as texts
        return CategoricalDistribution(tuple(values))


def _told_apart(choices: Sequence[Any]) -> bool:
    """Whether Optuna, which compares as Python does, can tell these choices apart: True, 1 and 1.0 are one to it, and
    a storage gives back lists for tuples.
    """
    return len(set(choices)) == len(choices) and not any(isinstance(choice, tuple) for choice in choices)


def _as_texts(distribution: CategoricalDistribution) -> CategoricalDistribution:
    return CategoricalDistribution(tuple(map(_text, distribution.choices)))


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, tuple) else repr(value)


def without(study: optuna.Study, numbers: Collection[int]) -> optuna.Study:
    """``study`` without the trials of these numbers, made anew under its name: Optuna deletes no single trial.

    Attributes, figures and notes are taken over; numbers and ids change. Whoever holds the old study has to look for
    it again.
    """
    storage = study._storage
    backend = getattr(storage, "_backend", storage)  # what remembers trials would take new ones for old
    name, directions = study.study_name, study.directions
    user, system = dict(study.user_attrs), storage.get_study_system_attrs(study._study_id)
    kept = [trial for trial in study.get_trials() if trial.number not in numbers]
    optuna.delete_study(study_name=name, storage=storage)
    storage = optuna.storages.get_storage(backend if isinstance(backend, BaseStorage) else storage)
    made = optuna.create_study(storage=storage, study_name=name, directions=directions)
    for key, value in user.items():
        made.set_user_attr(key, value)
    _mark(made)
    made.add_trials(kept)
    ids = {
        str(old._trial_id): str(new._trial_id) for old, new in zip(kept, made.get_trials(deepcopy=False), strict=True)
    }
    for key, value in system.items():
        note = _NOTE.fullmatch(key)
        if note is None:
            storage.set_study_system_attr(made._study_id, key, value)
        elif note[1] in ids:
            storage.set_study_system_attr(made._study_id, f"dashboard:{ids[note[1]]}:{note[2]}", value)
    return made


def _mark(study: optuna.Study) -> str:
    mark = uuid4().hex
    study.set_user_attr(_MADE, mark)
    return mark


def _key(trial: FrozenTrial) -> str:
    """Of the training that it shows; empty for a trial that somebody else added."""
    return str(trial.user_attrs.get("key", ""))


class LiveView:
    """Keeps a view up to date while a run goes on, from a thread of its own.

    Args:
        open_view: makes the view; called again after each failure.
    """

    def __init__(self, open_view: Callable[[], OptunaView]) -> None:
        self._open_view = open_view
        self._waiting: list[Trial] = []
        self._changed = threading.Condition()
        self._ending = False
        self.trouble = ""
        """Why the view is behind, in a sentence; empty while it is not."""
        self._thread = threading.Thread(target=self._write, name="optuna view", daemon=True)
        self._thread.start()

    @property
    def n_behind(self) -> int:
        """Trials that are recorded and not shown yet."""
        with self._changed:
            return len(self._waiting)

    def add(self, trials: Iterable[Trial]) -> None:
        """Show ``trials`` soon. Returns at once and raises nothing."""
        with self._changed:
            self._waiting.extend(trials)
            self._changed.notify()

    def close(self, timeout_s: float = 30.0) -> int:
        """Write what is waiting, for at most ``timeout_s``; the number of trials that are still not shown.

        Those are shown by the next run or by `zonesearch view`.
        """
        with self._changed:
            self._ending = True
            self._changed.notify()
        self._thread.join(timeout_s)
        return self.n_behind

    def _write(self) -> None:
        view: OptunaView | None = None
        while True:
            with self._changed:
                while not self._waiting and not self._ending:
                    self._changed.wait()
                batch = self._waiting[:_BATCH]
                last = self._ending
            if not batch:
                return
            try:
                view = view or self._open_view()
                view.top_up(batch)
                with self._changed:
                    del self._waiting[: len(batch)]
                    self.trouble = ""
            except Exception as error:  # a view is never a reason to stop a training
                view = None  # what it believes is shown may no longer be true
                self.trouble = str(error)
                if last:
                    return
                with self._changed:
                    self._changed.wait_for(lambda: self._ending, _RETRY_S)


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text)) if text else None
    except ValueError:
        return None
