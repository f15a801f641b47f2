"""Run a study, or continue a run."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from zonesearch.cli.options import add_study, default_folder, given_study
from zonesearch.run.storage.storage import place_of

if TYPE_CHECKING:
    from zonesearch.run.result import Result

__all__ = ["add_arguments", "call"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """STUDY.toml [--into RUN] [--set KEY=VALUE] [--quiet] and where it runs."""
    add_study(parser)
    parser.add_argument(
        "--into", metavar="RUN", type=place_of, help="run folder or NAME://ADDRESS of a storage (default: runs/<study>)"
    )
    parser.add_argument("--quiet", action="store_true", help="print only the verdict")
    parser.add_argument(
        "--json", action="store_true", help="print the outcome as JSON, as status does, and nothing else"
    )
    parser.add_argument("--fresh", action="store_true", help="move an old run in the folder aside and start again")
    parser.add_argument("--retry-failed", action="store_true", help="retry trainings that failed before")
    parser.add_argument("--workers", metavar="N", type=int, help="processes on this machine (default: the study's)")
    parser.add_argument(
        "--engine",
        metavar="WHERE",
        help="local (default), dask://HOST:PORT, dask://local, or NAME[://ADDRESS] of a plug-in",
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=float,
        help="end a training that takes longer and record it as failed (default: the study's, else no limit)",
    )
    parser.add_argument("--shard", metavar="I/N", help="train only part I of N of what is currently wanted")
    parser.add_argument("--wait", action="store_true", help="with --shard: wait for the other shards, then continue")
    parser.add_argument("--view", metavar="URL", help="keep an Optuna study at this storage up to date while it runs")


def call(options: argparse.Namespace) -> None:
    """Run, print the verdict, write the report."""
    from zonesearch.run.progress import ProgressBars
    from zonesearch.run.running import Silent, run_study
    from zonesearch.run.shards import Shard

    study = given_study(options)
    folder = options.into or default_folder(study)
    home = folder.absolute() if isinstance(folder, Path) else folder  # an objective may change the working directory
    shard = Shard.parse(options.shard) if options.shard else None
    observer = Silent() if options.quiet or options.json else ProgressBars(study, folder)
    is_part, report = shard is not None, _Report.of(study.name, folder)

    watching = None
    if options.view is not None:
        from zonesearch.optuna.runs import viewed

        watching = viewed(options.view)

    def finish(result: Result) -> None:
        if result.verdict is not None or not (is_part or options.json):
            report.write(result)

    result = run_study(
        study,
        into=home,
        workers=options.workers,
        engine=options.engine,
        timeout=options.timeout,
        fresh=options.fresh and not options.watch.apart,
        retry_failed=options.retry_failed,
        observer=observer,
        shard=shard,
        wait=options.wait,
        watching=watching,
        finish=finish,
        apart=options.watch.apart,
        in_process=options.watch.trains,
    )
    if options.json:
        from zonesearch.cli.status_command import status_of

        report.complain()
        print(json.dumps(status_of(home), indent=2))
        return
    if isinstance(observer, ProgressBars) and observer.n_trained == 0:
        print("Nothing to train: all results are already there.")
    if result.verdict is None and shard is not None:
        print(f"Shard {shard} is done. Merge the shards' folders, then run the next round:")
        print(f"  zonesearch merge FOLDER... --into {folder}")
        print(f"  zonesearch status {folder}")
        return
    for note in () if options.quiet else result.results.notes:
        print(note)
    from zonesearch.report.summaries.state import state_sentence  # loads pandas, so not before there are results

    print(result.verdict.sentence if result.verdict else state_sentence(result.results))
    report.complain()
    if report.written and not options.quiet:
        print(f"Report: {report.shown}")


class _Report:
    """The report of a run. It can be regenerated at any time, so a full disk must not lose the verdict."""

    @classmethod
    def of(cls, name: str, folder: str | Path) -> _Report:
        """The report of a run folder is inside it, that of a run in a storage in the working directory."""
        shown = folder / "report.html" if isinstance(folder, Path) else Path(f"{name}.html")
        more = "" if isinstance(folder, Path) else f" --out {shown}"
        return cls(shown.absolute(), shown, f"zonesearch report {folder}{more}")

    def __init__(self, path: Path, shown: Path, again: str) -> None:
        self.path = path
        self.shown = shown
        self.again = again
        self.written = False
        self._trouble = ""

    def write(self, result: Result) -> None:
        """Write it, or record why that failed."""
        from zonesearch.errors import StoreError

        if not self.path.parent.is_dir():
            return  # the run folder is gone, which its store is about to report
        try:
            result.report(self.path)
            self.written = True
        except StoreError as error:
            self._trouble = str(error)

    def complain(self) -> None:
        """Print why there is no report."""
        if self._trouble:
            said = f"{self._trouble}. All trials are recorded: `{self.again}` writes it later"
            print(f"zonesearch: {said}", file=sys.stderr)
