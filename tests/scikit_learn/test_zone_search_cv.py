"""ZoneSearchCV as users of scikit-learn meet it: conventions, seeds, folds, routing, other libraries' estimators."""

from __future__ import annotations

import os
import pickle
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import stats
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris, make_regression
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import make_scorer, mean_absolute_error
from sklearn.model_selection import GroupKFold, KFold, ShuffleSplit, StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from zonesearch import SpaceError, StudyError
from zonesearch.core.space import Axis, Choice
from zonesearch.sklearn import ZoneSearchCV
from zonesearch.sklearn.space import ParamSpace

X, Y = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X)
SHORT = {"polish": {"keep": 2, "repeats": 2}}


def search(estimator: Any, space: Any, **settings: Any) -> ZoneSearchCV:
    return ZoneSearchCV(estimator, space, **{"cv": 2, "random_state": 0, "settings": SHORT, **settings})


@parametrize_with_checks(
    [
        search(LogisticRegression(), {"C": [0.1, 1.0]}, seeds=1, settings={"polish": {"keep": 1, "repeats": 2}}),
        search(
            Pipeline([("pca", PCA()), ("ridge", Ridge())]),
            {"ridge__alpha": {"low": 0.1, "high": 1.0, "scale": "log", "row": 1}},
            seeds=1,
            settings={"polish": {"keep": 1, "repeats": 2}, "interval": {"method": "split(2)"}},
        ),
    ]
)
def test_it_passes_the_checks_of_scikit_learn(estimator: Any, check: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)


@pytest.fixture(scope="module")
def fitted() -> ZoneSearchCV:
    return search(
        make_pipeline(StandardScaler(), SVC()),
        {"svc__C": stats.loguniform(1e-2, 1e2), "svc__kernel": ["linear", "rbf"]},
        cv=3,
        return_train_score=True,
    ).fit(X, Y)


def test_fit_gives_what_a_grid_search_gives_and_a_verdict(fitted: ZoneSearchCV) -> None:
    assert set(fitted.best_params_) == {"svc__C", "svc__kernel"}
    assert fitted.cv_results_["params"][fitted.best_index_] == fitted.best_params_
    assert fitted.cv_results_["rank_test_score"][fitted.best_index_] == 1
    assert fitted.cv_results_["mean_test_score"][fitted.best_index_] == fitted.best_score_
    assert fitted.best_estimator_.get_params()["svc__C"] == fitted.best_params_["svc__C"]
    assert fitted.score(X, Y) > 0.9
    assert list(fitted.classes_) == [0, 1, 2]
    assert fitted.verdict_ is not None
    assert fitted.verdict_.best is not None
    assert dict(fitted.verdict_.best.finalist.params) == fitted.best_params_
    assert fitted.zones_
    assert fitted.result_.frame()["accuracy"].notna().all()
    assert "svc__C" in str(fitted.result_)


def test_cv_results_has_a_column_a_split_and_seed(fitted: ZoneSearchCV) -> None:
    table = pd.DataFrame(fitted.cv_results_)
    assert {f"split{i}_seed{s}_test_score" for i in range(3) for s in (0, 1, 1000, 1001)} <= set(table.columns)
    columns = [name for name in table.columns if name.startswith("split") and name.endswith("test_score")]
    np.testing.assert_allclose(table["mean_test_score"], table[columns].mean(axis=1))
    np.testing.assert_allclose(table["std_test_score"], table[columns].std(axis=1, ddof=0), atol=1e-12)
    assert (table[columns].notna().sum(axis=1) == 3 * table["n_seeds"]).all()
    assert list(table["param_svc__kernel"]) == [params["svc__kernel"] for params in table["params"]]
    assert {"mean_fit_time", "std_fit_time", "mean_score_time", "mean_train_score"} <= set(table.columns)
    finalists = len(fitted.verdict_.standings)  # type: ignore[union-attr]
    assert sorted(table.loc[table["n_seeds"] > 2, "rank_test_score"]) == list(range(1, finalists + 1))
    rest = table[table["rank_test_score"] > finalists]
    assert (rest.sort_values("rank_test_score")["mean_test_score"].diff().dropna() <= 1e-12).all()


def test_scores_are_those_of_cross_validation_with_the_same_folds() -> None:
    folds = KFold(3, shuffle=True, random_state=7)
    found = search(LogisticRegression(), {"C": [0.1, 1.0]}, cv=folds).fit(X, Y)
    for row, params in enumerate(found.cv_results_["params"]):
        scores = cross_val_score(LogisticRegression(**params), X, Y, cv=folds)
        for seed in (0, 1):
            for split, score in enumerate(scores):
                assert found.cv_results_[f"split{split}_seed{seed}_test_score"][row] == score


def test_an_integer_cv_and_a_free_splitter_shuffle_by_the_seed() -> None:
    for cv in (3, ShuffleSplit(3, test_size=0.3)):
        results = search(LogisticRegression(), {"C": [0.001, 0.01]}, cv=cv).fit(X, Y).cv_results_
        assert results["split0_seed0_test_score"][0] != results["split0_seed1_test_score"][0]


def test_a_seed_sets_every_random_state_of_the_estimator() -> None:
    seen: list[Any] = []
    search(Recording(seen, scaler=RandomForestClassifier(n_estimators=1)), {"c": [0, 1]}, cv=StratifiedKFold(2)).fit(
        X, Y
    )
    by_seed = {states for states in seen if None not in states}
    assert len(by_seed) == 4  # two of the map, two fresh ones
    assert all(len(set(states)) == 2 for states in by_seed)
    assert seen[-1] == (None, None)  # refitted as it was given


class Recording(ClassifierMixin, BaseEstimator):
    """Notes the random states that it is fitted with."""

    def __init__(self, seen: Any, c: int = 1, scaler: Any = None, random_state: Any = None) -> None:
        self.seen, self.c, self.scaler, self.random_state = seen, c, scaler, random_state

    def __sklearn_clone__(self) -> Recording:
        return Recording(self.seen, self.c, clone(self.scaler), self.random_state)

    def fit(self, X: Any, y: Any) -> Recording:
        self.seen.append((self.random_state, self.scaler.random_state))
        self.classes_ = np.unique(y)
        return self

    def predict(self, X: Any) -> Any:
        return np.full(len(X), self.classes_[self.c])


def test_every_fit_begins_afresh_and_the_same_random_state_gives_the_same() -> None:
    one = search(RandomForestClassifier(n_estimators=3), {"max_depth": stats.randint(1, 9)})
    first = one.fit(X, Y).cv_results_
    predicted = one.predict(X)
    assert one.fit(X[::2], Y[::2]).cv_results_["mean_test_score"].tolist() != first["mean_test_score"].tolist()
    again = clone(one).fit(X, Y)
    assert again.cv_results_["mean_test_score"].tolist() == first["mean_test_score"].tolist()
    assert (again.predict(X) == predicted).all()


def test_global_generators_stay_as_they_were_where_a_random_state_is_given() -> None:
    before = np.random.get_state()[1].tolist()  # type: ignore[index]  # noqa: NPY002
    search(LogisticRegression(), {"C": [0.1, 1.0]}).fit(X, Y)
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index]  # noqa: NPY002


def test_it_can_be_pickled_before_and_after_fit_and_run_in_parallel(fitted: ZoneSearchCV) -> None:
    unfitted = pickle.loads(pickle.dumps(search(SVC(), {"C": [0.1, 1.0]}, n_jobs=2)))
    parallel = unfitted.fit(X, Y)
    alone = search(SVC(), {"C": [0.1, 1.0]}).fit(X, Y)
    assert parallel.cv_results_["mean_test_score"].tolist() == alone.cv_results_["mean_test_score"].tolist()
    back = pickle.loads(pickle.dumps(fitted))
    assert (back.predict(X) == fitted.predict(X)).all()
    assert back.verdict_ == fitted.verdict_


def test_with_n_trainings_a_larger_space_is_searched_within_them() -> None:
    space = {"C": stats.loguniform(1e-2, 1e2), "gamma": stats.loguniform(1e-3, 1), "kernel": ["rbf", "poly"]}
    found = search(SVC(), space, n_trainings=24).fit(X, Y)
    assert 12 <= len(found.result_.trials) <= 24
    assert found.verdict_ is not None
    assert found.best_score_ > 0.85


def test_choices_of_any_kind_reach_the_estimator_as_they_are() -> None:
    pipe = Pipeline([("scale", StandardScaler()), ("classify", KNeighborsClassifier())])
    space = {
        "classify": [KNeighborsClassifier(3), RandomForestClassifier(n_estimators=2)],
        "scale": [None, "passthrough"],
    }
    found = search(pipe, space).fit(X, Y)
    assert isinstance(found.best_params_["classify"], KNeighborsClassifier | RandomForestClassifier)
    assert found.best_params_["scale"] in (None, "passthrough")


def test_spaces_are_read_as_randomized_search_takes_them() -> None:
    axes = ParamSpace.parse(
        {
            "a": stats.uniform(1, 2),
            "b": stats.loguniform(1e-3, 1),
            "c": stats.randint(2, 10),
            "d": [0.1, 1, 10],
            "e": {"low": 1, "high": 8, "scale": "log"},
            "f": [None, (1, 2)],
            "g": stats.norm(0, 1),
            "h": np.array([1, 2]),
            "i": {"values": [1, 2, 4]},
        }
    ).space
    assert [(axes["a"].low, axes["a"].high, axes["a"].scale) for _ in "x"] == [(1.0, 3.0, "linear")]  # type: ignore[union-attr]
    assert axes["b"].scale == "log"  # type: ignore[union-attr]
    assert (axes["c"].low, axes["c"].high, axes["c"].integer) == (2, 9, True)  # type: ignore[union-attr]
    assert axes["d"] == Choice("d", (0.1, 1, 10))
    assert axes["f"] == Choice("f", ("None", "(1, 2)"))
    assert axes["g"].low == pytest.approx(stats.norm.ppf(0.01))  # type: ignore[union-attr]
    assert axes["h"] == Choice("h", (1, 2))
    assert isinstance(axes["i"], Axis)


@pytest.mark.parametrize(
    ("space", "error", "said"),
    [
        ([{"C": [1]}, {"C": [2]}], SpaceError, "give one table"),
        ({"C": []}, SpaceError, "row is empty"),
        ({"C": {"low": 1}}, SpaceError, '"high" is missing'),
        ({"C": 3}, SpaceError, "give a table"),
        ({"C": type("Odd", (), {"rvs": lambda self: 1})()}, SpaceError, "the ends and scale of"),
    ],
)
def test_a_space_that_makes_no_sense_is_refused_in_a_sentence(space: Any, error: Any, said: str) -> None:
    with pytest.raises(error, match=said):
        search(LogisticRegression(), space).fit(X, Y)


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(StudyError, match="too small"):
        search(LogisticRegression(), {"C": [0.1, 1.0]}, n_trainings=2).fit(X, Y)
    with pytest.raises(ValueError, match="'seeds' parameter"):
        search(LogisticRegression(), {"C": [0.1, 1.0]}, seeds=0).fit(X, Y)
    with pytest.raises(StudyError, match="polsh"):
        search(LogisticRegression(), {"C": [0.1, 1.0]}, settings={"polsh": {}}).fit(X, Y)
    with pytest.raises(ValueError, match="Invalid parameter"):
        search(LogisticRegression(), {"nothing": [0.1, 1.0]}).fit(X, Y)


def test_losses_are_reported_with_the_sign_of_scikit_learn() -> None:
    data, target = make_regression(60, 4, noise=5.0, random_state=0)
    for scoring in ("neg_mean_absolute_error", make_scorer(mean_absolute_error, greater_is_better=False)):
        found = search(Ridge(), {"alpha": stats.loguniform(1e-2, 1e3)}, scoring=scoring).fit(data, target)
        assert found.best_score_ < 0
        assert found.best_params_["alpha"] < 10
        assert found.score(data, target) < 0
    assert search(Ridge(), {"alpha": [0.1, 1.0]}).fit(data, target).result_.results.metric.name == "r2"


def test_of_several_scores_refit_names_the_searched_one() -> None:
    several = {"scoring": ["accuracy", "f1_macro"]}
    found = search(LogisticRegression(), {"C": [0.001, 1.0]}, refit="f1_macro", **several).fit(X, Y)
    assert found.result_.results.metric.name == "f1_macro"
    assert found.best_score_ == found.cv_results_["mean_test_f1_macro"][found.best_index_]
    assert "split0_seed0_test_accuracy" in found.cv_results_
    with pytest.raises(ValueError, match="refit must"):
        search(LogisticRegression(), {"C": [0.001, 1.0]}, **several).fit(X, Y)
    with pytest.raises(ValueError, match="name the one that is searched"):
        search(LogisticRegression(), {"C": [0.001, 1.0]}, refit=False, **several).fit(X, Y)


def test_refit_false_and_a_function_do_as_in_a_grid_search() -> None:
    found = search(LogisticRegression(), {"C": [0.001, 1.0]}, refit=False).fit(X, Y)
    assert found.best_params_ == {"C": 1.0}
    assert not hasattr(found, "best_estimator_")
    worst = search(LogisticRegression(), {"C": [0.001, 1.0]}, refit=lambda r: int(np.argmin(r["mean_test_score"])))
    assert worst.fit(X, Y).best_params_ == {"C": 0.001}


def test_weights_and_groups_reach_fit_and_splits() -> None:
    groups = np.arange(len(Y)) % 5
    found = search(LogisticRegression(), {"C": [0.001, 1.0]}, cv=GroupKFold(5)).fit(X, Y, groups=groups)
    assert found.n_splits_ == 5
    weights = np.where(Y == 2, 0.0, 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        unweighted = search(LogisticRegression(), {"C": [0.1, 1.0]}).fit(X, Y)
        weighted = search(LogisticRegression(), {"C": [0.1, 1.0]}).fit(X, Y, sample_weight=weights)
    assert (unweighted.predict(X) == 2).sum() > 30
    assert (weighted.predict(X) == 2).sum() == 0


def test_metadata_is_routed() -> None:
    weights = np.where(Y == 2, 0.0, 1.0)
    groups = np.arange(len(Y)) % 5
    with sklearn.config_context(enable_metadata_routing=True):
        estimator = LogisticRegression().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        found = search(estimator, {"C": [0.1, 1.0]}, cv=GroupKFold(5))
        found.fit(X, Y, sample_weight=weights, groups=groups)
    assert (found.predict(X) == 2).sum() == 0


def test_settings_that_cannot_be_fitted_are_failures_and_the_search_goes_on() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = search(SVC(), {"kernel": ["nonsense", "linear", "rbf"]}).fit(X, Y)
        assert found.best_params_["kernel"] != "nonsense"
        results = found.cv_results_
        row = [params["kernel"] for params in results["params"]].index("nonsense")
        assert np.isnan(results["mean_test_score"][row])
        assert results["rank_test_score"][row] == 3
        with pytest.raises(ValueError, match="fits failed"):
            search(SVC(), {"kernel": ["nonsense", "none"]}).fit(X, Y)
        with pytest.raises(ValueError, match="kernel"):
            search(SVC(), {"kernel": ["nonsense", "rbf"]}, error_score="raise").fit(X, Y)


def test_it_clusters_and_transforms_where_the_estimator_does() -> None:
    found = search(KMeans(n_init=1), {"n_clusters": [2, 3]})
    assert found.fit_transform(X).shape[1] in (2, 3)
    assert not hasattr(search(SVC(), {"C": [0.1]}), "fit_transform")


def test_it_stands_inside_a_pipeline_and_a_cross_validation() -> None:
    pipe = make_pipeline(StandardScaler(), search(LogisticRegression(), {"C": [0.1, 1.0]}))
    assert cross_val_score(pipe, X, Y, cv=2).mean() > 0.8
    pipe.set_params(zonesearchcv__estimator__tol=1e-3)
    assert pipe.get_params()["zonesearchcv__estimator"].tol == 1e-3


def test_it_serves_skorch() -> None:
    skorch = pytest.importorskip("skorch", reason="skorch is not installed")
    import torch

    class Net(torch.nn.Module):
        def __init__(self, width: int = 4) -> None:
            super().__init__()
            self.layers = torch.nn.Sequential(
                torch.nn.Linear(4, width), torch.nn.ReLU(), torch.nn.Linear(width, 3), torch.nn.Softmax(dim=1)
            )

        def forward(self, x: Any) -> Any:
            return self.layers(x)

    net = skorch.NeuralNetClassifier(Net, max_epochs=3, train_split=None, verbose=0)
    space = {"lr": {"low": 0.01, "high": 1.0, "scale": "log", "row": 2}, "module__width": [4, 16]}
    one = search(
        net, space, seeds=1, settings={"polish": {"keep": 1, "repeats": 2}, "interval": {"method": "split(2)"}}
    )
    data = X.astype(np.float32)
    first = one.fit(data, Y).cv_results_["mean_test_score"].tolist()
    assert one.best_params_["module__width"] in (4, 16)
    assert one.predict(data).shape == Y.shape
    assert clone(one).fit(data, Y).cv_results_["mean_test_score"].tolist() == first


def test_it_serves_keras_wrappers() -> None:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keras = pytest.importorskip("keras", reason="keras is not installed")

    def build(X: Any, y: Any, rate: float = 0.01) -> Any:
        model = keras.Sequential([keras.layers.Input((X.shape[1],)), keras.layers.Dense(3, activation="softmax")])
        model.compile(optimizer=keras.optimizers.Adam(rate), loss="categorical_crossentropy")
        return model

    wrapped = keras.wrappers.SKLearnClassifier(
        build, model_kwargs={"rate": 0.01}, fit_kwargs={"epochs": 1, "verbose": 0}
    )
    space = {"model_kwargs": [{"rate": 0.0001}, {"rate": 0.1}]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = search(wrapped, space, seeds=1, settings={"polish": {"keep": 1, "repeats": 1}}).fit(X, Y)
    assert found.best_params_["model_kwargs"]["rate"] in (0.0001, 0.1)
    assert 0 <= found.best_score_ <= 1


def test_constraints_and_budgets_are_those_of_every_search() -> None:
    space = {"n_neighbors": {"low": 1, "high": 20}, "leaf_size": {"low": 10, "high": 40, "row": 3}, "p": [1, 2]}
    found = search(
        KNeighborsClassifier(), space, seeds=1, budget={"trainings": 16}, constraints=["n_neighbors * leaf_size <= 200"]
    ).fit(X, Y)
    assert len(found.result_.trials) <= 16
    table = found.cv_results_
    assert all(n * leaf <= 200 for n, leaf in zip(table["param_n_neighbors"], table["param_leaf_size"], strict=True))
    assert clone(found).get_params()["constraints"] == ["n_neighbors * leaf_size <= 200"]
    timed = search(KNeighborsClassifier(), {"n_neighbors": [1, 2, 3]}, seeds=1, budget={"minutes": 5}).fit(X, Y)
    assert timed.verdict_ is not None
    with pytest.raises(StudyError, match="give only one of them"):
        search(KNeighborsClassifier(), space, n_trainings=9, budget={"trainings": 9}).fit(X, Y)
    with pytest.raises(StudyError, match="no epochs"):
        search(KNeighborsClassifier(), space, budget={"epochs": 9}).fit(X, Y)
    with pytest.raises(SpaceError, match="is not an axis"):
        search(KNeighborsClassifier(), space, constraints=["neighbors < 3"]).fit(X, Y)


def test_none_among_words_is_a_choice_of_its_own() -> None:
    space = ParamSpace.parse({"max_features": [None, "sqrt", "None"]})
    assert [space.params({"max_features": value})["max_features"] for value in space.space.axes[0].row()] == [
        None,
        "sqrt",
        "None",
    ]
    assert not space.objects


def test_a_single_training_is_too_few_for_an_estimator() -> None:
    search = ZoneSearchCV(KNeighborsClassifier(), {"n_neighbors": [1, 2, 3]}, n_trainings=1, cv=2)
    with pytest.raises(StudyError, match=r"budget of 1 training is too small: .* give at least 4"):
        search.fit([[0], [1], [2], [3]], [0, 1, 0, 1])
