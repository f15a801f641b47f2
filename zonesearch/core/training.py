"""A training as a request: parameters, a seed, and a number of epochs along the trajectory."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter

from zonesearch.core.values import Params, key_form, plain, told_apart

__all__ = ["Training"]

_EXACT = (int, str, bool)  # types of values that are already plain
_NAME = itemgetter(0)


@dataclass(frozen=True, eq=False)
class Training:
    """A requested training.

    The identity is (params, seed): ``epochs`` says how far along the trajectory to train, and ``test`` whether to
    measure the test split too; neither makes it another experiment. (If something depends on the length, trainings of
    two lengths are two experiments; their trials say so, see :attr:`Trial.whole`.)

    Args:
        params: the hyperparameters by name; values are converted to plain Python types.
        seed: the index of the seed, 0 or more. The same index means the same initial weights and data order.
        epochs: the length of the training, at least 1.
        test: whether to measure the test split at the epoch that validation chooses (finalists only).
    """

    params: Params
    seed: int = 0
    epochs: int = 1
    test: bool = False

    def __post_init__(self) -> None:
        items = [
            (
                str(name),
                value if type(value) in _EXACT or (type(value) is float and math.isfinite(value)) else plain(value),
            )
            for name, value in self.params.items()
        ]
        items.sort(key=_NAME)
        object.__setattr__(self, "params", dict(items))
        if type(self.seed) is not int or type(self.epochs) is not int:
            object.__setattr__(self, "seed", int(self.seed))
            object.__setattr__(self, "epochs", int(self.epochs))
        if self.epochs < 1 or self.seed < 0:
            raise ValueError(f"a training needs epochs >= 1 and seed >= 0, not {self.epochs} and {self.seed}")

    @cached_property
    def identity(self) -> tuple[tuple[tuple[str, Hashable], ...], int]:
        """A hashable identity, equal for trainings that are the same experiment; fast, but only valid within one
        process.

        Values are compared by :func:`~zonesearch.core.values.told_apart`: 0.010000000000000005 equals 0.01, but True
        does not equal 1.
        """
        return tuple([(name, told_apart(value)) for name, value in self.params.items()]), self.seed

    @cached_property
    def key(self) -> str:
        """The identity as 16 hexadecimal digits, the same on every machine (SHA-256 of canonical JSON)."""
        return self._key()

    @cached_property
    def key_of_length(self) -> str:
        """The key for trainings that depend on their length (see :attr:`Trial.whole`)."""
        return self._key(self.epochs)

    def _key(self, *length: int) -> str:
        params = {name: key_form(value) for name, value in self.params.items()}
        text = json.dumps([params, self.seed, *length], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Training):
            return NotImplemented
        return (self.identity, self.epochs, self.test) == (other.identity, other.epochs, other.test)

    def __hash__(self) -> int:
        return hash(self.identity)
