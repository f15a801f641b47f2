"""Machines that share nothing: each trains its shard, the folders are copied together and merged.

Here the machines are processes. On real ones each command runs on its own machine, and ``scp`` brings the folders.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

STUDY = """
name = "many_machines"
[space]
width = [8, 16, 32]
batch = [32, 64]
[objective]
function = "many_machines:accuracy"    # or a network, as in own_network.toml
[search]
stages = ["grid", "polish"]
seeds = 2
[polish]
keep = 2
repeats = 2
"""


def accuracy(params: dict[str, Any], seed: int) -> float:
    return 0.9 - 0.001 * abs(params["width"] - 16) - 0.0005 * abs(params["batch"] - 32) + 0.002 * (seed % 3)


def zonesearch(*arguments: str) -> "subprocess.Popen[bytes]":
    places = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]  # where the function can be imported
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    return subprocess.Popen([sys.executable, "-m", "zonesearch", *arguments], env=environment)


if __name__ == "__main__":
    from zonesearch import load_run

    Path("many_machines.toml").write_text(STUDY)
    machines = [
        zonesearch("run", "many_machines.toml", "--quiet", "--shard", f"{i}/2", "--into", f"runs/machine-{i}")
        for i in (1, 2)
    ]
    assert [machine.wait() for machine in machines] == [0, 0]
    assert zonesearch("merge", "runs/machine-1", "runs/machine-2", "--into", "runs/all").wait() == 0
    # what is left, the judging of the finalists, is small: one machine does it
    assert zonesearch("run", "many_machines.toml", "--quiet", "--into", "runs/all").wait() == 0
    result = load_run("runs/all")
    print(result.verdict.sentence if result.verdict else "no verdict")
    print(result.frame()[["width", "batch", "seed", "accuracy"]].head())
