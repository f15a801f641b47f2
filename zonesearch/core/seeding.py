"""Seeds: how one index determines all randomness of a training.

The same index in two trainings of a study means the same order of the data (for paired comparisons); another index
means other initial weights and another order. The split of the data belongs to the study, not to a training, and
depends only on the study's seed; so do augmentations that are drawn in advance (``draws``, whose index is the version).
Streams are separated by ``numpy.random.SeedSequence`` spawn keys.
"""

from __future__ import annotations

import numpy as np

__all__ = ["FRESH", "fresh_seeds", "stream_seed"]

FRESH = 1000
"""The first seed index that takes no part in selection; finalists are repeated with seeds from here on."""

_STREAMS = {"split": 0, "weights": 1, "order": 2, "augmentation": 3, "noise": 4, "design": 5, "draws": 6}


def stream_seed(study_seed: int, stream: str, index: int = 0) -> int:
    """A 63-bit seed for one ``stream`` of randomness of the training with seed ``index``.

    Args:
        study_seed: the seed of the whole study, 0 or more.
        stream: ``split``, ``weights``, ``order``, ``augmentation``, ``noise``, ``design`` or ``draws``.
        index: the seed index of the training.
    """
    sequence = np.random.SeedSequence(study_seed, spawn_key=(_STREAMS[stream], index))
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))


def fresh_seeds(n: int) -> range:
    """``n`` seed indices that take no part in selection."""
    return range(FRESH, FRESH + n)
