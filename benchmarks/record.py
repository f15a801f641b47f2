"""A finished map as a small file to search on again. ``python -m benchmarks.record STUDY.toml OUT.json [--seeds 10]``.

Trains every cell of the study's grid with so many seeds, in a run folder like any other (so a recording that was
stopped goes on), and writes all learning curves as whole ten-thousandths. ``zonesearch compare OUT.json`` replays it.
A run that was made otherwise needs no file: ``zonesearch compare RUN``.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from zonesearch.benchmark.recording import map_of, write_map
from zonesearch.core.seeds import Seeds
from zonesearch.run.progress import ProgressBars
from zonesearch.run.running import run_study
from zonesearch.search.stages.grid import Grid
from zonesearch.study.files import read_study
from zonesearch.study.study import Study


def gridded(study: Study, seeds: int) -> Study:
    """The study with its grid alone, every cell with ``seeds`` seeds."""
    grid = Grid(study.space, study.epochs, seeds, study.reading)
    return replace(study, stages=(grid,), seeds=Seeds.parse(seeds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", metavar="STUDY.toml", type=Path)
    parser.add_argument("out", metavar="OUT.json", type=Path)
    parser.add_argument("--seeds", type=int, default=10, help="of every cell (10)")
    parser.add_argument("--into", type=Path, help="the run folder (runs/<study>-recorded)")
    parser.add_argument("--workers", type=int, help="processes (default: the study's)")
    wanted = parser.parse_args()
    study = gridded(read_study(wanted.study), wanted.seeds)
    folder = wanted.into or Path("runs") / f"{study.name}-recorded"
    result = run_study(study, into=folder, workers=wanted.workers, observer=ProgressBars(study, folder))
    found = map_of(result.results)
    size = write_map(found, wanted.out)
    print(f"{wanted.out}: {len(found.cells)} cells, {wanted.seeds} seeds, {found.epochs} epochs, {size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
