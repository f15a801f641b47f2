"""The dashboard of a run: what it serves, what it adds while a run goes on, and what a browser shows of it."""

from __future__ import annotations

import json
import shutil
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.browser.chromium import chromium, opened
from zonesearch import StoreError, Study, run_pipeline
from zonesearch.optuna.dashboard import Dashboard, serve
from zonesearch.run.recorded import read_run

SPACE = {
    "width": {"low": 8, "high": 128, "scale": "log", "row": "doubling"},
    "batch": {"low": 4, "high": 64, "scale": "log", "row": "doubling"},
}
NAME = "<script>document.title='owned'<script>"


def accuracy(params: dict[str, Any], seed: int, epochs: int) -> Iterator[float]:
    top = 0.9 - 0.01 * abs(params["width"].bit_length() - 6) - 0.01 * abs(params["batch"].bit_length() - 4)
    for epoch in range(epochs):
        yield top * (1 - 0.5 ** (epoch + 1)) + 0.001 * (hash((seed, epoch)) % 7)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "made"
    study = Study.of(SPACE, accuracy, name=NAME, epochs=5, polish={"keep": 3, "repeats": 3})
    run_pipeline(study, into=folder)
    return folder


@contextmanager
def served(run: Path, **more: Any) -> Iterator[str]:
    """The address of the study while the dashboard answers."""
    ready, stop = threading.Event(), threading.Event()
    address: list[str] = []

    def said(where: str) -> None:
        address.append(where)
        ready.set()

    thread = threading.Thread(target=serve, args=(run,), kwargs={"port": 0, "ready": said, "stop": stop, **more})
    thread.start()
    try:
        assert ready.wait(60)
        yield address[0]
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def asked(address: str) -> Any:
    with urllib.request.urlopen(address, timeout=30) as answer:  # a server of ours on loopback
        return json.load(answer)


def test_figures_note_and_report_stand_beside_the_trials(run: Path) -> None:
    with served(run) as address:
        assert address.startswith("http://127.0.0.1:")
        study = asked(address.replace("/dashboard", "/api"))
    assert len(study["trials"]) == len(read_run(run)[0].trials)
    assert {"zonesearch-zones", "zonesearch-surface", "zonesearch-finalists"} <= {
        figure["id"] for figure in study["plotly_graph_objects"]
    }
    verdict = read_run(run)[0].verdict
    assert verdict is not None
    assert study["note"]["body"].startswith(f"# {verdict.sentence}")
    assert [artifact["filename"] for artifact in study["artifacts"]] == ["report.html"]
    names = [attribute["key"] for attribute in study["trials"][0]["user_attrs"]]
    assert {"stage", "seed", "epochs"} <= set(names)


def test_what_comes_later_is_added_and_the_report_is_listed_once(run: Path, tmp_path: Path) -> None:
    half = tmp_path / "half"
    _half_of(run, half)
    dashboard = Dashboard(half)
    assert dashboard.refresh()
    assert not dashboard.refresh()
    n = len(dashboard.view.study.trials)
    for path in (run / "trials").glob("*.jsonl"):
        (half / "trials" / path.name).write_bytes(path.read_bytes())
    assert dashboard.refresh()
    assert len(dashboard.view.study.trials) > n
    assert Dashboard(half).refresh()
    with served(half) as address:
        assert len(asked(address.replace("/dashboard", "/api"))["artifacts"]) == 1


def _half_of(run: Path, into: Path) -> None:
    shutil.copytree(run, into, ignore=shutil.ignore_patterns("view.journal*", "dashboard"))
    for path in (into / "trials").glob("*.jsonl"):
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[: len(lines) // 2]))


def test_a_port_that_is_taken_is_named(run: Path) -> None:
    with served(run) as address:
        port = int(address.split(":")[2].split("/")[0])
        with pytest.raises(StoreError, match=f"127.0.0.1:{port} cannot be used.*--port"):
            serve(run, port=port)


@pytest.mark.browser
def test_a_browser_sees_trials_figures_and_note(run: Path) -> None:
    with served(run) as address, chromium() as browser:
        with opened(browser, address, offline=False) as page:
            page.wait_for_selector("text=Finalists", timeout=60_000)
            page.wait_for_function("document.querySelectorAll('.js-plotly-plot').length >= 8", timeout=60_000)
            assert page.errors == []
        with opened(browser, address.replace("?", "/note?"), offline=False) as page:
            page.wait_for_selector("text=Finalists", timeout=60_000)
            assert "To train the recommended setting" in page.inner_text("body")
            assert page.title() != "owned"
        with opened(browser, address.replace("?", "/trials?"), offline=False) as page:
            page.wait_for_selector("text=Trial 0", timeout=60_000)


@pytest.mark.parametrize("kind", ["folder", "report"])
def test_links_in_a_view_from_elsewhere_are_not_written_through(run: Path, tmp_path: Path, kind: str) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    Dashboard(copy).refresh()
    [kept] = [path for path in (copy / "dashboard").iterdir() if path.name != "report.html"]
    victim = tmp_path / "victim"
    if kind == "folder":
        shutil.move(copy / "dashboard", victim)
        before = sorted(path.name for path in victim.iterdir())
        (copy / "dashboard").symlink_to(victim)
        with pytest.raises(StoreError, match="is a link to"):
            Dashboard(copy).refresh()
        assert sorted(path.name for path in victim.iterdir()) == before
        return
    kept.unlink()
    victim.write_text("precious")
    kept.symlink_to(victim)
    Dashboard(copy).refresh()
    assert victim.read_text() == "precious"
