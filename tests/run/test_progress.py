"""Who runs a pipeline sees how far it is: in a terminal and in a notebook, by itself, and nothing in a pipe."""

from __future__ import annotations

import io
import re
import sys
import types
from typing import Any

import pytest

from zonesearch import StudyError, run_pipeline
from zonesearch.run.running import Silent

SPACE = {"width": [8.0, 16.0, 32.0, 64.0], "batch": [4.0, 8.0, 16.0]}
SMALL: dict[str, Any] = {"seeds": 1, "polish": {"keep": 2, "repeats": 2}}


def accuracy(params: dict[str, Any], seed: int) -> float:
    return 0.9 - 0.001 * abs(params["width"] - 16) - 0.0001 * params["batch"] + 1e-5 * seed


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 2


class Handle:
    """What a notebook gives for an output that can be drawn again."""

    def __init__(self, first: dict[str, str]) -> None:
        self.drawn = [first]

    def update(self, shown: dict[str, str], raw: bool = False) -> None:
        assert raw
        self.drawn.append(shown)


def a_notebook(monkeypatch: pytest.MonkeyPatch, shell: str) -> list[Handle]:
    """An IPython with this kind of shell, and what it displays."""
    shown: list[Handle] = []

    def display(first: dict[str, str], raw: bool = False, display_id: bool | None = None) -> Handle:
        assert raw
        assert display_id
        shown.append(Handle(first))
        return shown[-1]

    ipython, home = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    ipython.get_ipython = type(shell, (), {})  # type: ignore[attr-defined]
    home.display = display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", home)
    return shown


def test_pipe_stays_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    run_pipeline(SPACE, objective=accuracy, **SMALL)
    assert capfd.readouterr() == ("", "")


def test_pipe_gets_plain_lines_where_they_are_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    run_pipeline(SPACE, objective=accuracy, progress=True, name="lines", **SMALL)
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.splitlines()[:2] == ["lines", "grid (1/3): 12 trainings"]
    assert "polish (3/3)" in said.err


def test_terminal_gets_a_bar_for_each_stage_with_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(sys, "stderr", terminal)
    run_pipeline(SPACE, objective=accuracy, name="[bars]", **SMALL)
    drawn = terminal.getvalue()
    assert "[bars]" in re.sub(r"\x1b\[[0-9;]*m", "", drawn)
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn.rpartition("grid (1/3)")[2])
    assert [last.count(name) for name in ("interval (2/3)", "polish (3/3)")] == [1, 1], "one bar a stage"
    assert "12/12 trainings" in last
    assert "0:00:00" in last


def test_terminal_stays_quiet_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    run_pipeline(SPACE, objective=accuracy, progress=False, **SMALL)
    run_pipeline(SPACE, objective=accuracy, observer=Silent(), **SMALL)
    assert terminal.getvalue() == ""


def test_notebook_draws_the_bars_into_one_output(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    shown = a_notebook(monkeypatch, "ZMQInteractiveShell")
    run_pipeline(SPACE, objective=accuracy, **SMALL)
    [output] = shown
    assert len(output.drawn) >= 3
    last = output.drawn[-1]
    assert last["text/html"].startswith("<pre")
    for stage in ("grid (1/3)", "interval (2/3)", "polish (3/3)"):
        assert last["text/plain"].count(stage) == 1
        assert stage in last["text/html"]
    assert "12/12 trainings" in last["text/plain"]
    assert capfd.readouterr() == ("", "")
    run_pipeline(SPACE, objective=accuracy, progress=False, **SMALL)
    assert len(shown) == 1


def test_ipython_in_a_pipe_is_no_notebook(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    assert a_notebook(monkeypatch, "TerminalInteractiveShell") == []
    run_pipeline(SPACE, objective=accuracy, **SMALL)
    assert capfd.readouterr() == ("", "")


def test_observer_and_progress_together_are_refused() -> None:
    with pytest.raises(StudyError, match="observer= replaces progress=True"):
        run_pipeline(SPACE, objective=accuracy, observer=Silent(), progress=True)


def test_stage_that_asks_again_makes_its_bar_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = a_notebook(monkeypatch, "ZMQInteractiveShell")
    result = run_pipeline(
        {"width": {"low": 8, "high": 64, "row": 4}}, objective=accuracy_of_width, seeds=1, stages=("grid", "interval"),
        interval={"method": "golden(6)"},
    )  # fmt: skip
    n = {record.name: len(record.wanted) for record in result.results.stages}
    text = shown[0].drawn[-1]["text/plain"]
    counts = [(int(done), int(wanted)) for done, wanted in re.findall(r"(\d+)/(\d+) trainings", text)]
    assert counts[0] == (5, 5)
    assert counts[1][0] == counts[1][1]
    assert 1 < counts[1][0] <= n["interval"]


def accuracy_of_width(params: dict[str, Any], seed: int) -> float:
    return 1 - abs(params["width"] - 21) / 100
