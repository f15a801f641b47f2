"""Any function as the objective: here one that yields its accuracy after each epoch."""

from collections.abc import Iterator
from typing import Any

from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split

from zonesearch import load_run, run_pipeline

X, Y = load_digits(return_X_y=True)
X_TRAIN, X_HELD_OUT, Y_TRAIN, Y_HELD_OUT = train_test_split(X / 16, Y, random_state=0)


def accuracy(params: dict[str, Any], seed: int, epochs: int) -> Iterator[float]:
    model = SGDClassifier(eta0=params["rate"], learning_rate="constant", alpha=params["decay"], random_state=seed)
    for _ in range(epochs):
        model.partial_fit(X_TRAIN, Y_TRAIN, classes=range(10))
        yield model.score(X_HELD_OUT, Y_HELD_OUT)


if __name__ == "__main__":
    run_pipeline(
        {
            "rate": {"low": 1e-4, "high": 1.0, "scale": "log", "row": 4},
            "decay": {"low": 1e-6, "high": 1e-2, "scale": "log", "row": 2},
        },
        objective=accuracy,
        epochs=3,
        seeds=2,
        into="runs/own_function",  # stop it at any moment: the same call goes on
        interval={"method": "split(4)"},
        polish={"keep": 3, "repeats": 3},
    )
    result = load_run("runs/own_function")  # later, or on another machine
    print(result.verdict.sentence if result.verdict else "no verdict yet")
    print("zones around", [zone.peak for zone in result.zones])
    print("report:", result.report("runs/own_function/report.html"))
