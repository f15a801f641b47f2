"""A real Dask scheduler and real workers, killed while they work."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.cluster.conftest import Start
from tests.cluster.runs import N_ALL, n_recorded, recorded_once, results, trials_in, unbroken, until
from tests.preloaded import Process
from tests.run.objectives import Sleeper, Troubled
from tests.run.test_engines import TRAININGS, run, states
from zonesearch.core.trials import Training, Trial
from zonesearch.errors import ObjectiveError, StoreError
from zonesearch.run.engines.runner import open_engine

pytest.importorskip("distributed", reason="needs zonesearch[cluster]")
pytestmark = pytest.mark.cluster


class Cluster:
    """A scheduler on loopback with its workers."""

    def __init__(self, start: Start, port: int) -> None:
        self._start, self._port = start, port
        self.address = f"dask://127.0.0.1:{port}"
        self.scheduler = start(
            "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard"
        )
        self.workers: list[Process] = []

    def worker(self, *options: str) -> Process:
        """One more worker, without a nanny that would start it again when it is killed."""
        process = self._start(
            "distributed.cli.dask_worker",
            f"tcp://127.0.0.1:{self._port}",
            *("--nthreads", 1, "--no-nanny", "--no-dashboard", "--local-directory", "/tmp"),
            *options,
        )
        self.workers.append(process)
        return process


@pytest.fixture
def cluster(start: Start, free_port: int) -> Cluster:
    made = Cluster(start, free_port)
    for _ in range(3):
        made.worker()
    return made


def coordinate(start: Start, cluster: Cluster, folder: Path, *options: object) -> Process:
    return start("tests.cluster.coordinator", folder, "--engine", cluster.address, "--seconds", 0.2, *options)


def said(process: Process) -> str:
    return process.log.read_text()


@pytest.mark.slow
def test_worker_that_is_killed_loses_only_its_job(start: Start, cluster: Cluster, tmp_path: Path) -> None:
    folder, log = tmp_path / "run", tmp_path / "begun"
    process = coordinate(start, cluster, folder, "--log", log)
    until(lambda: n_recorded(folder) >= 4)
    cluster.workers[0].kill()
    cluster.worker()  # another joins
    assert process.wait(timeout=120) == 0, said(process)
    assert said(process) == ""
    assert results(trials_in(folder)) == unbroken()
    assert recorded_once(folder)
    # Lost with the worker: the job under way and, at most, one that was done and not yet fetched.
    assert sum(Counter(log.read_text().split()).values()) <= N_ALL + 4
    assert len({t.provenance["worker"] for t in trials_in(folder)}) >= 3


@pytest.mark.slow
def test_scheduler_that_is_killed_ends_the_run_with_a_sentence_and_a_rerun_finishes(
    start: Start, cluster: Cluster, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    process = coordinate(start, cluster, folder)
    until(lambda: n_recorded(folder) >= 4)
    cluster.scheduler.kill()
    assert process.wait(timeout=60) == 1
    assert said(process).startswith("zonesearch: the connection to the Dask scheduler at 127.0.0.1:")
    assert said(process).count("\n") == 1
    assert 4 <= n_recorded(folder) < N_ALL
    for worker in cluster.workers:
        worker.kill()
    again = Cluster(start, cluster._port)
    for _ in range(3):
        again.worker()
    process = coordinate(start, again, folder)
    assert process.wait(timeout=120) == 0, said(process)
    assert results(trials_in(folder)) == unbroken()
    assert recorded_once(folder)


@pytest.mark.slow
def test_scheduler_that_dies_while_a_result_is_fetched_fails_no_training(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed import Client
    from distributed.comm.core import CommClosedError

    async def closed(self: Client, *arguments: object) -> object:
        # The connection that fetches is closed before the one that tells of lost futures is.
        cluster.scheduler.kill()
        raise CommClosedError("Stream is closed")

    monkeypatch.setattr(Client, "_gather_remote", closed)
    came: list[Trial] = []
    objective = Sleeper()
    with (
        open_engine(cluster.address) as engine,
        pytest.raises(StoreError, match=r"the connection to the Dask scheduler at .* is lost"),
    ):
        engine.run(objective, objective.jobs(TRAININGS), came.extend)
    assert came == []


@pytest.mark.slow
def test_trainings_that_wait_for_a_first_worker_say_so_and_go_on_once_it_comes(
    start: Start, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zonesearch.run.engines.dask_engine._SILENT_S", 0.2)
    cluster = Cluster(start, free_port)
    later = threading.Timer(1.0, cluster.worker)
    came: list[Trial] = []
    objective = Sleeper()
    later.start()
    with (
        open_engine(cluster.address) as engine,
        pytest.warns(UserWarning, match=r"no worker is connected .*`dask worker") as said_once,
    ):
        engine.run(objective, objective.jobs(TRAININGS), came.extend)
    later.join()
    assert len(said_once) == 1
    assert len(came) == len(TRAININGS)


@pytest.mark.slow
def test_coordinator_killed_at_ten_moments_loses_nothing(start: Start, cluster: Cluster, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    rng = random.Random(3)
    for _ in range(10):
        before = n_recorded(folder)
        process = coordinate(start, cluster, folder)
        if rng.random() < 0.7:
            until(lambda: process.poll() is not None or n_recorded(folder) > before)  # noqa: B023
        time.sleep(rng.uniform(0.0, 0.5))
        assert process.poll() is None, "the run ended before it could be killed ten times"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    process = coordinate(start, cluster, folder)
    assert process.wait(timeout=120) == 0, said(process)
    assert results(trials_in(folder)) == unbroken()
    assert recorded_once(folder)


@pytest.mark.slow
def test_dask_engine_behaves_as_the_others_do(start: Start, free_port: int) -> None:
    cluster = Cluster(start, free_port)
    for _ in range(2):
        cluster.worker()
    came: list[Trial] = []
    with open_engine(cluster.address, provenance={"shard": "1/1"}) as engine:
        objective = Troubled(per_job=2, raises=(1,), silent=(4,))
        engine.run(objective, objective.jobs(TRAININGS), came.extend)
        assert states(came) == states(run(objective))
        assert {t.provenance["shard"] for t in came} == {"1/1"}

        shares: list[float] = []
        slow = Sleeper(0.4, per_job=6)
        engine.run(slow, slow.jobs(TRAININGS), lambda trials: None, lambda key, share: shares.append(share))
        assert shares == sorted(shares)
        assert max(shares) > 0.3

        hopeless = Troubled(hopeless=(2,))
        with pytest.raises(ObjectiveError, match="/data is missing"):
            engine.run(hopeless, hopeless.jobs(TRAININGS), lambda trials: None)

        def full(trials: list[Trial]) -> None:
            raise OSError("disk full")

        with pytest.raises(OSError, match="disk full"):
            engine.run(slow, slow.jobs(TRAININGS), full)

        came.clear()
        quick = Sleeper()
        many = [Training({"x": i}, seed=3) for i in range(200)]
        engine.run(quick, quick.jobs(many), came.extend)
        assert sorted(t.training.key for t in came) == sorted(t.key for t in many)


@pytest.mark.slow
def test_training_that_kills_every_worker_is_a_failed_trial_and_all_others_are_not() -> None:
    import dask

    came: list[Trial] = []
    objective = Troubled(per_job=2, dies=(3,))
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        open_engine("dask://local", workers=2) as engine,
    ):
        engine.run(objective, objective.jobs(TRAININGS), came.extend)
    assert states(came) == {x: "failed" if x == 3 else "complete" for x in range(6)}


@pytest.mark.slow
def test_jobs_go_to_workers_that_offer_a_gpu(start: Start, free_port: int) -> None:
    cluster = Cluster(start, free_port)
    cluster.worker()
    cluster.worker("--resources", "GPU=1", "--name", "with-gpu")
    came: list[Trial] = []
    with open_engine(cluster.address) as engine:
        until(lambda: engine.n_workers == 2)
        engine.run(Sleeper(0.05), Sleeper().jobs(TRAININGS), came.extend)
    assert len({t.provenance["worker"] for t in came}) == 1


def test_scheduler_that_is_not_there_is_one_sentence(free_port: int) -> None:
    import dask

    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(StoreError, match=r"no Dask scheduler answers at .*dask scheduler"),
    ):
        open_engine(f"dask://127.0.0.1:{free_port}")
