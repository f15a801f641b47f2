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
from importlib import import_module

from zonesearch import __version__
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
    options = parser().parse_args(arguments)
    warnings.formatwarning = _sentence
    gc.set_threshold(50_000, 20, 100)  # a large run is many objects that live to the end
    try:
        status: int | None = options.call(options)
        sys.stdout.flush()
    except ZoneSearchError as error:
        print(f"zonesearch: {error}", file=sys.stderr)
        return 2
    except MemoryError:
        print(
            "zonesearch: there is not enough memory for this: raise the limit (ulimit -v) or take a larger machine",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("zonesearch: stopped; what was finished is kept, the same command goes on", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader of our output left: no traceback
        return 1
    return status or 0


def _sentence(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """A warning of ours as a sentence; others with the place that they come from."""
    ours = filename.startswith(os.path.dirname(__file__))
    return f"zonesearch: {message}\n" if ours else f"{filename}:{lineno}: {category.__name__}: {message}\n"
