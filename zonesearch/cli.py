"""The command ``zonesearch``: parses, calls, prints. What it calls is in :mod:`zonesearch.commands`, one a file.

Exit status: 0 done, 2 something for the user to mend (one sentence on standard error), 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from importlib import import_module

from zonesearch import __version__
from zonesearch.commands.terminal import Visible, visible
from zonesearch.errors import ZoneSearchError

__all__ = ["COMMANDS", "main", "parser"]

COMMANDS = (
    "new",
    "plan",
    "run",
    "status",
    "trials",
    "report",
    "merge",
    "view",
    "dashboard",
    "gallery",
    "import",
    "schedule",
    "lr-range",
    "claims",
    "compare",
)
"""Every command; ``lr-range`` lives in ``commands/lr_range_command.py``."""


def parser() -> argparse.ArgumentParser:
    """The whole command line, for documents and tests too."""
    root = argparse.ArgumentParser(
        prog="zonesearch",
        description="Find the zones of hyperparameters where a network works best, and say how sure that is.",
    )
    root.add_argument("--version", action="version", version=f"zonesearch {__version__}")
    commands = root.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        module = import_module(f"zonesearch.commands.{name.replace('-', '_')}_command")
        summary = (module.__doc__ or "").splitlines()[0]
        sub = commands.add_parser(name, help=summary, description=summary)
        module.add_arguments(sub)
        sub.set_defaults(call=module.call)
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit status."""
    _open_standard_streams()
    options = parser().parse_args(arguments)
    warnings.formatwarning = _sentence
    gc.set_threshold(50_000, 20, 100)  # a large run is many objects that live to the end
    reserve = [bytearray(2**20)]  # so that a sentence can still be printed when the memory is full
    try:
        with redirect_stdout(Visible(sys.stdout)) if sys.stdout.isatty() else nullcontext():
            status: int | None = options.call(options)
        sys.stdout.flush()
    except ZoneSearchError as error:
        print(f"zonesearch: {visible(str(error))}", file=sys.stderr)
        return 2
    except MemoryError as error:
        reserve.clear()
        error.__traceback__ = error.__context__ = None  # lets go of what filled the memory
        print("zonesearch: there is not enough memory: raise the limit or take a larger machine", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("zonesearch: stopped; what was finished is kept, the same command goes on", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader of our output left: no traceback
        return 1
    return status or 0


def _open_standard_streams() -> None:
    """Where the command was started with closed streams (``>&-``), let what is printed go nowhere.

    Otherwise the next file that is opened gets their numbers, and what any library prints.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, "r" if descriptor == 0 else "w", closefd=False))  # noqa: SIM115


def _sentence(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """A warning of ours as a sentence; others with the place that they come from."""
    ours = filename.startswith(os.path.dirname(__file__))
    return f"zonesearch: {message}\n" if ours else f"{filename}:{lineno}: {category.__name__}: {message}\n"
