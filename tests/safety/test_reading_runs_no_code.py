"""Commands that read a run run nothing that it names, wherever it comes from, and work where its code is missing."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from zonesearch import Study
from zonesearch.cli.main import COMMANDS, main
from zonesearch.core.plugins import GROUPS
from zonesearch.run.loading import load_run
from zonesearch.run.recorded import read_run
from zonesearch.run.running import run_study
from zonesearch.run.shards import Shard
from zonesearch.run.storage.record import heading_line, parse, to_heading
from zonesearch.run.storage.run_folder import checksum

SPACE = {"width": [8.0, 16.0, 32.0, 64.0], "batch": [4.0, 8.0, 16.0]}

EVIL_CODE = """
import pathlib, os
pathlib.Path(os.environ["MARKER"]).write_text("ran")
class Stage:
    def __init__(self, *a, **k): pathlib.Path(os.environ["MARKER"]).write_text("ran")
    plan = forecast = __init__
def function(*a, **k): pathlib.Path(os.environ["MARKER"]).write_text("ran")
data = metric = network = arms = function
"""

EVIL_STUDY = """
name = "evil"
[space]
width = [8, 16, 32, 64]
batch = [4, 8, 16]
[data]
name = "os:system"
command = "touch $MARKER"
[objective]
{objective}
[network]
kind = "evil:network"
[training]
metric = "evil:metric"
epochs = 1
"""


class _OnLoad:
    def __reduce__(self) -> Any:
        return os.system, ("touch $MARKER",)


def accuracy(params: dict[str, Any], seed: int, epochs: int) -> float:
    return 0.9 - 0.001 * abs(params["width"] - 16) - 0.0001 * params["batch"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder from a stranger, and where the user stands; nothing in it may run."""
    marker = tmp_path / "marker"
    monkeypatch.setenv("MARKER", str(marker))
    here = tmp_path / "stranger"
    here.mkdir()
    monkeypatch.chdir(here)
    before = list(sys.path)
    yield here
    assert sys.path == before
    assert "evil" not in sys.modules
    assert not marker.exists(), "code of the run folder was run"


def plant(here: Path, *, sharded: bool = True, **changes: Any) -> Path:
    """A run that began as one of two shards, then everything in it that could name code names some."""
    run = here / "run"
    study = Study.of(SPACE, accuracy, name="evil", stages=("grid", "interval", "polish"))
    run_study(study, into=run, shard=Shard(1, 2) if sharded else None)
    for folder in (here, run, run / "trials", run / "locks"):
        (folder / "evil.py").write_text(EVIL_CODE)
        for shadow in ("pandas", "scipy", "optuna", "plotly", "sitecustomize", "random", "msgspec"):
            (folder / f"{shadow}.py").write_text(EVIL_CODE)
    info = here / "evil-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "".join(f"[{group}]\nevil = evil:Stage\n" for group in GROUPS.values())  # of any kind of part
    )
    for name in ("objective.pkl", "trials/main.pkl", "study.pickle"):
        (run / name).write_bytes(pickle.dumps(_OnLoad()))
    (run / "study.toml").write_text(EVIL_STUDY.format(objective='kind = "function"\nfunction = "evil:function"'))
    meta = json.loads((run / "run.json").read_text())
    meta["settings"].update(changes)
    meta["checksum"] = checksum(meta)
    (run / "run.json").write_text(json.dumps(meta))
    return run


def dashboard(run: str) -> int:
    from zonesearch.optuna.dashboard import Dashboard

    shown = Dashboard(run)
    assert shown.refresh()
    return 0


READING: dict[str, Callable[[str], int]] = {
    "status": lambda run: main(["status", run]),
    "status --json": lambda run: main(["status", run, "--json"]),
    "trials": lambda run: main(["trials", run]),
    "trials --csv": lambda run: main(["trials", run, "--csv"]),
    "report": lambda run: main(["report", run]),
    "report of two": lambda run: main(["report", run, run + "-2", "--out", "two.html"]),
    "view": lambda run: main(["view", run]),
    "merge": lambda run: main(["merge", run, "--into", "merged"]),
    "merge into": lambda run: main(["merge", run + "-2", "--into", run]),
    "compare": lambda run: main(["compare", run, "--methods", "random", "--budget", "4", "--seeds", "2", "--quiet"]),
    "claims": lambda run: main(["claims", run]),
    "dashboard": dashboard,
    "export": lambda run: main(["export", run, "--tensorboard", "board"]),
    "python": lambda run: 0 * len(read_run(run)[0].trials),
    "python load_run": lambda run: 0 * len(load_run(run)._repr_html_()),
}

TRAINING = {"plan", "run", "gallery", "submit", "lr-range"}
"""Commands that are given a study file, and run what it names: the user says which."""

TAKING_HOME = {"train"}
"""See test_taking_home_runs_no_code.py."""

WITHOUT_RUN = {"new", "schedule", "import"}
"""Commands that read no run folder."""


def test_every_command_is_known_to_read_or_to_train() -> None:
    """A command that is added has to be added here too: with those that read it is tried on a stranger's run."""
    read = {name.split()[0] for name in READING} - {"python"}
    assert read | TRAINING | TAKING_HOME | WITHOUT_RUN == set(COMMANDS)
    assert not read & (TRAINING | TAKING_HOME | WITHOUT_RUN)


@pytest.mark.parametrize("command", READING)
def test_reading_runs_nothing_that_a_run_names(here: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    run = plant(here)
    if "run-2" in command or command in ("report of two", "merge into"):
        import shutil

        shutil.copytree(run, here / "run-2")
    status = READING[command](str(run))
    said = capsys.readouterr()
    if command == "claims":  # a run of other stages makes none
        assert (status, said.err.count("\n")) == (2, 1)
    else:
        assert status == 0, said.err


def test_status_knows_what_was_dealt_without_the_objective(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = plant(here)
    assert main(["status", str(run), "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert [(s["shard"], s["done"], s["missing"]) for s in status["shards"]] == [("1/2", 6, 0), ("2/2", 0, 6)]
    assert status["next"][0] == "zonesearch run STUDY.toml --shard 2/2"


def test_status_of_a_round_that_was_not_dealt_yet_names_all_shards(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = Study.of(SPACE, accuracy, name="both", seeds=1)
    for i in (1, 2):
        run_study(study, into=here / f"part-{i}", shard=Shard(i, 2))
    assert main(["merge", "part-1", "part-2", "--into", "all"]) == 0
    capsys.readouterr()
    assert main(["status", "all", "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert (status["stage"], status["shards"]) == ("interval", [])
    assert status["next"] == [
        "zonesearch run STUDY.toml --shard 1/2",
        "zonesearch run STUDY.toml --shard 2/2",
        "zonesearch merge RUN... --into all",
    ]


def test_python_m_in_a_strangers_folder_imports_nothing_there(here: Path) -> None:
    run = plant(here)
    done = subprocess.run(
        [sys.executable, "-m", "zonesearch", "trials", run.name, "--csv"],
        cwd=here,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(main.__code__.co_filename).parents[2])},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("width,batch,accuracy")


@pytest.mark.parametrize(
    "stage",
    [
        {"kind": "evil", "name": "polish"},
        {"kind": "evil:Stage", "name": "polish"},
        {"kind": "os:system", "name": "polish", "command": "touch $MARKER"},
        {"kind": "interval", "name": "polish", "method": "evil(1)"},
        {"kind": "interval", "name": "polish", "method": "__import__('evil')"},
        {"kind": "interval", "name": "polish", "method": "split(__import__('evil'))"},
        {"kind": "optuna", "name": "polish", "sampler": "evil:Stage"},
        {"kind": "polish", "name": "polish", "schedules": ["evil:function"]},
        {"kind": "polish", "name": "polish", "unheard_of": 1},
    ],
    ids=lambda stage: f"{stage['kind']}-{len(stage)}",
)
def test_stage_that_is_not_known_here_is_named_and_what_came_before_is_shown(
    here: Path, stage: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    study = Study.of(SPACE, accuracy, name="evil", stages=("grid", "interval"))
    run = plant(here, sharded=False, stages=[*study.settings()["stages"], stage])
    assert main(["status", str(run), "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert (status["finished"], status["stage"], status["verdict"]) == (False, "polish", None)
    assert [s["finished"] for s in status["stages"]] == [True, True, False]
    if stage["kind"] != "polish" or "unheard_of" in stage:
        assert any("not known here" in note for note in status["notes"])
    for command in ("trials", "report", "view"):
        assert main([command, str(run)]) == 0
    assert read_run(run)[0].zones


@pytest.mark.parametrize(
    "settings",
    [
        {"space": 3},
        {"space": {"width": {"low": 1, "high": "evil"}}},
        {"stages": "evil"},
        {"stages": [3]},
        {"stages": [{"kind": "grid"}]},
        {"reading": "evil:function"},
        {"epochs": "evil"},
        {"epochs": []},
        {"epochs": 0},
        {"stages": [{"kind": "polish", "name": "polish", "epochs": 0}]},
        {"stages": [{"kind": "grid", "name": ["evil"]}]},
        {"stages": [{"kind": "interval", "name": "interval", "method": ["evil"]}]},
        {"space": {"width": {"low": 1, "high": 8, "integer": {"": {}}}}},
        {"metric": {"name": "evil:metric", "direction": "sideways"}},
        {"budget": {"evil": 3}},
    ],
    ids=str,
)
def test_settings_that_make_no_sense_get_one_sentence(
    here: Path, settings: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run = plant(here, **settings)
    status = main(["status", str(run)])
    said = capsys.readouterr().err
    assert status == 0 or (status, said.count("\n")) == (2, 1)
    assert "Traceback" not in said


def test_heading_in_the_trials_names_nothing_that_is_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = plant(here)
    [file] = run.glob("trials/*.jsonl")
    lines = file.read_bytes().splitlines(keepends=True)
    record = parse(lines[0])
    assert record is not None
    heading = to_heading(record)
    assert heading is not None
    evil = {**heading.settings, "stages": [{"kind": "evil:Stage", "name": "grid"}]}
    file.write_bytes(
        b"".join([heading_line(type(heading)(heading.study, "evil", heading.identity, evil, EVIL_STUDY)), *lines[1:]])
    )
    (run / "run.json").unlink()
    assert main(["status", str(run)]) == 0
    assert '"evil:Stage" among the stages' in capsys.readouterr().out


def test_links_and_pipes_in_a_run_folder_do_no_harm(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = plant(here)
    letter = here / "letter.txt"
    letter.write_text("dear")
    (run / "view.journal").symlink_to(letter)
    for command in (["view", str(run)],):
        assert main(command) == 2
        assert "is a link to" in capsys.readouterr().err
    (run / "view.journal").unlink()
    os.mkfifo(run / "view.journal")  # which would keep a reader waiting for ever
    assert main(["view", str(run)]) == 2
    assert "is not a regular file" in capsys.readouterr().err
    (run / "view.journal").unlink()
    for lock in (run / "locks").glob("*.lock"):
        lock.unlink()
        lock.symlink_to(letter)
    assert main(["merge", str(run), "--into", str(run)]) == 2
    assert "cannot be locked" in capsys.readouterr().err
    assert letter.read_text() == "dear"
    (run / "trials" / "more.jsonl").symlink_to(letter)  # no line of it is a record
    assert main(["status", str(run)]) == 0
    assert "1 torn line" in capsys.readouterr().out
    (run / "trials" / "more.jsonl").unlink()
    os.mkfifo(run / "trials" / "pipe.jsonl")
    for command in (["status", str(run)], ["merge", str(run), "--into", str(here / "new")]):
        assert main(command) == 2
        assert "is not a regular file" in capsys.readouterr().err
    (run / "trials" / "pipe.jsonl").unlink()
    (run / "study.toml").unlink()
    os.mkfifo(run / "study.toml")
    assert main(["status", str(run)]) == 0
    assert "study.toml was left out" in capsys.readouterr().out


def test_study_file_that_is_no_utf8_is_left_out_with_a_note(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = plant(here)
    (run / "study.toml").write_bytes(b'name = "caf\xe9"\n')
    assert main(["status", str(run)]) == 0
    assert "study.toml was left out: it is not UTF-8" in capsys.readouterr().out
    assert main(["report", str(run)]) == 0


@pytest.mark.parametrize("word", ["9/2", "hello", "0/0", "1/9" + "9" * 5000, "1/99999999", 7, ["1/2"], {"evil": 1}])
def test_shard_that_cannot_be_is_ignored_with_a_note(here: Path, word: Any, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.run.made import record_in, trial
    from zonesearch.core.trials import Trial

    made = trial(16)
    settings = Study.of({"width": [16, 32]}, accuracy).settings()
    record_in(here / "run", [Trial(made.training, accuracy=0.5, provenance={"shard": word})], settings=settings)
    assert main(["status", "run", "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["done"] == 1
    assert [note for note in status["notes"] if "There is no shard" in note]
    assert (status["shards"], status["next"]) == ([], [])
