"""Where and with which versions something was computed.

Machines with different processors or library versions may give slightly different values, which should be traceable. A
trial has the short form, a run folder the full list of installed versions.
"""

from __future__ import annotations

import os
import platform
import socket
import sys
from functools import cache
from importlib import metadata
from typing import Any

__all__ = ["machine", "versions_lock"]

_SHOWN = ("zonesearch", "numpy", "torch", "scikit-learn")


@cache
def machine() -> dict[str, Any]:
    """The short form, as plain JSON values: host, system, processor, Python and the versions that matter to a result.

    What only the objective knows (device, precision) is added by the objective.
    """
    return {
        "host": socket.gethostname(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "python": platform.python_version(),
        **{name: version for name in _SHOWN if (version := _version(name))},
    }


@cache
def versions_lock() -> dict[str, str]:
    """Every installed distribution with its version, names ascending; Python itself under ``python``."""
    found = {"python": sys.version.split()[0]}
    for distribution in metadata.distributions():
        name = distribution.name
        if name:
            found[name.lower().replace("_", "-")] = distribution.version
    return dict(sorted(found.items()))


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _processor() -> str:
    """The processor's name, if the system provides it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or os.uname().machine
