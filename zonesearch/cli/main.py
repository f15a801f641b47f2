"""The command ``zonesearch``: parse, call, print. Each subcommand is a file of :mod:`zonesearch.cli`.

Exit status: 0 success, 2 user error (one line on standard error), 130 stopped by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP,
1 if the reader of its output has closed the pipe.
"""

from __future__ import annotations

import argparse
import errno
import gc
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout, suppress
from importlib import import_module
from typing import Any

from zonesearch import __version__
from zonesearch.cli.as_process import Stopped, end_when_told, open_standard_streams
from zonesearch.cli.supervised import Watch, supervised
from zonesearch.cli.terminal import Visible, one_line
from zonesearch.core.plugins import load, registered
from zonesearch.errors import StudyError, ZoneSearchError

__all__ = ["COMMANDS", "main", "parser"]

COMMANDS = (
    "new",
    "plan",
    "run",
    "status",
    "trials",
    "report",
    "train",
    "merge",
    "view",
    "dashboard",
    "gallery",
    "import",
    "export",
    "submit",
    "schedule",
    "lr-range",
    "claims",
    "compare",
    "learn",
)
"""All commands; for example, ``lr-range`` is in ``cli/lr_range_command.py``."""

_LONGEST, _END = 4000, 500  # maximum characters of an error message, and of its end, which says what to do
_SUPERVISED = (["run"], ["plan"], ["lr-range"], ["compare"])  # commands whose trainings may end their process
_OUTPUT_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def parser(wanted: str = "") -> argparse.ArgumentParser:
    """The complete command line, also for docs and tests; without plug-ins if ``wanted`` is a built-in command."""
    root = _Parser(
        prog="zonesearch",
        description="Find the zones of hyperparameters where a network works best, and say how certain that is.",
    )
    root.add_argument("--version", action="version", version=f"zonesearch {__version__}")
    commands = root.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        _add(commands, name, import_module(f"zonesearch.cli.{name.replace('-', '_')}_command"))
    if wanted not in (*COMMANDS, "--version"):  # built-in commands do not load other packages
        plugged = [name for name in registered("commands") if name not in COMMANDS]
        for name in [wanted] if wanted in plugged else plugged:
            _add_plugged(commands, name)
    return root


class _Parser(argparse.ArgumentParser):
    """A parser whose help and version are ordinary output: failing to write them is an error."""

    def _print_message(self, message: str, file: Any = None) -> None:
        if file is not sys.stdout:
            super()._print_message(message, file)
        else:
            file.write(message)
            file.flush()


def _add(commands: Any, name: str, module: Any) -> None:
    summary = (module.__doc__ or name).splitlines()[0]
    sub = commands.add_parser(name, help=summary, description=summary)
    module.add_arguments(sub)
    sub.set_defaults(call=module.call)


def _add_plugged(commands: Any, name: str) -> None:
    """Add a plug-in's command; if the plug-in is broken, a command that reports the error."""
    try:
        module = load("commands", name, "zonesearch")
        if not (callable(getattr(module, "add_arguments", None)) and callable(getattr(module, "call", None))):
            raise StudyError(f'the command "{name}" of a plug-in has no add_arguments(parser) and call(options)')
        _add(commands, name, module)
    except ZoneSearchError as error:
        broken = error
    except Exception as error:  # a plug-in may raise anything
        broken = StudyError(f'the command "{name}" of a plug-in cannot be added ({type(error).__name__}: {error})')
    else:
        return

    def call(options: argparse.Namespace) -> None:
        raise broken

    if name not in commands.choices:
        sub = commands.add_parser(name, help="(a broken plug-in)", add_help=False, prefix_chars="\0")
        sub.add_argument("rest", nargs=argparse.REMAINDER)
    commands.choices[name].set_defaults(call=call)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. Without ``arguments`` this is the process that the user started."""
    if arguments is not None:
        return _main(arguments, Watch())
    open_standard_streams()
    if sys.argv[1:2] in _SUPERVISED:
        return supervised(lambda watch: _main(sys.argv[1:], watch), sys.argv[1])
    end_when_told()
    return _main(sys.argv[1:], Watch())


def _main(arguments: Sequence[str], watch: Watch) -> int:
    gc.set_threshold(50_000, 20, 100)  # a large run has many objects that live until the end
    reserve = [bytearray(2**20)]  # reserve, so that a message can still be printed when memory is exhausted
    try:
        options = parser(arguments[0] if arguments else "").parse_args(arguments)
        warnings.formatwarning = _sentence
        options.watch = watch
        with redirect_stdout(Visible(sys.stdout)) if sys.stdout.isatty() else nullcontext():
            status: int | None = options.call(options)
        sys.stdout.flush()
    except ZoneSearchError as error:
        print(f"zonesearch: {one_line(_short(str(error)))}", file=sys.stderr)
        return 2
    except MemoryError as error:
        reserve.clear()
        error.__traceback__ = error.__context__ = None  # releases the objects that filled the memory
        print("zonesearch: out of memory: raise the limit or use a larger machine", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        with suppress(OSError):  # the terminal itself may be gone
            print("zonesearch: stopped; finished trainings are kept, and the same command continues", file=sys.stderr)
        return 128 + (stop.number if isinstance(stop, Stopped) else 2)
    except BrokenPipeError:
        _print_no_more()  # the reader of our output closed the pipe: no traceback
        return 1
    except OSError as error:
        if error.errno not in _OUTPUT_ERRORS or error.filename is not None:
            raise  # unusable files raise StoreError; anything else is a bug
        _print_no_more()
        print(f"zonesearch: the output cannot be written: {error.strerror}", file=sys.stderr)
        return 2
    return status or 0


def _short(sentence: str) -> str:
    """Shorten a message that quotes its input, which may be megabytes long."""
    return sentence if len(sentence) <= _LONGEST else f"{sentence[: _LONGEST - _END]} ... {sentence[-_END:]}"


def _print_no_more() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _sentence(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """One of our warnings as a sentence; others with their source location."""
    ours = filename.startswith(os.path.dirname(os.path.dirname(__file__)))
    message = one_line(str(message))
    return f"zonesearch: {message}\n" if ours else f"{filename}:{lineno}: {category.__name__}: {message}\n"
