"""Whole studies in shards, as typed: separate processes with folders of their own, merged, equal to a single run."""

from __future__ import annotations

import json
import os
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import preloaded
from zonesearch.run.recorded import read_run
from zonesearch.run.result import Result

NETWORK = """
name = "sharded"
[space]
width = [8, 16, 32]
batch = [32, 64]
[training]
epochs = 2
[search]
stages = ["grid", "polish"]
seeds = 2
[polish]
schedules = ["constant", "step(every=1, factor=0.5)"]
keep = 3
repeats = 2
"""

FUNCTION = """
name = "sharded"
[space]
x = [1, 2, 4, 8, 16, 32]
y = [1, 2, 4, 8]
[objective]
function = "sharded_surface:accuracy"
[search]
seeds = 2
[interval]
method = "split(4)"
"""

SURFACE = """
import math
import numpy as np

def accuracy(params, seed, epochs):
    rng = np.random.default_rng([seed, params["x"], params["y"]])
    return 0.9 - 0.01 * (math.log2(params["x"]) - 3.3) ** 2 - 0.01 * math.log2(params["y"]) + rng.normal(0, 0.002)
"""


def zonesearch(folder: Path, *arguments: str) -> str:
    places = os.pathsep.join([str(folder), str(preloaded.ROOT)])
    done = preloaded.run("zonesearch", *arguments, cwd=folder, env={**os.environ, "PYTHONPATH": places})
    assert done.returncode == 0, done.stderr
    return done.stdout


def outcome(folder: Path) -> tuple[str, str]:
    """The table of trials without durations, to the last bit, and what the verdict says of each finalist."""
    results, _ = read_run(folder)
    assert results.verdict is not None
    table = Result(results).frame().drop(columns="seconds").to_csv(index=False, float_format=float.hex)
    return table, json.dumps(results.verdict.describe()["finalists"], sort_keys=True)


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.parametrize(
    ("study", "n"),
    [(FUNCTION, 1), (FUNCTION, 4), (FUNCTION, 8), (NETWORK, 2)],
    ids=["function-1", "function-4", "function-8", "network-2"],
)
def test_shards_merged_in_any_order_equal_the_single_run(tmp_path: Path, study: str, n: int) -> None:
    (tmp_path / "study.toml").write_text(study)
    (tmp_path / "sharded_surface.py").write_text(SURFACE)
    zonesearch(tmp_path, "run", "study.toml", "--into", "single", "--quiet")

    rng = random.Random(n)
    parts = [f"part-{i}" for i in range(1, n + 1)]
    for _ in range(10):
        with ThreadPoolExecutor(2) as pool:
            calls = [
                pool.submit(zonesearch, tmp_path, "run", "study.toml", "--into", part, "--shard", f"{i}/{n}", "--quiet")
                for i, part in enumerate(parts, start=1)
            ]
            for call in calls:
                call.result()
        for _ in range(2):
            rng.shuffle(parts)
            zonesearch(tmp_path, "merge", *parts, "--into", "all")
        parts.sort(key=lambda part: int(part.split("-")[1]))
        status = json.loads(zonesearch(tmp_path, "status", "all", "--json"))
        if status["finished"]:
            break
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda part: zonesearch(tmp_path, "merge", "all", "--into", part), parts))
    assert status["finished"]
    assert outcome(tmp_path / "all") == outcome(tmp_path / "single")
