"""Show a run as an Optuna study, for dashboards."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["add_arguments", "call"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """RUN [--storage URL] [--rebuild]."""
    parser.add_argument("run", metavar="RUN", type=Path, help="the run folder")
    parser.add_argument(
        "--storage", metavar="URL", help="an Optuna storage, such as postgresql://... (default: RUN/view.journal)"
    )
    parser.add_argument("--rebuild", action="store_true", help="delete the study of that name and rebuild it")


def call(options: argparse.Namespace) -> None:
    """Add the trials missing from the view."""
    from zonesearch.optuna.runs import open_view
    from zonesearch.run.recorded import read_run, study_of
    from zonesearch.run.storage.run_folder import RunFolder

    folder = RunFolder.open(options.run)
    trials = read_run(options.run)[0].trials
    view = open_view(study_of(folder), folder, trials, options.storage, rebuild=options.rebuild)
    n_new = view.top_up(trials)
    place = options.storage or options.run / "view.journal"
    print(f"{n_new} trials added to study {folder.name} in {place}; {len(trials)} in all")
    if view.n_repaired:
        print(f"{view.n_repaired} duplicate trials were removed")
