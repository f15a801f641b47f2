"""Options that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path

from zonesearch.study.study import Study

__all__ = ["add_study", "default_folder", "given_study"]


def add_study(parser: argparse.ArgumentParser) -> None:
    """STUDY.toml and --set."""
    parser.add_argument("study", metavar="STUDY.toml", type=Path, help="the study file")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="replace one key of the study file, as training.epochs=5; may be repeated",
    )


def given_study(options: argparse.Namespace) -> Study:
    """The study that the options name."""
    from zonesearch.study.files import read_study

    return read_study(options.study, options.set)


def default_folder(study: Study) -> Path:
    """``runs/<study>``."""
    return Path("runs") / study.name
