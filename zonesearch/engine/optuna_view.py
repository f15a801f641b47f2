"""The trials of a run as an Optuna study, for the dashboards that exist for it.

A view is derived: it may be deleted and made again at any time, is topped up with the trainings that it does not
show yet, and is never read back as truth. Each training is one Optuna trial; axes are Float and Int distributions,
because Optuna refuses a new value in a categorical later. Optuna's own contour plot shows the maximum of repeated
cells and its dashboard the last one: means and intervals are our own figures, saved beside the trials.

``LiveView`` writes from a thread of its own, so that a database that is slow or away never keeps a training waiting.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from zonesearch.domain.metric import ACCURACY, Metric
from zonesearch.domain.space import Axis, Space
from zonesearch.domain.trials import Trial, Value
from zonesearch.engine.optuna_storage import open_storage, quiet_optuna, shown_url, storage_errors
from zonesearch.errors import StoreError

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["Describe", "LiveView", "OptunaView"]

Describe = Callable[[Trial], Mapping[str, Any]]
"""What else is known of a trial, as plain JSON values: its stage, its zone, ..."""

_FINGERPRINT = "zonesearch:study"
_STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED}  # all else failed
_RETRY_S = 2.0


class OptunaView:
    """The Optuna study ``name`` in the storage at ``url``, made when it is not there yet.

    Args:
        url: see :func:`zonesearch.engine.optuna_storage.open_storage`.
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
        with quiet_optuna(), storage_errors(url):
            storage = open_storage(url, create=True)
            if rebuild and name in optuna.get_all_study_names(storage):
                optuna.delete_study(study_name=name, storage=storage)
            self.study = self._study(storage, name, fingerprint)
            shown = self.study.user_attrs.get(_FINGERPRINT)
            if shown is None and not self.study.get_trials(deepcopy=False):
                self.study.set_user_attr(_FINGERPRINT, fingerprint)
            elif shown != fingerprint:
                raise StoreError(
                    f'the Optuna study "{name}" in {shown_url(url)} shows something else '
                    f"({shown or 'no run of zonesearch'}): give another name, or rebuild it"
                )
            elif self.study.direction.name.lower() != metric.direction:
                raise StoreError(
                    f'the Optuna study "{name}" in {shown_url(url)} is to be {self.study.direction.name.lower()}d, but '
                    f"{metric.name} is to be {metric.direction}d: rebuild it"
                )
            self._keys = self._shown_keys()

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

        Raises:
            StoreError: the storage does not answer. What was added before stays; the same call goes on later.
        """
        n = 0
        with quiet_optuna(), storage_errors(self._url):
            for trial in trials:
                key = trial.key
                if trial.complete and trial.metric.direction != self._metric.direction:
                    raise StoreError(f"{trial.metric.name} is to be {trial.metric.direction}d, the view is not")
                if key not in self._keys:
                    self.study.add_trial(self._frozen(trial))
                    self._keys.add(key)
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
        with quiet_optuna(), storage_errors(self._url):
            for name, figure in figures.items():
                save_plotly_graph_object(self.study, figure, graph_object_id=name)
            if note:
                save_note(self.study, note)

    def _shown_keys(self) -> set[str]:
        trials = self.study.get_trials(deepcopy=False)
        return {str(trial.user_attrs["key"]) for trial in trials if "key" in trial.user_attrs}

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
                    value, distribution = repr(value), _as_texts(distribution)
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
        frozen = optuna.trial.create_trial(
            state=_STATES.get(trial.state, TrialState.FAIL),
            value=trial.accuracy,
            params=params,
            distributions=distributions,
            user_attrs=json.loads(json.dumps(known, default=str)),
            intermediate_values=dict(enumerate(curve, start=1)),
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
            return CategoricalDistribution(axis.values) if axis.contains(value) else None
        if value is None or isinstance(value, bool | str):
            return None
        if axis is None:
            return FloatDistribution(value, value)
        log = axis.scale == "log"
        low, high = min(axis.low, value), max(axis.high, value)
        if axis.integer:
            return IntDistribution(int(low), int(high), log=log)
        return FloatDistribution(float(low), float(high), log=log)


def _told_apart(choices: Sequence[Any]) -> bool:
    """Whether Optuna, which compares as Python does, can tell these choices apart: True, 1 and 1.0 are one to it."""
    return len(set(choices)) == len(choices)


def _as_texts(distribution: CategoricalDistribution) -> CategoricalDistribution:
    return CategoricalDistribution(tuple(map(repr, distribution.choices)))


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
                batch = self._waiting[:50]
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
