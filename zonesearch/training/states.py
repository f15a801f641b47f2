"""States of finished trainings, kept so that longer ones continue from there; limited on disk, the oldest are deleted
first.

A training is a trajectory: 80 epochs begin with the 40 that were trained before. This requires a schedule whose rates
do not depend on the length. A lost state only costs time, so nothing here ever raises.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from zonesearch.core.outputs import is_own
from zonesearch.core.trials import Training

__all__ = ["States"]


@dataclass(frozen=True)
class States:
    """A folder of states.

    Args:
        folder: created when the first state is saved.
        limit_mb: the most that all states in the folder may take.
    """

    folder: Path
    limit_mb: int

    @classmethod
    def of_user(cls, experiment: str, limit_mb: int) -> States:
        """In the user's cache, one folder for all experiments; ``experiment`` (a digest) separates them."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
        with contextlib.suppress(RuntimeError):  # a user without a home directory: the folder cannot be created
            cache = cache.expanduser()
        return cls(cache / "zonesearch" / "states" / experiment, limit_mb)

    def load(self, training: Training) -> dict[str, Any] | None:
        """The longest state of this training that is shorter than the wanted one; None if there is none.

        A state of the same length is not used: if that training is requested, it is to be trained.
        """
        if not is_own(self.folder):
            return None
        found = []
        for path in self.folder.glob(f"{training.key}-*.pt"):
            epochs = path.stem.rpartition("-")[2]
            if epochs.isdecimal() and int(epochs) < training.epochs:
                found.append((int(epochs), path))
        for _, path in sorted(found, reverse=True):
            with contextlib.suppress(Exception):  # a torn or foreign file is not a state
                state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
                return state
        return None

    def save(self, training: Training, state: dict[str, Any]) -> None:
        """Save the state of a training that reached ``training.epochs``; deletes the oldest states to make room."""
        path = self.folder / f"{training.key}-{training.epochs}.pt"
        part = path.with_suffix(f".{os.getpid()}.part")
        with contextlib.suppress(
            Exception
        ):  # a full disk or an object that cannot be pickled does not fail the training
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            torch.save(state, part)
            part.replace(path)
            self._make_room()
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)

    def _make_room(self) -> None:
        """Delete the oldest states of all experiments in the cache until the rest is within the limit."""
        files = []
        for path in self.folder.parent.glob("*/*.pt"):
            with contextlib.suppress(OSError):
                status = path.stat()
                files.append((status.st_mtime_ns, status.st_size, path))
        left = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if left <= self.limit_mb * 1_000_000:
                return
            path.unlink(missing_ok=True)
            left -= size
