"""Print the trials of a run as a table."""

from __future__ import annotations

import argparse

from zonesearch.run.storage.storage import place_of

__all__ = ["add_arguments", "call"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """RUN [--csv [--raw]]."""
    parser.add_argument("run", metavar="RUN", type=place_of, help="the run folder, or NAME://ADDRESS of a storage")
    parser.add_argument("--csv", action="store_true", help="comma-separated values, one line per trial")
    parser.add_argument(
        "--raw",
        action="store_true",
        help="with --csv: do not escape text that looks like a formula",
    )


def call(options: argparse.Namespace) -> None:
    """The columns (params..., accuracy) first."""
    from zonesearch.cli.spreadsheet import as_texts
    from zonesearch.errors import StudyError
    from zonesearch.run.recorded import read_trials
    from zonesearch.run.result import Result

    if options.raw and not options.csv:
        raise StudyError("--raw needs --csv")

    frame = Result(read_trials(options.run)).frame()
    if options.csv and not options.raw:
        frame = as_texts(frame)
    print(frame.to_csv(index=False) if options.csv else frame.to_string(index=False), end="" if options.csv else "\n")
