"""Run a study on a Slurm cluster: its shards as job arrays, merged at the end."""

from __future__ import annotations

import argparse
from pathlib import Path

from zonesearch.cli.options import add_study, default_folder, given_study
from zonesearch.errors import StudyError

__all__ = ["add_arguments", "call"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """STUDY.toml --n N [--partition P] and the resources of each job."""
    add_study(parser)
    parser.add_argument(
        "--n", metavar="N", type=int, required=True, help="number of shards, and the most jobs that run at a time"
    )
    parser.add_argument("--partition", metavar="P", help="Slurm partition (default: the cluster's)")
    parser.add_argument("--into", metavar="FOLDER", type=Path, help="the run folder (default: runs/<study>)")
    parser.add_argument("--workers", metavar="N", type=int, help="processes of each job (default: the study's)")
    parser.add_argument("--cpus", metavar="N", type=int, help="processors per job")
    parser.add_argument("--gpus", metavar="N", type=int, help="GPUs per job")
    parser.add_argument(
        "--timeout-min", metavar="M", type=int, default=240, help="time limit of each job in minutes (default: 240)"
    )
    parser.add_argument(
        "--slurm",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="a further option of sbatch, such as account=physics; may be repeated",
    )
    parser.add_argument(
        "--executor",
        choices=["slurm", "local"],
        default="slurm",
        help="local: processes on this machine, to try it out",
    )


def call(options: argparse.Namespace) -> None:
    """Submit round after round; print the progress, then the verdict, and write the report."""
    from zonesearch.report.summaries.state import state_sentence
    from zonesearch.run.submitting import Queue, submit_study

    more = [text.partition("=") for text in options.slurm]
    for key, equals, value in more:
        if not (key and equals and value):
            raise StudyError(f"--slurm takes KEY=VALUE, such as account=physics, not {key + equals + value!r}")
    queue = Queue(
        options.executor,
        options.partition,
        options.timeout_min,
        options.cpus,
        options.gpus,
        {key.strip("- ").replace("-", "_"): value for key, _, value in more},
    )
    folder = options.into or default_folder(given_study(options))
    result = submit_study(
        options.study,
        folder,
        options.n,
        queue,
        replacements=options.set,
        workers=options.workers,
        say=lambda sentence: print(sentence, flush=True),
    )
    for note in result.results.notes:
        print(note)
    print(result.verdict.sentence if result.verdict else state_sentence(result.results))
    print(f"Report: {result.report(folder / 'report.html')}")
