"""A command as a process: how it ends when it is told to, and what it does without its standard streams."""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from types import FrameType

__all__ = ["Stopped", "end_when_told", "open_standard_streams"]


_AGAIN_S = 0.5


class Stopped(KeyboardInterrupt):
    """SIGTERM or SIGHUP came: what Ctrl-C does is done, and the exit status tells which it was."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def end_when_told() -> None:
    """From now on SIGTERM and SIGHUP end this process as Ctrl-C does: workers first, scratch files removed.

    A second one ends it at once. The same signal within half a second is the same wish: it comes to the whole group,
    and from the process that watches this one. What the caller ignores stays ignored, as ``nohup`` wants it.
    """
    owner = os.getpid()
    told = -math.inf

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal told
        if os.getpid() != owner and number != signal.SIGINT:  # a forked child, a worker of a DataLoader: as ever
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        last, told = told, time.monotonic()
        if told - last < _AGAIN_S:
            return
        if math.isfinite(last) and number != signal.SIGINT:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        raise KeyboardInterrupt if number == signal.SIGINT else Stopped(number)

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, stop)


def open_standard_streams() -> None:
    """Put /dev/null where the caller has closed one of the three standard streams.

    The next file that is opened would take its number, and get what anybody prints.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
