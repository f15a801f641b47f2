"""Everything that a search found, as data for results, reports and dashboards.

Results are a function of the trials: the same trials give the same results, even during a run, when later stages have
no output yet.
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
    """The output of a plug-in's stage that only other plug-ins read.

    Args:
        value: the output.
    """

    value: Any

    def found(self) -> dict[str, Any]:
        """No fields: the search results do not show it."""
        return {}


def output_of(value: Any) -> Output | None:
    """The output of a stage as stored in a record."""
    return value if value is None or hasattr(value, "found") else PluggedOutput(value)


@dataclass(frozen=True)
class StageRecord:
    """The trainings that one stage requested, and its output.

    Args:
        name: the stage.
        settings: its settings as plain data.
        wanted: the trainings requested so far; empty before its turn.
        finished: whether its output is final.
        output: its output; None before it has one.
        notes: its notes, as sentences.
        budget_cut: what a budget reduced, for example ``keep = 2 (not 5)``; empty if nothing.
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
        """The output in the form that the next stage receives."""
        return self.output.value if isinstance(self.output, PluggedOutput) else self.output

    def found(self) -> dict[str, Any]:
        """The fields of :class:`SearchResults` that the output fills, by name; none before there is one."""
        return {} if self.output is None else self.output.found()


@dataclass(frozen=True)
class SearchResults:
    """The present state of a search.

    Args:
        name: name of the study.
        space: the space searched.
        trials: all known trials.
        stages: one record per stage, in order; during a run, later ones are unfinished.
        zones, candidates, finalists, verdict: from the stages that produce them; empty or None before.
        reading: how a cell's value is read off a learning curve; ``epochs`` is the length of the map's trainings,
            ``map_seeds`` the number of seeds per cell.
        study: the study as plain data; ``study_text`` the text of the study file, if there is one.
        fingerprint: the identity of the experiment; ``seed`` its seed.
        notes: sentences for the user (peaks on the rim, conflicts, failed trainings).
        metric: the metric being optimized.
        map: the cells, the noise and the zones from the grid; None before it has finished, or without a grid.
        reasons: for stages that can say so: why each training was proposed, one sentence each, in order of proposal.
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
        """Notes reported by trainings (for example that averaging never began), each with the number of trainings that
        report it.
        """
        noted = (trial.provenance.get("notes") for trial in self.trials)
        said = Counter(note for notes in noted if isinstance(notes, list) for note in notes if isinstance(note, str))
        return tuple(f"{n} of {len(self.trials)} trainings: {note.rstrip('.')}." for note, n in sorted(said.items()))

    @property
    def finished(self) -> bool:
        """Whether every stage has finished."""
        return all(stage.finished for stage in self.stages)
