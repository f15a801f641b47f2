"""Commands as processes of their own that need not import everything anew.

A fresh interpreter spends one to three seconds of processor time on importing PyTorch, pandas, SciPy and Dask, and the
tests start hundreds. Here one interpreter imports them once and forks a process for each command: with a process id and
a session of its own, its own arguments, environment, folder and output, and an end that is its own business, as after
``python -m MODULE ARGUMENTS``. What is about starting the interpreter itself (start-up time, what is imported, options
of the interpreter) is tested with a fresh one.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import types
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).parents[1]
IMPORTED = (
    *("numpy", "scipy.stats", "scipy.optimize", "scipy.special", "pandas", "torch", "optuna", "plotly.graph_objects"),
    *("hypothesis", "joblib", "sklearn.datasets", "sklearn.gaussian_process", "rich.progress", "cloudpickle"),
    *("distributed", "zonesearch", "zonesearch.cli.main", "zonesearch.training.recipe", "zonesearch.run.pipeline"),
)


class Process:
    """A process of the server: as ``subprocess.Popen``, but that it writes into a file, ``log``."""

    def __init__(self, pid: int, ended: int, log: Path) -> None:
        self.pid, self.log = pid, log
        self.returncode: int | None = None
        self._ended = ended

    def poll(self) -> int | None:
        """How it ended (minus the signal that ended it), or None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._ended], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
            status = os.read(self._ended, 20)
            os.close(self._ended)
            assert status, "the process that forks all others is gone"
            self.returncode = os.waitstatus_to_exitcode(int(status))
        return self.returncode

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


def start(
    module: str,
    *arguments: object,
    log: Path,
    errors: Path | None = None,
    cwd: Path | str | None = None,
    env: Mapping[str, str] | None = None,
) -> Process:
    """``python -m MODULE ARGUMENTS`` in a session of its own; what it prints goes to ``log`` and ``errors``.

    With ``-c`` for the module the first argument is the code.
    """
    order = {
        "module": module,
        "arguments": [str(argument) for argument in arguments],
        "cwd": str(cwd or Path.cwd()),
        "env": {**(os.environ if env is None else env)},
    }
    reading, writing = os.pipe()
    with log.open("wb") as out, errors.open("wb") if errors else contextlib.nullcontext(out) as err:
        pid = _server().order(order, [out.fileno(), err.fileno(), writing])
    os.close(writing)
    return Process(pid, reading, log)


def run(
    module: str,
    *arguments: object,
    cwd: Path | str | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 300,
) -> subprocess.CompletedProcess[str]:
    """As ``subprocess.run(..., capture_output=True, text=True)``."""
    with tempfile.TemporaryDirectory() as place:
        out, errors = Path(place) / "out", Path(place) / "errors"
        process = start(module, *arguments, log=out, errors=errors, cwd=cwd, env=env)
        try:
            process.wait(timeout)
        finally:
            process.kill()
        return subprocess.CompletedProcess(
            [module, *map(str, arguments)], process.returncode or 0, out.read_text(), errors.read_text()
        )


class _Server:
    def __init__(self) -> None:
        self._one_at_a_time = threading.Lock()
        self._ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
                start_new_session=True,
            )
        atexit.register(self._end)

    def order(self, order: Mapping[str, Any], files: list[int]) -> int:
        text = json.dumps(order).encode()
        with self._one_at_a_time:
            socket.send_fds(self._ours, [len(text).to_bytes(4, "big")], files)
            self._ours.sendall(text)
            answer = self._ours.recv(20)
        assert answer, "the process that forks all others is gone"
        return int(answer)

    def _end(self) -> None:
        self._ours.close()
        self._process.wait()


@functools.cache
def _server() -> _Server:
    return _Server()


# -- what runs in the server


def _serve(orders: socket.socket) -> None:
    """Fork a process for each order, and tell how each ended, until nobody orders any more."""
    told_by: dict[int, int] = {}

    def reap(*_: object) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            with contextlib.suppress(BrokenPipeError):
                os.write(told_by[pid], str(status).encode())
            os.close(told_by.pop(pid))

    signal.signal(signal.SIGCHLD, reap)
    while True:
        header, files, _, _ = socket.recv_fds(orders, 4, 3)
        if not header:
            return
        order = json.loads(orders.recv(int.from_bytes(header, "big"), socket.MSG_WAITALL))
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
            orders.close()
            for told in told_by.values():
                os.close(told)
            _become(order, files)
        told_by[pid] = files.pop()
        for file in files:
            os.close(file)
        orders.sendall(str(pid).encode())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])


def _become(order: Mapping[str, Any], files: list[int]) -> NoReturn:
    """What ``python -m MODULE`` would be in the folder and environment of the order."""
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    os.dup2(files[0], 1)
    os.dup2(files[1], 2)
    for file in files:
        os.close(file)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    given = [place for place in order["env"].get("PYTHONPATH", "").split(os.pathsep) if place]
    sys.path[:] = [order["cwd"], *given, *(place for place in sys.path[1:] if place != str(ROOT))]
    sys.argv[:] = ["-m", *order["arguments"]]
    status: object = 0
    try:
        if order["module"] == "-c":
            _execute(order["arguments"][0])
        runpy.run_module(order["module"], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        status = end.code or 0
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    _leave(status)


def _execute(code: str) -> NoReturn:
    """``python -c CODE``."""
    sys.path[0] = ""
    sys.argv[:] = ["-c", *sys.argv[2:]]
    sys.modules["__main__"] = types.ModuleType("__main__")
    exec(compile(code, "<string>", "exec"), vars(sys.modules["__main__"]))
    raise SystemExit(0)


def _leave(status: object) -> NoReturn:
    """The end of an interpreter, without the third of a second in which it takes every module apart."""
    if not isinstance(status, int):
        sys.stderr.write(f"{status}\n")
        status = 1
    threading._shutdown()  # type: ignore[attr-defined]  # waits for the threads that are no daemons
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status & 255)


if __name__ == "__main__":
    for name in IMPORTED:
        with contextlib.suppress(ImportError):
            import_module(name)
    gc.freeze()
    _serve(socket.socket(fileno=int(sys.argv[1])))
