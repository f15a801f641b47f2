"""Say how many trainings a run has."""

from __future__ import annotations

import argparse

from zonesearch import load_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN")


def call(options: argparse.Namespace) -> None:
    print(len(load_run(options.run).trials), "trainings")  # noqa: T201
