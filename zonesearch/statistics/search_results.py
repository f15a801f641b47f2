"""Everything that a search found, as data for results, reports and dashboards.

It is a function of the trials: the same trials give the same results, also in the middle of a run, when later stages
have no output yet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from zonesearch.core.metric import ACCURACY, Metric
from zonesearch.core.reading import BEST, Reading
from zonesearch.core.space import Space
from zonesearch.core.trials import Training, Trials
from zonesearch.statistics.candidates import Candidate, Finalist
from zonesearch.statistics.map import Map
from zonesearch.statistics.verdict import Verdict
from zonesearch.statistics.zones import Zone

__all__ = ["Output", "PluggedOutput", "SearchResults", "StageRecord", "output_of"]


class Output(Protocol):
    """The output of a stage: a ``Map``, ``Zones``, ``Candidates``, a narrower ``Space`` or a ``Verdict``."""

    def found(self) -> dict[str, Any]:
        """The fields of :class:`SearchResults` that it fills, by name."""
        ...


@dataclass(frozen=True)
class PluggedOutput:
    """The output of a plug-in's stage that only another plug-in reads.

    Args:
        value: the output.
    """

    value: Any

    def found(self) -> dict[str, Any]:
        """Nothing that the results of a search show."""
        return {}


def output_of(value: Any) -> Output | None:
    """The output of a stage, as a record keeps it."""
    return value if value is None or hasattr(value, "found") else PluggedOutput(value)


@dataclass(frozen=True)
class StageRecord:
    """What one stage wanted, and its output.

    Args:
        name: the stage.
        settings: its settings as plain data.
        wanted: the trainings that it wanted so far; empty before its turn.
        finished: whether it has an output.
        output: that output; None before.
        notes: its notes, as sentences.
        budget_cut: what a budget cut from it, as ``keep = 2 (not 5)``; empty if nothing.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    wanted: tuple[Training, ...] = ()
    finished: bool = False
    output: Output | None = None
    notes: tuple[str, ...] = ()
    budget_cut: str = ""

    @property
    def given(self) -> Any:
        """The output as the next stage is given it."""
        return self.output.value if isinstance(self.output, PluggedOutput) else self.output

    def found(self) -> dict[str, Any]:
        """The fields of :class:`SearchResults` that the output fills, by name; none before there is one."""
        return {} if self.output is None else self.output.found()


@dataclass(frozen=True)
class SearchResults:
    """The present state of a search.

    Args:
        name: of the study.
        space: what was searched.
        trials: all known trials.
        stages: one record per stage, in order; later ones are unfinished in a half-way run.
        zones, candidates, finalists, verdict: from the stages that gave them; empty or None before.
        reading: how a cell's value is read off a curve; ``epochs`` the length of the map's trainings; ``map_seeds``
            the seeds of a cell.
        study: the study as plain data; ``study_text`` the study file, where there is one.
        fingerprint: the identity of the experiment; ``seed`` its seed.
        notes: sentences the user should read (peaks on the rim, conflicts, failed trainings).
        metric: what is searched.
        map: the cells, the noise and the zones as the grid handed them on; None before, and without a grid.
        reasons: why a training was proposed, in a sentence, in the order of the proposals; of stages that can say it.
    """

    name: str
    space: Space
    trials: Trials
    stages: tuple[StageRecord, ...] = ()
    zones: tuple[Zone, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    finalists: tuple[Finalist, ...] = ()
    verdict: Verdict | None = None
    reading: Reading = BEST
    epochs: int = 1
    map_seeds: tuple[int, ...] = (0,)
    study: Mapping[str, Any] = field(default_factory=dict)
    study_text: str = ""
    fingerprint: str = ""
    seed: int = 0
    notes: tuple[str, ...] = ()
    metric: Metric = ACCURACY
    map: Map | None = None
    reasons: Mapping[Training, str] = field(default_factory=dict)

    @property
    def training_notes(self) -> tuple[str, ...]:
        """What trainings say of themselves (that averaging never began, as), each sentence with how many say it."""
        noted = (trial.provenance.get("notes") for trial in self.trials)
        said = Counter(note for notes in noted if isinstance(notes, list) for note in notes if isinstance(note, str))
        return tuple(f"{n} of {len(self.trials)} trainings: {note.rstrip('.')}." for note, n in sorted(said.items()))

    @property
    def finished(self) -> bool:
        """Whether every stage gave its output."""
        return all(stage.finished for stage in self.stages)
