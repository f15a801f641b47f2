"""How much a plan trains before it names times."""

from __future__ import annotations

import pytest

from zonesearch.run import pipeline
from zonesearch.study.study import Study
from zonesearch.training.function import FunctionObjective

CALLS: list[float] = []


def learned(params: dict[str, float]) -> float:
    CALLS.append(params["x"])
    return 0.5 + params["x"] / 10


def probes() -> int:
    CALLS.clear()
    objective = FunctionObjective(learned)
    study = Study.of({"x": [1, 2, 3, 4, 5]}, objective, stages=("grid",))
    assert pipeline.estimate(study, objective)[0].seconds > 0
    return len(CALLS)


def test_short_probes_are_trained_twice_and_long_ones_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert probes() == 6
    monkeypatch.setattr(pipeline, "_LONG", 0.0)
    assert probes() == 3
    monkeypatch.setattr(pipeline, "_ENOUGH", 0.0)
    assert probes() == 1
