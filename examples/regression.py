"""A regression: the error is minimized, and kept in its own sign and unit everywhere."""

from typing import Any

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import train_test_split

from zonesearch import run_pipeline

X, Y = load_diabetes(return_X_y=True)


def rmse(params: dict[str, Any], seed: int) -> float:
    x, x_held_out, y, y_held_out = train_test_split(X, Y, random_state=seed)
    model = HistGradientBoostingRegressor(
        max_iter=30, learning_rate=params["rate"], max_leaf_nodes=params["leaves"], early_stopping=False
    )
    return float(np.sqrt(np.mean((model.fit(x, y).predict(x_held_out) - y_held_out) ** 2)))


if __name__ == "__main__":
    result = run_pipeline(
        {"rate": {"low": 0.01, "high": 1.0, "scale": "log", "row": 3}, "leaves": [2, 4, 8]},
        objective=rmse,
        metric="rmse",  # known to be minimized; for a name of your own say direction="minimize"
        seeds=2,
        interval={"method": "split(2)"},
        polish={"keep": 2, "repeats": 3},
    )
    print(result.verdict.sentence if result.verdict else "no verdict")
