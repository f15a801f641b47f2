"""Write the report of a run, or of several side by side, as one self-contained HTML file, and as a PDF."""

from __future__ import annotations

import argparse
from pathlib import Path

from zonesearch.errors import StoreError
from zonesearch.run.storage.storage import place_of

__all__ = ["add_arguments", "call"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """RUN... [--out FILE] [--pdf FILE]."""
    parser.add_argument(
        "runs",
        metavar="RUN",
        type=place_of,
        nargs="+",
        help="the run folder, or NAME://ADDRESS of a storage; several are compared",
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        type=Path,
        help="the file (default: RUN/report.html, or STUDY.html; comparison.html for several)",
    )
    parser.add_argument("--pdf", metavar="FILE", type=Path, help="also save as PDF (needs Chromium)")


def call(options: argparse.Namespace) -> None:
    """Report the current state of the runs, finished or not."""
    from zonesearch.run.recorded import read_run
    from zonesearch.run.result import Result

    twice = [run for run in options.runs if options.runs.count(run) > 1]
    if twice:
        raise StoreError(f"{twice[0]} is given twice: a run is compared with other runs")
    found = [read_run(run)[0] for run in options.runs]
    if len(found) == 1:
        [run] = options.runs
        inside = isinstance(run, Path)
        out = options.out or (run / "report.html" if inside else Path(f"{found[0].name}.html"))
        print(Result(found[0], run if inside else None).report(out, pdf=options.pdf))
        _say(options.pdf)
        return
    from zonesearch.report.comparison import write_comparison

    names = [results.name for results in found]
    shown = names if len(set(names)) == len(names) else [str(run) for run in options.runs]
    print(write_comparison(dict(zip(shown, found, strict=True)), options.out or Path("comparison.html"), options.pdf))
    _say(options.pdf)


def _say(pdf: Path | None) -> None:
    if pdf is not None:
        print(pdf)
