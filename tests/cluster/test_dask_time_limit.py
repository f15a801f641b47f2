"""Time limits on a real Dask cluster: what hangs is killed, and its worker is free again."""

from __future__ import annotations

import os
import socket
import subprocess
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.cluster.conftest import Start
from tests.cluster.runs import until
from tests.cluster.test_dask import Cluster
from tests.run.objectives import Hanging
from tests.run.test_engines import TRAININGS, states
from zonesearch.core.trials import Trial
from zonesearch.run.engines.runner import open_engine

pytest.importorskip("distributed", reason="needs zonesearch[cluster]")
pytestmark = [pytest.mark.cluster, pytest.mark.slow]


def children(pid: int) -> list[str]:
    return subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()


def test_hanging_and_dying_trainings_cost_themselves_and_no_worker(
    start: Start, free_port: int, tmp_path: Path
) -> None:
    cluster = Cluster(start, free_port)
    workers = [cluster.worker() for _ in range(2)]
    came: list[Trial] = []
    with open_engine(cluster.address, timeout=1, provenance={"shard": "1/1"}) as engine:
        for objective in (Hanging(where=(0, 1, 3)), Hanging(trouble="leave", where=(8,))):
            trainings = TRAININGS if 3 in objective.where else [type(TRAININGS[0])({"x": x}) for x in (7, 8)]
            engine.run(objective, objective.jobs(trainings), came.extend)
        assert states(came) == {x: "failed" if x in (0, 1, 3, 8) else "complete" for x in (*range(6), 7, 8)}
        assert {t.reason for t in came if t.params["x"] in (0, 1, 3)} == {
            "timed out after 1 s: its process was ended ([run] timeout, --timeout)"
        }
        assert {t.provenance["shard"] for t in came} == {"1/1"}
        assert all(worker.poll() is None for worker in workers), "the workers live on"
        held = [int(pid) for worker in workers for pid in children(worker.pid)]
        assert held
    for worker in workers:
        worker.kill()
    until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in held), within_s=20)


def test_workers_under_a_nanny_may_have_children_too_beside_another_cluster() -> None:
    came: list[Trial] = []
    objective = Hanging(where=(3,))
    taken = ExitStack()
    with suppress(OSError):  # whoever else is there has it: what matters is that it is taken
        taken.enter_context(socket.create_server(("127.0.0.1", 8787)))
    with taken, open_engine("dask://local", workers=2, timeout=1) as engine:
        engine.run(objective, objective.jobs(TRAININGS), came.extend)
    assert states(came) == {x: "failed" if x == 3 else "complete" for x in range(6)}
