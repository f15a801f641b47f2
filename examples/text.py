"""Text as token ids, and a network that embeds them; named in text.toml.

The sentences are made here: which of two words stands oftener decides. In a terminal: ``zonesearch run text.toml``.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

N_WORDS, LENGTH = 30, 12


def sentences() -> Any:
    """Token ids, shape (600, 12), and whether word 1 stands oftener than word 2."""
    rng = np.random.default_rng(0)
    words = rng.choice(N_WORDS, size=(600, LENGTH), p=[0.2, 0.2, 0.2, *[0.4 / (N_WORDS - 3)] * (N_WORDS - 3)])
    return (words, ((words == 1).sum(1) > (words == 2).sum(1)).astype(np.int64)), None


class Bag(nn.Module):
    """The mean of the words' embeddings decides."""

    def __init__(self, params: dict[str, Any]) -> None:
        super().__init__()
        self.embed = nn.EmbeddingBag(N_WORDS, params["width"])
        self.head = nn.Linear(params["width"], params["n_classes"])

    def forward(self, words: Tensor) -> Tensor:
        """Scores, shape (n, 2)."""
        scores: Tensor = self.head(self.embed(words.long()))
        return scores


if __name__ == "__main__":
    from zonesearch import read_study, run_pipeline

    into = Path("runs/text").resolve()
    os.chdir(Path(__file__).parent)
    result = run_pipeline(read_study("text.toml"), into=into)
    print(result.verdict.sentence if result.verdict else "no verdict")
