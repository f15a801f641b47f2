"""The digest of a source's content: part of an experiment's identity, so that changed data make another experiment."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from zonesearch.errors import ObjectiveError
from zonesearch.training.data.raw import Items, Pixels, Raw
from zonesearch.training.data.table import content

__all__ = ["digest_of"]

_AT_ONCE = 4096  # images converted at a time
_EXACT = 2**24  # integers up to this are exact in float32


def digest_of(sources: Sequence[Raw], frames: bool, what: str) -> str:
    """16 hexadecimal digits of SHA-256 over inputs and targets of each source; numbers as float32.

    Args:
        sources: the training source, and the test source if it is separate.
        frames: whether they are tables, whose categories are encoded as 0-1 columns over all sources together.
        what: is named in messages.
    """
    digest = hashlib.sha256()
    numbers: Sequence[Any] = [inputs for inputs, _ in sources]
    if frames:
        numbers = content(numbers, what)[0]
    for inputs, (_, targets) in zip(numbers, sources, strict=True):
        if isinstance(inputs, Items):
            for item in inputs.values:
                _update(digest, item)
        elif isinstance(inputs, Pixels):
            for start in range(0, len(inputs), _AT_ONCE):
                digest.update(np.ascontiguousarray(inputs[start : start + _AT_ONCE]).data)
        else:
            digest.update(np.ascontiguousarray(inputs, dtype=np.float32).data)
            if inputs.dtype.kind == "i" and inputs.size and max(int(inputs.max()), -int(inputs.min())) > _EXACT:
                digest.update(inputs.data)
        digest.update(np.ascontiguousarray(targets).data)
    return digest.hexdigest()[:16]


def _update(digest: hashlib._Hash, value: Any) -> None:
    for text in _bytes_of(value):
        digest.update(text)


def _bytes_of(value: Any) -> Iterator[Any]:
    """The bytes of an example of any plain type."""
    if isinstance(value, Tensor):
        value = value.numpy(force=True)
    if hasattr(value, "getbands"):  # a PIL image
        value = np.asarray(value)
    if isinstance(value, np.ndarray | np.generic | int | float | bool):
        array = np.ascontiguousarray(value)
        yield f"{array.dtype}{array.shape}".encode()
        yield array.tobytes() if array.dtype.kind not in "OMm" else repr(array.tolist()).encode()
    elif isinstance(value, str | bytes) or value is None:
        yield repr(value).encode()
    elif isinstance(value, Mapping):
        for key in sorted(value, key=str):
            yield str(key).encode()
            yield from _bytes_of(value[key])
    elif isinstance(value, list | tuple):
        yield f"{len(value)} of".encode()
        for each in value:
            yield from _bytes_of(each)
    else:
        raise ObjectiveError(
            f"an example holds {type(value).__name__}, which cannot be compared with another; use tensors, "
            f"arrays, numbers, "
            "strings, or lists and tables of them"
        )
