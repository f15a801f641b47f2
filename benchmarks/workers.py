"""A study by the command, with one and with several workers. ``python -m benchmarks.workers [STUDY.toml]``.

Wall time, processor time of all processes together, and how long after the command the first training was stored. The
numbers of workers take turns; efficiency is the wall time with one, divided by that with n times n. Only a machine with
nothing else to do gives wall times of use; processor time shows what several workers cost (torch is loaded by each).
``--set`` shortens the study, ``--before FOLDER`` takes turns with another checkout of the source.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

_LOOK_S = 0.02


@dataclass(frozen=True)
class Times:
    """Of one call of the command.

    Args:
        first: seconds from the command to the first stored training; ``wall`` to its end.
        cpu: processor time of all its processes.
    """

    first: float
    wall: float
    cpu: float


def timed(study: Path, workers: int, replaced: Sequence[str] = (), source: Path | None = None) -> Times:
    """Run ``study`` in a new folder, with the source code in ``source`` (default: this one).

    Raises:
        RuntimeError: the command failed; its last words.
    """
    home = Path(tempfile.mkdtemp())
    run = home / "run"
    sets = [part for key in (*replaced, f"run.workers={workers}") for part in ("--set", key)]
    command = [sys.executable, "-m", "zonesearch", "run", str(study.absolute()), "--into", str(run), "--quiet", *sets]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if source is not None:
        environment["PYTHONPATH"] = str(source.absolute())
    before, start, first = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter(), float("nan")
    try:
        with (home / "said").open("w+", encoding="utf-8") as said:
            process = subprocess.Popen(command, stdout=said, stderr=said, env=environment, cwd=home)
            while process.poll() is None:
                if first != first and _has_trained(run):
                    first = time.perf_counter() - start
                time.sleep(_LOOK_S)
            wall = time.perf_counter() - start
            said.seek(0)
            if process.returncode:
                raise RuntimeError(said.read()[-500:])
    finally:
        shutil.rmtree(home, ignore_errors=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Times(first, wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def _has_trained(run: Path) -> bool:
    return any(b'"accuracy"' in file.read_bytes() for file in (run / "trials").glob("*.jsonl"))


def markdown(found: dict[tuple[str, int], list[Times]]) -> str:
    """A row for each source and number of workers, medians with the range over the rounds."""
    lines = ["| source | workers | rounds | first training | wall | processor time | efficiency |", "| --- " * 7 + "|"]
    for (name, n), times in found.items():
        alone = found.get((name, 1))
        ratio = median(t.wall for t in alone) / (n * median(t.wall for t in times)) if alone and n > 1 else None
        columns = [_span([getattr(t, key) for t in times]) for key in ("first", "wall", "cpu")]
        lines.append(
            f"| {name} | {n} | {len(times)} | {' | '.join(columns)} | {'' if ratio is None else f'{ratio:.0%}'} |"
        )
    return "\n".join(lines)


def _span(values: Sequence[float]) -> str:
    return f"{median(values):.2f} s ({min(values):.2f} to {max(values):.2f})"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, nargs="?", default=Path("studies/digits.toml"))
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--before", type=Path, help="a checkout of another version")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    wanted = parser.parse_args(arguments)
    sources = {"this": None, **({} if wanted.before is None else {"before": wanted.before})}
    found: dict[tuple[str, int], list[Times]] = {}
    for _ in range(wanted.rounds):
        for n in map(int, wanted.workers.split(",")):
            for name, source in sources.items():
                found.setdefault((name, n), []).append(timed(wanted.study, n, wanted.set, source))
    print(markdown(found))


if __name__ == "__main__":
    main()
