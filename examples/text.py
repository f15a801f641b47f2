"""Sentences of any length as token ids, and a network that embeds them; named in text.toml.

The sentences are made here: which of two words stands oftener decides. A function of ours makes batches of them, as
``collate_fn`` of a ``DataLoader`` does. In a terminal: ``zonesearch run text.toml``.
"""

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

N_WORDS = 30


class Sentences(Dataset[Any]):
    """6 to 18 words, and whether word 1 stands oftener than word 2."""

    def __init__(self, n: int = 600) -> None:
        draw = torch.Generator().manual_seed(0)
        lengths = torch.randint(6, 19, (n,), generator=draw).tolist()
        often = torch.tensor([8.0, 8, 8, *[1] * (N_WORDS - 3)])
        self.words = [torch.multinomial(often, length, replacement=True, generator=draw) for length in lengths]

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        words = self.words[i]
        return words, int((words == 1).sum() > (words == 2).sum())


def sentences() -> Any:
    """Sentences to train on; a part of them is set aside for testing."""
    return Sentences(), None


def joined(examples: list[tuple[Tensor, int]]) -> Any:
    """All words of a batch in a row, and where each sentence begins: what an EmbeddingBag takes."""
    words, labels = zip(*examples, strict=True)
    starts = torch.tensor([0, *map(len, words)]).cumsum(0)[:-1]
    return (torch.cat(words), starts), torch.tensor(labels)


class Bag(nn.Module):
    """The mean of the words' embeddings decides."""

    def __init__(self, params: dict[str, Any]) -> None:
        super().__init__()
        self.embed = nn.EmbeddingBag(N_WORDS, params["width"])
        self.head = nn.Linear(params["width"], params["n_classes"])

    def forward(self, words: Tensor, starts: Tensor) -> Tensor:
        """Scores, shape (n, 2)."""
        scores: Tensor = self.head(self.embed(words, starts))
        return scores


if __name__ == "__main__":
    from zonesearch import read_study, run_pipeline

    into = Path("runs/text").resolve()
    os.chdir(Path(__file__).parent)
    result = run_pipeline(read_study("text.toml"), into=into)
    print(result.verdict.sentence if result.verdict else "no verdict")
