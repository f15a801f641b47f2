"""A loss of your own beside those that are built in: which of them trains the better classifier?

In a terminal: ``cd examples; zonesearch run own_loss.toml``.
"""

import os
from pathlib import Path

from torch import Tensor
from torch.nn.functional import cross_entropy


def focal(outputs: Tensor, targets: Tensor) -> Tensor:
    """The loss of each example, small for those that are already right (Lin et al. 2017, with gamma = 2).

    Called with outputs of shape (n, n_classes), before any softmax, and targets of shape (n,).
    """
    loss = cross_entropy(outputs, targets, reduction="none")
    return (1 - (-loss).exp()) ** 2 * loss


if __name__ == "__main__":
    from zonesearch import read_study, run_pipeline

    into = Path("runs/own_loss").resolve()
    os.chdir(Path(__file__).parent)  # where "own_loss:focal" can be imported
    result = run_pipeline(read_study("own_loss.toml"), into=into)
    print(result.verdict.sentence if result.verdict else "no verdict")
