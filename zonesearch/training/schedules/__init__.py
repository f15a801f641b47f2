"""Learning-rate schedules by name, as pure functions of the step: ``step(every=7, factor=0.5)``.

A schedule answers one question, at any step and in any order: what is the learning rate now? It keeps no state, so a
stack of many trainings asks each member's schedule by itself, and the rates can be seen before anything trains.

Lengths are in epochs, fractions allowed. Rates called ``low`` and ``high`` are absolute; all other schedules move
relative to the recipe's own learning rate, the *base*. ``triangular``, ``triangular2`` and ``exp_range`` give both rims
and ignore the base.
"""

from zonesearch.training.schedules.cyclical import ExpRange, Sgdr, Triangular, Triangular2
from zonesearch.training.schedules.decay import Constant, Cosine, Exponential, Linear, OneCycle, Plateau, Step
from zonesearch.training.schedules.ensembling import Fge, Snapshot, Swa
from zonesearch.training.schedules.parsing import parse
from zonesearch.training.schedules.preview import Preview, preview
from zonesearch.training.schedules.schedule import Schedule
from zonesearch.training.schedules.sweep import Sweep
from zonesearch.training.schedules.warmup import Warmup

__all__ = [
    "Constant",
    "Cosine",
    "ExpRange",
    "Exponential",
    "Fge",
    "Linear",
    "OneCycle",
    "Plateau",
    "Preview",
    "Schedule",
    "Sgdr",
    "Snapshot",
    "Step",
    "Swa",
    "Sweep",
    "Triangular",
    "Triangular2",
    "Warmup",
    "parse",
    "preview",
]
