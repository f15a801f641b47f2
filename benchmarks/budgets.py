"""What a budget finds: the stages that "auto" takes beside random search with as many trainings.

``python -m benchmarks.budgets FIRST-LAST AXES BUDGETS``, as ``300-316 2,3,4 10,20,50``: surfaces by seed, one line each
number of axes and budget. Regret is that of the true mean of what each recommends; random search recommends the best
value that it saw. The error is that of the mean difference of the two, by surface.
"""

from __future__ import annotations

import sys

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


def main() -> None:
    first, last = map(int, sys.argv[1].split("-"))
    for n_axes in map(int, sys.argv[2].split(",")):
        for n in map(int, sys.argv[3].split(",")):
            found = np.array([regrets(n_axes, n, seed) for seed in range(first, last)])
            ours, chance, used = found.mean(axis=0)
            differences = found[:, 0] - found[:, 1]
            error = differences.std(ddof=1) / len(differences) ** 0.5
            won = int((found[:, 0] <= found[:, 1]).sum())
            print(
                f"{n_axes} axes, {n}: auto {ours:.3f}, random {chance:.3f}, difference {ours - chance:+.3f} ± "
                f"{error:.3f}, won {won} of {len(found)}, spent {used:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
