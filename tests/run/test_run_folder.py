"""A run folder belongs to one study, says so, and is never overwritten."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.run.made import IDENTITY, SETTINGS, folder, record_in, trial
from zonesearch.errors import MergeError, StoreError, StudyError
from zonesearch.run.storage.identity import differences, fingerprint
from zonesearch.run.storage.run_folder import RunFolder, write_atomically
from zonesearch.run.storage.store import Store


def test_run_folder_opens_as_it_was_made(tmp_path: Path) -> None:
    made = folder(tmp_path / "a/run", settings=SETTINGS, study_text='name = "digits"\n')
    assert RunFolder.open(tmp_path / "a/run") == made
    assert folder(tmp_path / "a/run", settings=SETTINGS) == made
    assert made.study == fingerprint(IDENTITY)
    assert json.loads((tmp_path / "a/run/run.json").read_text())["versions"]["numpy"]


def test_changed_study_is_refused_naming_each_key(tmp_path: Path) -> None:
    folder(tmp_path, settings=SETTINGS)
    changed = {"objective": {"data": "digits", "optimizer": {"name": "sgd"}}, "seed": 0}
    with pytest.raises(StudyError) as error:
        folder(tmp_path, changed, settings={**SETTINGS, "stages": ["grid", "polish"]})
    for part in (
        '[optimizer] name: "adam" -> "sgd"',
        "[optimizer] rate: 0.001 -> (absent)",
        "--fresh",
    ):
        assert part in str(error.value)
    assert "stages" not in str(error.value)
    assert RunFolder.open(tmp_path).settings == SETTINGS


def test_refusal_names_keys_as_a_study_file_does() -> None:
    metric = {"name": "rmse", "direction": "minimize"}
    function = {"objective": "function", "metric": metric, "source": "1f", "arguments": {"scale": 2}}
    assert differences({"objective": function, "seed": 0}, {"objective": {"objective": "own", "deep": {"er": 1}}}) == [
        "[objective] arguments.scale: 2 -> (absent)",
        "objective.deep.er: (absent) -> 1",
        'the direction of the metric: "minimize" -> (absent)',
        'the metric: "rmse" -> (absent)',
        '[objective] kind: "function" -> "own"',
        'the code of the function: "1f" -> (absent)',
        "seed: 0 -> (absent)",
    ]
    recipe = {"objective": "pytorch", "training": {"batch": 8, "metric": "f1"}, "content": "1f"}
    arms = {"slow": {"training": {"clip": 1.0}}}
    other = {**recipe, "training": {"batch": 16, "metric": "recall"}, "arms": arms, "content": "2f"}
    assert differences({"format": 2, "objective": recipe}, {"format": 2, "objective": other}) == [
        "[arms.slow] training.clip: (absent) -> 1.0",
        'the content of the data: "1f" -> "2f"',
        "[training] batch: 8 -> 16",
        'the metric: "f1" -> "recall"',
    ]


def test_refusal_names_both_values_in_full(tmp_path: Path) -> None:
    long, longer = "a" * 100, "a" * 100 + "b"
    folder(tmp_path, {"objective": {"text": long}, "seed": 0})
    with pytest.raises(StudyError, match=f'"{long}" -> "{longer}"'):
        folder(tmp_path, {"objective": {"text": longer}, "seed": 0})


def test_other_settings_are_noted_with_the_time(tmp_path: Path) -> None:
    other = {**SETTINGS, "stages": ["grid", "polish"]}
    folder(tmp_path, settings=SETTINGS, study_text="a = 1\n")
    created = json.loads((tmp_path / "run.json").read_text())["created"]
    for settings in (SETTINGS, other, other):
        assert folder(tmp_path, settings=settings, study_text="a = 2\n").settings == settings
    meta = json.loads((tmp_path / "run.json").read_text())
    assert meta["settings"] == other
    assert [entry["settings"] for entry in meta["history"]] == [SETTINGS, other]
    assert meta["created"] == created == meta["history"][0]["since"]
    assert (tmp_path / "study.toml").read_text() == "a = 2\n"
    assert RunFolder.open(tmp_path).settings == other


def test_fresh_start_moves_the_old_run_aside(tmp_path: Path) -> None:
    path = tmp_path / "run"
    for width in (1, 2, 3):
        made = folder(path, fresh=True)
        with Store(made) as store:
            store.append([trial(width)])
    kept = [tmp_path / "run.old-1", tmp_path / "run.old-2", path]
    widths = [[t.params["width"] for t in Store(RunFolder.open(p), writer=None).load().trials] for p in kept]
    assert widths == [[1], [2], [3]]


def test_fresh_start_is_refused_while_a_run_is_alive(tmp_path: Path) -> None:
    with Store(folder(tmp_path / "run")), pytest.raises(StoreError, match="in use by process"):
        folder(tmp_path / "run", fresh=True)
    assert not (tmp_path / "run.old-1").exists()


def test_fresh_start_leaves_a_folder_that_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("dear")
    folder(tmp_path / "letters", fresh=True)
    assert (tmp_path / "letters" / "a.txt").read_text() == "dear"


def test_run_json_that_is_lost_is_made_again_from_the_trials(tmp_path: Path) -> None:
    made = record_in(tmp_path, [trial(16)], settings=SETTINGS, study_text="x = 1\n")
    (tmp_path / "run.json").unlink()
    (tmp_path / "study.toml").unlink()
    assert RunFolder.open(tmp_path) == made
    assert folder(tmp_path) == made
    assert (tmp_path / "run.json").exists()


def test_damaged_run_json_says_what_to_do(tmp_path: Path) -> None:
    folder(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(StoreError, match=r"run.json is damaged.*remove this one file"):
        RunFolder.open(tmp_path)


def test_newer_run_json_is_refused(tmp_path: Path) -> None:
    folder(tmp_path)
    meta = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**meta, "format": 2}))
    with pytest.raises(MergeError, match=r"format 2.*update"):
        RunFolder.open(tmp_path)


def test_missing_run_folder_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="zonesearch run"):
        RunFolder.open(tmp_path / "none")
    with pytest.raises(StoreError, match="is not a run folder"):
        RunFolder.open(tmp_path)


def test_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_atomically(path, "one")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "two \ud800")
    assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]


def test_differences_are_empty_only_for_equal_identities() -> None:
    assert differences({"a": (1, 2)}, {"a": [1, 2]}) == []
    assert differences({"a": {}}, {"a": {"b": 1}}) == ["a: {} -> (absent)", "a.b: (absent) -> 1"]
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1}) != fingerprint({"a": 1, "b": 3})
