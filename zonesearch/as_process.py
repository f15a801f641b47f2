"""A command as a process: how it ends when it is told to, and what it does without its standard streams."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

__all__ = ["Stopped", "end_when_told", "open_standard_streams"]


class Stopped(KeyboardInterrupt):
    """SIGTERM or SIGHUP came: what Ctrl-C does is done, and the exit status tells which it was."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def end_when_told() -> None:
    """From now on SIGTERM and SIGHUP end this process as Ctrl-C does: workers first, scratch files removed.

    A second one ends it at once. What the caller ignores stays ignored, as ``nohup`` wants it.
    """
    owner = os.getpid()

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        signal.signal(number, signal.SIG_DFL)
        if os.getpid() != owner:  # a forked child, a worker of a DataLoader: nobody there expects an exception
            os.kill(os.getpid(), number)
        raise Stopped(number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
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
