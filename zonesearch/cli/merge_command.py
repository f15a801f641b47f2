"""Merge runs, or parts of one, into one run folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from zonesearch.run.storage.storage import place_of

__all__ = ["add_arguments", "call"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """RUN... --into RUN."""
    parser.add_argument(
        "runs",
        metavar="RUN",
        type=place_of,
        nargs="+",
        help="run folders, .jsonl files, archives, folders of these, or NAME://ADDRESS of a storage",
    )
    parser.add_argument("--into", metavar="RUN", type=Path, required=True, help="the run folder to merge into")


def call(options: argparse.Namespace) -> None:
    """Print what each source contributed, contradictions, and other differences."""
    from zonesearch.core.wording import counted
    from zonesearch.run.storage.merge import merge

    merged = merge(options.runs, options.into)
    for source in merged.sources:
        more = source.n_new - source.n_new_trainings
        again = f", {counted(more, 'further new record')} of known trainings" if more > 0 else ""
        torn = f", {counted(source.n_torn, 'torn line')} skipped" if source.n_torn else ""
        print(f"{source.place}: {counted(source.n_trainings, 'training')}, {source.n_new_trainings:,} new{again}{torn}")
    for conflict in merged.conflicts:
        print(f"conflict: {conflict}")
    for note in merged.notes:
        print(f"note: {note}")
    print(f"{options.into} holds {counted(merged.n_trainings, 'training')}. Next: zonesearch status {options.into}")
