"""A view on a real PostgreSQL, which is stopped and started while a run writes to it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import optuna
import pytest

from tests.cluster.postgresql import PostgreSQL, binaries
from tests.cluster.runs import until
from tests.optuna.test_optuna_view import dashboard
from tests.optuna.test_view_writers import TRIALS, viewed_at_once
from tests.optuna.test_view_writers import shown as viewed
from tests.run.made import folder
from tests.run.objectives import Sleeper
from zonesearch.core.space import Space
from zonesearch.core.trials import Training, Trial
from zonesearch.errors import StoreError
from zonesearch.optuna.importing import import_study
from zonesearch.optuna.storage import open_storage
from zonesearch.optuna.view import LiveView, OptunaView
from zonesearch.optuna.view_lock import one_writer
from zonesearch.run.engines.runner import open_engine
from zonesearch.run.storage.store import Store

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(binaries() is None, reason="PostgreSQL is not installed (apt-get install postgresql)"),
    pytest.mark.skipif(not (find_spec("psycopg") or find_spec("psycopg2")), reason="needs zonesearch[postgresql]"),
]

SPACE = Space.parse({"x": {"low": 0, "high": 100, "integer": True, "row": 10}})


@pytest.fixture
def server(free_port: int) -> Iterator[PostgreSQL]:
    made = PostgreSQL(free_port)
    try:
        made.start()
        yield made
    finally:
        made.remove()


def shown(url: str) -> list[str]:
    study = optuna.load_study(study_name="digits", storage=open_storage(url, create=False))
    return sorted(trial.user_attrs["key"] for trial in study.trials)


def n_shown(url: str) -> int:
    """0 also while the view is about to make its tables."""
    try:
        return len(shown(url))
    except (StoreError, KeyError):
        return 0


@pytest.mark.slow
def test_view_is_written_live_through_an_outage_that_training_does_not_notice(
    server: PostgreSQL, tmp_path: Path
) -> None:
    objective = Sleeper(0.05)
    trainings = [Training({"x": i}) for i in range(100)]
    here = folder(tmp_path / "run")
    live = LiveView(lambda: OptunaView(server.url, "digits", here.study, SPACE))
    longest_wait = 0.0
    stopped_at = started_at = 0
    with open_engine() as engine, Store(here) as store:

        def came(trials: list[Trial]) -> None:
            nonlocal longest_wait, stopped_at, started_at
            store.append(trials)
            begun = time.monotonic()
            live.add(trials)
            longest_wait = max(longest_wait, time.monotonic() - begun)
            n = len(store.trials)
            if not stopped_at and n >= 20:
                until(lambda: n_shown(server.url) >= 10)  # it is written while the run goes on
                server.stop()
                stopped_at = n
            if stopped_at and not started_at and n >= stopped_at + 30:
                assert live.n_behind >= 30 - 1
                server.start()
                started_at = n

        engine.run(objective, objective.jobs(trainings), came)
        assert len(store.trials) == 100
    assert started_at
    assert live.close(timeout_s=60) == 0, live.trouble
    assert longest_wait < 1.0
    assert shown(server.url) == sorted(t.key for t in trainings)


@pytest.mark.slow
def test_view_that_fell_behind_is_topped_up_and_read_by_dashboard_and_import(
    server: PostgreSQL, tmp_path: Path
) -> None:
    objective = Sleeper()
    trials = [
        next(objective.train(job, lambda share: None))
        for job in objective.jobs([Training({"x": i}) for i in range(12)])
    ]
    OptunaView(server.url, "digits", "f", SPACE).top_up(trials[:5])
    server.stop()
    with pytest.raises(StoreError, match=r"postgresql://zonesearch:\*\*\*@127.0.0.1") as error:
        OptunaView(server.url, "digits", "f", SPACE)
    assert "secret" not in str(error.value)
    server.start()
    view = OptunaView(server.url, "digits", "f", SPACE)
    assert view.top_up(trials) == 7
    assert view.top_up(trials) == 0
    assert sorted(t["values"][0] for t in dashboard(server.url)["trials"]) == sorted(t.accuracy for t in trials)
    found = import_study(server.url)
    assert {t.training.key: t.accuracy for t in found.trials} == {t.training.key: t.accuracy for t in trials}


def test_viewers_at_the_same_time_show_each_training_once(server: PostgreSQL) -> None:
    assert sum(viewed_at_once(server.url)) == len(TRIALS)
    assert viewed(server.url) == {t.training.key: 1 for t in TRIALS}
    old = OptunaView(server.url, "digits", "f", SPACE)
    old.study.add_trials(old.study.trials[:3])
    view = OptunaView(server.url, "digits", "f", SPACE)
    assert view.n_repaired == 3
    assert old.top_up(TRIALS) == 0, "the study that was made anew is found again"
    assert viewed(server.url) == {t.training.key: 1 for t in TRIALS}


def test_lock_of_a_view_waits_for_others_and_goes_with_its_connection(server: PostgreSQL) -> None:
    with one_writer(server.url), pytest.raises(StoreError, match="was locked by others for 0 s"):
        one_writer(server.url, 0.2).__enter__()
    command = [sys.executable, "-c", HOLDER, server.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.kill()
    with one_writer(server.url, 20):
        server.stop()  # a connection that breaks while it holds the lock is no error of its own
    server.start()


HOLDER = """
import sys, time
from zonesearch.optuna.view_lock import one_writer
with one_writer(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""
