"""Keras inside an objective: the callback reports each epoch. Any backend; here torch, which is installed anyway."""

import os
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
from sklearn.datasets import load_iris

from zonesearch import run_pipeline
from zonesearch.integrations.keras import Report

X, Y = load_iris(return_X_y=True)


def objective(params: dict[str, Any], seed: int, epochs: int) -> None:
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.layers.Input((4,)),
            keras.layers.Dense(params["width"], activation="relu"),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    rate = params["rate"]
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    held_out = X[::3], Y[::3]
    model.fit(X, Y, epochs=epochs, validation_data=held_out, verbose=0, callbacks=[Report("val_accuracy")])


if __name__ == "__main__":
    result = run_pipeline(
        {"width": [4, 16], "rate": [1e-3, 1e-1]},
        objective=objective,
        epochs=3,
        stages=["grid", "polish"],
        polish={"keep": 2, "repeats": 2},
    )
    print(result.verdict.sentence if result.verdict else "no verdict")
