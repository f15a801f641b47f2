"""A run whose trainings share its process, watched by a process that does nothing else.

With one worker trainings run in the process of the run: nothing is sent, and a debugger sees all. But one that leaves
(``os._exit``), crashes or is killed for its memory then takes the run with it. So ``zonesearch run`` forks before it
has loaded anything; the first process waits, passes signals on, and when the second one is gone in the middle of a
training it starts another, which trains in a worker process: that one survives what its trainings do. Whatever was
recorded is kept, as after any kill.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

from zonesearch.cli.as_process import end_when_told

__all__ = ["Watch", "supervised"]

_TRAINS, _ENDED = b"t", b"e"
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1


class Watch:
    """What the run knows of who watches it.

    Args:
        apart: trainings have to run in a process of their own, because this process was lost before.
        pipe: where it says how far it is; -1 when nobody watches.
    """

    def __init__(self, apart: bool = False, pipe: int = -1) -> None:
        self.apart = apart
        self._pipe = pipe

    def trains(self) -> None:
        """Trainings begin in this process: from now on it may be lost through no fault of its own."""
        self._say(_TRAINS)

    def ended(self) -> None:
        """It ends by itself, however it ends."""
        self._say(_ENDED)

    def _say(self, word: bytes) -> None:
        if self._pipe >= 0 and not self.apart:
            with suppress(OSError):
                os.write(self._pipe, word)


def supervised(run: Callable[[Watch], int]) -> int:
    """The exit status of ``run``, in a child of this process, or of a second one where the first was lost.

    To be called while this process has one thread only.
    """
    status, was_lost = _in_child(run, apart=False)
    if not was_lost:
        return _plain(status)
    how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"it exited with status {status}"
    sys.stderr.write(
        f"zonesearch: the run's process ended in the middle of a training ({how}; out of memory?). Finished trainings "
        f"are kept; the run continues with each training in its own process\n"
    )
    sys.stderr.flush()
    status, _ = _in_child(run, apart=True)
    return _plain(status)


def _plain(status: int) -> int:
    """As a shell says it: 128 and the signal."""
    return 128 - status if status < 0 else status


def _in_child(run: Callable[[Watch], int], apart: bool) -> tuple[int, bool]:
    """How it ended (negative: by which signal), and whether it was lost while it trained."""
    reading, writing = os.pipe()
    owner = os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # none may come while nobody is responsible
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    child = os.fork()
    if child == 0:
        os.close(reading)
        _end_with(owner)
        end_when_told()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        watch = Watch(apart, writing)
        status = 1
        try:
            status = run(watch)
        except SystemExit as leaving:  # argparse: --help, and what it cannot read
            status = leaving.code if isinstance(leaving.code, int) else 1
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            watch.ended()
            for number in _SIGNALS:  # what is left to do takes no time
                signal.signal(number, signal.SIG_IGN)
            _flush()
        raise SystemExit(status)  # the way out of any process: what was registered for its end is done
    os.close(writing)

    def pass_on(number: int, frame: FrameType | None) -> None:
        with suppress(ProcessLookupError):
            os.kill(child, number)

    for number in _SIGNALS:
        if before[number] in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, pass_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    _, ended = os.waitpid(child, 0)
    for number, handler in before.items():
        signal.signal(number, handler)
    words = os.read(reading, 10)
    os.close(reading)
    status = os.waitstatus_to_exitcode(ended)
    return status, _TRAINS in words and _ENDED not in words


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()


def _end_with(parent: int) -> None:
    """Have the kernel kill this process when its parent is gone, killed perhaps; Linux knows how."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
