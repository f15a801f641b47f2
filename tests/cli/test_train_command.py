"""The command that takes a network home: what it writes, what it says, what it refuses."""

from __future__ import annotations

import builtins
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zonesearch import Study, Trials, load_network, load_run, read_study, run_pipeline
from zonesearch.cli.main import main
from zonesearch.run.running import run_study
from zonesearch.run.shards import Shard

STUDY = """
name = "taken"
[space]
width = [4, 8, 16]
"optimizer.learning_rate" = [0.01, 0.03]
[data]
limit = 200
[optimizer]
name = "adam"
[training]
epochs = 2
[search]
budget = {trainings = 40}
[interval]
method = "split(1)"
[polish]
keep = 2
repeats = 2
schedules = ["constant", "cosine"]
"""


_OF_STAGES = ["[interval]", *STUDY.partition("[interval]")[2].splitlines()]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("taken")
    (folder / "study.toml").write_text(STUDY)
    run_pipeline(read_study(folder / "study.toml"), into=folder / "run")
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def said_by(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["train", *arguments]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["train", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_train_writes_the_recommended_network_into_the_run_folder(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = said_by(capsys, "run")
    verdict = load_run("run").verdict
    assert verdict is not None
    assert verdict.recommended is not None
    assert "the recommended setting" in said
    assert "Network: run/network.pt" in said
    network = load_network("run/network.pt")
    assert network.setting == verdict.recommended.finalist.params
    assert network.predict(np.zeros((3, 8, 8))).shape == (3,)
    assert main(["status", "run"]) == 0, "the file does not disturb the run folder"


def test_train_writes_what_is_asked_for(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    number = str(load_run("run").finalists[-1].number)
    options = ["--setting", number, "--out", "deep/net.pt", "--all-data", "--ensemble", "2", "--toml", "winner.toml"]
    said = said_by(capsys, "run", *options)
    assert "Trained on training and validation" in said
    assert "together they have" in said
    network = load_network("deep/net.pt")
    assert len(network.about["seeds"]) == 2
    assert network.setting == load_run("run").finalists[-1].params
    assert not Path("run/network.pt").exists()
    assert "Study file: winner.toml" in said


def test_study_file_of_the_winner_plans_runs_and_gives_the_same_numbers(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said_by(capsys, "run", "--toml", "winner.toml")
    assert main(["plan", "winner.toml"]) == 0
    assert main(["run", "winner.toml", "--into", "again", "--quiet"]) == 0
    before, again = load_run("run").verdict, load_run("again").verdict
    assert before is not None
    assert again is not None
    assert before.recommended is not None
    assert again.best is not None
    assert again.best.finalist.params == before.recommended.finalist.params
    assert again.best.accuracies.keys() == before.recommended.accuracies.keys()
    assert main(["merge", "run", "again", "--into", "both"]) == 0, "they are one experiment"


def test_run_without_a_verdict_gives_its_best_so_far_with_a_note(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_study(read_study("study.toml", ["search.seeds=1"]), into="part", shard=Shard(1, 2))
    said = said_by(capsys, "part", "--out", "net.pt")
    assert "The run has no verdict: this is the best candidate so far" in said
    part = load_run("part")
    best = max(part.candidates, key=lambda candidate: candidate.value)
    assert load_network("net.pt").setting == best.params
    assert load_network("net.pt").about["validation"][0] == best.value
    grid = run_study(read_study("study.toml"), into="first", shard=Shard(1, 4))
    assert "the best training so far" in said_by(capsys, "first", "--out", "net.pt")
    assert load_network("net.pt").about["validation"][0] == max(trial.accuracy or 0 for trial in grid.trials)
    assert "has no verdict yet" in refused(capsys, "part", "--setting", "1")
    whole = "\n".join(line for line in STUDY.splitlines() if line not in _OF_STAGES)
    Path("map.toml").write_text(whole.replace("[search]", '[search]\nstages = ["grid"]'))
    full = run_pipeline(read_study("map.toml"), into="map")
    assert "peak of zone 1 so far" in said_by(capsys, "map", "--out", "net.pt")
    assert load_network("net.pt").setting == full.zones[0].peak


def test_options_that_make_no_sense_are_refused_in_one_sentence(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is best, cheapest or the number of a finalist" in refused(capsys, "run", "--setting", "bset")
    assert 'did you mean "best"?' in refused(capsys, "run", "--setting", "bset")
    assert "there is no finalist 99" in refused(capsys, "run", "--setting", "99")
    assert "--seed must be 0 or more" in refused(capsys, "run", "--seed", "-1")
    assert "--ensemble must be at least 1" in refused(capsys, "run", "--ensemble", "0")
    assert "add --study" in refused(capsys, "run", "--set", "seed=1")
    assert "cannot be read" in refused(capsys, "run", "--study", "nowhere.toml")
    assert "nowhere" in refused(capsys, "nowhere")
    assert "is another experiment than the run" in refused(
        capsys, "run", "--study", "study.toml", "--set", "network.depth=2"
    )
    Path("file").write_text("")
    assert "cannot be written" in refused(capsys, "run", "--out", "file/net.pt")
    with pytest.raises(SystemExit):
        main(["train", "run", "--seed", "1", "--ensemble", "2"])


def test_onnx_that_is_not_installed_is_said_before_anything_is_trained(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "onnx":
            raise ImportError("No module named 'onnx'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    assert "pip install 'zonesearch[onnx]'" in refused(capsys, "run", "--onnx", "net.onnx")
    assert not Path("run/network.pt").exists()


def accuracy(params: dict[str, Any], seed: int, epochs: int) -> float:
    return 0.9 - 0.001 * abs(params["width"] - 16) + 0.0001 * seed


def test_of_a_function_the_call_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    space = {"width": [8, 16, 32], "kind": ["a", "b"], "on": [True, False]}
    study = Study.of(space, accuracy, name="f", stages=("compare",), epochs=3, compare={"repeats": 2})
    run_study(study, into="run")
    said = said_by(capsys, "run")
    assert said.splitlines()[-1].startswith('accuracy = objective({"kind": ')
    scope = {"objective": lambda params, seed, epochs: accuracy(params, seed, epochs)}
    exec(said.splitlines()[-1], scope)
    verdict = load_run("run").verdict
    assert verdict is not None
    assert verdict.recommended is not None
    assert scope["accuracy"] in verdict.recommended.accuracies.values()
    assert "--all-data is for networks" in refused(capsys, "run", "--all-data")
    assert "--out is for networks" in refused(capsys, "run", "--out", "x.pt")
    assert "holds no study file" in refused(capsys, "run", "--toml", "x.toml")


def test_of_a_function_in_a_study_file_the_call_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = 'name = "f"\n[space]\nwidth = [8, 16]\n[objective]\nfunction = "gone:outer.f"\n'
    text += 'arguments = {scale = 2, word = "a"}\n'
    Path("study.toml").write_text(text + '[training]\nepochs = 3\n[search]\nstages = ["compare"]\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("gone.py").write_text(
        "class outer:\n    @staticmethod\n"
        "    def f(params, seed, epochs, scale, word):\n        return params['width'] / 100\n"
    )
    run_pipeline(read_study("study.toml"), into="run")
    Path("gone.py").unlink()
    said = said_by(capsys, "run", "--toml", "w.toml")
    assert "from gone import outer\n" in said
    assert 'outer.f({"width": 16}, seed=1000, epochs=3, scale=2, word="a")' in said
    assert 'function = "gone:outer.f"' in Path("w.toml").read_text()


def test_recipe_of_a_run_that_was_made_in_python_is_known_by_its_identity(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from zonesearch.training.recipe import Recipe

    recipe = Recipe.from_tables({"data": {"limit": 200}, "training": {"batch": 32, "metric": "balanced_accuracy"}})
    result = run_pipeline({"width": [4, 8]}, objective=recipe, into=tmp_path / "run", stages=("compare",), epochs=2)
    assert isinstance(result.trials, Trials)
    said = said_by(capsys, str(tmp_path / "run"), "--toml", str(tmp_path / "w.toml"))
    assert "balanced_accuracy on validation" in said
    assert read_study(tmp_path / "w.toml").space.n_cells == 1


def test_imported_run_has_nothing_to_train(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = f"sqlite:///{tmp_path / 'o.db'}"
    study = optuna.create_study(storage=url, study_name="o", direction="maximize")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    assert main(["import", "--storage", url, "--into", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    assert "was imported" in refused(capsys, str(tmp_path / "run"))
