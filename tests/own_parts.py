"""Networks, data and metrics as a user would write them; named in tests as ``own_parts:function``."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from sklearn.datasets import load_digits, load_wine
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset


def network(params: dict[str, Any]) -> nn.Module:
    """Two hidden layers, the second narrower by ``waist``."""
    n, width, waist = math.prod(params["input_shape"]), params["width"], params.get("waist", 2)
    narrow = max(1, width // waist)
    layers = [nn.Flatten(), nn.Linear(n, width), nn.ReLU(), nn.Linear(width, narrow), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(narrow, params["n_classes"]))


def network_without_parameters() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


class AsClass(nn.Module):
    """A class is a factory too."""

    def __init__(self, params: dict[str, Any]) -> None:
        super().__init__()
        self.head = nn.Linear(math.prod(params["input_shape"]), params["n_classes"])

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        scores: Tensor = self.head(x.flatten(1))
        return scores


def raises_when_wide(params: dict[str, Any]) -> nn.Module:
    if params["width"] > 16:
        raise RuntimeError(f"no weights for a width of {params['width']}")
    return network(params)


def no_network(params: dict[str, Any]) -> list[int]:
    return [params["width"]]


def too_few_scores(params: dict[str, Any]) -> nn.Module:
    return network({**params, "n_classes": 5})


def short_of_memory(params: dict[str, Any]) -> nn.Module:
    """A wide one does not fit, as a GPU's allocator says it."""
    if params["width"] > 16:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
    return network(params)


class Larger(nn.Module):
    """Asks for more memory than any machine has, once it is wide."""

    def __init__(self, params: dict[str, Any]) -> None:
        super().__init__()
        self.body = network(params)
        self.width = params["width"]

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        if self.width > 16:
            torch.empty(1 << 58, dtype=torch.uint8)
        scores: Tensor = self.body(x)
        return scores


class NanWhenWide(Larger):
    """Gives NaN once it is wide."""

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        scores: Tensor = self.body(x)
        return scores * math.nan if self.width > 16 else scores


def digits(n: int = 600, labels_from: int = 0) -> tuple[Any, Any]:
    """(train, test) of the digits as arrays."""
    x, y = load_digits(return_X_y=True)
    y = y + labels_from
    return (x[:n], y[:n]), (x[n : n + 300], y[n : n + 300])


def uneven_digits() -> tuple[Any, Any]:
    """Few digits, the first classes with more examples than the last."""
    x, y = load_digits(return_X_y=True)
    kept = np.concatenate([np.flatnonzero(y == label)[: 22 - 2 * label] for label in range(9)])
    return (x[kept].reshape(-1, 8, 8), y[kept]), None


def digits_as_tensors(names: tuple[str, ...] = ()) -> tuple[Any, Any]:
    """Images as tensors, labels as words, no test part."""
    x, y = load_digits(return_X_y=True)
    images = torch.tensor(x, dtype=torch.float32).reshape(-1, 8, 8)
    words = np.array(names or ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
    return (images, words[y]), None


def digits_as_datasets(pictures: bool = False, colour: bool = False) -> tuple[Any, Any]:
    """Two data sets of torch, of tensors or of pictures with their labels."""
    (x, y), (x_test, y_test) = digits()
    if not pictures:
        return tuple(TensorDataset(torch.tensor(a), torch.tensor(b)) for a, b in ((x, y), (x_test, y_test)))
    images = [Image.fromarray((pixels.reshape(8, 8) * 15).astype(np.uint8)) for pixels in x]
    return Pictures([image.convert("RGB") for image in images] if colour else images, y.tolist()), None


class Pictures(Dataset[Any]):
    """Pictures of PIL, as the data sets of torchvision give them without a transform."""

    def __init__(self, images: list[Image.Image], labels: list[int]) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[Image.Image, int]:
        return self.images[i], self.labels[i]


def wine_frames() -> tuple[Any, Any]:
    """A frame and a series of pandas."""
    frame = load_wine(as_frame=True).frame
    return (frame.drop(columns="target"), frame["target"].map({0: "Abel", 1: "Bruno", 2: "Carla"})), None


def digits_with_a_strange_label() -> tuple[Any, Any]:
    train, (x, y) = digits()
    return train, (x, np.where(y == 3, 12, y))


def digits_without_a_class() -> tuple[Any, Any]:
    """One class has a single example, too few for three splits."""
    (x, y), _ = digits()
    kept = (y != 4) | (np.cumsum(y == 4) == 1)
    return (x[kept], y[kept]), None


def digits_with_nan() -> tuple[Any, Any]:
    (x, y), test = digits()
    x = x.copy()
    x[17, 5] = math.nan
    return (x, y), test


def raises() -> tuple[Any, Any]:
    raise OSError("the disk is gone")


def wine_alcohol() -> tuple[Any, Any]:
    """A regression: the alcohol of a wine by its other measurements."""
    x, _ = load_wine(return_X_y=True)
    return (x[:, 1:], x[:, 0]), None


def mean_relative_error(outputs: Tensor, targets: Tensor) -> float:
    return float(((outputs.squeeze(-1) - targets) / targets).abs().mean())


def share_of_top_two(outputs: Tensor, targets: Tensor) -> float:
    return float((outputs.topk(2).indices == targets[:, None]).any(1).double().mean())


def no_number(outputs: Tensor, targets: Tensor) -> str:
    return "good"


class WithFrozenNorms(nn.Module):
    """Two norms, the first of them frozen with statistics of its own, as one who fine-tunes writes it; torch's own
    dropout, which draws from the generator of the process.
    """

    def __init__(self, params: dict[str, Any]) -> None:
        super().__init__()
        n = math.prod(params["input_shape"])
        self.frozen = nn.BatchNorm1d(n)
        self.body = nn.Sequential(nn.Linear(n, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.2))
        self.head = nn.Linear(12, params["n_classes"])
        self.frozen.requires_grad_(False)
        self.frozen.running_mean.fill_(0.3)
        self.frozen.running_var.fill_(2.0)

    def train(self, mode: bool = True) -> WithFrozenNorms:
        super().train(mode)
        self.frozen.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        scores: Tensor = self.head(self.body(self.frozen(x.flatten(1))))
        return scores


def with_frozen_norms(params: dict[str, Any]) -> nn.Module:
    return WithFrozenNorms(params)


class Remembers(nn.Module):
    """Keeps a running mean of its hidden layer in three ways that are in no ``state_dict``, and counts its batches."""

    def __init__(self, params: dict[str, Any]) -> None:
        super().__init__()
        self.body = nn.Linear(math.prod(params["input_shape"]), 12)
        self.head = nn.Linear(12, params["n_classes"])
        self.register_buffer("mean", torch.zeros(12), persistent=False)
        self.last = torch.zeros(12)
        self.batches = 0
        self.past: dict[str, Any] = {"means": [torch.zeros(12), torch.zeros(12)]}

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        hidden = torch.relu(self.body(x.flatten(1)))
        if self.training:
            self.batches += 1
            self.mean = 0.9 * self.mean + 0.1 * hidden.detach().mean(0)
            self.last = hidden.mean(0)
            self.past["means"].append(self.last.detach())
        off = self.mean + 0.1 * self.last.detach() + 0.1 * self.past["means"][-2]
        scores: Tensor = self.head((hidden - off) * 0.9**self.batches)
        return scores


def remembers(params: dict[str, Any]) -> nn.Module:
    return Remembers(params)


def weight_normed(params: dict[str, Any]) -> nn.Module:
    """Computes a weight anew before each pass, and holds it as an attribute (torch's older weight norm)."""
    n = math.prod(params["input_shape"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        normed = nn.utils.weight_norm(nn.Linear(n, 12))
    return nn.Sequential(nn.Flatten(), normed, nn.ReLU(), nn.Linear(12, params["n_classes"]))


class FreezesInForward(WithFrozenNorms):
    """Freezes its norm whenever it computes, and not when it is switched to training."""

    def train(self, mode: bool = True) -> FreezesInForward:
        nn.Module.train(self, mode)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Scores."""
        self.frozen.eval()
        return super().forward(x)


def freezes_in_forward(params: dict[str, Any]) -> nn.Module:
    return FreezesInForward(params)


class ValuesAlone(nn.Module):
    """Of a regression, values of shape (n,)."""

    def __init__(self, params: dict[str, Any]) -> None:
        super().__init__()
        self.out = nn.Linear(math.prod(params["input_shape"]), 1)

    def forward(self, x: Tensor) -> Tensor:
        """One value an example."""
        values: Tensor = self.out(x.flatten(1)).squeeze(1)
        return values


def values_alone(params: dict[str, Any]) -> nn.Module:
    return ValuesAlone(params)


def reads_in_order(params: dict[str, Any]) -> nn.Module:
    """Recurrent: an image row by row."""

    class Rows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.LSTM(params["input_shape"][-1], 6, num_layers=2, dropout=0.2, batch_first=True)
            self.head = nn.Linear(6, params["n_classes"])

        def forward(self, x: Tensor) -> Tensor:
            scores: Tensor = self.head(self.body(x.flatten(0, -3) if x.ndim > 3 else x)[0][:, -1])
            return scores

    return Rows()


def log_density(outputs: Tensor, targets: Tensor) -> Tensor:
    """Of a narrow normal distribution: a loss that is mostly negative."""
    return 50 * (outputs.squeeze(-1) - targets).square().mean() - 60


def focal(outputs: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy that passes over what is right already (Lin et al. 2017), of each example."""
    loss = nn.functional.cross_entropy(outputs, targets, reduction="none")
    return (1 - torch.exp(-loss)).square() * loss


def absolute(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).abs().mean()


def as_python_likes(outputs: Tensor, targets: Tensor) -> Tensor:
    """Decides by a value, which torch cannot do for several networks at once."""
    loss = nn.functional.cross_entropy(outputs, targets)
    return loss * 2 if float(loss.detach()) > 1 else loss


def no_loss(outputs: Tensor, targets: Tensor) -> float:
    return float(nn.functional.cross_entropy(outputs, targets).detach())


def detached(outputs: Tensor, targets: Tensor) -> Tensor:
    return nn.functional.cross_entropy(outputs.detach(), targets)


def frame_of(path: str) -> tuple[Any, Any]:
    """A pickled frame of pandas with its target."""
    frame = pd.read_pickle(path)
    return (frame.drop(columns="target"), frame["target"]), None


READ: list[int] = []
"""The examples of ``Counted`` that were read."""

WEIGHTS = Path("weights.pt")


def weights() -> Path:
    return WEIGHTS


class Counted(Dataset[Any]):
    """Notes which examples are read; names its targets as torchvision's data sets do."""

    def __init__(self) -> None:
        self.targets = [i % 2 for i in range(400)]

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        READ.append(i)
        return torch.tensor([float(i), float(i % 7)]), self.targets[i]


def counted() -> tuple[Any, Any]:
    return Counted(), None


def rare() -> tuple[Any, Any]:
    """Two classes that overlap, one of them rare."""
    rng = np.random.default_rng(0)
    y = (np.arange(400) % 10 == 0).astype(int)
    return (rng.normal(size=(400, 2)) + 1.5 * y[:, None], y), None


def tokens(n: int = 400, length: int = 6) -> tuple[Any, Any]:
    """Ids of words; the class says whether the word 7 is among them."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(2, 11, (n, length), generator=generator)
    return (x, (x == 7).any(1).long()), None


class Sentences(Dataset[Any]):
    """Ids of 2 to 8 words; the class says whether the word 7 is among them."""

    def __init__(self, n: int = 160) -> None:
        generator = torch.Generator().manual_seed(0)
        lengths = torch.randint(2, 9, (n,), generator=generator).tolist()
        self.ids = [torch.randint(2, 9, (length,), generator=generator) for length in lengths]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return self.ids[i], int((self.ids[i] == 7).any())


def sentences() -> tuple[Any, Any]:
    return Sentences(), Sentences(60)


def padded(batch: list[tuple[Tensor, int]]) -> tuple[Tensor, Tensor]:
    ids, labels = zip(*batch, strict=True)
    return nn.utils.rnn.pad_sequence(ids, batch_first=True), torch.tensor(labels)


def sorted_by_length(batch: list[tuple[Tensor, int]]) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """The longest first, as packed sequences were once wanted."""
    batch = sorted(batch, key=lambda example: -len(example[0]))
    ids, labels = padded(batch)
    return (ids, torch.tensor([len(x) for x, _ in batch])), labels


class Bag(nn.Module):
    """The largest of the words' vectors, by feature; id 0 pads."""

    def __init__(self, n_outputs: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(30, width, padding_idx=0)
        self.norm = nn.BatchNorm1d(width)
        self.out = nn.Linear(width, n_outputs)

    def forward(self, ids: Tensor) -> Tensor:
        scores: Tensor = self.out(self.norm(self.embedding(ids).amax(1)))
        return scores


class BagOfLengths(Bag):
    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:  # type: ignore[override]
        inside = torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]
        return super().forward(torch.where(inside, ids, 0))


def bag(params: dict[str, Any]) -> nn.Module:
    return Bag(params["n_classes"], params["width"])


def bag_of_lengths(params: dict[str, Any]) -> nn.Module:
    return BagOfLengths(params["n_classes"], params["width"])


def texts() -> tuple[Any, Any]:
    """Words, and whether they are long."""
    words = ["zone", "grid", "cell", "axis", "interval", "schedule", "training", "objective"] * 6
    return (words, ["long" if len(word) > 4 else "short" for word in words]), None


def letters(batch: list[tuple[str, int]]) -> tuple[Tensor, Tensor]:
    return padded([(torch.tensor([ord(letter) % 28 + 1 for letter in word]), label) for word, label in batch])


def inputs_alone(batch: list[tuple[Tensor, int]]) -> list[Tensor]:
    return [padded(batch)[0]]


def other_targets(batch: list[tuple[Tensor, int]]) -> tuple[Tensor, Tensor]:
    ids, labels = padded(batch)
    return ids, labels + 1
