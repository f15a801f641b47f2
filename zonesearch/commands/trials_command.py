"""Print the trials of a run as a table."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["add_arguments", "call"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """RUN [--csv]."""
    parser.add_argument("run", metavar="RUN", type=Path, help="the run folder")
    parser.add_argument("--csv", action="store_true", help="comma-separated values, one line a trial")


def call(options: argparse.Namespace) -> None:
    """The columns (params..., accuracy) first."""
    from zonesearch.recorded import read_run
    from zonesearch.result import Result

    findings, _ = read_run(options.run)
    frame = Result(findings).frame()
    print(frame.to_csv(index=False) if options.csv else frame.to_string(index=False), end="" if options.csv else "\n")
