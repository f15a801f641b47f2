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
    if given is not None:
        return tuple(name.strip() for name in given.split(",") if name.strip() not in ("", "-1"))
    devices = [path for path in Path("/dev").glob("nvidia*") if re.fullmatch(r"nvidia\d+", path.name)]
    return tuple(str(i) for i in range(len(devices)))
