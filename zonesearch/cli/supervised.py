"""Supervise a run whose trainings share its process, from a parent process that does nothing else.

With one worker, trainings run in the process of the run: nothing is serialised, and a debugger sees everything. But a
training that exits (``os._exit``), crashes or is killed for its memory use takes the run down with it. So ``zonesearch
run`` (and ``plan``, ``lr-range`` and ``compare``, which train too) forks before loading anything; the parent waits
and forwards signals, and if the child is lost during a training, it starts another child that trains in a worker
process and so survives its trainings. Everything recorded is kept, as after any kill.
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
    """The run's view of its supervisor.

    Args:
        apart: trainings must run in a separate process, because the run's process was lost before.
        pipe: file descriptor for progress messages; -1 without a supervisor.
    """

    def __init__(self, apart: bool = False, pipe: int = -1) -> None:
        self.apart = apart
        self._pipe = pipe

    def trains(self) -> None:
        """Report that trainings start in this process: from now on they may bring it down."""
        self._say(_TRAINS)

    def ended(self) -> None:
        """Report that the process is ending by itself, with whatever result."""
        self._say(_ENDED)

    def _say(self, word: bytes) -> None:
        if self._pipe >= 0 and not self.apart:
            with suppress(OSError):
                os.write(self._pipe, word)


def supervised(run: Callable[[Watch], int], command: str = "run") -> int:
    """Run ``run`` in a child process, or in a second child if the first was lost; returns the exit status.

    Must be called while this process has a single thread.
    """
    status, was_lost = _in_child(run, apart=False)
    if not was_lost:
        return _plain(status)
    how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"it exited with status {status}"
    name, goes_on = f"{command} command", "It"
    if command == "run":
        name, goes_on = "run", "Finished trainings are kept; the run"
    sys.stderr.write(
        f"zonesearch: the {name}'s process ended in the middle of a training ({how}; out of memory?). "
        f"{goes_on} continues with each training in its own process\n"
    )
    sys.stderr.flush()
    status, _ = _in_child(run, apart=True)
    return _plain(status)


def _plain(status: int) -> int:
    """The shell's convention: 128 plus the signal."""
    return 128 - status if status < 0 else status


def _in_child(run: Callable[[Watch], int], apart: bool) -> tuple[int, bool]:
    """The exit status (negative: the signal), and whether the child was lost during a training."""
    reading, writing = os.pipe()
    owner = os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # signals must not arrive while no handler is installed
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
        except SystemExit as leaving:  # argparse: --help, and usage errors
            status = leaving.code if isinstance(leaving.code, int) else 1
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            watch.ended()
            for number in _SIGNALS:  # the remaining work takes no time
                signal.signal(number, signal.SIG_IGN)
            _flush()
        raise SystemExit(status)  # normal process exit: registered exit handlers run
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
    """Have the kernel kill this process when its parent dies, even if killed; Linux only."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
