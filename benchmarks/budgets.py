"""What a budget finds: the stages that "auto" takes beside random search with as many trainings.

``python -m benchmarks.budgets FIRST-LAST AXES BUDGETS``, as ``300-316 2,3,4 10,20,50``: surfaces by seed, one line each
number of axes and budget. Regret is that of the true mean of what each recommends; random search recommends the best
value that it saw. The error is that of the mean difference of the two, by surface. With ``--out`` what every surface
came to is appended to the first file given, and what stands in any of them is not computed again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

import zonesearch
from benchmarks.surfaces import SHAPES, make_surface


def regrets(n_axes: int, n: int, seed: int) -> tuple[float, float, float]:
    """Of the pipeline and of random search, and the share of the budget that the pipeline spent."""
    surface = make_surface(f"{tuple(SHAPES)[seed % len(SHAPES)]}-{n_axes}#{seed}")
    result = zonesearch.run_pipeline(surface.space, objective=surface, budget={"trainings": n}, seed=seed)
    assert result.verdict is not None
    assert result.verdict.recommended is not None
    points = [surface.space.from_unit(point) for point in np.random.default_rng(seed).random((n, n_axes))]
    lucky = max(points, key=lambda point: surface(point, seed))
    return surface.regret(result.verdict.recommended.finalist.params), surface.regret(lucky), len(result.trials) / n


def read(paths: list[Path]) -> dict[tuple[int, int, int], tuple[float, float, float]]:
    """What was measured before, by axes, budget and seed; a torn last line is left out."""
    found = {}
    for path in paths:
        for line in path.read_text().splitlines() if path.exists() else []:
            try:
                n_axes, n, seed, *values = json.loads(line)
            except ValueError:
                continue
            found[n_axes, n, seed] = (values[0], values[1], values[2])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", help="first-last, the last one left out")
    parser.add_argument("axes")
    parser.add_argument("budgets")
    parser.add_argument("--out", type=Path, nargs="+", default=[])
    parser.add_argument("--no-run", action="store_true", help="only print what --out holds")
    wanted = parser.parse_args()
    first, last = map(int, wanted.seeds.split("-"))
    known = read(wanted.out)
    for n_axes in map(int, wanted.axes.split(",")):
        for n in map(int, wanted.budgets.split(",")):
            for seed in range(first, last) if not wanted.no_run else ():
                if (n_axes, n, seed) not in known:
                    known[n_axes, n, seed] = regrets(n_axes, n, seed)
                    for path in wanted.out[:1]:
                        with path.open("a") as file:
                            file.write(json.dumps([n_axes, n, seed, *known[n_axes, n, seed]]) + "\n")
            found = np.array([known[n_axes, n, seed] for seed in range(first, last) if (n_axes, n, seed) in known])
            if not len(found):
                continue
            ours, chance, used = found.mean(axis=0)
            differences = found[:, 0] - found[:, 1]
            error = differences.std(ddof=1) / len(differences) ** 0.5 if len(differences) > 1 else float("nan")
            won = int((found[:, 0] <= found[:, 1]).sum())
            print(
                f"{n_axes} axes, {n}: auto {ours:.3f}, random {chance:.3f}, difference {ours - chance:+.3f} ± "
                f"{error:.3f}, won {won} of {len(found)}, spent {used:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
