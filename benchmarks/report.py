"""How long the report of a large run takes. ``python -m benchmarks.report [--cells N] [--epochs N] [--json]``.

A noisy surface with two peaks answers in place of networks, so that the run itself takes seconds; what is measured is
reading the run folder and making the page, as ``zonesearch report RUN`` does, best of three.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from zonesearch import run_pipeline
from zonesearch.report.page import render
from zonesearch.run.recorded import read_run


def accuracy(params: dict[str, Any], seed: int, epochs: int) -> Iterator[float]:
    """A learning curve towards a surface with two peaks, with noise between seeds and epochs."""
    u, v = math.log2(params["width"]), math.log2(params["batch"])
    peaks = math.exp(-((u - 8) ** 2 + (v - 4) ** 2) / 6) + 0.97 * math.exp(-((u - 11) ** 2 + (v - 8) ** 2) / 6)
    rng = np.random.default_rng([seed, params["width"], params["batch"]])
    top = 0.85 + 0.1 * peaks + rng.normal(0, 0.003)
    for epoch in range(epochs):
        yield float(top * (1 - 0.6 * math.exp(-(epoch + 1) / 5)) + rng.normal(0, 0.002))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=5000, help="of the map; two seeds each")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    n = math.isqrt(options.cells // 2)
    space = {
        "width": {"low": 32, "high": 32_768, "scale": "log", "row": n - 1},
        "batch": {"low": 4, "high": 65_536, "scale": "log", "row": 2 * n - 1},
    }
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch) / "run"
        result = run_pipeline(space, objective=accuracy, epochs=options.epochs, seeds=2, into=run)
        seconds, pages = [], []
        for _ in range(3):
            start = time.perf_counter()
            results, _ = read_run(run)
            page = render(results)
            seconds.append(time.perf_counter() - start)
            pages.append(hashlib.sha256(page.encode()).hexdigest())
    figures = {
        "n_trials": len(result.trials),
        "seconds": round(min(seconds), 2),
        "megabytes": round(len(page.encode()) / 1e6, 2),
        "same_bytes": len(set(pages)) == 1,
    }
    print(json.dumps(figures) if options.json else "\n".join(f"{name:>10}: {value}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
