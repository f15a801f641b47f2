"""A study on a cluster with a queue: round after round its shards as one job array, then their union.

Every shard has a run folder of its own beside the study's, ``<into>.shards/3-of-16``, so nobody shares a lock across a
network file system. A shard begins with what all of them know, trains its part of the round and ends; nothing waits in
a slot for others that the queue has not started yet. A job that the queue ends at its time limit is queued again and
goes on where it was; of one that is lost the next round trains what is missing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zonesearch.errors import ObjectiveError, StoreError, StudyError, ZoneSearchError
from zonesearch.run.learning import as_learned
from zonesearch.run.loading import load_run
from zonesearch.run.pipeline import next_round, round_jobs
from zonesearch.run.result import Result
from zonesearch.run.running import as_begun, as_recorded, open_run, run_study
from zonesearch.run.shards import Shard, deal, remaining
from zonesearch.run.storage.merge import merge
from zonesearch.run.storage.run_folder import RunFolder
from zonesearch.run.storage.storage import refuse_address
from zonesearch.run.storage.store import Store
from zonesearch.study.files import read_study

__all__ = ["Job", "Queue", "submit_study"]


@dataclass(frozen=True)
class Queue:
    """Where jobs are queued, and what each of them asks for.

    Args:
        executor: ``slurm``; or ``local``, processes on this machine, to try it out.
        partition: of Slurm; by default the cluster's own.
        timeout_min: minutes that a job may take; one that needs more is queued again, a few times.
        cpus, gpus: for each job.
        more: further options of ``sbatch``, as ``{"account": "physics"}``.

    Raises:
        StudyError: a number that makes no sense.
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
        """The executor of submitit; its scripts and logs go to ``logs``.

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
    """One shard of one round, as it is sent to the queue; pickled by reference, so nothing but names travels.

    Args:
        study: the study file; ``replacements`` the keys replaced in it.
        folder: the shard's own run folder.
        known: the run folder with what is known so far.
        shard: which part.
        workers: processes of the job.
        cwd: where the user stood, so that the study finds the user's modules.
    """

    study: Path
    replacements: tuple[str, ...]
    folder: Path
    known: Path
    shard: str
    workers: int | None
    cwd: Path

    def __call__(self) -> str:
        """Train; the sentence of an error that the user has to fix, empty for none."""
        os.chdir(self.cwd)
        if str(self.cwd) not in sys.path:
            sys.path.append(str(self.cwd))
        try:
            known = RunFolder.open(self.known)
            if known.files():
                merge([self.known], self.folder)
            elif not (self.folder / "run.json").exists():  # what the run was begun as holds without a trial too
                RunFolder.create(self.folder, known.heading)
            study = read_study(self.study, self.replacements)
            run_study(study, into=self.folder, workers=self.workers, shard=Shard.parse(self.shard))
        except ZoneSearchError as error:
            return str(error)
        return ""

    def checkpoint(self) -> Any:
        """What is queued when the time of the job is over: the same, which goes on."""
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

    The call stays with it from round to round; when it ends early, the same call goes on. Ctrl-C cancels its jobs.

    Args:
        path: the study file, on a file system that all machines share, as is ``into``.
        into: the run folder to merge into.
        n: shards of a round; no more jobs are queued than have something to do.
        queue: where.
        replacements: keys of the study file that are replaced, as ``training.epochs=5``.
        workers: processes of each job; by default what the study says.
        say: told what happens, in sentences.

    Raises:
        StudyError: the study makes no sense or has changed, or there is no such queue here.
        StoreError: submitit is not installed, a folder cannot be used, or jobs are lost again and again.
        ObjectiveError: what the jobs say about the objective.
    """
    if n < 1:
        raise StudyError(f"--n must be at least 1, not {n}")
    refuse_address(Path(into), "the jobs of a queue share a run folder")
    path, into = Path(path).resolve(), Path(into).resolve()
    study = as_learned(as_begun(read_study(path, replacements), into), into, cache=False)
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
    """Queue ``jobs`` as one array and wait for all; why some were lost.

    Raises:
        ObjectiveError: with the sentence of the first job that a person has to mend.
    """
    with executor.batch():
        queued = [executor.submit(job) for job in jobs]
    lost, said = [], []
    try:
        for job in queued:
            try:
                said.append(str(job.result()))
            except Exception as error:  # lost, cancelled, over its time: whatever it was, what it recorded is kept
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
