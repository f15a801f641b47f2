"""Training in the calling process: the plainest engine, and the twin that all others are tested against."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from zonesearch.core.objective import Bundle, Objective
from zonesearch.run.engines.engine import THREAD_VARIABLES, OnProgress, OnTrials, order_of_work
from zonesearch.run.engines.worker import train_bundle

__all__ = ["InProcess", "threads"]


class InProcess:
    """Trains in the calling process, one bundle after the other."""

    n_workers = 1

    def __init__(self, threads: int = 1, provenance: Mapping[str, Any] | None = None) -> None:
        self._threads = threads
        self._provenance = dict(provenance or {})

    def run(
        self,
        objective: Objective,
        bundles: Sequence[Bundle],
        on_trials: OnTrials,
        on_progress: OnProgress | None = None,
    ) -> None:
        """Train all ``bundles`` (see :class:`~zonesearch.run.engines.engine.Engine`)."""
        with threads(self._threads):
            for bundle in order_of_work(bundles):
                self._run_one(objective, bundle, on_trials, on_progress)

    def _run_one(
        self, objective: Objective, bundle: Bundle, on_trials: OnTrials, on_progress: OnProgress | None
    ) -> None:
        def report(share: float) -> None:
            if on_progress is not None:
                on_progress(bundle.key, share)

        # Handed on whole: a bundle that was cut short runs again as it was, so that it gives the same trials.
        on_trials(list(train_bundle(objective, bundle, report, self._provenance)))

    def __enter__(self) -> InProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Nothing to end."""


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Hold the numerical libraries of this process to ``n`` threads: those loaded already, and those to come."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(n)))
    try:
        with threadpool_limits(n):
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
