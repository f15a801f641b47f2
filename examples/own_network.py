"""A network and data of one's own, named in own_network.toml and trained by zonesearch.

In a terminal: ``cd examples; zonesearch run own_network.toml``.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_wine
from torch import nn


def wines() -> Any:
    """(train, test), each (inputs, targets); without a test part one is split off."""
    x, y = load_wine(return_X_y=True)
    return (((x - x.mean(0)) / x.std(0)).astype(np.float32), y), None


def network(params: dict[str, Any]) -> nn.Module:
    """Called with the settings, the axes, and the shapes of the data."""
    (n_inputs,) = params["input_shape"]
    return nn.Sequential(
        nn.Linear(n_inputs, params["width"]),
        nn.LeakyReLU(params["slope"]),
        nn.Linear(params["width"], params["n_classes"]),
    )


if __name__ == "__main__":
    from zonesearch import read_study, run_pipeline

    into = Path("runs/own_network").resolve()
    os.chdir(Path(__file__).parent)  # where "own_network:network" can be imported
    result = run_pipeline(read_study("own_network.toml"), into=into)
    print(result.verdict.sentence if result.verdict else "no verdict")
