"""Options that several commands share."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zonesearch.study.study import Study

__all__ = ["add_study", "default_folder", "find_own_modules", "given_study"]


def add_study(parser: argparse.ArgumentParser) -> None:
    """STUDY.toml and --set."""
    parser.add_argument("study", metavar="STUDY.toml", type=Path, help="the study file")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="override a key of the study file, such as training.epochs=5; may be repeated",
    )


def given_study(options: argparse.Namespace) -> Study:
    """The study selected by the options."""
    from zonesearch.study.files import read_study

    find_own_modules()
    return read_study(options.study, options.set)


def find_own_modules() -> None:
    """Let a study import the user's modules from the working directory: for commands that train.

    Read-only commands do not call this: the working directory may contain untrusted files.
    """
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())


def default_folder(study: Study) -> Path:
    """``runs/<study>``."""
    return Path("runs") / study.name
