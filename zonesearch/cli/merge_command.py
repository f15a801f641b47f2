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
    """Print what each source brought, contradictions, and what else differs."""
    from zonesearch.run.storage.merge import merge

    merged = merge(options.runs, options.into)
    for source in merged.sources:
        torn = f", {source.n_torn} torn lines skipped" if source.n_torn else ""
        print(f"{source.place}: {source.n_records} trials, {source.n_new} new{torn}")
    for conflict in merged.conflicts:
        print(f"conflict: {conflict}")
    for note in merged.notes:
        print(f"note: {note}")
    print(f"{options.into} holds {merged.n_trainings} trainings. Next: zonesearch status {options.into}")
