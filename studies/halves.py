"""The digits in two halves: a small network of torchvision learns 0 to 4, and is then tuned on 5 to 9.

The parts of ``finetune_small.toml``. The weights are made once, in half a minute, and lie in the user's cache.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch.nn import functional
from torchvision.models import get_model

_SIDE = 4  # each pixel becomes so many on a side: 32 x 32 images, what torchvision's networks can halve five times
_EPOCHS, _BATCH = 12, 32


def _images(low: int, high: int) -> tuple[np.ndarray, np.ndarray]:
    x, y = load_digits(return_X_y=True)
    kept = (y >= low) & (y <= high)
    images = np.kron(x[kept].reshape(-1, 1, 8, 8) / 16, np.ones((1, 1, _SIDE, _SIDE)))
    return images.astype(np.float32), y[kept]


def new_digits() -> tuple[tuple[np.ndarray, np.ndarray], None]:
    """5 to 9, which the pretrained network has never seen."""
    return _images(5, 9), None


def weights() -> Path:
    """The file of the network that knows 0 to 4; made where it is not there yet."""
    folder = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "zonesearch"
    path = folder / "shufflenet_v2_x0_5_digits_0_to_4.pt"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        half_made = path.with_suffix(f".{os.getpid()}")
        torch.save({"state_dict": _pretrained(), "epochs": _EPOCHS}, half_made)
        half_made.replace(path)
    return path


def _pretrained() -> dict[str, torch.Tensor]:
    images, labels = _images(0, 4)
    x = torch.from_numpy((images - images.mean()) / images.std()).expand(-1, 3, -1, -1)
    y = torch.from_numpy(labels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = get_model("shufflenet_v2_x0_5", num_classes=5)
        optimizer = torch.optim.Adam(network.parameters(), 0.003)
        for _ in range(_EPOCHS):
            for chosen in torch.randperm(len(y)).split(_BATCH)[: len(y) // _BATCH]:
                optimizer.zero_grad()
                functional.cross_entropy(network(x[chosen]), y[chosen]).backward()
                optimizer.step()
    return network.state_dict()
