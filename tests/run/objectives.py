"""Objectives that sleep, fail, hang or take their process with them, and what they answer.

They stand apart from the tests that use them because worker processes import the module of an objective: this one
takes a tenth of a second, a module of tests with what it tests takes more than one.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zonesearch.core.objective import Job, Report
from zonesearch.core.trials import Training, Trial
from zonesearch.errors import ObjectiveError


@dataclass(frozen=True)
class Sleeper:
    """An objective that sleeps and then answers with a number made of the parameters alone."""

    seconds: float = 0.0
    per_job: int = 1

    def fingerprint(self) -> Mapping[str, Any]:
        return {"sleeper": 1}

    def check(self, params: Mapping[str, Any]) -> None:
        pass

    def jobs(self, trainings: Sequence[Training]) -> list[Job]:
        ordered = sorted(trainings, key=lambda training: training.key)
        return [Job(tuple(ordered[i : i + self.per_job])) for i in range(0, len(ordered), self.per_job)]

    def train(self, job: Job, report: Report) -> Iterator[Trial]:
        for i, training in enumerate(job.trainings, start=1):
            time.sleep(self.seconds)
            report(i / len(job.trainings))
            yield answer(training)


def answer(training: Training) -> Trial:
    value = int(training.key, 16) / 16**16
    return Trial(training, accuracy=value, curve={"validation_accuracy": (value,) * training.epochs})


@dataclass(frozen=True)
class Troubled(Sleeper):
    """Answers, but for the trainings named here."""

    raises: tuple[int, ...] = ()
    dies: tuple[int, ...] = ()
    silent: tuple[int, ...] = ()
    hopeless: tuple[int, ...] = ()

    def train(self, job: Job, report: Report) -> Iterator[Trial]:
        for trial in super().train(job, report):
            x = trial.params["x"]
            if x in self.raises:
                raise RuntimeError(f"no {x}")
            if x in self.dies:
                os.kill(os.getpid(), signal.SIGKILL)
            if x in self.hopeless:
                raise ObjectiveError("data folder /data is missing")
            if x not in self.silent:
                yield trial


def hang() -> None:
    while True:
        time.sleep(1)


def hang_in_a_library() -> None:
    """The interpreter lock is held, so that no signal handler and no other thread of Python ever runs again."""
    ctypes.PyDLL(None).usleep(60_000_000)


def leave() -> None:
    os._exit(7)


def crash() -> None:
    ctypes.string_at(0)


def be_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does when memory runs out


def run_out_of_an_allowance() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (2**32, resource.RLIM_INFINITY))
    bytearray(2**40)


TROUBLES = {f.__name__: f for f in (hang, hang_in_a_library, leave, crash, be_killed, run_out_of_an_allowance)}


@dataclass(frozen=True)
class Hanging(Sleeper):
    """Answers, but for the trainings in ``where``; notes each training it begins in ``log``."""

    trouble: str = "hang"
    where: tuple[int, ...] = (3,)
    log: str = os.devnull

    def train(self, job: Job, report: Report) -> Iterator[Trial]:
        for training in job.trainings:
            with Path(self.log).open("a") as log:
                log.write(f"{training.params['x']}\n")
            if training.params["x"] in self.where:
                TROUBLES[self.trouble]()
            yield from super().train(Job((training,)), report)


def loaded_slowly() -> Sleeper:
    time.sleep(1.0)
    return Sleeper()


def slow_at_three(params: dict[str, Any]) -> float:
    if params["x"] == 3:
        hang()
    return 1 - abs(params["x"] - 2) / 10
