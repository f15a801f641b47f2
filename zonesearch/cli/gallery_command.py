"""Run studies and write their reports with a front page."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["add_arguments", "call"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """STUDY.toml... [--into FOLDER] [--runs FOLDER] [--pictures] [--quiet]."""
    parser.add_argument("studies", metavar="STUDY.toml", type=Path, nargs="+", help="the study files")
    parser.add_argument("--into", metavar="FOLDER", type=Path, default=Path("reports"), help="default: reports")
    parser.add_argument("--runs", metavar="FOLDER", type=Path, default=Path("runs"), help="default: runs")
    parser.add_argument("--pictures", action="store_true", help="also save a picture of each map (needs Chromium)")
    parser.add_argument("--quiet", action="store_true", help="print only the path of the front page")


def call(options: argparse.Namespace) -> None:
    """Run unfinished studies, then write all reports."""
    from zonesearch.benchmark.gallery import make_gallery
    from zonesearch.cli.options import find_own_modules
    from zonesearch.run.progress import ProgressBars
    from zonesearch.run.running import Observer, Silent
    from zonesearch.study.files import read_study
    from zonesearch.study.study import Study

    def observe(study: Study, folder: Path) -> Observer:
        return Silent() if options.quiet else ProgressBars(study, folder)

    find_own_modules()
    studies = [read_study(path) for path in options.studies]
    made = make_gallery(studies, options.into, runs=options.runs, pictures=options.pictures, observe=observe)
    print(options.into / made.name)
