"""The trials of a run as an Optuna study, for Optuna's dashboards.

A view is derived data: it may be deleted and rebuilt at any time, is topped up with the trainings that it does not show
yet, and is never read back as a source. Each training is one Optuna trial; axes are Float and Int distributions,
because Optuna does not allow a categorical to gain values later. Optuna's own contour plot shows the maximum of
repeated cells and its dashboard the last one: means and intervals are our own figures, saved beside the trials.

``LiveView`` writes from its own thread, so that a slow or unreachable database never blocks a training.
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
"""Further information on a trial as plain JSON values: its stage, its zone, ..."""

_FINGERPRINT = "zonesearch:study"
_STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED}  # everything else failed
_MADE = "zonesearch:made"
"""Attribute with a unique mark of each created study: SQLite reuses the ids of a deleted study."""

_NOTE = re.compile(r"dashboard:(\d+):(note_.*)")
"""Key prefix of the dashboard's note of a trial, followed by the trial's id."""

_RETRY_S = 2.0
_BATCH = 50
"""Trials written per lock, so that other writers do not wait long."""


class OptunaView:
    """The Optuna study ``name`` in the storage at ``url``, created if it does not exist.

    Args:
        url: see :func:`zonesearch.optuna.storage.open_storage`.
        name: of the Optuna study.
        fingerprint: fingerprint of our study; a view shows only one.
        space: the space searched; None accepts each numeric parameter as it appears.
        describe: returns further user attributes of each trial.
        metric: the metric shown; it determines the study's direction.
        rebuild: delete the existing study and start again.

    Raises:
        StoreError: the storage does not answer, or contains a study of that name that shows something else.
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
        """Number of duplicate trials removed by this object."""
        with self._writing():
            self._raw = open_storage(url, create=True)
            self._storage = optuna.storages.get_storage(self._raw)  # caches trials by the ids of study and trial
            if rebuild and name in optuna.get_all_study_names(self._storage):
                optuna.delete_study(study_name=name, storage=self._storage)
            self.study = self._find()
            self._look()

    def _study(self, storage: BaseStorage, name: str, fingerprint: str) -> optuna.Study:
        """The study, created if it does not exist; a view without values is created again if its direction must change,
        since an objective may declare its metric only with its first value.
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
        """Add those of ``trials`` whose training is not shown yet; returns the number added.

        Several processes may do this at the same time: they take turns and see what the others added. Duplicates that
        older versions or other programs left are removed.

        Raises:
            StoreError: the storage does not answer. Trials added before the error remain; repeating the call continues.
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
        """Save figures, each under a fixed name, and a Markdown note into the dashboard's view of the study.

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
        """The current study, locked against other zonesearch writers; not reentrant.

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
        """The study of that name, created if it does not exist."""
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
        """Read which trainings are shown, and remove duplicates."""
        try:
            there = self._storage.get_study_id_from_name(self._name)
            is_same = self._storage.get_study_user_attrs(there).get(_MADE) == self._made
        except KeyError:
            is_same = False
        if not is_same:  # deleted, or created again by another viewer
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
        attributes |= {  # the most interesting first; dashboards keep this order
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
        """The distribution for a value; None for a value that is stored as an attribute instead."""
        axis = self._space.get(name)
        if axis is not None and not isinstance(axis, Axis):
            return _choices(axis.values) if axis.contains(value) else None
        if value is None or isinstance(value, bool | str | tuple):
            return None
        if axis is None:
            return FloatDistribution(value, value)
        log = axis.scale == "log"
        lower, upper = axis.bounds  # Optuna requires one fixed distribution, even if the axis grows
        low, high = min(lower, value), max(upper, value)
        if axis.integer:
            return IntDistribution(int(low), int(high), log=log)
        return FloatDistribution(float(low), float(high), log=log)


def _choices(values: Sequence[Any]) -> CategoricalDistribution:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # for lists, which are stored as strings
        return CategoricalDistribution(tuple(values))


def _told_apart(choices: Sequence[Any]) -> bool:
    """Whether Optuna can distinguish these choices: it compares like Python, so True, 1 and 1.0 are equal, and a
    storage returns lists for tuples.
    """
    return len(set(choices)) == len(choices) and not any(isinstance(choice, tuple) for choice in choices)


def _as_texts(distribution: CategoricalDistribution) -> CategoricalDistribution:
    return CategoricalDistribution(tuple(map(_text, distribution.choices)))


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, tuple) else repr(value)


def without(study: optuna.Study, numbers: Collection[int]) -> optuna.Study:
    """``study`` recreated under its name without the trials of these numbers: Optuna cannot delete single trials.

    Attributes, figures and notes are kept; numbers and ids change. Holders of the old study object must load it again.
    """
    storage = study._storage
    backend = getattr(storage, "_backend", storage)  # caches of trials would mistake new ones for old ones
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
    """The key of the training that a trial shows; empty for a trial added by another program."""
    return str(trial.user_attrs.get("key", ""))


class LiveView:
    """Updates a view during a run, from its own thread.

    Args:
        open_view: opens the view; called again after each failure.
    """

    def __init__(self, open_view: Callable[[], OptunaView]) -> None:
        self._open_view = open_view
        self._waiting: list[Trial] = []
        self._changed = threading.Condition()
        self._ending = False
        self.trouble = ""
        """Why the view is behind, as a sentence; empty if it is not."""
        self._thread = threading.Thread(target=self._write, name="optuna view", daemon=True)
        self._thread.start()

    @property
    def n_behind(self) -> int:
        """Number of recorded trials not shown yet."""
        with self._changed:
            return len(self._waiting)

    def add(self, trials: Iterable[Trial]) -> None:
        """Queue ``trials`` to be shown. Returns immediately and never raises."""
        with self._changed:
            self._waiting.extend(trials)
            self._changed.notify()

    def close(self, timeout_s: float = 30.0) -> int:
        """Write what is queued, for at most ``timeout_s`` seconds; returns the number of trials still not shown.

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
            except Exception as error:  # a view must never stop a training
                view = None  # its record of what is shown may be out of date
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
