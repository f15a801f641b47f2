"""A search over the parameters of a scikit-learn estimator by zones: ``ZoneSearchCV``.

It builds on ``BaseSearchCV``, which splits the data, fits in parallel, routes weights and groups, refits and predicts;
this module only decides which settings to fit next, with which seeds, and what to conclude. A *training* of the search
is one setting with one seed, fitted on every split; its value is the mean score over the splits.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from copy import copy, deepcopy
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils import check_random_state, get_tags
from sklearn.utils._param_validation import Interval
from sklearn.utils.metaestimators import available_if

from zonesearch.core.metric import Metric, is_usable
from zonesearch.core.seeding import stream_seed
from zonesearch.core.trials import Training, Trial, Trials
from zonesearch.errors import StudyError
from zonesearch.run.learning import as_learned
from zonesearch.run.pipeline import find, next_round
from zonesearch.run.result import Result
from zonesearch.search.budget import Budget
from zonesearch.sklearn.space import ParamSpace
from zonesearch.sklearn.table import Fits, cv_table, score_of
from zonesearch.statistics.verdict import Verdict
from zonesearch.statistics.zones import Zone
from zonesearch.study.study import DEFAULT_STAGES, Study

__all__ = ["ZoneSearchCV"]

_CELLS_MAX = 64
"""A grid with more cells than this is searched in full only if its stages are named."""

_N_TRAININGS = 60
"""Default budget for a larger space."""

_FINALISTS: dict[str, Any] = {"keep": 3, "repeats": 5}
"""Finalists and their fresh seeds: fewer than elsewhere, because every training costs one fit per split."""


_ZONES = 5
"""Maximum number of zones that the Gaussian process passes on to be judged."""


class ZoneSearchCV(BaseSearchCV):  # type: ignore[misc]
    """Find the zones of an estimator's parameters, and determine which settings differ significantly.

    Used as ``GridSearchCV``: ``fit`` searches and refits the best setting on all data; ``predict`` and other methods
    are delegated to that estimator. Every ``fit`` starts from scratch.

    A **seed** sets every ``random_state`` of the estimator that is not itself searched, and the folds: with ``cv`` an
    integer or None (Stratified)KFold shuffles by the seed, and so does a splitter that shuffles with a ``random_state``
    that is no integer. Any other splits are the same for every seed. All settings share the folds of a seed, so that
    they are compared in pairs. Give ``KFold(5)`` to keep the order of the data.

    Estimators that draw from the global generators of Python, NumPy or torch (skorch, Keras) are reproducible if fits
    run in this process (``n_jobs=None``).

    Args:
        estimator: the estimator to fit; a pipeline's parameters are named ``step__param``.
        space: for each parameter a table (``{"low": 1e-3, "high": 10, "scale": "log"}``), a distribution of
            ``scipy.stats`` (``uniform``, ``loguniform``, ``randint``; the middle 98 % if it is unbounded) or a list of
            choices; see :class:`zonesearch.sklearn.space.ParamSpace`.
        n_trainings: budget of the whole search, each training being one fit per split: a Gaussian process chooses them,
            and the last ones judge finalists. None searches the grid of a small space (at most 64 cells), then
            intervals in its zones, then finalists; a larger space gets 60.
        budget: instead of ``n_trainings``, a budget of trainings, ``{"trainings": 200}``, or of fit time, ``{"minutes":
            30}`` (or ``hours``, ``seconds``).
        constraints: expressions that must hold at each setting, for example ``["max_depth * n_estimators <= 500"]``;
            forbidden settings are never fitted.
        seeds: trainings per cell of the map, and per candidate when choosing finalists.
        stages: other stages, by name or as objects; ``n_trainings`` is then their total budget.
        settings: a table of settings for each stage: ``{"polish": {"keep": 5, "repeats": 7}}``; by default 3 finalists
            with 5 fresh seeds each.
        scoring: as for ``GridSearchCV``; with several scores, ``refit`` names the one to optimize.
        cv, n_jobs, verbose, pre_dispatch, error_score, return_train_score: as for ``GridSearchCV``.
        refit: refit the best setting on all data; or the name of the score to optimize, or a function that picks the
            row of ``cv_results_``.
        random_state: seed of seeds, folds and proposals. The same integer gives the same search.

    Attributes:
        best_params_, best_index_, best_score_, best_estimator_, cv_results_, refit_time_, n_splits_: as in
            ``GridSearchCV``. The best setting is the best finalist by its fresh seeds, not the luckiest row;
            ``rank_test_score`` begins with the finalists. ``cv_results_`` has one column per split and seed
            (:mod:`zonesearch.sklearn.table`); ``best_score_`` is the mean over all fits of the best row.
        verdict_: which finalists differ significantly, and which of the rest is cheapest (``verdict_.recommended``);
        None if no fit completed or the stages give no verdict. zones_: zones, best first; ``.peak`` holds parameters.
        result_: everything, as returned by ``run_pipeline``: ``result_.report("report.html")``, ``result_.figures``.

    Raises:
        SpaceError, StudyError: (both ValueErrors) an invalid space, stage or budget.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseSearchCV._parameter_constraints,
        "n_trainings": [Interval(Integral, 1, None, closed="left"), None],
        "seeds": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
        "budget": [Mapping, None],
        "constraints": [list, tuple, None],
    }

    def __init__(
        self,
        estimator: Any,
        space: Any,
        *,
        n_trainings: int | None = None,
        seeds: int = 2,
        stages: Sequence[Any] | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: Any = True,
        cv: Any = None,
        verbose: int = 0,
        pre_dispatch: int | str = "2*n_jobs",
        random_state: Any = None,
        error_score: Any = np.nan,
        return_train_score: bool = False,
        budget: Mapping[str, float] | None = None,
        constraints: Sequence[str] | None = None,
    ) -> None:
        super().__init__(
            estimator=estimator,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.space = space
        self.n_trainings = n_trainings
        self.seeds = seeds
        self.stages = stages
        self.settings = settings
        self.random_state = random_state
        self.budget = budget
        self.constraints = constraints

    def __sklearn_tags__(self) -> Any:
        """The estimator's tags, including input and transformer tags, which ``BaseSearchCV`` leaves out."""
        tags, own = super().__sklearn_tags__(), get_tags(self.estimator)
        tags.target_tags, tags.transformer_tags = deepcopy(own.target_tags), deepcopy(own.transformer_tags)
        tags.input_tags.allow_nan = own.input_tags.allow_nan
        return tags

    def fit(self, X: Any, y: Any = None, **params: Any) -> ZoneSearchCV:
        """Search, then refit the best setting on all data.

        Args:
            X: the data, as accepted by the estimator.
            y: the target; None if the estimator needs none.
            params: parameters for the estimator's ``fit``, the scorer and the splitter, as for ``GridSearchCV``:
                ``sample_weight``, ``groups``, and routed metadata.
        """
        if y is None and get_tags(self.estimator).target_tags.required:
            raise ValueError(f"{type(self.estimator).__name__} requires y to be passed, but the target y is None")
        self._entropy = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        try:
            # makes draws of the estimator from global generators reproducible too
            with _global_generators(self._entropy) if self.random_state is not None else nullcontext():
                super().fit(X, y, **params)
        finally:
            del self._entropy
        return self

    @available_if(lambda self: hasattr(self.estimator, "transform"))  # type: ignore[untyped-decorator]
    def fit_transform(self, X: Any, y: Any = None, **params: Any) -> Any:
        """Search, refit, and transform the same data; only for transformers."""
        return self.fit(X, y, **params).transform(X)

    verdict_: Verdict | None
    zones_: tuple[Zone, ...]
    result_: Result

    def _run_search(self, evaluate_candidates: Callable[..., Mapping[str, Any]]) -> None:
        """The loop around the stages; called by ``fit``."""
        space = ParamSpace.parse(self.space, self.constraints or ())
        entropy = self._entropy
        study = as_learned(self._study(space, entropy), cache=False)
        log = self._log = _Log(space, self._searched())
        try:
            while not (at := next_round(study.stages, log.trials, study.budget)).finished:
                for seed in sorted({training.seed for training in at.missing}):
                    trainings = [training for training in at.missing if training.seed == seed]
                    state = stream_seed(entropy, "weights", seed) % 2**31
                    candidates = [self._candidate(space.params(t.params), state) for t in trainings]
                    self._evaluate(evaluate_candidates, trainings, candidates, state)
            results = find(study, log.trials)
            self.verdict_, self.zones_ = results.verdict, results.zones
            self.result_ = Result(results)
            log.finish(self._first_rows, self.verdict_)
        finally:
            del self._log

    def _evaluate(
        self,
        evaluate_candidates: Callable[..., Mapping[str, Any]],
        trainings: Sequence[Training],
        candidates: Sequence[dict[str, Any]],
        state: int,
    ) -> None:
        """Fit one round of one seed; if nothing in a round could be fitted, all of its trainings are failures."""
        self._log.asked = trainings
        try:
            with _global_generators(state):
                evaluate_candidates(candidates, cv=_shuffled(self.cv, self._checked_cv_orig, state))
        except ValueError as error:
            hopeless = "fits failed" in str(error) and self.error_score != "raise"
            if not hopeless or not any(trial.complete for trial in self._log.trials):
                raise
            self._log.take_failures(self.n_splits_, self._log.searched, str(error))

    def _format_results(
        self, candidate_params: list[Any], n_splits: int, out: list[dict[str, Any]], more_results: Any = None
    ) -> dict[str, Any]:
        """Called by ``fit`` after each round with all results so far: store the new ones; the table is built at the
        end.
        """
        self._log.take(n_splits, out)
        return self._log.table

    def _first_rows(self, params: list[dict[str, Any]], n_splits: int, out: list[dict[str, Any]]) -> dict[str, Any]:
        table: dict[str, Any] = super()._format_results(params, n_splits, out)
        return table

    def _study(self, space: ParamSpace, entropy: int) -> Study:
        stages, n_trainings = self.stages, self.n_trainings
        budget = None if self.budget is None else Budget.parse(self.budget)
        if budget is not None and n_trainings is not None:
            raise StudyError(f"n_trainings = {n_trainings} and budget mean the same: give only one of them")
        if budget is not None and budget.unit == "epochs":
            raise StudyError("budget: an estimator is fitted as a whole and has no epochs; give trainings or a time")
        if budget is not None and budget.unit == "trainings":
            n_trainings, budget = int(budget.amount), None
        if stages is None:
            small = n_trainings is None and space.space.n_cells <= _CELLS_MAX
            stages = DEFAULT_STAGES if small else ("surrogate", "polish")
            n_trainings = n_trainings if small or n_trainings is not None or budget is not None else _N_TRAININGS
        settings: dict[str, Any] = {name: dict(table) for name, table in (self.settings or {}).items()}
        if "polish" in stages:
            settings["polish"] = {**_FINALISTS, **settings.get("polish", {})}
        if tuple(stages) == ("surrogate", "polish") and n_trainings is not None:
            judging = settings["polish"]["keep"] * settings["polish"]["repeats"] + _ZONES * self.seeds
            own = {"n_trainings": max(1, n_trainings // 2, n_trainings - judging), "zones_max": _ZONES}
            settings["surrogate"] = {**own, **settings.get("surrogate", {})}
        return Study.of(
            space.space,
            _fitted_elsewhere,
            name=type(self.estimator).__name__,
            stages=stages,
            seeds=self.seeds,
            seed=entropy,
            budget=budget if n_trainings is None else {"trainings": n_trainings},
            metric=self._metric(),
            **settings,
        )

    def _searched(self) -> str:
        """The optimized score, by its name in ``cv_results_``."""
        if self.scoring is None or isinstance(self.scoring, str) or callable(self.scoring):
            return self.refit if isinstance(self.refit, str) else "score"
        if isinstance(self.refit, str):
            return self.refit
        raise ValueError(f"of several scores refit must name the one that is searched, not {self.refit!r}")

    def _metric(self) -> Metric:
        """The metric under scikit-learn's name; its scorers negate losses (``neg_...``), so larger is better."""
        name = self._searched()
        if isinstance(self.scoring, str):
            name = self.scoring
        elif self.scoring is None:
            name = "accuracy" if is_classifier(self.estimator) else "r2" if is_regressor(self.estimator) else "score"
        elif callable(self.scoring) and name == "score":
            name = getattr(self.scoring, "__name__", "score")
        return Metric(name, "maximize")

    def _candidate(self, params: dict[str, Any], state: int) -> dict[str, Any]:
        """The parameters of a fit: those searched, and each ``random_state`` that the estimator then has."""
        estimator = clone(self.estimator).set_params(**clone(params, safe=False))
        names = [
            name
            for name in sorted(estimator.get_params(deep=True))
            if (name == "random_state" or name.endswith("__random_state")) and name not in params
        ]
        rng = np.random.RandomState(state)
        return params | {name: int(rng.randint(np.iinfo(np.int32).max)) for name in names}


class _Log:
    """All fits so far, and the table built from them.

    Args:
        space: the space searched.
        searched: the name of the optimized score.
    """

    def __init__(self, space: ParamSpace, searched: str) -> None:
        self.space = space
        self.searched = searched
        self.trials = Trials()
        self.asked: Sequence[Training] = ()
        self.table: dict[str, Any] = {}
        self._rows: dict[Any, dict[int, Sequence[dict[str, Any]]]] = {}
        self._params: list[dict[str, Any]] = []
        self._n_taken = 0
        self._n_splits = 1

    def take(self, n_splits: int, out: Sequence[dict[str, Any]]) -> None:
        """Record the fits of ``asked``: the last entries of ``out``, ordered by split."""
        new = out[self._n_taken :]
        self._n_taken, self._n_splits = len(out), n_splits
        for i, training in enumerate(self.asked):
            self._add(training, new[i * n_splits : (i + 1) * n_splits])

    def take_failures(self, n_splits: int, searched: str, error: str) -> None:
        """Record that none of the fits of ``asked`` succeeded."""
        fit = {"fit_time": 0.0, "score_time": 0.0, "test_scores": np.nan, "train_scores": np.nan, "fit_error": error}
        fit |= {"n_test_samples": 0}
        if self._rows and isinstance(next(iter(next(iter(self._rows.values())).values()))[0]["test_scores"], Mapping):
            fit |= {"test_scores": _Everywhere(), "train_scores": _Everywhere()}
        for training in self.asked:
            self._add(training, [fit] * n_splits)

    def _add(self, training: Training, fits: Sequence[dict[str, Any]]) -> None:
        point = training.identity[0]
        if point not in self._rows:
            self._rows[point] = {}
            self._params.append(self.space.params(training.params))
        self._rows[point][training.seed] = fits
        self.trials = self.trials | Trials([_trial(training, fits, self.searched)])

    def finish(self, first_rows: Callable[..., dict[str, Any]], verdict: Verdict | None) -> None:
        """Build the table in the mapping that was returned earlier."""
        rows: list[Fits] = list(self._rows.values())
        places = {point: i for i, point in enumerate(self._rows)}
        standings = verdict.standings if verdict is not None else ()
        judged = {places[Training(s.finalist.params).identity[0]]: place for place, s in enumerate(standings)}
        whole = [fit for row in rows for fit in next(iter(row.values()))]
        self.table.update(cv_table(first_rows(self._params, self._n_splits, whole), rows, self._n_splits, judged))


class _Everywhere(dict[str, float]):
    """A mapping with NaN for every name."""

    def __missing__(self, name: str) -> float:
        return np.nan


def _trial(training: Training, fits: Sequence[Mapping[str, Any]], searched: str) -> Trial:
    seconds = float(sum(fit["fit_time"] + fit["score_time"] for fit in fits))
    errors = [str(fit["fit_error"]) for fit in fits if fit.get("fit_error")]
    values = [score_of(fit, "test", searched) for fit in fits]
    value = float(np.mean(values))
    if is_usable(value):
        return Trial(training, accuracy=value, seconds=seconds)
    if errors:
        return Trial(training, "failed", error=errors[0], seconds=seconds)
    return Trial(training, "diverged", seconds=seconds)


def _shuffled(given: Any, splitter: Any, state: int) -> Any:
    """The splitter of one seed (see :class:`ZoneSearchCV`)."""
    if given is None or isinstance(given, Integral):
        kind = StratifiedKFold if isinstance(splitter, StratifiedKFold) else KFold
        return kind(splitter.get_n_splits(), shuffle=True, random_state=state)
    fixed = isinstance(getattr(splitter, "random_state", 0), Integral)
    if fixed or not getattr(splitter, "shuffle", True):
        return splitter
    again = copy(splitter)
    again.random_state = state
    return again


@contextmanager
def _global_generators(state: int) -> Iterator[None]:
    """Seed the global generators with ``state``, for estimators that draw from them, and restore them afterwards."""
    torch = sys.modules.get("torch")
    before = random.getstate(), np.random.get_state(), torch.get_rng_state() if torch else None  # noqa: NPY002
    random.seed(state)
    np.random.seed(state)  # noqa: NPY002
    if torch:
        torch.manual_seed(state)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
        if torch:
            torch.set_rng_state(before[2])


def _fitted_elsewhere(params: Any) -> float:
    raise NotImplementedError("a scikit-learn search is fitted by its own loop")
