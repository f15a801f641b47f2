"""The GPUs that may be used on this machine, found without loading torch; worker processes share them."""

from __future__ import annotations

import os
import re
from pathlib import Path

__all__ = ["visible_gpus"]


def visible_gpus() -> tuple[str, ...]:
    """CUDA devices as ``CUDA_VISIBLE_DEVICES`` lists them; if it is not set, all devices of the machine.

    Empty if there are none. In a container only its own devices count, and CUDA numbers these from 0.
    """
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    devices = [path for path in Path("/dev").glob("nvidia*") if re.fullmatch(r"nvidia\d+", path.name)]
    if given is not None:
        return _as_cuda_reads(given, len(devices))
    return tuple(str(i) for i in range(len(devices)))


def _as_cuda_reads(given: str, n_devices: int) -> tuple[str, ...]:
    """The devices that a list names, by CUDA's rules (CUDA C++ Programming Guide, "CUDA Environment Variables").

    The first invalid name ends the list: ``0,-1,1`` is device 0 only. A repeated device empties the list. Numbers are
    parsed up to the first other character (``1a`` is 1), and numbers and identifiers (``GPU-...``, ``MIG-...``) cannot
    be mixed.

    Args:
        given: the list.
        n_devices: number of devices of the machine, if known; 0 accepts any number.
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
