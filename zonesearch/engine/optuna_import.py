"""An Optuna study that somebody else made, as a space and trials.

Zones, report and verdict are functions of the trials, so they can be had for a search that was run elsewhere. What
an Optuna study does not say is filled in as plainly as possible: evaluations of the same parameters are seeds
0, 1, ...; a study that minimises becomes one that maximises the negative value.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from zonesearch.domain.space import AnyAxis, Axis, Choice, Space
from zonesearch.domain.trials import Training, Trial, Trials, Value, plain
from zonesearch.engine.optuna_storage import open_storage, quiet_optuna, shown_url, storage_errors
from zonesearch.errors import StoreError

__all__ = ["Imported", "import_study"]

_CURVE = "validation_accuracy"


@dataclass(frozen=True)
class Imported:
    """What an Optuna study says.

    Args:
        name: of the study.
        space: an axis per parameter that every evaluation has; its row are the values that were tried, when there
            are few.
        trials: what came of each evaluation; unfinished ones are left out.
        minimises: whether the study minimises; then accuracies are negative values.
        n_skipped: evaluations that were running or waiting.
    """

    name: str
    space: Space
    trials: Trials
    minimises: bool
    n_skipped: int

    def identity(self) -> dict[str, Any]:
        """What makes these trials comparable among themselves: that they come from this study."""
        return {"optuna_study": self.name, "direction": "minimize" if self.minimises else "maximize"}


def import_study(url: str, name: str | None = None) -> Imported:
    """Read the Optuna study ``name`` from the storage at ``url``; nothing is written there.

    Args:
        url: see :func:`zonesearch.engine.optuna_storage.open_storage`.
        name: may be left out where the storage holds a single study.

    Raises:
        StoreError: the storage does not answer, there is no such study, it has several objectives, or it holds no
            finished evaluation.
    """
    with quiet_optuna():
        storage = open_storage(url, create=False)
        with storage_errors(url):
            names = sorted(optuna.get_all_study_names(storage))
        if name is None and len(names) == 1:
            name = names[0]
        if name not in names:
            which = "name a study (--study)" if name is None else f'there is no study "{name}"'
            raise StoreError(f"{which} in {shown_url(url)}; it holds: {', '.join(names) or 'none'}")
        with storage_errors(url):
            study = optuna.load_study(study_name=name, storage=storage)
            directions = study.directions
            evaluations = study.get_trials(deepcopy=False)
    if len(directions) != 1:
        raise StoreError(f'the study "{name}" has {len(directions)} objectives; one is needed to rank by')
    minimises = directions[0] == optuna.study.StudyDirection.MINIMIZE
    finished = [evaluation for evaluation in evaluations if evaluation.state.is_finished()]
    if not any(evaluation.value is not None for evaluation in finished):
        raise StoreError(f'the study "{name}" in {shown_url(url)} has no evaluation with a value yet')
    return Imported(
        name,
        _space(finished),
        _trials(finished, -1.0 if minimises else 1.0),
        minimises,
        len(evaluations) - len(finished),
    )


def _trials(evaluations: Sequence[FrozenTrial], sign: float) -> Trials:
    used: Counter[object] = Counter()
    trials = []
    for evaluation in evaluations:
        params = {name: _value(value) for name, value in evaluation.params.items()}
        params |= {
            name.removeprefix("param:"): value
            for name, value in evaluation.user_attrs.items()
            if name.startswith("param:")
        }
        seed = evaluation.user_attrs.get("seed")
        if not isinstance(seed, int) or seed < 0:
            identity = Training(params).identity
            seed = used[identity]
            used[identity] += 1
        trials.append(_trial(evaluation, params, seed, sign))
    return Trials(trials)


def _trial(evaluation: FrozenTrial, params: Mapping[str, Value], seed: int, sign: float) -> Trial:
    curve = [sign * value for _, value in sorted(evaluation.intermediate_values.items())]
    value = evaluation.value if evaluation.value is not None else (curve[-1] * sign if curve else None)
    broken = evaluation.state == TrialState.FAIL or value is None or not math.isfinite(value)
    accuracy = None if broken or value is None else sign * value
    # A curve that does not contain the value was kept in other units, or is cut short: no learning curve of it.
    name = _CURVE if accuracy in curve or broken else "intermediate"
    steps = sorted(evaluation.intermediate_values)
    whole = bool(steps) and steps in (list(range(len(steps))), list(range(1, len(steps) + 1)))
    epochs = len(curve) if whole and name == _CURVE else evaluation.user_attrs.get("epochs", 1)
    duration = evaluation.duration
    attributes = evaluation.user_attrs
    state = "complete" if not broken else ("diverged" if attributes.get("state") == "diverged" else "failed")
    return Trial(
        Training(params, seed, epochs if isinstance(epochs, int) and epochs >= 1 else 1),
        state,  # type: ignore[arg-type]
        accuracy=accuracy,
        curve={name: curve} if curve else {},
        test_accuracy=attributes.get("test_accuracy"),
        seconds=float(attributes.get("seconds", duration.total_seconds() if duration else 0.0)),
        n_parameters=attributes.get("n_parameters"),
        error=str(attributes.get("error", "")) if state == "failed" else "",
        provenance={"optuna_trial": evaluation.number, **_mapping(attributes.get("provenance"))},
    )


def _space(evaluations: Sequence[FrozenTrial]) -> Space:
    shared = set.intersection(*(set(evaluation.params) for evaluation in evaluations))
    names = [name for name in evaluations[0].params if name in shared]
    if not names:
        raise StoreError("the evaluations of the study have no parameter in common, so there is no space to map")
    return Space(
        tuple(
            _axis(
                name,
                [evaluation.distributions[name] for evaluation in evaluations],
                sorted({_value(evaluation.params[name]) for evaluation in evaluations}, key=_order),
            )
            for name in names
        )
    )


def _axis(name: str, distributions: Sequence[BaseDistribution], tried: Sequence[Value]) -> AnyAxis:
    first = distributions[0]
    if isinstance(first, CategoricalDistribution):
        choices = dict.fromkeys(_value(choice) for d in distributions for choice in d.choices)  # type: ignore[attr-defined]
        return Choice(name, tuple(choices))
    assert isinstance(first, FloatDistribution | IntDistribution)
    numbers = [value for value in tried if isinstance(value, int | float)]
    return Axis(
        name,
        min(*(d.low for d in distributions), *numbers),  # type: ignore[attr-defined]
        max(*(d.high for d in distributions), *numbers),  # type: ignore[attr-defined]
        "log" if first.log else "linear",
        isinstance(first, IntDistribution),
        tuple(numbers),
    )


def _value(value: object) -> Value:
    """A parameter as we keep it; Optuna also takes None and objects in categoricals."""
    try:
        return plain(value)
    except TypeError:
        return str(value)


def _order(value: Value) -> tuple[bool, float, str]:
    return isinstance(value, str), 0.0 if value is None or isinstance(value, str) else float(value), str(value)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
