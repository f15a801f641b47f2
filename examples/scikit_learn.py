"""ZoneSearchCV where GridSearchCV or RandomizedSearchCV stood: the same calls, and a verdict."""

import pandas as pd
from scipy.stats import loguniform
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from zonesearch.sklearn import ZoneSearchCV

if __name__ == "__main__":
    x, x_test, y, y_test = train_test_split(*load_breast_cancer(return_X_y=True), random_state=0)
    search = ZoneSearchCV(
        make_pipeline(StandardScaler(), SVC()),
        {"svc__C": loguniform(1e-2, 1e3), "svc__gamma": loguniform(1e-4, 1), "svc__kernel": ["rbf", "poly"]},
        n_trainings=40,  # each one fit a split; without it a small space is searched as a grid
        cv=3,
        random_state=0,
    )
    search.fit(x, y)
    print(search.verdict_.sentence if search.verdict_ else "no verdict")
    print("best:", search.best_params_, "on the test set:", search.score(x_test, y_test))
    table = pd.DataFrame(search.cv_results_).sort_values("rank_test_score")
    print(table[["param_svc__C", "param_svc__gamma", "param_svc__kernel", "mean_test_score", "n_seeds"]].head())
    print("report:", search.result_.report("scikit_learn.html"))
