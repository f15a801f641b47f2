"""How much a plan trains before it names times."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from zonesearch.cli.main import main
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


@pytest.mark.parametrize("all_fail", [True, False])
def test_failed_probes_are_reported_and_do_not_count(all_fail: bool) -> None:
    def failing(params: dict[str, float]) -> float:
        if all_fail or params["x"] == 3:
            raise ValueError(f"no room for {params['x']}")
        return 0.5

    objective = FunctionObjective(failing)
    study = Study.of({"x": [1, 2, 3, 4, 5]}, objective, stages=("grid",))
    failures: list[str] = []
    seconds = pipeline.estimate(study, objective, on_failure=failures.append)[0].seconds
    assert math.isnan(seconds) == all_fail
    assert failures[-1] == f"ValueError: no room for {5 if all_fail else 3}"
    assert len(failures) == (3 if all_fail else 1)
    assert pipeline.estimate(study, objective)[0].n_trainings > 0


def test_a_plan_says_that_its_probes_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "raising.py").write_text("def train(params, seed, epochs):\n    raise ValueError('no room')\n")
    study = tmp_path / "s.toml"
    study.write_text('name = "s"\n[objective]\nfunction = "raising:train"\n[space.x]\nlow = 0.0\nhigh = 1.0\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main(["plan", str(study)]) == 0
    assert (
        "3 short probes of one epoch failed (ValueError: no room), so no times can be given." in capsys.readouterr().out
    )
    assert main(["plan", str(study), "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["failed_probes"] == ["ValueError: no room"] * 3
    assert plan["total"]["seconds"] is None


@pytest.mark.parametrize("limit", ["", "timeout = 60\n"])
def test_probes_use_the_threads_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], limit: str
) -> None:
    (tmp_path / "counting.py").write_text(
        "import os\ndef train(params, seed, epochs):\n    raise ValueError(os.environ['OMP_NUM_THREADS'])\n"
    )
    study = tmp_path / "s.toml"
    study.write_text(
        'name = "s"\n[objective]\nfunction = "counting:train"\n[space.x]\nlow = 0.0\nhigh = 1.0\n'
        f"[run]\nthreads = 2\n{limit}"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main(["plan", str(study)]) == 0
    assert "(ValueError: 2)" in capsys.readouterr().out
    assert main(["plan", str(study), "--set", "run.threads=1"]) == 0
    assert "(ValueError: 1)" in capsys.readouterr().out
