"""A study on a cluster with a queue: each round's shards run as one job array and are then merged.

Every shard has its own run folder beside the study's, ``<into>.shards/3-of-16``, so no lock is shared across a network
file system. A shard starts from everything known, trains its part of the round and ends; no slot waits for jobs that
the queue has not started yet. A job that reaches its time limit is queued again and continues; if one is lost, the next
round trains what is missing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zonesearch.errors import ObjectiveError, StoreError, StudyError, ZoneSearchError
from zonesearch.run.begun import as_begun, as_grown, as_recorded, as_ruled, open_run
from zonesearch.run.learning import as_learned
from zonesearch.run.loading import load_run
from zonesearch.run.pipeline import next_round, round_jobs
from zonesearch.run.result import Result
from zonesearch.run.running import run_study
from zonesearch.run.shards import Shard, deal, remaining
from zonesearch.run.storage.merge import merge
from zonesearch.run.storage.run_folder import RunFolder
from zonesearch.run.storage.storage import refuse_address
from zonesearch.run.storage.store import Store
from zonesearch.study.files import read_study

__all__ = ["Job", "Queue", "submit_study"]


@dataclass(frozen=True)
class Queue:
    """The queue, and the resources of each job.

    Args:
        executor: ``slurm``; or ``local``, processes on this machine, to try it out.
        partition: of Slurm; by default the cluster's default.
        timeout_min: time limit of a job in minutes; a job that needs longer is queued again, a few times.
        cpus, gpus: per job.
        more: further options of ``sbatch``, such as ``{"account": "physics"}``.

    Raises:
        StudyError: a number is invalid.
    """

    executor: str = "slurm"
    partition: str | None = None
    timeout_min: int = 240
    cpus: int | None = None
    gpus: int | None = None
    more: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.executor not in ("slurm", "local"):
            raise StudyError(f'an executor is "slurm" or "local", not "{self.executor}"')
        for name in ("timeout_min", "cpus", "gpus"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise StudyError(f"--{name.replace('_', '-')} must be at least 1, not {value}")

    def open(self, logs: Path, name: str) -> Any:
        """The submitit executor, with scripts and logs in ``logs``.

        Raises:
            StoreError: submitit is not installed.
            StudyError: there is no such queue here.
        """
        try:
            import submitit
        except ImportError as error:
            raise StoreError(f"submitit is not installed here ({error}): pip install 'zonesearch[slurm]'") from error
        try:
            executor = submitit.AutoExecutor(folder=logs, cluster=self.executor)
        except RuntimeError as error:
            raise StudyError(
                f"there is no Slurm here ({error}): submit from a machine that has sbatch, or try it out on this one "
                f"with --executor local"
            ) from error
        executor.update_parameters(
            name=name,
            timeout_min=self.timeout_min,
            cpus_per_task=self.cpus,
            gpus_per_node=self.gpus,
            slurm_partition=self.partition,
            slurm_additional_parameters=dict(self.more) or None,
        )
        return executor


@dataclass(frozen=True)
class Job:
    """One shard of one round, as sent to the queue; it is pickled by reference, so only names are transferred.

    Args:
        study: the study file; ``replacements`` the keys replaced in it.
        folder: the shard's own run folder.
        known: the run folder with everything known so far.
        shard: which part.
        workers: processes of the job.
        cwd: the user's working directory, so that the study finds the user's modules.
    """

    study: Path
    replacements: tuple[str, ...]
    folder: Path
    known: Path
    shard: str
    workers: int | None
    cwd: Path

    def __call__(self) -> str:
        """Train; returns the message of an error that the user must fix, or an empty string."""
        os.chdir(self.cwd)
        if str(self.cwd) not in sys.path:
            sys.path.append(str(self.cwd))
        try:
            known = RunFolder.open(self.known)
            if known.files():
                merge([self.known], self.folder)
            elif not (
                self.folder / "run.json"
            ).exists():  # the settings that the run was started with count even without a trial
                RunFolder.create(self.folder, known.heading)
            study = read_study(self.study, self.replacements)
            run_study(study, into=self.folder, workers=self.workers, shard=Shard.parse(self.shard))
        except ZoneSearchError as error:
            return str(error)
        return ""

    def checkpoint(self) -> Any:
        """What to queue when the job runs out of time: the same job, which continues."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def submit_study(
    path: str | Path,
    into: str | Path,
    n: int,
    queue: Queue,
    *,
    replacements: Sequence[str] = (),
    workers: int | None = None,
    say: Callable[[str], None] = lambda sentence: None,
) -> Result:
    """Run the study file ``path`` as job arrays of at most ``n`` jobs, until it is finished.

    The call runs until all rounds are done; if it ends early, the same call continues. Ctrl-C cancels its jobs.

    Args:
        path: the study file, like ``into`` on a file system that all machines share.
        into: the run folder to merge into.
        n: shards per round; no job is queued without work.
        queue: the queue.
        replacements: replaced keys of the study file, such as ``training.epochs=5``.
        workers: processes of each job; by default as in the study.
        say: called with messages about the progress.

    Raises:
        StudyError: the study is invalid or has changed, or there is no such queue here.
        StoreError: submitit is not installed, a folder cannot be used, or jobs are lost repeatedly.
        ObjectiveError: the jobs report a problem with the objective.
    """
    if n < 1:
        raise StudyError(f"--n must be at least 1, not {n}")
    refuse_address(Path(into), "the jobs of a queue share a run folder")
    path, into = Path(path).resolve(), Path(into).resolve()
    study = as_learned(
        as_ruled(as_grown(as_begun(read_study(path, replacements), into), into), into), into, cache=False
    )
    objective, _ = as_recorded(study, study.objective(), into)
    folder = open_run(study, objective, into)
    assert isinstance(folder, RunFolder)
    shards = into.with_name(f"{into.name}.shards")
    executor = queue.open(shards / "jobs", study.name)
    while True:
        _gather(shards, into)
        trials = Store(folder, writer=None).load().trials
        at = next_round(study.stages, trials, study.budget)
        if at.finished:
            return load_run(into)
        dealt = deal(round_jobs(objective, at), n)
        todo = [Shard(i, n) for i, part in enumerate(dealt, start=1) if remaining(part, trials)]
        say(f"Stage {study.stages[at.stage].name}: {len(at.missing)} trainings in {len(todo)} jobs")
        jobs = [
            Job(path, tuple(replacements), shards / f"{s.index}-of-{n}", into, str(s), workers, Path.cwd())
            for s in todo
        ]
        troubles = _run(executor, jobs)
        _gather(shards, into)
        n_new = len(Store(folder, writer=None).load().trials) - len(trials)
        if troubles:
            say(f"{len(troubles)} of {len(jobs)} jobs did not end properly; the first: {troubles[0]}")
        if n_new == 0:
            reason = troubles[0] if troubles else "they ended without a message"
            raise StoreError(f"none of the {len(jobs)} jobs returned a trial; {reason} (logs: {shards / 'jobs'})")


def _run(executor: Any, jobs: Sequence[Job]) -> list[str]:
    """Queue ``jobs`` as one array and wait for all; returns why some were lost.

    Raises:
        ObjectiveError: with the message of the first job that the user must fix.
    """
    with executor.batch():
        queued = [executor.submit(job) for job in jobs]
    lost, said = [], []
    try:
        for job in queued:
            try:
                said.append(str(job.result()))
            except Exception as error:  # lost, cancelled or timed out: whatever it recorded is kept
                last = [line.strip() for line in str(error).splitlines() if line.strip()]
                lost.append(f"job {job.job_id}: {last[-1] if last else type(error).__name__}")
    except KeyboardInterrupt:
        for job in queued:
            job.cancel()
        raise
    for sentence in filter(None, said):
        raise ObjectiveError(sentence)
    return lost


def _gather(shards: Path, into: Path) -> None:
    """The union of what the shards have recorded so far."""
    parts = sorted({file.parents[1] for file in shards.glob("*-of-*/trials/*.jsonl")})
    if parts:
        merge(parts, into)
