"""A run in TensorBoard, or in MLflow: exported again, only what is new is added.

Then ``tensorboard --logdir board``; with MLflow give the URI of a server: ``python trackers.py http://localhost:5000``.
"""

import sys
from collections.abc import Iterator
from typing import Any

from zonesearch import run_pipeline
from zonesearch.run.export.exporting import export_to_mlflow, export_to_tensorboard


def accuracy(params: dict[str, Any], seed: int, epochs: int) -> Iterator[float]:
    for epoch in range(epochs):
        yield 0.9 - (params["x"] - 0.3) ** 2 - 0.5 / (epoch + 1) + 0.001 * seed


if __name__ == "__main__":
    run_pipeline({"x": [0.0, 0.25, 0.5, 0.75, 1.0]}, objective=accuracy, epochs=5, seeds=2, into="runs/tracked")
    if len(sys.argv) > 1:
        print(export_to_mlflow("runs/tracked", sys.argv[1]))
    else:
        print(export_to_tensorboard("runs/tracked", "board"))
        print(export_to_tensorboard("runs/tracked", "board"))
