"""What all tests share: their own modules can be imported, one thread computes, and no property test is about time.

Workers compute with one thread each. A test that compares what they train with what it trains itself, to the last bit,
needs the same here: with more threads sums are taken in another order. What tests read is kept in a cache of their own.
"""

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")

import pytest
from hypothesis import HealthCheck, settings

_CACHE = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
os.environ.setdefault("TORCH_HOME", str(Path(_CACHE, "torch")))  # weights that were downloaded stay where they are
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="tests-of-zonesearch-")
atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)

sys.path.insert(0, str(Path(__file__).parent))

settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Workers must collect the same tests: an address in a name differs from process to process."""
    for item in items:
        if " at 0x" in item.nodeid:
            raise pytest.UsageError(f"{item.nodeid}: give this parameter an id that is no address (ids=...)")
