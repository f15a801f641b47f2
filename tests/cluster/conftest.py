"""Processes that a test starts, and that are ended after it whatever happens."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import preloaded

Start = Callable[..., preloaded.Process]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start ``python -m MODULE ARGUMENTS`` in a group of its own; its output goes to ``.log``."""
    running: list[preloaded.Process] = []

    def begin(module: str, *arguments: object) -> preloaded.Process:
        log = tmp_path / f"process-{len(running)}.log"
        process = preloaded.start(module, *arguments, log=log, cwd=preloaded.ROOT)
        running.append(process)
        return process

    yield begin
    for process in running:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
