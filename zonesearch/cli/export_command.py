"""Add a run to an experiment tracker: MLflow or TensorBoard."""

from __future__ import annotations

import argparse
from pathlib import Path

from zonesearch.errors import StudyError

__all__ = ["add_arguments", "call"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """RUN (--mlflow URI [--experiment NAME] | --tensorboard DIR)."""
    parser.add_argument(
        "run", metavar="RUN", type=Path, help="the run folder; on repeated exports only new trainings are added"
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--mlflow", metavar="URI", help="an MLflow tracking server or store, such as http://HOST:PORT")
    where.add_argument("--tensorboard", metavar="DIR", type=Path, help="a log folder for TensorBoard")
    parser.add_argument("--experiment", metavar="NAME", help="MLflow experiment (default: the study's name)")


def call(options: argparse.Namespace) -> None:
    """Export, and print what was new."""
    from zonesearch.run.export.exporting import export_to_mlflow, export_to_tensorboard

    if options.mlflow is not None:
        done = export_to_mlflow(options.run, options.mlflow, experiment=options.experiment)
        place = f"MLflow run {done.place}"
    else:
        if options.experiment is not None:
            raise StudyError("--experiment is for --mlflow; TensorBoard has folders only")
        done = export_to_tensorboard(options.run, options.tensorboard)
        place = done.place
    print(f"{done.n_new} trainings added to {place}; {done.n_trainings} in all")
