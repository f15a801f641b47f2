"""Progress: a bar for the round under way with the time left for it; plain lines where there is no terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, cast

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from zonesearch.core.objective import Bundle
from zonesearch.core.trials import Trial, Trials
from zonesearch.run.pipeline import Round
from zonesearch.statistics.incumbent import Leader
from zonesearch.study.study import Study

__all__ = ["ProgressBars", "share_bar"]

_LINE_EVERY_S = 10.0  # without a terminal: a line a stage, and one so often in between


class ProgressBars:
    """One bar a round, measured in the cost of its bundles, so that the time left is right when they differ.

    Args:
        study: gives its name and the number of stages.
        folder: the run folder, named at the beginning.
    """

    def __init__(self, study: Study, folder: Path) -> None:
        self.n_trained = 0
        self._console = Console(file=cast(TextIO, _Patient(sys.stderr)))
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[done]}/{task.fields[wanted]} trainings, bundle {task.fields[bundle]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[best]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._costs: dict[str, float] = {}
        self._moved: dict[str, float] = {}
        self._bundle_costs: dict[str, float] = {}
        self._cost_done, self._n_bundles_done = 0.0, 0
        self._task: TaskID | None = None
        self._done = self._wanted = 0
        self._stage = ""
        self._last_line = time.monotonic()
        self._leader = Leader(study.space.names, study.reading)
        self._n_known = 0
        self._title = f"[bold]{study.name}[/bold] in {folder}"

    def round_begins(self, at: Round, bundles: Sequence[Bundle], n_stages: int) -> None:
        """A new bar."""
        if self._title:
            self._console.print(self._title, highlight=False, soft_wrap=True)
            self._title = ""
        self._finish()
        self._costs = {training.key: b.cost / len(b.trainings) for b in bundles for training in b.trainings}
        self._moved = {bundle.key: 0.0 for bundle in bundles}
        self._bundle_costs = {bundle.key: bundle.cost for bundle in bundles}
        self._cost_done, self._n_bundles_done = 0.0, 0
        self._done, self._wanted = 0, len(self._costs)
        self._stage = f"{at.records[at.stage].name} ({at.stage + 1}/{n_stages})"
        self._line(f"{self._stage}: {self._wanted} trainings")
        self._progress.start()
        self._task = self._progress.add_task(
            self._stage,
            total=sum(self._bundle_costs.values()),
            done=0,
            wanted=self._wanted,
            bundle=self._bundle(),
            best="",
        )

    def bundle_moves(self, key: str, share: float) -> None:
        """The bar moves within a bundle."""
        if self._task is not None and key in self._moved:
            self._move(key, share)
            self._show()

    def trials_came(self, new: Sequence[Trial], trials: Trials) -> None:
        """Count, and show the best accuracy so far."""
        self.n_trained += len(new)
        self._done += len(new)
        for trial in new:
            if trial.training.key in self._moved:
                self._move(trial.training.key, 1.0)
        self._leader.add(new if self._n_known else trials)  # the first time also what a run before has left
        self._n_known = len(trials)
        best = self._leader.text()
        said = f"best so far {best}" if best else "none complete so far"
        if self._task is not None:
            self._progress.update(self._task, done=self._done, bundle=self._bundle(), best=said)
        self._show()
        if time.monotonic() - self._last_line > _LINE_EVERY_S:
            self._line(f"{self._stage}: {self._done} of {self._wanted} trainings, bundle {self._bundle()}, {said}")

    def ended(self) -> None:
        """Leave the terminal as it was."""
        self._finish()
        self._progress.stop()

    def _move(self, key: str, share: float) -> None:
        """Note that a bundle is done to ``share``; sums are kept, for a round may have many thousand bundles."""
        before = self._moved[key]
        if share > before:
            self._moved[key] = share
            self._cost_done += self._bundle_costs[key] * (share - before)
            self._n_bundles_done += before < 1 <= share

    def _bundle(self) -> str:
        """How many bundles of the round are done."""
        return f"{self._n_bundles_done}/{len(self._moved)}"

    def _show(self) -> None:
        if self._task is not None:
            self._progress.update(self._task, completed=self._cost_done)

    def _finish(self) -> None:
        if self._task is not None:
            self._progress.update(self._task, completed=sum(self._bundle_costs.values()))
            self._task = None

    def _line(self, text: str) -> None:
        self._last_line = time.monotonic()
        if not self._console.is_terminal:
            self._console.print(text, highlight=False, soft_wrap=True)


class _Patient:
    """A stream that is written to as long as that works: nobody who looks away, and no full disk, ends a run."""

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
            except (OSError, ValueError):  # the other end left, the disk is full, or it was closed
                self._works = False


@contextmanager
def share_bar(title: str) -> Iterator[Callable[[float], None]]:
    """A bar for one piece of work that says which share of it is done, 0 to 1; nothing where there is no terminal."""
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
