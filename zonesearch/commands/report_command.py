"""Write the report of a run as one self-contained HTML file."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["add_arguments", "call"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """RUN [--out FILE]."""
    parser.add_argument("run", metavar="RUN", type=Path, help="the run folder")
    parser.add_argument("--out", metavar="FILE", type=Path, help="the file (default: RUN/report.html)")


def call(options: argparse.Namespace) -> None:
    """Draw the run as it stands, finished or not."""
    from zonesearch.recorded import read_run
    from zonesearch.result import Result

    findings, _ = read_run(options.run)
    print(Result(findings, options.run).report(options.out or options.run / "report.html"))
