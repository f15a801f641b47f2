"""Import an existing Optuna study as a run, to get zones and a report for a search that was run elsewhere."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

__all__ = ["add_arguments", "call"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--storage URL [--study NAME] [--objective N|NAME] [--as-seeds] [--into RUN]."""
    parser.add_argument(
        "--storage",
        metavar="URL",
        required=True,
        help="an Optuna storage: sqlite:///FILE, journal:///FILE, postgresql://..., or the path of such a file",
    )
    parser.add_argument(
        "--study",
        metavar="NAME",
        help="the study, required when there are several; with --as-seeds a pattern such as 'fold*'",
    )
    parser.add_argument(
        "--objective",
        metavar="N|NAME",
        help="the objective to rank by if there are several: its index, from 0 as in Optuna's values, or its name",
    )
    parser.add_argument(
        "--as-seeds", action="store_true", help="read several studies (folds, repeats) as seeds of one search"
    )
    parser.add_argument("--into", metavar="RUN", type=Path, help="the run folder (default: runs/<study>)")


def call(options: argparse.Namespace) -> None:
    """Import, print the zones, write the report."""
    from collections import Counter

    from zonesearch.core.wording import point_text
    from zonesearch.optuna.runs import import_run
    from zonesearch.report.summaries.state import state_sentence
    from zonesearch.run.recorded import read_run
    from zonesearch.run.result import Result

    into = options.into or Path("runs") / (_folder_name(options.study or "") or "imported")
    imported, folder = import_run(
        options.storage, options.study, into, objective=options.objective, as_seeds=options.as_seeds
    )
    results, _ = read_run(folder.path)
    states = Counter(trial.state for trial in results.trials)
    said = ", ".join(
        f"{states[state]} {state}" for state in ("complete", "pruned", "diverged", "failed") if states[state]
    )
    what = f"study {imported.name}" if len(imported.studies) == 1 else f"{len(imported.studies)} studies"
    print(f"{len(results.trials)} trials of {what} are in {folder.path} ({said})")
    if imported.n_skipped:
        print(f"{imported.n_skipped} running or waiting trials were skipped; import again when they are done")
    if states["complete"]:
        print(state_sentence(results))
    for zone in results.zones:
        print(f"zone {zone.number}: {point_text(zone.peak)} with {results.metric.text(zone.value)}")
    for note in results.notes:
        print(note)
    print(f"Report: {Result(results, folder.path).report(folder.path / 'report.html')}")


def _folder_name(study: str) -> str:
    """The name of a study as a folder name."""
    return re.sub(r"[^\w.+-]+", "_", study).strip("._")
