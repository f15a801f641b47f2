"""The local engine: in this process if possible, otherwise in separate processes."""

from __future__ import annotations

from zonesearch.errors import StudyError
from zonesearch.run.engines.engine import Engine, EngineOptions
from zonesearch.run.engines.in_process import InProcess

__all__ = ["open_local"]


def open_local(address: str, options: EngineOptions) -> Engine:
    """With one worker, everything runs in the calling process, unless there is a time limit or ``apart`` is set.

    Raises:
        StudyError: an address is given.
    """
    if address:
        raise StudyError(f'the engine "local" has no address, but "local://{address}" gives one; leave it out')
    if options.workers == 1 and len(options.gpus) <= 1 and options.timeout is None and not options.apart:
        return InProcess(options.threads, options.provenance)
    from zonesearch.run.engines.processes import Processes

    return Processes(options.workers, options.threads, options.gpus, options.provenance, options.timeout)
