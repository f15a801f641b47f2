"""Learning-rate schedules by name, as pure functions of the step: ``step(every=7, factor=0.5)``.

A schedule gives the learning rate at any step, in any order. It has no state, so each member of a stack has its own
schedule, and the rates can be previewed before anything is trained.

Lengths are in epochs, fractions allowed. Rates called ``low`` and ``high`` are absolute; all other schedules are
relative to the recipe's own learning rate, the *base*. ``triangular``, ``triangular2`` and ``exp_range`` set both
bounds and ignore the base.
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
