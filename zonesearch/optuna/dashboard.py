"""Optuna's dashboard for a run: its trials as a view, with our figures and the verdict, updated live during the run.

The dashboard shows what Optuna knows; the rest (means over seeds, zones, the verdict) is saved into the study as plotly
figures and a note, and the full report as an artifact. Everything is derived from the run folder, whose trials are only
read.
"""

from __future__ import annotations

import math
import re
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from zonesearch.errors import StoreError
from zonesearch.optuna.admission import Admission
from zonesearch.optuna.runs import open_view
from zonesearch.optuna.view import OptunaView
from zonesearch.report.figure_set import dashboard_figures
from zonesearch.report.note import note
from zonesearch.report.page import write_report
from zonesearch.run.recorded import read_run, study_of
from zonesearch.run.storage.files import refuse_link
from zonesearch.run.storage.run_folder import RunFolder
from zonesearch.statistics.search_results import SearchResults

__all__ = ["Dashboard", "serve"]

_LOOK_AGAIN_S = 5.0
_DRAW_AGAIN_S = 30.0  # figures are larger than trials, and a journal keeps every version of them


class Dashboard:
    """The Optuna study of a run, with figures, note and report; :meth:`refresh` updates it.

    Args:
        run: the run folder.
        storage: an Optuna storage URL; by default the journal ``view.journal`` in the folder.
        rebuild: delete the view and build it again.

    Raises:
        StoreError: there is no run, the storage does not answer, or optuna-dashboard is not installed.
    """

    def __init__(self, run: str | Path, storage: str | None = None, *, rebuild: bool = False) -> None:
        try:
            import optuna_dashboard  # noqa: F401
        except ImportError as error:
            raise StoreError("the dashboard is a separate package: pip install 'zonesearch[dashboard]'") from error
        self._run = Path(run)
        self._files = self._run / "dashboard"
        self._url = storage
        self._seen: Any = None
        self._drawn: tuple[float, Any] = (-math.inf, None)
        self._n_finished = 0
        self._view = self._open(read_run(self._run)[0], rebuild)

    @property
    def view(self) -> OptunaView:
        """The view that is shown."""
        return self._view

    def refresh(self) -> bool:
        """Show everything new since the last call; returns whether there was anything.

        Trials are added immediately; figures, note and report are updated when a stage ends, otherwise every half
        minute.

        Raises:
            StoreError: the run cannot be read, or the storage does not answer; the next call tries again.
        """
        sizes = sorted((path.name, path.stat().st_size) for path in (self._run / "trials").glob("*.jsonl"))
        drawn_at, shown = self._drawn
        due = time.monotonic() - drawn_at > _DRAW_AGAIN_S
        if sizes == self._seen and (shown == sizes or not due):
            return False
        results = read_run(self._run)[0]
        if sizes != self._seen:
            self._view = self._open(results)
            self._view.top_up(results.trials)
            n_finished = sum(record.finished for record in results.stages)
            due = due or n_finished != self._n_finished
            self._n_finished = n_finished
        if due:
            self._view.show(dashboard_figures(results), note(results))
            self._keep_report(results)
            self._drawn = time.monotonic(), sizes
        self._seen = sizes
        return True

    def app(self) -> Callable[..., Any]:
        """The WSGI application of the dashboard."""
        from optuna_dashboard import wsgi

        application: Callable[..., Any] = wsgi(self._view.study._storage, artifact_store=self._store())
        return application

    def _open(self, results: SearchResults, rebuild: bool = False) -> OptunaView:
        folder = RunFolder.open(self._run)
        return open_view(study_of(folder), folder, results.trials, self._url, rebuild=rebuild)

    def _store(self) -> Any:
        from optuna.artifacts import FileSystemArtifactStore

        refuse_link(self._files)
        self._files.mkdir(parents=True, exist_ok=True)
        return FileSystemArtifactStore(str(self._files))

    def _keep_report(self, results: SearchResults) -> None:
        """Save one report as an artifact, replacing it in place so that the dashboard lists it once."""
        from optuna.artifacts import get_all_artifact_meta, upload_artifact

        store = self._store()
        made = write_report(results, self._files / "report.html")
        with self._view.alone() as study:
            named = [meta.artifact_id for meta in get_all_artifact_meta(study) if meta.filename == made.name]
            known = [name for name in named if _is_artifact(name) and not (self._files / name).is_symlink()]
            if known:
                with made.open("rb") as file:
                    store.write(known[0], file)
            else:
                upload_artifact(artifact_store=store, file_path=str(made), study_or_trial=study)


def serve(
    run: str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    storage: str | None = None,
    rebuild: bool = False,
    writable: bool = False,
    ready: Callable[[str], None] = lambda address: None,
    stop: threading.Event | None = None,
) -> None:
    """Serve the dashboard of ``run`` until Ctrl-C, checking for new trainings every few seconds.

    Args:
        run: the run folder; only the view and, under ``dashboard``, the report are written there.
        host: by default loopback. Clients need the token in the address (see :mod:`zonesearch.optuna.admission`).
        port: 0 picks any free port.
        storage: an Optuna storage URL; by default the journal in the folder.
        rebuild: delete the view and build it again.
        writable: let clients change the view: edit notes and attributes, or delete it. The run itself cannot be
            changed.
        ready: called with the address of the study, including the token, once the server responds.
        stop: event with which another thread ends the server.

    Raises:
        StoreError: there is no run, the storage does not answer, optuna-dashboard is missing, or the port is taken.
    """
    stop = stop or threading.Event()
    dashboard = Dashboard(run, storage, rebuild=rebuild)
    dashboard.refresh()
    try:
        server = make_server(host, port, _nobody, _Server6 if ":" in host else _Server, _Quiet)
    except (OSError, OverflowError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise StoreError(f"{host}:{port} cannot be used: {why}; give another one with --port") from error
    admission = Admission(host, server.server_port, writable)
    server.set_app(admission.guard(dashboard.app()))
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True)
    serving.start()
    try:
        ready(admission.invitation(f"/dashboard/studies/{dashboard.view.study._study_id}"))
        while not stop.wait(_LOOK_AGAIN_S):
            with suppress(StoreError):  # the run or the storage is busy or unreachable: retry at the next check
                dashboard.refresh()
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


def _is_artifact(name: object) -> bool:
    """Whether ``name`` has the form of an Optuna artifact id; a view from elsewhere may contain any name."""
    return isinstance(name, str) and re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", name) is not None


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Server6(_Server):
    address_family = socket.AF_INET6


def _nobody(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Placeholder application until the port, and with it the access rules, is known; serves nothing."""
    raise NotImplementedError


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing."""
