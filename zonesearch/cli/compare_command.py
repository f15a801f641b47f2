"""Compare search methods on a study, or on a recorded map: the same budget, scored by what each recommends."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zonesearch.benchmark.contest import Contest
    from zonesearch.benchmark.recorded import RecordedMap
    from zonesearch.study.study import Study

__all__ = ["add_arguments", "call"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """STUDY [--recorded FILE] [--methods LIST] [--budget N] [--seeds N] [--rule RULE] [--page FILE] [--json] ..."""
    parser.add_argument(
        "study",
        metavar="STUDY",
        type=Path,
        nargs="?",
        help="a study file (networks are trained), or a finished run folder or recorded map (results are looked up)",
    )
    parser.add_argument(
        "--recorded",
        metavar="FILE",
        type=Path,
        help="look results up in this recorded map or run folder instead of training",
    )
    parser.add_argument("--methods", metavar="LIST", help="names separated by commas; join stages with +")
    parser.add_argument(
        "--budget", metavar="N", type=int, help="trainings for each search (50, or all of a map that holds fewer)"
    )
    parser.add_argument("--seeds", metavar="N", type=int, default=10, help="searches per method (10)")
    parser.add_argument(
        "--rule",
        default="posterior",
        help="how every method recommends: posterior, the highest mean of a Gaussian process (default), or observed",
    )
    parser.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="replace one key of the study file"
    )
    parser.add_argument(
        "--into", metavar="FOLDER", type=Path, help="with a study: the folder for its trainings (runs/<study>-compare)"
    )
    parser.add_argument(
        "--truth-seeds", metavar="N", type=int, default=5, help="with a study: fresh seeds per recommended point (5)"
    )
    parser.add_argument(
        "--workers", metavar="N", type=int, help="processes on this machine (default: the study's, else 1)"
    )
    parser.add_argument("--engine", metavar="WHERE", help="with a study: local, dask://HOST:PORT or dask://local")
    parser.add_argument("--fresh", action="store_true", help="with a study: move an old FOLDER aside and start again")
    parser.add_argument(
        "--page",
        metavar="FILE",
        type=Path,
        help="where to write the page (with a study: compare.html in its folder; without: only if given)",
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON, and nothing else")
    parser.add_argument("--quiet", action="store_true", help="print only the table")


def call(options: argparse.Namespace) -> None:
    """Search, score, print the table, write the page."""
    import json

    from zonesearch.benchmark.comparing import METHODS, METHODS_RECORDED, compare_methods
    from zonesearch.benchmark.methods import methods
    from zonesearch.benchmark.page import write_contest
    from zonesearch.study.study import Study

    chosen = None if options.methods is None else methods(options.methods)
    problem = _problem(options)
    is_live = isinstance(problem, Study)
    chosen = chosen or methods(METHODS if is_live else METHODS_RECORDED)
    folder = options.into or Path("runs") / f"{problem.name}-compare"
    page = options.page or (folder / "compare.html" if is_live else None)
    if is_live:
        options.watch.trains()
    home, file = folder.absolute(), page and page.absolute()  # an objective may change the working directory
    with _Progress(options.quiet or options.json, len(chosen) * options.seeds) as progress:
        contest = compare_methods(
            problem,
            chosen,
            budget=options.budget,
            seeds=options.seeds,
            rule=options.rule,
            truth_seeds=options.truth_seeds,
            into=home if is_live else None,
            workers=options.workers,
            engine=options.engine,
            fresh=options.fresh and not options.watch.apart,
            apart=options.watch.apart,
            searched=lambda sought: progress.searched(f"{sought.method}, search {sought.repeat + 1}"),
            trained=progress.trained,
        )
    if file is not None:
        write_contest(contest, file)
    if options.json:
        print(json.dumps(contest.describe(), indent=2))
        return
    print(_table(contest))
    if not options.quiet:
        print(contest.sentence)
        if progress.n_trained:
            print(f"{progress.n_trained:,} trainings are new in {folder}")
        print(f"Page: {page}" if page else "With --page FILE, its curves and searches come as a page too.")
        if options.methods is None and not is_live:
            print('Optuna\'s "gp" takes minutes and is compared only where --methods names it.')


def _problem(options: argparse.Namespace) -> Study | RecordedMap:
    from zonesearch.benchmark.recording import read_map
    from zonesearch.cli.options import find_own_modules
    from zonesearch.errors import StudyError
    from zonesearch.study.files import read_study

    if options.study is None and options.recorded is None:
        raise StudyError("compare takes a study file, a run folder or a recorded map")
    study = None
    if options.study is not None and options.study.suffix == ".toml":
        find_own_modules()
        study = read_study(options.study, options.set)
    table = options.recorded or (options.study if study is None else None)
    if table is None:
        assert study is not None
        return study
    recorded = read_map(table)
    if study is not None and set(study.space.names) != set(recorded.space.names):
        axes = (", ".join(space.names) for space in (recorded.space, study.space))
        raise StudyError("{} is a map of {}, but the study searches {}".format(table, *axes))
    return recorded


def _table(contest: Contest) -> str:
    """Best first, aligned."""
    from zonesearch.benchmark.summary import standing_texts

    rows = standing_texts(contest)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            text.ljust(width) if i == 0 else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join(lines)


class _Progress:
    """The number of finished searches, on standard error; nothing if ``hidden``."""

    def __init__(self, hidden: bool, n_searches: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("searches"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(
            *columns, TextColumn("{task.description}", markup=False), console=Console(stderr=True), disable=hidden
        )
        self._task = self._bar.add_task("", total=n_searches)
        self.n_trained = 0

    def searched(self, what: str) -> None:
        self._bar.start()  # only once something has happened: an error message stands alone
        self._bar.update(self._task, advance=1, description=what)

    def trained(self, n: int) -> None:
        self._bar.start()
        self.n_trained += n

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar.live.is_started:
            self._bar.stop()
