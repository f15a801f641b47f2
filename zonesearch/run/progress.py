"""Progress display: one bar per stage with the time left for what it wants now; plain lines without a terminal.

In a notebook, the bars are drawn into the output of the cell and redrawn as they move; no widget is needed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any, TextIO, cast

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from zonesearch.core.objective import Job
from zonesearch.core.trials import Trial, Trials
from zonesearch.run.pipeline import Round
from zonesearch.statistics.incumbent import Incumbent
from zonesearch.study.study import Study

__all__ = ["ProgressBars", "in_notebook", "is_seen", "share_bar"]

_FRAME = "<pre style='line-height:1.3'>{code}</pre>"
_DRAW_EVERY_S = 0.3  # in a notebook
_LINE_EVERY_S = 10.0  # without a terminal: one line per stage, and one at this interval in between


class ProgressBars:
    """One bar per stage, measured in the cost of its jobs, so that the time left is right if costs differ.

    A stage that asks for more after seeing results extends its bar.

    Args:
        study: for its name and the number of stages.
        folder: the run folder, shown at the beginning; None for a run in memory.
    """

    def __init__(self, study: Study, folder: Path | None) -> None:
        self.n_trained = 0
        self._cell = _Cell() if in_notebook() else None
        self._console = Console(file=cast(TextIO, _Patient(sys.stderr)), force_jupyter=False)
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[done]}/{task.fields[wanted]} trainings, job {task.fields[job]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[best]}"),
            console=self._console,
            disable=self._cell is not None or not self._console.is_terminal,
        )
        self._costs: dict[str, float] = {}
        self._moved: dict[str, float] = {}
        self._job_costs: dict[str, float] = {}
        self._cost_done, self._n_jobs_done = 0.0, 0
        self._task: TaskID | None = None
        self._at, self._tasks = -1, dict[int, tuple[TaskID, float, int]]()
        self._before = (0.0, 0)  # cost and trainings of the earlier rounds of this stage
        self._done = self._wanted = 0
        self._stage = ""
        self._last_line = time.monotonic()
        self._incumbent = Incumbent(study.space.names, study.reading)
        self._n_known = 0
        self._title = f"[bold]{escape(study.name)}[/bold]" + ("" if folder is None else f" in {escape(str(folder))}")

    def round_begins(self, at: Round, jobs: Sequence[Job], n_stages: int) -> None:
        """Start a new bar for a new stage, or extend the bar of a stage that asks for more."""
        if self._title:
            if self._cell is None:
                self._console.print(self._title, highlight=False, soft_wrap=True)
            self._title = ""
        self._finish()
        self._costs = {training.key: b.cost / len(b.trainings) for b in jobs for training in b.trainings}
        self._moved = {job.key: 0.0 for job in jobs}
        self._job_costs = {job.key: job.cost for job in jobs}
        self._cost_done, self._n_jobs_done = 0.0, 0
        self._done, self._wanted = 0, len(self._costs)
        self._stage = f"{at.records[at.stage].name} ({at.stage + 1}/{n_stages})"
        self._line(f"{self._stage}: {self._wanted} trainings")
        self._progress.start()
        total = sum(self._job_costs.values())
        task, cost, n = self._tasks.get(at.stage, (None, 0.0, 0))
        self._before = cost, n
        if task is None:
            task = self._progress.add_task(
                escape(self._stage), total=total, done=0, wanted=self._wanted, job=self._job(), best=""
            )
        else:
            self._progress.update(
                task, total=cost + total, completed=cost, done=n, wanted=n + self._wanted, job=self._job()
            )
        self._task, self._at = task, at.stage
        self._draw(now=True)

    def job_moves(self, key: str, share: float) -> None:
        """Move the bar within a job."""
        if self._task is not None and key in self._moved:
            self._move(key, share)
            self._show()

    def trials_came(self, new: Sequence[Trial], trials: Trials) -> None:
        """Count the trials, and show the best value so far."""
        self.n_trained += len(new)
        self._done += len(new)
        for trial in new:
            if trial.training.key in self._moved:
                self._move(trial.training.key, 1.0)
        self._incumbent.add(new if self._n_known else trials)  # the first time, including trials of an earlier run
        self._n_known = len(trials)
        best = self._incumbent.text()
        said = f"best mean so far {best}" if best else "none completed so far"
        if self._task is not None:
            done = self._before[1] + self._done
            self._progress.update(self._task, done=done, job=self._job(), best=escape(said))
        self._show()
        if time.monotonic() - self._last_line > _LINE_EVERY_S:
            self._line(f"{self._stage}: {self._done} of {self._wanted} trainings, job {self._job()}, {said}")

    def ended(self) -> None:
        """Restore the terminal."""
        self._finish()
        self._progress.stop()
        self._draw(now=True)

    def _move(self, key: str, share: float) -> None:
        """Record the completed fraction ``share`` of a job; sums are kept, since a round may have thousands of jobs."""
        before = self._moved[key]
        if share > before:
            self._moved[key] = share
            self._cost_done += self._job_costs[key] * (share - before)
            self._n_jobs_done += before < 1 <= share

    def _job(self) -> str:
        """Number of finished jobs of the round."""
        return f"{self._n_jobs_done}/{len(self._moved)}"

    def _show(self) -> None:
        if self._task is not None:
            self._progress.update(self._task, completed=self._before[0] + self._cost_done)
            self._draw()

    def _finish(self) -> None:
        if self._task is not None:
            cost, n = self._before[0] + sum(self._job_costs.values()), self._before[1] + self._wanted
            if self._done >= self._wanted:
                self._progress.update(self._task, completed=cost)
            self._tasks[self._at] = self._task, cost, n
            self._task = None

    def _line(self, text: str) -> None:
        self._last_line = time.monotonic()
        if self._cell is None and not self._console.is_terminal:
            self._console.print(text, highlight=False, soft_wrap=True)

    def _draw(self, now: bool = False) -> None:
        """Draw the bars in a notebook, if this is one."""
        if self._cell is not None and self._progress.tasks:
            self._cell.draw(self._progress, now)


def in_notebook() -> bool:
    """Whether output appears in a notebook: an IPython that is not attached to a terminal."""
    ipython = sys.modules.get("IPython")
    shell = getattr(ipython, "get_ipython", lambda: None)()
    return shell is not None and type(shell).__name__ not in ("TerminalInteractiveShell", "NoneType")


def is_seen() -> bool:
    """Whether bars would be visible: in a terminal or a notebook, but not in a pipe."""
    try:
        return in_notebook() or (sys.stderr is not None and sys.stderr.isatty())
    except ValueError:  # it was closed
        return False


class _Cell:
    """The output of a notebook cell, in which bars are redrawn."""

    def __init__(self) -> None:
        from IPython.display import display

        self._display = display
        self._handle: Any = None
        self._last = 0.0

    def draw(self, progress: Progress, now: bool) -> None:
        """Draw the bars, at most a few times per second."""
        if not now and time.monotonic() - self._last < _DRAW_EVERY_S:
            return
        self._last = time.monotonic()
        page = Console(file=StringIO(), record=True, width=110, force_terminal=True, force_jupyter=False)
        page.print(progress.get_renderable())
        html = page.export_html(inline_styles=True, code_format=_FRAME, clear=False)
        shown = {"text/html": html, "text/plain": page.export_text()}
        if self._handle is None:
            self._handle = self._display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)


class _Patient:
    """A stream that ignores write errors: neither a closed terminal nor a full disk ends a run."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._works = True
        self.encoding = stream.encoding
        self.fileno = stream.fileno

    def write(self, text: str) -> int:
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def isatty(self) -> bool:
        return self._works and self._stream.isatty()

    def _try(self, act: Callable[[], object]) -> None:
        if self._works:
            try:
                act()
            except (OSError, ValueError):  # the reader has left, the disk is full, or it was closed
                self._works = False


@contextmanager
def share_bar(title: str) -> Iterator[Callable[[float], None]]:
    """A bar for one task that reports its completed fraction, 0 to 1; nothing without a terminal."""
    console = Console(file=cast(TextIO, _Patient(sys.stderr)))
    bar = Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    with bar:
        task = bar.add_task(escape(title), total=1.0)
        yield lambda share: bar.update(task, completed=share)
