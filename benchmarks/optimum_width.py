"""How wide are the optima of two ways to train? ``python -m benchmarks.optimum_width [STUDY ARM ARM] [--html FILE]``.

By default SGD and SWA of ``studies/cifar10_swa_small.toml``: for several seeds the distance along ten random rays at
which the test error reaches a level, with batch-norm statistics measured anew at every point. The published distances
(PreResNet-110 on CIFAR-100, 50 % error) are about 30 for SGD and 50 for SWA.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from zonesearch.report.learning_rates import write_figure
from zonesearch.report.rays import rays_figure
from zonesearch.statistics.verdict import t_interval
from zonesearch.study.files import read_study
from zonesearch.training.optimum_width import optimum_width


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", nargs="?", default="studies/cifar10_swa_small.toml")
    parser.add_argument("arms", nargs="*", default=["sgd", "swa_100"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--furthest", type=float, default=30.0, help="the largest distance")
    parser.add_argument("--level", type=float, default=0.5, help="of the test error")
    parser.add_argument("--html", type=Path)
    options = parser.parse_args()
    study = read_study(options.study)
    distances = [float(d) for d in np.linspace(0, options.furthest, 13)]
    reached: dict[str, list[float]] = {arm: [] for arm in options.arms}
    for seed in range(options.seeds):
        found = optimum_width(
            study.objective(),  # type: ignore[arg-type]
            {arm: {"arm": arm} for arm in options.arms},
            epochs=study.epochs,
            distances=distances,
            seed=seed,
        )
        for arm, rays in found.items():
            reached[arm].append(float(np.median(rays.reaches(options.level))))
        print(f"seed {seed}: " + ", ".join(f"{arm} {reached[arm][-1]:.2f}" for arm in found), flush=True)
        if seed == 0 and options.html:
            write_figure(rays_figure(distances, {arm: rays.errors for arm, rays in found.items()}), options.html)
    first, second = (np.array(reached[arm]) for arm in options.arms[:2])
    low, high = t_interval(list(second - first), 0.95)
    print(
        f"distance to {100 * options.level:g} % error: {options.arms[0]} {first.mean():.2f}, {options.arms[1]}", end=" "
    )
    print(f"{second.mean():.2f}; difference {(second - first).mean():+.2f} (95 % interval {low:+.2f} to {high:+.2f})")


if __name__ == "__main__":
    main()
