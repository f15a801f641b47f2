"""Forecasts before anything is trained: what is foretold, of which axes, and that it is the same every time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zonesearch.cli.main import main
from zonesearch.core.space import Space
from zonesearch.run.foresight import foresight_of
from zonesearch.search.controller.foresight import MOST_EACH, Foresight, foresee, shortest, trainings_to_separate
from zonesearch.search.controller.prior import load_prior
from zonesearch.search.controller.view import View
from zonesearch.statistics.gp.cube import Cube
from zonesearch.study.study import Study

RATE = {"low": 1e-5, "high": 10.0, "scale": "log"}
SPACE: dict[str, Any] = {"lr": RATE, "width": {"low": 4, "high": 256, "scale": "log"}, "kappa": ["a", "b"]}


def foretold(space: Any = SPACE, optimizer: str = "sgd", constraints: tuple[str, ...] = ()) -> Foresight:
    cube = Cube(Space.parse(space, constraints))
    found = foresee(View.of(cube, load_prior(), 10, optimizer, ()))
    assert found is not None
    return found


def test_rates_are_foretold_to_lie_where_networks_learn_and_by_their_optimizer() -> None:
    sgd, adam = foretold().axes[0], foretold(optimizer="adam").axes[0]
    assert 1e-3 < sgd.low < sgd.high < 10
    assert adam.high < sgd.high
    assert sgd.share < 0.6
    assert (sgd.name, sgd.role) == ("lr", "learning_rate")


def test_axes_without_a_role_are_named_and_nothing_is_foretold_of_them() -> None:
    found = foretold()
    assert [axis.name for axis in found.axes] == ["lr", "width"]
    assert found.unknown == ("kappa",)


def test_forecast_is_the_same_every_time_and_its_numbers_are_in_order() -> None:
    found = foretold()
    assert found == foretold()
    assert 2 <= found.each_low <= found.each <= found.each_high <= MOST_EACH


def test_constraints_and_conditional_axes_are_heeded() -> None:
    space = {
        "optimizer": ["sgd", "adam"],
        "lr": RATE,
        "width": SPACE["width"],
        "momentum": {"low": 0.5, "high": 0.99, "when": {"optimizer": "sgd"}},
    }
    found = foretold(space, optimizer="", constraints=("width <= 32",))
    by_name = {axis.name: axis for axis in found.axes}
    assert by_name["width"].high <= 32
    assert 0.5 <= by_name["momentum"].low < by_name["momentum"].high <= 0.99


def test_no_trainings_are_foretold_to_tell_apart_what_is_one_setting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert foretold({"lr": [0.1]}).each == 0
    assert foretold(constraints=("lr <= 1e-4", "width <= 5", "kappa == 'a'")).each == 0
    (study := tmp_path / "s.toml").write_text("[space]\nlearning_rate = [0.1]\n")
    assert main(["plan", str(study), "--no-probe"]) == 0
    assert "there are no two to tell apart" in capsys.readouterr().out
    assert main(["plan", str(study), "--no-probe", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["forecast"]["separating_each"] is None


def test_shortest_interval_holds_the_share() -> None:
    values = np.concatenate([np.linspace(0.4, 0.5, 80), np.linspace(0.0, 1.0, 20)])
    low, high = shortest(values, 0.8)
    assert 0.39 < low < high < 0.52
    assert np.mean((low <= values) & (values <= high)) >= 0.8


def test_trainings_that_separate_follow_gap_and_noise() -> None:
    needed = trainings_to_separate(np.array([1.0, 0.5, 0.0]), np.array([1.0, 1.0, 1.0]), 0.95)
    assert needed[0] == pytest.approx(2 * (1.96 + 0.8416) ** 2, rel=1e-3)  # Cohen: 15.7 a group for a gap of one sd
    assert needed[1] == pytest.approx(4 * needed[0])
    assert needed[2] > MOST_EACH


def test_optimizer_of_the_objective_counts_where_no_stage_is_the_controller() -> None:
    class Objective:
        class optimizer:  # noqa: N801
            name = "adam"

    study = Study.of({"lr": RATE}, lambda params, seed: 0.5, stages=["grid"])
    found = foresight_of(study, Objective())  # type: ignore[arg-type]
    assert found is not None
    assert found.axes[0].high < foretold({"lr": RATE}, "sgd").axes[0].high


STUDY = """
[space.{name}]
low = 0.001
high = 1.0
scale = "log"
[data]
name = "digits"
[training]
epochs = 2
"""


def test_plan_foretells_the_zone_and_says_where_it_cannot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "s.toml"
    file.write_text(STUDY.format(name="learning_rate"))
    assert main(["plan", str(file), "--no-probe"]) == 0
    out = capsys.readouterr().out
    assert "Forecast, by trainings of other networks" in out
    assert "trainings of each (80%" in out
    assert main(["plan", str(file), "--no-probe", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["forecast"]
    assert said["probability"] == 0.8
    assert said["axes"][0]["axis"] == "learning_rate"
    assert 0.001 <= said["axes"][0]["low"] < said["axes"][0]["high"] <= 1.0
    file.write_text(STUDY.format(name="weight_decay").replace("[data]", 'role = "none"\n[data]'))
    assert main(["plan", str(file), "--no-probe", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["forecast"] is None
    assert main(["plan", str(file), "--no-probe"]) == 0
    assert "No axis has a role, so nothing is foretold" in capsys.readouterr().out


def test_damaged_cache_keeps_only_a_study_that_would_use_it_from_being_planned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    kept = tmp_path / "cache" / "zonesearch" / "learned"
    kept.mkdir(parents=True)
    (kept / "odd.json").write_text("[]")
    file = tmp_path / "s.toml"
    file.write_text(STUDY.format(name="learning_rate"))
    assert main(["plan", str(file), "--no-probe"]) == 0
    assert "Forecast, by trainings of other networks" in capsys.readouterr().out
    file.write_text(STUDY.format(name="learning_rate") + '[search]\nstages = ["controller"]\n')
    assert main(["plan", str(file), "--no-probe"]) == 2
    said = capsys.readouterr().err
    assert "--forget odd" in said
    assert "indices" not in said  # Python's words for it
