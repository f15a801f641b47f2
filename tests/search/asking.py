"""Stages asked until they want nothing more, with a function in place of a network."""

from __future__ import annotations

import math

from zonesearch.core.trials import Training, Trial, Trials


def answered(training: Training, surface) -> Trial:
    """A trial with ``surface(params, seed)`` as its accuracy; NaN is a training that diverged."""
    value = surface(training.params, training.seed)
    if math.isnan(value):
        return Trial(training, "diverged")
    curve = [value - 0.01 * (training.epochs - epoch) for epoch in range(1, training.epochs + 1)]
    return Trial(training, accuracy=value, curve={"validation_accuracy": curve})


def asked(stage, surface, given=None, trials=None, most=1000):
    """The stage's output, all trials, and the trainings that it wanted at the end."""
    trials = trials or Trials()
    for _ in range(most):
        plan = stage.plan(given, trials)
        missing = trials.missing(plan.trainings)
        if not missing:
            return plan.output, trials, plan.trainings
        trials |= Trials(answered(training, surface) for training in missing)
    raise AssertionError(f"{stage} does not end")
