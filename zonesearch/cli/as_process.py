"""Process behaviour of a command: how it ends on signals, and how it copes with missing standard streams."""

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
    """Raised on SIGTERM or SIGHUP: handled like Ctrl-C, with an exit status that identifies the signal."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def end_when_told() -> None:
    """Make SIGTERM and SIGHUP end this process as Ctrl-C does: workers are stopped first, temporary files removed.

    A second signal ends it immediately. The same signal within half a second is a duplicate: it reaches the whole
    process group and is also forwarded by the supervising process. Signals that the caller ignores stay ignored, as
    ``nohup`` requires.
    """
    owner = os.getpid()
    told = -math.inf

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal told
        if os.getpid() != owner and number != signal.SIGINT:  # a forked child: default behaviour
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
    """Open /dev/null in place of any of the three standard streams that the caller has closed.

    Otherwise the next opened file would take its descriptor and receive all printed output.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free descriptor: this one
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
