"""All techniques of a recipe together, from their tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from zonesearch.errors import ObjectiveError, StudyError
from zonesearch.training.averaging import Averaging
from zonesearch.training.early_stopping import EarlyStopping
from zonesearch.training.evolution import Phase, evolution_from_table
from zonesearch.training.gradient_noise import GradientNoise
from zonesearch.training.noise_scale import NoiseScaleProbe
from zonesearch.training.schedules import parse
from zonesearch.training.settings import Settings
from zonesearch.training.technique import Hooks, Run, Technique, check_table

__all__ = ["TECHNIQUE_TABLES", "Techniques", "length_reason"]

_READERS: dict[str, Any] = {
    "averaging": Averaging.from_table,
    "evolution": evolution_from_table,
    "gradient_noise": GradientNoise.from_table,
    "noise_scale": NoiseScaleProbe.from_table,
    "early_stopping": EarlyStopping.from_table,
}
TECHNIQUE_TABLES = tuple(_READERS)
"""The tables of a study file that describe techniques; a technique without a table is off."""


@dataclass(frozen=True)
class Techniques:
    """What happens around the steps of the optimizer; nothing by default."""

    averaging: Averaging | None = None
    evolution: Phase | None = None
    gradient_noise: GradientNoise | None = None
    noise_scale: NoiseScaleProbe | None = None
    early_stopping: EarlyStopping | None = None

    @classmethod
    def from_tables(cls, tables: Mapping[str, Mapping[str, Any]]) -> Techniques:
        """Read the ``TECHNIQUE_TABLES`` that are present.

        Raises:
            StudyError: naming the table, the key and the mend.
        """
        return cls(**{name: read(dict(tables[name])) for name, read in _READERS.items() if name in tables})

    def __bool__(self) -> bool:
        """Whether any technique is on."""
        return any(vars(self).values())

    @property
    def beyond_stopping(self) -> bool:
        """Whether any is on besides early stopping, which only reads validation values."""
        return any(value for name, value in vars(self).items() if name != "early_stopping")

    @property
    def look_after_epochs(self) -> bool:
        """Whether any looks at the training part after an epoch: at the last one's end too."""
        return self.averaging is not None or self.noise_scale is not None

    def begin(self, run: Run) -> list[Hooks]:
        """The hooks of one training, in the order in which they are called.

        A training that is too short for averaging trains without it, and its notes say so: it may be a one-epoch probe.
        """
        order: tuple[Technique | None, ...] = (self.evolution, self.gradient_noise, self.noise_scale)
        hooks = [technique.begin(run) for technique in order if technique is not None]
        if self.averaging is not None:
            try:
                hooks.append(self.averaging.begin(run))
            except StudyError as error:
                run.notes.append(f"averaging never began: {error}")
                hooks.append(Hooks())  # as a placeholder: a longer training that continues from this one has it
        return hooks

    @property
    def within_epochs(self) -> Techniques:
        """Those that act on single steps, or on the data of gradient descent: the only ones that a range test uses."""
        return Techniques(evolution=self.evolution, gradient_noise=self.gradient_noise)

    @property
    def between_epochs(self) -> tuple[str, ...]:
        """The names of active techniques that act between epochs."""
        names = ("averaging", "early_stopping", "evolution", "noise_scale")
        return tuple(name for name in names if getattr(self, name) is not None)

    def with_params(self, params: Mapping[str, Any]) -> tuple[Techniques, dict[str, Any]]:
        """These techniques with settings overridden by params of the form ``table.key``, and the remaining params.

        Raises:
            ObjectiveError: a technique is off, has no such key, or refuses the value.
        """
        changed: dict[str, dict[str, Any]] = {}
        rest: dict[str, Any] = {}
        for name, value in params.items():
            table, dot, key = name.partition(".")
            if dot and table in _READERS:
                changed.setdefault(table, {})[key] = value
            else:
                rest[name] = value
        made = self
        for table, settings in changed.items():
            technique = getattr(self, table)
            if technique is None:
                raise ObjectiveError(f'axis "{table}.{next(iter(settings))}" needs the table [{table}] in the study')
            try:
                check_table(type(technique), settings, table)
                made = replace(made, **{table: replace(technique, **settings)})
            except StudyError as error:
                raise ObjectiveError(f"as an axis, {error}") from None
        return made, rest

    def describe(self) -> dict[str, Any]:
        """The settings of active techniques, as plain data."""
        described = {name: asdict(technique) for name, technique in vars(self).items() if technique is not None}
        if self.evolution is not None:
            described["evolution"]["kind"] = self.evolution.kind
        return described


def length_reason(settings: Settings, techniques: Techniques) -> str:
    """What in a training depends on its whole length, in words; empty if nothing does.

    If something does, a training of 80 epochs does not begin like one of 40, so neither can replace or continue the
    other.
    """
    schedule = parse(settings.training.schedule)
    if schedule.uses_horizon:
        return f'the schedule "{settings.training.schedule}" depends on its whole length'
    averaging = techniques.averaging
    if averaging is not None and averaging.looks_at_length(schedule):
        return "[averaging] begins after a share of it"
    looking = next((name for name, kind in vars(techniques).items() if getattr(kind, "uses_horizon", False)), None)
    return f"[{looking}] depends on its whole length" if looking else ""
