"""Which GPUs of this machine may be used, without loading torch: several worker processes take turns in them."""

from __future__ import annotations

import os
import re
from pathlib import Path

__all__ = ["visible_gpus"]


def visible_gpus() -> tuple[str, ...]:
    """CUDA devices as ``CUDA_VISIBLE_DEVICES`` names them: those that it names, else all that the machine has.

    A machine without any gives an empty tuple. In a container only devices that were given to it count, and CUDA
    numbers these from 0.
    """
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    devices = [path for path in Path("/dev").glob("nvidia*") if re.fullmatch(r"nvidia\d+", path.name)]
    if given is not None:
        return _as_cuda_reads(given, len(devices))
    return tuple(str(i) for i in range(len(devices)))


def _as_cuda_reads(given: str, n_devices: int) -> tuple[str, ...]:
    """The devices that a list names, by CUDA's rules (CUDA C++ Programming Guide, "CUDA Environment Variables").

    The first name that is none ends the list: ``0,-1,1`` is device 0 alone. A device named twice leaves none at all.
    Numbers are read as far as they go (``1a`` is 1), and numbers and identifiers (``GPU-...``, ``MIG-...``) are not
    mixed: a list goes on as it began.

    Args:
        given: the list.
        n_devices: of the machine, as far as its files say; with 0 any number will do.
    """
    names = [name.strip() for name in given.split(",")]
    kind = next((kind for kind in ("GPU-", "MIG-") if names[0].startswith(kind)), "")
    found: list[str] = []
    for name in names:
        if kind:
            device = name if name.startswith(kind) else ""
        else:
            number = re.match(r"\+?(\d+)", name)
            device = "" if number is None or 0 < n_devices <= int(number[1]) else str(int(number[1]))
        if not device:
            break
        if device in found:
            return ()
        found.append(device)
    return tuple(found)
