"""Every engine brings each training back exactly once, whatever becomes of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.run.objectives import Sleeper, Troubled, answer
from zonesearch.core.objective import Job, Report
from zonesearch.core.trials import Training, Trial, Trials
from zonesearch.errors import ObjectiveError, StudyError
from zonesearch.run.engines.engine import order_of_work
from zonesearch.run.engines.in_process import InProcess
from zonesearch.run.engines.processes import Processes
from zonesearch.run.engines.runner import open_engine
from zonesearch.run.running import run_study
from zonesearch.study.study import Study

TRAININGS = [Training({"x": i}) for i in range(6)]


def run(objective: Sleeper, workers: int = 1, trainings: list[Training] = TRAININGS) -> list[Trial]:
    came: list[Trial] = []
    with open_engine(workers=workers) as engine:
        engine.run(objective, objective.jobs(trainings), came.extend)
    return came


def states(came: list[Trial]) -> dict[object, str]:
    assert len({t.training.identity for t in came}) == len(came), "a training came back twice"
    return {t.params["x"]: t.state for t in came}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("per_job", [1, 4])
def test_engine_brings_back_each_training_once(workers: int, per_job: int) -> None:
    came = run(Sleeper(per_job=per_job), workers)
    assert sorted(t.training.key for t in came) == sorted(t.key for t in TRAININGS)
    assert {t.accuracy for t in came} == {answer(t).accuracy for t in TRAININGS}


def test_engines_agree_on_everything_but_where_and_how_long() -> None:
    def plain(trials: list[Trial]) -> list[tuple[object, ...]]:
        return [(t.training, t.state, t.accuracy, t.curve) for t in Trials(trials)]

    objective = Troubled(per_job=2, raises=(1,))
    assert plain(run(objective, 2)) == plain(run(objective, 1))


@pytest.mark.parametrize("workers", [1, 2])
def test_training_that_raises_is_a_failed_trial_and_the_others_of_its_job_are_not(workers: int) -> None:
    came = run(Troubled(per_job=3, raises=(1,), silent=(4,)), workers)
    assert states(came) == {0: "complete", 1: "failed", 2: "complete", 3: "complete", 4: "failed", 5: "complete"}
    errors = {t.params["x"]: t.error for t in came}
    assert "RuntimeError: no 1" in errors[1]
    assert "Traceback" in errors[1]
    assert "returned no trial" in errors[4]


def test_training_that_raises_once_is_tried_again(tmp_path: Path) -> None:
    class Shaky(Sleeper):
        def train(self, job: Job, report: Report) -> Iterator[Trial]:
            tries = tmp_path / job.key
            with tries.open("a") as file:
                file.write("x")
            if len(tries.read_text()) == 1:
                raise RuntimeError("only now")
            yield from super().train(job, report)

    assert set(states(run(Shaky())).values()) == {"complete"}


def test_training_that_kills_its_process_is_a_failed_trial_and_all_others_are_not() -> None:
    came = run(Troubled(per_job=2, dies=(3,)), 2)
    assert states(came) == {x: "failed" if x == 3 else "complete" for x in range(6)}
    assert next(t.error for t in came if t.state == "failed").startswith("the process that trained this ended")


def test_worker_killed_from_outside_costs_nothing() -> None:
    came: list[Trial] = []
    killed: list[int] = []
    objective = Sleeper(0.3)

    def kill_one(key: str, share: float) -> None:
        children = subprocess.run(
            ["pgrep", "-P", str(os.getpid()), "-f", "loky"], capture_output=True, text=True
        ).stdout.split()
        workers = [int(pid) for pid in children if "resource_tracker" not in _command(int(pid))]
        if not killed and came and workers:
            killed.append(workers[0])
            os.kill(workers[0], signal.SIGKILL)

    with open_engine(workers=2) as engine:
        engine.run(objective, objective.jobs(TRAININGS), came.extend, kill_one)
    assert killed
    assert states(came) == dict.fromkeys(range(6), "complete")


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


@pytest.mark.parametrize("workers", [1, 2])
def test_error_that_a_person_must_mend_ends_the_run_and_keeps_what_came(workers: int) -> None:
    came: list[Trial] = []
    objective = Troubled(hopeless=(2,))
    jobs = [Job((t,), cost=6.0 - i) for i, t in enumerate(TRAININGS)]
    with pytest.raises(ObjectiveError, match="/data is missing"), open_engine(workers=workers) as engine:
        engine.run(objective, jobs, came.extend)
    assert set(states(came).values()) <= {"complete"}


@pytest.mark.parametrize("workers", [1, 2])
def test_what_the_recorder_raises_ends_the_run(workers: int) -> None:
    def full(trials: list[Trial]) -> None:
        raise OSError("disk full")

    objective = Sleeper(0.05)
    with pytest.raises(OSError, match="disk full"), open_engine(workers=workers) as engine:
        engine.run(objective, objective.jobs(TRAININGS), full)


def test_engine_serves_many_rounds_and_objectives() -> None:
    came: list[Trial] = []
    with open_engine(workers=2, provenance={"shard": "1/2"}) as engine:
        for objective in (Sleeper(), Troubled(raises=(8,))):
            for x in range(7, 10):
                engine.run(
                    objective, objective.jobs([Training({"x": x}, 1 + isinstance(objective, Troubled))]), came.extend
                )
    assert [t.state for t in came].count("failed") == 1
    assert {t.provenance["shard"] for t in came} == {"1/2"}
    assert len({(t.params["x"], t.seed) for t in came}) == 6


def test_objective_may_be_a_closure() -> None:
    offset = 0.125

    class Local(Sleeper):
        def train(self, job: Job, report: Report) -> Iterator[Trial]:
            yield from (Trial(t, accuracy=offset) for t in job.trainings)

    assert {t.accuracy for t in run(Local(), 2)} == {offset}


def test_objective_that_cannot_be_sent_says_so() -> None:
    class Holding(Sleeper):
        def __reduce__(self) -> tuple[object, ...]:
            raise TypeError("cannot pickle a lock")

    with pytest.raises(ObjectiveError, match=r"cannot pickle a lock.*workers = 1"):
        run(Holding(), 2)
    assert len(run(Holding(), 1)) == 6


@pytest.mark.parametrize("workers", [1, 2])
def test_progress_moves_from_zero_to_one(workers: int) -> None:
    seen: list[tuple[str, float]] = []
    objective = Sleeper(0.2, per_job=6)
    caller = threading.get_ident()

    def note(key: str, share: float) -> None:
        assert threading.get_ident() == caller
        seen.append((key, share))

    with open_engine(workers=workers) as engine:
        engine.run(objective, objective.jobs(TRAININGS), lambda trials: None, note)
    shares = [share for _, share in seen]
    assert shares == sorted(shares)
    assert max(shares) > 0.3
    assert {key for key, _ in seen} == {objective.jobs(TRAININGS)[0].key}


def test_the_shortest_job_starts_first_then_the_longest() -> None:
    jobs = [Job((t,), cost) for t, cost in zip(TRAININGS, [1, 3, 2, 3, 1, 2], strict=True)]
    assert [b.cost for b in order_of_work(jobs)] == [1, 3, 3, 2, 2, 1]
    assert order_of_work(jobs[::-1]) == order_of_work(jobs)


def test_workers_use_the_threads_they_are_given() -> None:
    class Asking(Sleeper):
        def train(self, job: Job, report: Report) -> Iterator[Trial]:
            import numpy as np  # noqa: F401
            from threadpoolctl import threadpool_info

            n = max(pool["num_threads"] for pool in threadpool_info())
            yield from (Trial(t, accuracy=n / 10) for t in job.trainings)

    for workers in (1, 2):
        assert {t.accuracy for t in run(Asking(), workers)} == {0.1}


def test_gpus_are_taken_in_turns() -> None:
    class Asking(Sleeper):
        def train(self, job: Job, report: Report) -> Iterator[Trial]:
            time.sleep(0.2)
            for t in job.trainings:
                yield Trial(t, accuracy=0.5, provenance={"gpu": os.environ["CUDA_VISIBLE_DEVICES"]})

    came: list[Trial] = []
    with open_engine(workers=2, gpus=("4", "7")) as engine:
        engine.run(Asking(), Asking().jobs(TRAININGS), came.extend)
    assert {t.provenance["gpu"] for t in came} == {"4", "7"}


@dataclass(frozen=True)
class Knowing(Sleeper):
    """Answers 1 where its process had loaded the module before."""

    module: str = ""

    def train(self, job: Job, report: Report) -> Iterator[Trial]:
        for training in job.trainings:
            yield Trial(training, accuracy=float(self.module in sys.modules))


def test_workers_load_what_they_are_to_need_before_they_are_sent_anything() -> None:
    assert "wave" not in sys.modules
    for modules, known in ((("no_such_module", "wave"), 1.0), ((), 0.0)):
        came: list[Trial] = []
        with Processes(2) as engine:
            engine.prepare(modules)
            objective = Knowing(0.0, 1, "wave")
            engine.run(objective, objective.jobs(TRAININGS), came.extend)
        assert [trial.accuracy for trial in came] == [known] * len(TRAININGS)


held: list[bytearray] = []


@dataclass(frozen=True)
class Growing(Sleeper):
    """Holds 350 MB from its second training on, and notes the process that it trains in."""

    log: str = os.devnull

    def train(self, job: Job, report: Report) -> Iterator[Trial]:
        from loky import process_executor

        process_executor._MEMORY_LEAK_CHECK_DELAY = 0.0
        if job.trainings[0].params["x"] == 2:
            held.append(bytearray(b"1") * 350_000_000)
        with Path(self.log).open("a") as log:
            log.write(f"{os.getpid()}\n")
        yield from super().train(job, report)


def test_a_worker_that_holds_data_is_not_taken_for_one_that_leaks(tmp_path: Path) -> None:
    pytest.importorskip("psutil")
    log = tmp_path / "log"
    with Processes(1) as engine:
        for x in range(4):
            engine.run(Growing(log=str(log)), [Job((Training({"x": x}),))], lambda new: None)
    assert len(set(log.read_text().split())) == 1, "the same process trains all"


def test_workers_that_were_prepared_for_nothing_end_in_silence() -> None:
    code = (
        "from zonesearch.run.engines.processes import Processes\n"
        "with Processes(2) as engine:\n"
        "    engine.prepare(['wave'])\n"
        "    raise SystemExit('no objective')\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stderr) == (1, "no objective\n")


@pytest.mark.parametrize(
    ("tables", "early"),
    [
        ({"network": {"width": 4}}, True),
        ({"network": {"kind": "own_parts:with_frozen_norms"}}, False),  # which may change what workers inherit
        ({"objective": {"function": "own_parts:anything"}}, False),
    ],
)
def test_workers_begin_to_load_torch_before_this_process_does(
    tables: Any, early: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Study.from_tables({"space": {"x" if "objective" in tables else "batch": [8, 16]}, **tables})
    begun: list[str] = []

    class StoppedError(Exception):
        pass

    def make() -> Any:
        begun.append("objective")
        raise StoppedError

    monkeypatch.setattr(Processes, "prepare", lambda self, modules: begun.extend(modules))
    with pytest.raises(StoppedError):
        run_study(replace(study, make_objective=make), workers=2)
    assert begun == (["zonesearch.training.recipe", "objective"] if early else ["objective"])


def test_unknown_engine_is_refused() -> None:
    with pytest.raises(StudyError, match="dask://HOST:PORT"):
        open_engine("slurm")
    with pytest.raises(StudyError, match="at least 1 worker"):
        open_engine(workers=0)
    assert isinstance(open_engine(), InProcess)


SCRIPT = """
import sys
from tests.run.objectives import Sleeper
from zonesearch.core.trials import Training
from zonesearch.run.engines.processes import Processes
from zonesearch.run.engines.runner import open_engine
from zonesearch.run.running import run_study
from zonesearch.study.study import Study
objective = Sleeper(0.2)
print("ready", flush=True)
try:
    with open_engine(workers=int(sys.argv[1])) as engine:
        engine.run(objective, objective.jobs([Training({"x": i}) for i in range(1000)]),
                   lambda trials: print("came", flush=True))
except KeyboardInterrupt:
    print("stopped", flush=True)
"""


def start(workers: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(workers)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background ignores it
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line == "came\n":
            break
    return process


def left_in_group(group: int, within_s: float = 10) -> list[str]:
    """The processes of the group that are still there after a while."""
    end = time.monotonic() + within_s
    while True:
        found = subprocess.run(["pgrep", "-g", str(group)], capture_output=True, text=True).stdout.split()
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.1)


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_ends_workers_and_is_raised_once(workers: int) -> None:
    process = start(workers)
    try:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
        out, errors = process.communicate(timeout=30)
        assert out.endswith("stopped\n")
        # the tracker of loky's semaphores is hit by the signal too, and may say that somebody else had tidied up
        assert [line for line in errors.splitlines() if "resource_tracker" not in line and "warn(" not in line] == []
        assert process.returncode == 0
        assert left_in_group(process.pid) == []
    finally:
        process.kill()
        process.wait()


def test_workers_end_when_the_coordinator_is_killed() -> None:
    process = start(2)
    process.kill()
    process.communicate(timeout=30)
    assert left_in_group(process.pid) == []
