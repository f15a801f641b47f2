"""Runs go on: with other options of stages, with options that came later, and those that version 0.1.0 stored."""

from __future__ import annotations

import dataclasses
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from zonesearch import read_study, run_pipeline
from zonesearch.cli.main import main
from zonesearch.errors import MergeError, StudyError
from zonesearch.run.begun import identity_of
from zonesearch.run.recorded import read_run
from zonesearch.run.running import run_study
from zonesearch.run.storage.first_identity import _EVOLUTION, _TABLES, _TECHNIQUES
from zonesearch.run.storage.identity import differences, fingerprint
from zonesearch.run.storage.merge import merge
from zonesearch.run.storage.run_folder import RunFolder
from zonesearch.run.storage.store import Store
from zonesearch.training import description
from zonesearch.training.description import FORMER
from zonesearch.training.recipe import Recipe
from zonesearch.training.settings import NetworkSettings, Settings, TrainingSettings
from zonesearch.training.techniques import Techniques

OLD = Path(__file__).parents[1] / "old_runs"
RUNS = {"digits-old": "digits.toml", "function-old": "function.toml"}


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the old runs."""
    shutil.copytree(OLD, tmp_path / "old")
    monkeypatch.chdir(tmp_path / "old")
    monkeypatch.syspath_prepend(str(tmp_path / "old"))
    return tmp_path / "old"


def n_lines(folder: Path) -> int:
    return sum(len(path.read_bytes().splitlines()) for path in folder.glob("trials/*.jsonl"))


def trials_of(folder: Path) -> Any:
    return Store(RunFolder.open(folder), writer=None).load().trials


@pytest.mark.parametrize(("run", "study"), RUNS.items())
def test_an_old_run_is_read_and_goes_on_without_a_training(old: Path, run: str, study: str) -> None:
    results, n_torn = read_run(old / run)
    assert n_torn == 0
    assert results.finished
    assert results.verdict is not None
    assert not results.trials.conflicts
    before = n_lines(old / run)
    again = run_study(read_study(study), into=old / run)
    assert n_lines(old / run) == before
    assert again.verdict is not None
    assert repr(again.verdict.standings) == repr(results.verdict.standings)
    assert again.results.fingerprint == json.loads((OLD / run / "run.json").read_text())["study"]


@pytest.mark.parametrize(("run", "study"), RUNS.items())
def test_an_old_run_is_judged_anew_with_other_options(old: Path, run: str, study: str) -> None:
    before = n_lines(old / run)
    more = run_study(read_study(study, ["polish.repeats=4", "polish.keep=1"]), into=old / run)
    assert n_lines(old / run) == before + 1 + 1  # one fresh seed, below a heading with the settings
    assert more.verdict is not None
    assert [len(standing.accuracies) for standing in more.verdict.standings] == [4]
    fewer = run_study(read_study(study, ["polish.repeats=2", "search.level=0.8"]), into=old / run)
    assert n_lines(old / run) == before + 2
    assert fewer.verdict is not None
    assert fewer.verdict.level == 0.8
    history = json.loads((old / run / "run.json").read_text())["history"]
    assert [entry["settings"]["stages"][2]["repeats"] for entry in history] == [3, 4, 2]
    assert main(["status", str(old / run)]) == 0


@pytest.mark.parametrize(("a", "b"), [("digits-part", "digits-old"), ("digits-old", "digits-part")])
def test_an_old_shard_is_merged_in_either_direction(old: Path, a: str, b: str) -> None:
    both = trials_of(old / a) | trials_of(old / b)
    merged = merge([old / a], old / b)
    assert trials_of(old / b) == both
    assert merged.n_trainings == len(both)
    before = n_lines(old / b)
    assert run_study(read_study("digits.toml"), into=old / b).verdict is not None
    assert n_lines(old / b) == before


def test_a_run_of_today_and_an_old_one_are_merged_in_either_direction(old: Path) -> None:
    run_study(read_study("digits.toml", ["training.precision=float32"]), into=old / "today")
    assert RunFolder.open(old / "today").study != RunFolder.open(old / "digits-old").study
    shutil.copytree(old / "today", old / "today too")
    merge([old / "digits-part"], old / "today")
    merge([old / "today too"], old / "digits-part")
    merge([old / "today", old / "digits-part"], old / "both")
    merge([old / "both"], old / "digits-old")
    for name in ("today", "digits-part", "both", "digits-old"):
        before = n_lines(old / name)
        assert run_study(read_study("digits.toml"), into=old / name).verdict is not None
        assert n_lines(old / name) == before
        assert not trials_of(old / name).conflicts


def test_an_old_run_goes_on_in_the_precision_that_was_the_default(old: Path) -> None:
    result = run_study(read_study("digits.toml", ["polish.keep=3"]), into=old / "digits-old")
    assert "precision" not in RunFolder.open(old / "digits-old").identity["objective"].get("training", {})
    assert any("started with other values" in note and '"float32" -> "auto"' in note for note in result.results.notes)
    assert all("precision_asked" not in trial.provenance for trial in result.results.trials)
    with pytest.raises(StudyError, match=r'precision: "float32" -> "auto"'):
        run_study(read_study("digits.toml", ["training.precision=auto"]), into=old / "digits-old")
    fresh = run_study(read_study("digits.toml"), into=old / "new")
    assert all(trial.provenance["precision_asked"] == "auto" for trial in fresh.results.trials)
    with pytest.raises(MergeError, match=r'precision: .*"auto"'):
        merge([old / "new"], old / "digits-part")


def test_old_trainings_under_a_stretched_schedule_answer_for_their_own_length(old: Path) -> None:
    for trial in trials_of(old / "digits-old"):
        assert trial.whole == (trial.params.get("schedule") == "cosine")


def test_an_edited_function_of_an_old_run_is_refused(old: Path) -> None:
    text = (old / "old_function.py").read_text()
    (old / "old_function.py").write_text(text.replace("0.9 -", "0.8 -"))
    (old / "new_function.py").write_text(text)
    import sys

    sys.modules.pop("old_function", None)
    with pytest.raises(StudyError, match=r"another experiment: the code of the function"):
        run_study(read_study("function.toml"), into=old / "function-old")
    sys.modules.pop("old_function", None)


def test_another_experiment_is_refused_naming_each_key_with_both_values(old: Path) -> None:
    changed = ["network.activation=tanh", "training.clip=0.5", "seed=3"]
    with pytest.raises(StudyError) as caught:
        run_study(read_study("digits.toml", changed), into=old / "digits-old")
    assert '[network] activation: "relu" -> "tanh"; [training] clip: 0.0 -> 0.5; ' in str(caught.value)
    assert "seed: 0 -> 3" in str(caught.value)


def test_a_wider_space_and_longer_trainings_belong_to_the_same_run(tmp_path: Path) -> None:
    calls = []

    def train(params: dict[str, Any], seed: int, epochs: int) -> Any:
        calls.append(epochs)
        for epoch in range(epochs):
            yield params["x"] + epoch / 100

    def search(space: dict[str, Any], **more: Any) -> int:
        calls.clear()
        run_pipeline(space, objective=train, into=tmp_path / "run", polish={"keep": 1, "repeats": 2}, **more)
        return len(calls)

    assert search({"x": [1, 2, 4]}, epochs=3) > 0
    assert search({"x": [1, 2, 4]}, epochs=3) == 0
    assert search({"x": [1, 2, 4]}, epochs=2) == 0
    assert search({"x": [1, 2, 4]}, epochs=3, stages=["grid", "polish"]) == 0
    assert search({"x": [1, 2, 4]}, epochs=3, reading="last", seeds=1) == 0
    assert 0 < search({"x": [1, 2, 4, 8]}, epochs=3) < 12
    assert len(json.loads((tmp_path / "run" / "run.json").read_text())["history"]) == 5


def test_only_what_differs_from_a_default_is_described() -> None:
    plain = Recipe().fingerprint()
    assert set(plain) == {"objective", "content", "training"}
    assert plain["training"] == {"precision": "auto"}  # a default that was another once is said
    assert "training" not in Recipe(training=TrainingSettings(precision="float32")).fingerprint()
    made = Recipe.from_tables({"network": {"width": 128, "depth": 2}, "training": {"device": "cpu"}}).fingerprint()
    assert made == {**plain, "network": {"depth": 2}}
    study = read_study(OLD / "digits.toml")
    assert identity_of(study, study.objective())["format"] == 2


@dataclass(frozen=True)
class MoreNetworkSettings(NetworkSettings):
    """With an option that a later version adds."""

    skip: int = 0


def test_an_option_that_is_added_changes_no_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Recipe(network=NetworkSettings(width=32))
    after = Recipe(network=MoreNetworkSettings(width=32))
    assert fingerprint(before.fingerprint()) == fingerprint(after.fingerprint())
    used = Recipe(network=MoreNetworkSettings(width=32, skip=1))
    assert fingerprint(used.fingerprint()) != fingerprint(before.fingerprint())
    arms = {"a": Recipe(network=MoreNetworkSettings(width=64))}
    assert Recipe(network=MoreNetworkSettings(width=32), arms=arms).fingerprint()["arms"] == {
        "a": {"network": {"width": 64}}
    }


def test_code_that_changed_is_described_only_where_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    tables: dict[str, Any] = {"gradient_noise": {}}
    plain, noisy = Recipe().fingerprint(), Recipe.from_tables(tables).fingerprint()
    monkeypatch.setattr(
        description, "code_versions", lambda settings, techniques: {"noise": 5} if techniques.gradient_noise else {}
    )
    assert Recipe().fingerprint() == plain
    assert Recipe.from_tables(tables).fingerprint() == {**noisy, "code": {"noise": 5}}
    assert differences({"objective": noisy}, {"objective": Recipe.from_tables(tables).fingerprint()}) == [
        "the version of the code of noise: (absent) -> 5"
    ]


def test_what_old_runs_wrote_out_are_still_the_defaults() -> None:
    for name, table in _TABLES.items():
        part = next(part for part in dataclasses.fields(Settings) if part.name == name)
        now = json.loads(json.dumps(dataclasses.asdict(part.default)))  # type: ignore[call-overload]
        now |= FORMER.get(name, {})
        assert {key: now[key] for key in table if (name, key) != ("training", "direction")} == {
            key: value for key, value in table.items() if (name, key) != ("training", "direction")
        }
    for name, table in _TECHNIQUES.items():
        made = Techniques.from_tables({name: {}}).describe()[name]
        assert {key: made[key] for key in table} == table
    for kind, table in _EVOLUTION.items():
        made = Techniques.from_tables({"evolution": {"kind": kind}}).describe()["evolution"]
        assert {key: made[key] for key in table} == table


@pytest.mark.parametrize(("run", "study"), RUNS.items())
@pytest.mark.parametrize("command", ["status", "report", "trials"])
def test_reading_commands_read_old_and_changed_runs(old: Path, run: str, study: str, command: str) -> None:
    assert main([command, run]) == 0
    assert main(["run", study, "--into", run, "--quiet", "--set", "polish.keep=1", "--set", "search.seeds=1"]) == 0
    assert main([command, run]) == 0
    assert main(["plan", study, "--no-probe", "--set", "polish.keep=3"]) == 0


def test_going_back_to_shorter_trainings_takes_no_schedules_from_the_longer_ones(tmp_path: Path) -> None:
    """Schedules that a run was started with stay; those of trainings of another length are not of this study."""

    def schedules(epochs: int) -> object:
        text = '[space]\nwidth = [4, 8]\n[data]\nname = "digits"\n[network]\ndepth = 1\n'
        text += f"[training]\nepochs = {epochs}\nbatch = 256\n[search]\nseeds = 1\n"
        (tmp_path / "study.toml").write_text(text + "[grid]\nzones_min = 1\n[polish]\nkeep = 1\nrepeats = 1\n")
        run_pipeline(tmp_path / "study.toml", into=tmp_path / "run")
        return RunFolder.open(tmp_path / "run").settings["stages"][-1]["schedules"]

    assert schedules(4) == ["constant"]
    assert schedules(5) == ["constant", "plateau(patience=3)"]
    assert schedules(4) == ["constant"]
