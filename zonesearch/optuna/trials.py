"""Convert the evaluations of Optuna studies to trials."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from zonesearch.core.metric import Metric, is_usable
from zonesearch.core.space import Space
from zonesearch.core.trials import Training, Trial, Value
from zonesearch.optuna.axes import parameter_value, snapped
from zonesearch.optuna.constraints import violation_of

__all__ = ["Conversion", "ReadStudy"]

_OWN_COLUMNS = ("seed", "epochs", "state", "seconds", "n_parameters", "key")
"""Columns of a table of trials, whose names imported attributes may not take."""


@dataclass(frozen=True)
class ReadStudy:
    """The present state of a study in its storage.

    Args:
        name: of the study.
        directions: directions of its objectives; ``names`` their names in the study, empty if they have none.
        evaluations: all evaluations, in the order of their numbers.
        ours: whether it is a view of a zonesearch run, whose attributes then hold more information.
    """

    name: str
    directions: tuple[StudyDirection, ...]
    names: tuple[str, ...]
    evaluations: Sequence[FrozenTrial]
    ours: bool

    @property
    def finished(self) -> list[FrozenTrial]:
        """The evaluations that are neither running nor waiting."""
        return [evaluation for evaluation in self.evaluations if evaluation.state.is_finished()]

    @property
    def objectives(self) -> list[str]:
        """The names of the objectives, or Optuna's default column names if they have none."""
        n = len(self.directions)
        named = [*self.names, *[""] * n][:n]
        return [name or ("value" if n == 1 else f"values_{i}") for i, name in enumerate(named)]


class Conversion:
    """Converts evaluations to trials; repeats of a point get consecutive seeds.

    Args:
        metric: metric of the objective at index ``which``.
        space: space of the parameters.
        curve: name of the reported curve.
        epochs: the length of a training that does not record its own.
        n_studies: number of studies that are seeds of one search.
        known: trials imported before.
    """

    def __init__(
        self, metric: Metric, which: int, space: Space, curve: str, epochs: int, n_studies: int, known: Iterable[Trial]
    ) -> None:
        self._metric, self._which, self._space = metric, which, space
        self._curve, self._epochs, self._n_studies = curve, epochs, n_studies
        self._seeds: dict[tuple[str, int, Any], int] = {}
        self._taken: defaultdict[Any, set[int]] = defaultdict(set)
        for trial in known:
            point = trial.training.identity[0]
            origin = str(trial.provenance.get("optuna_study", "")), trial.provenance.get("optuna_trial", -1)
            self._seeds[(*origin, point)] = trial.seed
            self._taken[point].add(trial.seed)

    def trials(self, studies: Sequence[ReadStudy]) -> Iterator[Trial]:
        """The trials of every finished evaluation of ``studies``."""
        for i, study in enumerate(studies):
            for evaluation in study.finished:
                yield self._trial(study, i, evaluation)

    def _trial(self, study: ReadStudy, position: int, evaluation: FrozenTrial) -> Trial:
        attributes = evaluation.user_attrs
        params: dict[str, Value] = {name: parameter_value(value) for name, value in evaluation.params.items()}
        if study.ours:
            params |= {n.removeprefix("param:"): v for n, v in attributes.items() if n.startswith("param:")}
        training = Training(snapped(self._space, params))
        seed = attributes.get("seed") if study.ours else None
        if not isinstance(seed, int) or seed < 0:
            seed = self._seed(study.name, position, evaluation.number, training.identity[0])
        ours = attributes if study.ours else {}
        epochs = ours.get("epochs")
        state, value, error = self._outcome(evaluation, ours)
        duration = evaluation.duration
        return Trial(
            Training(training.params, seed, epochs if isinstance(epochs, int) and epochs >= 1 else self._epochs),
            state,
            accuracy=value,
            curve=self._reports(evaluation),
            test_accuracy=ours.get("test_accuracy"),
            seconds=float(ours.get("seconds", max(0.0, duration.total_seconds()) if duration else 0.0)),
            n_parameters=ours.get("n_parameters"),
            error=error,
            provenance=self._provenance(study, evaluation, ours),
            metric=self._metric,
            noted=self._noted(study, evaluation),
        )

    def _seed(self, study: str, position: int, number: int, point: Any) -> int:
        """The seed of an evaluation: its previous one; else, for study i of n, the first free one of i, i + n, ..."""
        seed = self._seeds.get((study, number, point))
        if seed is None:
            seed = position
            while seed in self._taken[point]:
                seed += self._n_studies
            self._taken[point].add(seed)
        return seed

    def _outcome(self, evaluation: FrozenTrial, ours: Mapping[str, Any]) -> tuple[Any, float | None, str]:
        """State, value and error."""
        if evaluation.state == TrialState.PRUNED:
            return "pruned", None, ""
        if evaluation.state == TrialState.FAIL:
            state = ours.get("state")
            error = str(ours.get("error") or evaluation.system_attrs.get("fail_reason") or "")
            return (state, None, "") if state in ("diverged", "pruned") else ("failed", None, error)
        value = float(evaluation.values[self._which])
        return ("complete", value, "") if is_usable(value) else ("diverged", None, "")

    def _reports(self, evaluation: FrozenTrial) -> dict[str, list[float]]:
        """The reports in the order of their steps, and the steps themselves if they do not simply count from 0 or 1.

        Non-finite reports are left out.
        """
        found = sorted((step, v) for step, v in evaluation.intermediate_values.items() if is_usable(v))
        if not found:
            return {}
        steps, values = [step for step, _ in found], [float(value) for _, value in found]
        counted = steps[0] in (0, 1) and steps == list(range(steps[0], steps[0] + len(steps)))
        return {self._curve: values} | ({} if counted else {"step": [float(step) for step in steps]})

    def _noted(self, study: ReadStudy, evaluation: FrozenTrial) -> dict[str, float]:
        """The other objectives, and the numbers that the objective set as user attributes."""
        attributes = {} if study.ours else evaluation.user_attrs
        found = {f"user_{name}" if name in _OWN_COLUMNS else name: value for name, value in attributes.items()}
        named = zip(study.objectives, evaluation.values or (), strict=False)
        found |= {name: value for i, (name, value) in enumerate(named) if i != self._which}
        violation = None if study.ours else violation_of(evaluation)
        found |= {} if violation is None else {"violation": violation}
        numbers = {n: float(v) for n, v in found.items() if isinstance(v, int | float) and not isinstance(v, bool)}
        return {name: value for name, value in numbers.items() if math.isfinite(value) and name != self._metric.name}

    @staticmethod
    def _provenance(study: ReadStudy, evaluation: FrozenTrial, ours: Mapping[str, Any]) -> dict[str, Any]:
        before = ours.get("provenance")
        started = evaluation.datetime_start
        return {
            "optuna_study": study.name,
            "optuna_trial": evaluation.number,
            **({"started": started.isoformat()} if started else {}),
            **(before if isinstance(before, Mapping) else {}),
        }
