"""Read an existing Optuna study as a run: zones, report and verdict for a search somebody else ran."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["add_arguments", "call"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--storage URL --study NAME [--into RUN]."""
    parser.add_argument("--storage", metavar="URL", required=True, help="an Optuna storage")
    parser.add_argument("--study", metavar="NAME", help="the study; needed when there are several")
    parser.add_argument("--into", metavar="RUN", type=Path, help="the run folder (default: runs/<study>)")


def call(options: argparse.Namespace) -> None:
    """Import, name the zones, write the report."""
    from zonesearch.domain.wording import point_text
    from zonesearch.recorded import read_run
    from zonesearch.result import Result
    from zonesearch.sharing import import_run

    into = options.into or Path("runs") / (options.study or "imported")
    imported, folder = import_run(options.storage, options.study, into)
    findings, _ = read_run(folder.path)
    print(f"{len(findings.trials)} trials of study {imported.name} are in {folder.path}")
    for zone in findings.zones:
        print(f"zone {zone.number}: {point_text(zone.peak)} with {findings.metric.text(zone.value)}")
    print(f"Report: {Result(findings, folder.path).report(folder.path / 'report.html')}")
