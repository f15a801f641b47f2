"""Learning at home: what earlier runs change, that a run goes on as it began, and that what is read is harmless."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from zonesearch import run_pipeline
from zonesearch.cli.main import main
from zonesearch.core.trials import Training, Trial, Trials
from zonesearch.errors import StudyError, ZoneSearchError
from zonesearch.run.learning import Learned, as_learned, read_lesson
from zonesearch.run.recorded import read_run
from zonesearch.search.controller.lessons import Lesson, lesson_of
from zonesearch.search.controller.stage import Controller
from zonesearch.study.files import read_study
from zonesearch.study.study import Study

SPACE = {"lr": {"low": 1e-4, "high": 3.0, "scale": "log"}, "width": {"low": 4, "high": 256, "scale": "log"}}
OTHER = {"learning_rate": {"low": 1e-4, "high": 1.0, "scale": "log"}, "batch_size": [16, 32, 64]}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def elsewhere(params: Any, seed: int) -> float:
    """Best where the learned prior expects it least."""
    rate = params.get("lr", params.get("learning_rate"))
    return float(0.9 - 0.1 * (math.log10(rate) + 3.5) ** 2 + 0.001 * (seed % 3))


def loss(params: Any, seed: int) -> float:
    return 1.0 - elsewhere(params, seed)


def earlier(into: Path, objective: Any = elsewhere, space: Any = SPACE, **more: Any) -> Path:
    """A run of random trainings."""
    run_pipeline(
        space,
        objective=objective,
        stages=["optuna"],
        optuna={"sampler": "random", "n_trainings": 24},
        into=into,
        **more,
    )
    return into


def search(into: Path | None, n: int = 1, space: Any = SPACE, **settings: Any) -> Any:
    return run_pipeline(
        space, objective=elsewhere, stages=["controller"], controller={"n_trainings": n, **settings}, into=into
    )


def rates(found: Any) -> list[float]:
    return [t.params.get("lr", t.params.get("learning_rate")) for t in sorted(found.trials, key=lambda t: t.seed)]


def test_earlier_runs_move_the_first_proposal_to_where_the_users_optima_lie(tmp_path: Path) -> None:
    runs = [str(earlier(tmp_path / name, seed=i)) for i, name in enumerate("abc")]
    (before,) = rates(search(None))
    (after,) = rates(search(None, learn_from=runs))
    assert abs(math.log10(after) + 3.5) < abs(math.log10(before) + 3.5) - 0.3


def test_runs_that_mislead_do_not_hold_the_search_for_long(tmp_path: Path) -> None:
    runs = [str(earlier(tmp_path / name, seed=i)) for i, name in enumerate("ab")]

    def usual(params: Any, seed: int) -> float:
        return float(0.9 - 0.1 * (math.log10(params["lr"]) + 1) ** 2 + 0.001 * (seed % 3))

    found = run_pipeline(
        SPACE, objective=usual, stages=["controller"], controller={"n_trainings": 10, "learn_from": runs}
    )
    assert usual(found.zones[0].peak, 0) > 0.85


def test_any_mix_of_spaces_with_roles_teaches(tmp_path: Path) -> None:
    runs = [str(earlier(tmp_path / name, space=OTHER, seed=i)) for i, name in enumerate("ab")]
    (before,) = rates(search(None))
    (after,) = rates(search(None, learn_from=runs))
    assert after < before


def test_metric_to_be_minimized_teaches_the_same(tmp_path: Path) -> None:
    up = [str(earlier(tmp_path / name, seed=i)) for i, name in enumerate("ab")]
    down = [str(earlier(tmp_path / f"{name}-down", loss, metric="loss", seed=i)) for i, name in enumerate("ab")]
    assert rates(search(None, learn_from=down)) == rates(search(None, learn_from=up))


def test_what_was_learned_stands_in_the_record_and_the_run_goes_on_with_it(tmp_path: Path) -> None:
    runs = [str(earlier(tmp_path / name, seed=i)) for i, name in enumerate("ab")]
    whole = search(tmp_path / "whole", 4, learn_from=runs)
    search(tmp_path / "cut", 2, learn_from=runs)
    for run in runs:
        shutil.rmtree(run)
    went_on = search(tmp_path / "cut", 4, learn_from=runs)
    assert {t.key for t in went_on.trials} == {t.key for t in whole.trials}
    assert any("2 earlier runs came to" in note for note in read_run(tmp_path / "cut")[0].notes)


def test_cache_counts_for_new_runs_alone_and_can_be_left_out(tmp_path: Path) -> None:
    old = search(tmp_path / "old", 1)
    for i, name in enumerate("abc"):
        Learned.of_user().keep(earlier(tmp_path / name, seed=i))
    assert rates(search(tmp_path / "new")) != rates(old)
    assert rates(search(tmp_path / "without", cache=False)) == rates(old)
    went_on = search(tmp_path / "old", 3)
    plain = search(tmp_path / "plain", 3, cache=False)
    assert {t.key for t in went_on.trials} == {t.key for t in plain.trials}


def test_a_run_does_not_learn_from_itself(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    before = search(tmp_path / "a", 6)
    Learned.of_user().keep(tmp_path / "a")
    again = run_pipeline(
        SPACE,
        objective=elsewhere,
        stages=["controller"],
        controller={"n_trainings": 6},
        into=tmp_path / "a",
        fresh=True,
    )
    assert {t.key for t in again.trials} == {t.key for t in before.trials}
    with pytest.raises(StudyError, match="the run itself"):
        search(tmp_path / "a", 6, learn_from=[str(tmp_path / "a")])


def test_failures_are_left_out_and_divergence_counts_as_the_worst() -> None:
    space = Study.of(SPACE, elsewhere, stages=["controller"]).space
    states: list[Any] = ["complete"] * 4 + ["failed", "diverged"]
    trials = Trials(
        Trial(
            Training({"lr": 10.0**-i, "width": 8}, i),
            state=state,
            accuracy=0.5 + i / 10 if state == "complete" else None,
        )
        for i, state in enumerate(states, start=1)
    )
    found = lesson_of("a", space, trials, Study.of(SPACE, elsewhere).reading, 1)
    assert found.trainings == 5
    assert math.isnan(found.scores[-1])
    assert found.scores[0] == pytest.approx(0.9)
    assert Lesson.parse(json.loads(json.dumps(found.describe())), "here") == found


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"values": {}}, "is no lesson"),
        ({"values": {"os.system": [1.0, 2.0, 3.0]}}, "is no lesson"),
        ({"values": {"learning_rate": [-1.0, 2.0, 3.0]}}, "is no lesson"),
        ({"scores": [1.0]}, "is no lesson"),
        ({"scores": ["1", None, None]}, "is no lesson"),
        ({"optimizers": [3.0, 1.0, 1.0]}, "is no lesson"),
        ({"seeds": [0, 1, 1]}, "is no lesson"),
        ({"epochs": None}, "is no lesson"),
    ],
)
def test_what_is_no_lesson_is_refused_in_one_sentence(changed: dict[str, Any], said: str) -> None:
    sound = {
        "run": "a",
        "epochs": 3,
        "trainings": 3,
        "values": {"learning_rate": [0.1, 0.2, 0.3]},
        "scores": [0.5, 0.6, None],
        "seeds": [1, 1, 1],
        "optimizers": [1.0, 1.0, 1.0],
    }
    space = Study.of(SPACE, elsewhere, stages=["controller"]).space
    assert Controller(space, 1, learned=(sound,)).lessons[0].run == "a"
    with pytest.raises(StudyError, match=said):
        Controller(space, 1, learned=({**sound, **changed},))


def test_missing_and_unreadable_runs_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ZoneSearchError, match=r"\[controller\] learn_from: there is no run folder"):
        search(None, learn_from=[str(tmp_path / "nowhere")])
    run = earlier(tmp_path / "a")
    meta = run / "run.json"
    meta.write_text(meta.read_text().replace("settings", "sittings"))
    with pytest.raises(ZoneSearchError, match=r"learn_from: .*damaged"):
        search(None, learn_from=[str(run)])
    without = run_pipeline(
        {"x": {"low": 0.0, "high": 1.0}},
        objective=lambda params, seed: params["x"],
        stages=["controller"],
        controller={"n_trainings": 4},
        into=tmp_path / "b",
    )
    assert len(without.trials) == 4
    with pytest.raises(StudyError, match="no axis has a role"):
        search(None, learn_from=[str(tmp_path / "b")])
    with pytest.raises(StudyError, match="learn_from must be a list of run folders"):
        search(None, learn_from=[""])


def test_nothing_that_a_run_names_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = earlier(tmp_path / "a")
    (tmp_path / "evil.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    meta = json.loads((run / "run.json").read_text())
    meta["settings"]["stages"] = [{"kind": "evil:Stage", "name": "evil"}]
    meta["identity"]["objective"]["function"] = "evil:f"
    meta.pop("checksum")
    (run / "run.json").write_text(json.dumps(meta))
    (run / "study.toml").write_text('[objective]\nfunction = "evil:f"\n')
    for file in (run / "trials").glob("*.jsonl"):
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        file.write_text("".join(json.dumps(line) + "\n" for line in lines if "identity" not in line))
    assert len(read_lesson(run)) == 24


def test_places_are_resolved_from_the_study_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier(tmp_path / "studies" / "runs" / "a")
    file = tmp_path / "studies" / "s.toml"
    file.write_text(
        '[space]\nlr = {low = 0.001, high = 1.0, scale = "log"}\n[data]\nname = "digits"\n[search]\n'
        'stages = ["controller"]\n[controller]\nlearn_from = ["runs/a"]\n'
    )
    monkeypatch.chdir(tmp_path)
    study = read_study("studies/s.toml")
    monkeypatch.chdir("/")
    (stage,) = as_learned(study).stages
    assert isinstance(stage, Controller)
    assert stage.learn_from == (str(tmp_path / "studies" / "runs" / "a"),)
    assert len(stage.lessons) == 1


def test_command_learns_lists_and_forgets(tmp_path: Path, capsys: pytest.CaptureFixture[str], cache: Path) -> None:
    run = str(earlier(tmp_path / "a"))
    assert main(["learn", "--list"]) == 0
    assert "Nothing was learned yet" in capsys.readouterr().out
    assert main(["learn", run]) == 0
    assert main(["learn", run]) == 0
    capsys.readouterr()
    assert main(["learn", "--json"]) == 0
    (kept,) = json.loads(capsys.readouterr().out)
    assert kept["source"] == run
    assert set(kept["values"]) == {"learning_rate", "width"}
    assert main(["learn", "--forget", run]) == 0
    assert main(["learn", "--forget", run]) == 2
    assert "is not among what was learned" in capsys.readouterr().err
    assert not list(cache.rglob("*.json"))
    assert main(["learn", run]) == 0
    capsys.readouterr()
    assert main(["learn", "--forget", "all"]) == 0
    assert capsys.readouterr().out == f"forgot {run}\n", "not the name of its file"


@pytest.mark.parametrize("arguments", [[], ["a", "--list"], ["a", "--forget", "b"], ["nowhere"]])
def test_command_refuses_in_one_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["learn", *arguments]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_command_learns_from_all_runs_or_from_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], cache: Path
) -> None:
    earlier(tmp_path / "a")
    assert main(["learn", str(tmp_path / "a"), str(tmp_path / "missing")]) == 2
    assert "missing" in capsys.readouterr().err
    assert not list(cache.rglob("*.json"))


def test_damaged_file_in_the_cache_is_named_and_can_be_forgotten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Learned.of_user().keep(earlier(tmp_path / "a"))
    (file,) = Learned.of_user().folder.glob("*.json")
    file.write_text("{")
    with pytest.raises(ZoneSearchError, match=f"--forget {file.stem}"):
        search(None)
    assert main(["learn", "--forget", file.stem]) == 0
    assert len(search(None).trials) == 1


def test_runs_of_the_same_name_in_different_folders_are_both_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [earlier(tmp_path / name / "run", seed=i) for i, name in enumerate("ab")]
    for folder in folders:
        assert main(["learn", str(folder)]) == 0
    capsys.readouterr()
    assert main(["learn", "--list"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0] for line in said] == [str(folder) for folder in folders]
    assert len(search(None).results.stages[0].settings["learned"]) == 2
