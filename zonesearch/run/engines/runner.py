"""Engines by name: built-in ones, and plug-ins of the group ``zonesearch.engines``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zonesearch.core.limits import time_limit
from zonesearch.core.plugins import load, registered
from zonesearch.errors import StudyError, ZoneSearchError, did_you_mean
from zonesearch.run.engines.engine import Engine, EngineOptions

__all__ = ["ENGINES", "open_engine"]

ENGINES = {
    "local": "zonesearch.run.engines.local:open_local",
    "dask": "zonesearch.run.engines.dask_engine:open_dask",
}
"""The function of (address, options) that opens each built-in engine, as for a plug-in."""

_FACE = ("n_workers", "run", "__enter__", "__exit__")


def open_engine(
    where: str = "local",
    *,
    workers: int = 1,
    threads: int = 1,
    gpus: Sequence[str] = (),
    provenance: Mapping[str, Any] | None = None,
    timeout: float | None = None,
    apart: bool = False,
) -> Engine:
    """The engine that ``where`` names; enter it with ``with``.

    Args:
        where: ``local``; ``dask://HOST:PORT``, a running scheduler; ``dask://local``, a cluster of ``workers``
            processes started for this run; or ``NAME`` or ``NAME://ADDRESS`` of a plug-in.
        workers: number of processes on this machine; with 1, everything runs in the calling process unless there is a
            ``timeout``.
        threads: number of threads that each process uses for numerical work.
        gpus: CUDA devices (as in ``CUDA_VISIBLE_DEVICES``) that the processes of this machine take turns in; empty
            leaves the choice to the objective.
        provenance: recorded with each trial in addition to the machine: the shard, ...
        timeout: the longest a training may take, in seconds; one that takes longer is killed with its process and
            returned as a failed trial. A job of k trainings has k times the limit.
        apart: train in a process of its own even with one worker.

    Raises:
        StudyError: there is no such engine, it does not support an option, or the limit is invalid.
        StoreError: the scheduler cannot be reached.
    """
    if workers < 1 or threads < 1:
        raise StudyError(f"an engine needs at least 1 worker and 1 thread, not {workers} and {threads}")
    timeout = time_limit(timeout, "the timeout of an engine")
    name, _, address = where.partition("://")
    if name not in ENGINES and name not in registered("engines"):
        others = registered("engines")
        near = f"; {did_you_mean(name, [*ENGINES, *others])}" if others else ""
        raise StudyError(f'an engine is "local", "dask://HOST:PORT" or "dask://local", not "{where}"{near}')
    opens = load("engines", name, f'engine "{where}"', ENGINES)
    options = EngineOptions(workers, threads, tuple(gpus), dict(provenance or {}), timeout, apart)
    if name in ENGINES:
        engine: Engine = opens(address, options)
        return engine
    try:
        engine = opens(address, options)
    except ZoneSearchError:
        raise
    except Exception as error:  # a plug-in may raise anything
        raise StudyError(f'engine "{where}" cannot be opened ({type(error).__name__}: {error})') from error
    lacking = [part for part in _FACE if not hasattr(engine, part)]
    if lacking:
        raise StudyError(f'engine "{where}": {type(engine).__name__} of a plug-in has no {", ".join(lacking)}')
    return engine
