"""Open Optuna's dashboard on a run, with zones, surfaces and verdict added; updated live during the run."""

from __future__ import annotations

import argparse
from contextlib import suppress
from pathlib import Path

__all__ = ["add_arguments", "call"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """RUN [--port N] [--host ADDRESS] [--no-browser] [--writable] [--storage URL] [--rebuild]."""
    parser.add_argument("run", metavar="RUN", type=Path, help="the run folder")
    parser.add_argument(
        "--port", metavar="N", type=int, default=8080, help="port to listen on (default: 8080; 0: any free one)"
    )
    parser.add_argument(
        "--host",
        metavar="ADDRESS",
        default="127.0.0.1",
        help="host name or address to listen on (default: 127.0.0.1, this machine only)",
    )
    parser.add_argument("--no-browser", action="store_true", help="print the address without opening a browser")
    parser.add_argument(
        "--writable", action="store_true", help="let the page change the view and its notes (default: read-only)"
    )
    parser.add_argument(
        "--storage", metavar="URL", help="an Optuna storage, such as postgresql://... (default: RUN/view.journal)"
    )
    parser.add_argument("--rebuild", action="store_true", help="rebuild the Optuna study")


def call(options: argparse.Namespace) -> None:
    """Serve until Ctrl-C."""
    import webbrowser

    from zonesearch.optuna.dashboard import serve

    def ready(address: str) -> None:
        print(f"Dashboard of {options.run}: {address} (press Ctrl-C to stop)", flush=True)
        if not options.no_browser:
            webbrowser.open(address)

    with suppress(KeyboardInterrupt):  # the normal way to end it
        serve(
            options.run,
            host=options.host,
            port=options.port,
            storage=options.storage,
            rebuild=options.rebuild,
            writable=options.writable,
            ready=ready,
        )
