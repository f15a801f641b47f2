"""What a study searches: named in its file or its call, shown by every command, and part of what the run is."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest

from zonesearch import Metric, ObjectiveError, StudyError, Training, Trial, read_study, run_pipeline
from zonesearch.cli.main import main
from zonesearch.core.metric import ACCURACY
from zonesearch.core.objective import Job
from zonesearch.run.begun import as_recorded, open_run
from zonesearch.run.recorded import read_run
from zonesearch.run.storage.run_folder import RunFolder
from zonesearch.study.study import Study
from zonesearch.training.function import FunctionObjective
from zonesearch.training.recipe import Recipe
from zonesearch.training.settings import DataSettings, TrainingSettings

OLD = Path(__file__).parent / "old_runs"

ERRORS = """
name = "errors"
[space.width]
low = 4
high = 64
scale = "log"
[objective]
function = "fitted:rmse"
[metric]
name = "rmse"
direction = "minimize"
unit = "m"
[search]
stages = ["coordinate", "interval"]
seeds = 2
"""
FITTED = """
import math

def rmse(params, seed, epochs):
    for epoch in range(epochs):
        error = 50 + 10 * abs(math.log2(params["width"]) - 4) + 0.1 * (seed % 5) - epoch
        yield {"latency_ms": params["width"] / 2, "rmse": error}

def both(params):
    return {"latency_ms": 7.0, "accuracy": 0.5}
"""
TABLE = """
name = "regression"
[space]
width = [4, 8]
[data]
name = "table"
root = "table.csv"
target = "y"
task = "regression"
[training]
epochs = 2
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "fitted", raising=False)
    (tmp_path / "fitted.py").write_text(FITTED)
    (tmp_path / "errors.toml").write_text(ERRORS)
    shutil.copy(OLD / "table.csv", tmp_path / "table.csv")
    return tmp_path


def study(text: str, here: Path, name: str = "made") -> Study:
    (here / f"{name}.toml").write_text(text)
    return read_study(here / f"{name}.toml")


def test_every_command_shows_the_metric_in_its_own_sign(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "errors.toml", "--no-probe"]) == 0
    assert "rmse is to be minimized" in capsys.readouterr().out
    assert main(["run", "errors.toml", "--into", "it"]) == 0
    said = capsys.readouterr()
    assert "%" not in said.out
    assert main(["trials", "it", "--csv"]) == 0
    (here / "it.csv").write_text(capsys.readouterr().out)
    frame = pd.read_csv(here / "it.csv")
    assert list(frame.columns[:4]) == ["width", "rmse", "test_rmse", "latency_ms"]
    assert frame["rmse"].min() == 50.0
    assert (frame["latency_ms"] == frame["width"] / 2).all()
    assert main(["status", "it"]) == 0
    assert "best so far: rmse 50 m at {'width': 16}" in capsys.readouterr().out
    assert main(["status", "it", "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["metric"] == {"name": "rmse", "direction": "minimize", "unit": "m"}
    assert status["best"] == {"params": {"width": 16}, "rmse": 50.0}
    results = read_run(here / "it")[0]
    assert results.metric == Metric("rmse", unit="m")
    best = min(results.candidates, key=lambda candidate: candidate.value)
    assert (best.params, best.value) == ({"width": 16}, pytest.approx(50.05))


def test_a_run_is_resumed_by_the_same_metric_and_refused_by_another(here: Path, capsys) -> None:
    assert main(["run", "errors.toml", "--into", "it", "--quiet"]) == 0
    assert main(["run", "errors.toml", "--into", "it"]) == 0
    assert "Nothing to train" in capsys.readouterr().out
    assert main(["run", "errors.toml", "--into", "it", "--set", 'metric.unit="km"']) == 0, "a unit is only shown"
    assert "Nothing to train" in capsys.readouterr().out
    assert main(["run", "errors.toml", "--into", "it", "--set", 'metric.direction="maximize"']) == 2
    assert "minimize" in capsys.readouterr().err


def test_a_named_accuracy_is_found_among_the_values_of_a_function(here: Path) -> None:
    text = ERRORS.replace("fitted:rmse", "fitted:both")
    named = text.replace('name = "rmse"\ndirection = "minimize"\nunit = "m"', 'name = "accuracy"')
    [trial] = study(named, here).objective().train(Job((Training({"width": 4}),)), lambda share: None)
    assert (trial.accuracy, trial.noted) == (0.5, {"latency_ms": 7.0})
    with pytest.raises(ObjectiveError, match='must give "rmse", which is searched, but gave latency_ms, accuracy'):
        run_pipeline(study(text, here, "other"), into=here / "other")


# --- networks


def test_a_network_is_searched_for_what_it_measures(here: Path) -> None:
    by_training = study(TABLE + 'metric = "rmse"\n', here)
    by_metric = study(TABLE + '[metric]\nname = "rmse"\nunit = "m"\n', here)
    assert by_training.metric == Metric("rmse")
    assert by_metric.metric == Metric("rmse", unit="m")
    assert by_training.objective().fingerprint() == by_metric.objective().fingerprint()
    assert study(TABLE, here).metric == Metric("r2")
    named = study(TABLE + '[metric]\nname = "r2"\n', here)
    assert named.objective().fingerprint() == study(TABLE, here).objective().fingerprint()
    [trial] = by_metric.objective().train(Job((Training({"width": 4}, epochs=2),)), lambda share: None)
    assert trial.metric == Metric("rmse", unit="m")
    assert trial.accuracy == min(trial.validation_curve) > 0


def test_a_metric_of_the_users_own_is_named_beside_a_network(here: Path) -> None:
    (here / "fitted.py").write_text(
        "def cost(outputs, targets):\n    return (outputs.squeeze(-1) - targets).abs().mean()\n"
    )
    table = '[metric]\nname = "price"\ndirection = "minimize"\nunit = "EUR"\n'
    made = study(TABLE + 'metric = "fitted:cost"\n' + table, here)
    assert made.metric == Metric("price", "minimize", "EUR")
    [trial] = made.objective().train(Job((Training({"width": 4}, epochs=2),)), lambda share: None)
    assert trial.metric == made.metric
    assert trial.accuracy == min(trial.validation_curve) > 0
    assert study(TABLE + 'metric = "fitted:cost"\ndirection = "minimise"\n', here).metric == Metric("cost", "minimize")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('metric = "mae"\n[metric]\nname = "rmse"\n', '"rmse", but \\[training\\] metric = "mae"'),
        ('[metric]\nname = "rmse"\ndirection = "maximize"\n', "rmse is to be minimized; leave it out"),
        ('metric = "rmse"\ndirection = "maximise"\n', "rmse is to be minimized; leave it out"),
        ('[metric]\nname = "rsme"\n', 'did you mean "rmse"'),
        ('[metric]\nname = "width"\n', "not something a network measures"),
        ('[space.arm]\nvalues = ["a"]\n[arms.a]\ntraining.metric = "mae"\n', "\\[arms.a\\] measures mae, the study r2"),
    ],
)
def test_what_contradicts_itself_is_refused(here: Path, more: str, said: str) -> None:
    with pytest.raises(StudyError, match=said):
        study(TABLE + more, here).objective()


def test_metric_is_no_axis_and_no_axis_a_metric() -> None:
    with pytest.raises(ObjectiveError, match='"metric" cannot be an axis'):
        Recipe().check({"metric": "accuracy"})
    with pytest.raises(StudyError, match='metric and an axis are both called "width"'):
        run_pipeline({"width": [1, 2]}, objective=lambda params: 0.5, metric="width")


def test_old_runs_are_the_same_experiment_but_for_turned_errors(here: Path) -> None:
    """An older version recorded errors with their sign turned: they never mix with errors as they are."""
    for name in ("digits", "errors"):
        shutil.copytree(OLD / f"{name}-old", here / name)
        shutil.copy(OLD / f"{name}.toml", here)
    shutil.copy(OLD / "table.csv", here)
    made = read_study(here / "digits.toml")
    objective, _ = as_recorded(made, made.objective(), here / "digits")
    assert open_run(made, objective, here / "digits").study == RunFolder.open(OLD / "digits-old").study
    made = read_study(here / "errors.toml")
    with pytest.raises(StudyError, match=r"is another experiment: .*sign"):
        open_run(made, made.objective(), here / "errors")


def test_old_errors_are_shown_as_they_were_recorded() -> None:
    results = read_run(OLD / "errors-old")[0]
    assert results.metric == results.trials.metric == ACCURACY
    assert all(trial.accuracy < 0 for trial in results.trials)
    assert "%" not in results.metric.text(results.zones[0].value)
    assert any(said.startswith("An older version recorded rmse with its sign turned") for said in results.notes)
    assert not any("sign turned" in said for said in read_run(OLD / "digits-old")[0].notes)


# --- objectives that know their metric, or do not


class Plain:
    """An objective that says nothing of what it measures."""

    def fingerprint(self):
        return {"objective": "plain"}

    def check(self, params) -> None:
        pass

    def jobs(self, trainings):
        return [Job((training,)) for training in trainings]

    def train(self, job, report):
        for training in job.trainings:
            yield Trial(training, accuracy=(training.params["x"] - 2.0) ** 2)


def test_an_objective_that_does_not_know_its_metric_is_told() -> None:
    found = run_pipeline({"x": [0, 1, 2, 3]}, objective=Plain(), metric="mse", stages=["coordinate"])
    assert {trial.metric for trial in found.trials} == {Metric("mse")}
    assert found.zones[0].peak == {"x": 2}
    plain = run_pipeline({"x": [0, 1, 2, 3]}, objective=Plain(), stages=["coordinate"])
    assert plain.zones[0].peak == {"x": 0}
    assert plain.results.fingerprint != found.results.fingerprint


def test_an_objective_that_knows_its_metric_is_not_called_otherwise() -> None:
    recipe = Recipe(data=DataSettings(task="regression"), training=TrainingSettings(metric="rmse"))
    assert Study.of({"width": [4, 8]}, recipe).metric == Metric("rmse")
    assert Study.of({"width": [4, 8]}, recipe, metric=Metric("rmse", unit="m")).metric == Metric("rmse", unit="m")
    with pytest.raises(StudyError, match=r"names f1 \(maximize\), but the objective gives rmse \(minimize\)"):
        Study.of({"width": [4, 8]}, recipe, metric="f1")
    with pytest.raises(StudyError, match="name the metric where the objective is made"):
        Study.of({"width": [4, 8]}, recipe, direction="maximize")
    left_open = FunctionObjective(lambda params: 0.5)
    assert Study.of({"width": [4, 8]}, left_open, metric="loss").objective().metric == Metric("loss")  # type: ignore[attr-defined]


def test_a_module_that_raises_when_imported_is_one_sentence(here: Path) -> None:
    for body in ("raise RuntimeError('no licence')", "import sys; sys.exit(3)", "x ="):
        (here / "fitted.py").write_text(body)
        sys.modules.pop("fitted", None)
        with pytest.raises(
            StudyError, match=r"errors.toml: \[objective\] function = 'fitted:rmse' cannot be imported: "
        ):
            read_study(here / "errors.toml").objective()


def test_unit_and_direction_may_be_given_without_the_name_of_the_metric(here: Path, capsys) -> None:
    (here / "made.toml").write_text(
        '[space]\nwidth = [2, 4, 8]\n[objective]\nfunction = "fitted:rmse"\n[search]\nseeds = 1\n'
    )
    of = ["run", "made.toml", "--into", "run", "--quiet"]
    assert main([*of, "--set", 'metric.name="rmse"', "--set", 'metric.unit="m"']) == 0
    assert " m;" in capsys.readouterr().out
    for more, unit in ([], "m"), (["--set", 'metric.unit="km"'], "km"), (["--set", 'metric.direction="minimize"'], "m"):
        assert main([*of, *more]) == 0
        assert f" {unit};" in capsys.readouterr().out
    assert main([*of, "--set", 'metric.direction="maximize"']) == 2
    assert 'the direction of the metric: "minimize" -> "maximize". Continue' in capsys.readouterr().err
