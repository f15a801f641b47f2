"""The command line as a user types it: what it prints, where it leaves what, and how it refuses."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import preloaded
from tests.cluster.runs import until
from zonesearch.cli.main import COMMANDS, main, parser

ROOT = Path(__file__).parents[2]

SMALL = """
name = "small"
[space]
width = [8, 16]
batch = [32, 64]
[training]
epochs = 2
[search]
seeds = 2
[interval]
method = "split(2)"
[polish]
keep = 2
repeats = 2
schedules = ["constant", "step(every=1)"]
"""

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(SMALL)
    return tmp_path


@pytest.fixture
def command(here: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main(arguments)
        out, err = capsys.readouterr()
        return status, out, err

    return call


def refused(answer: tuple[int, str, str]) -> str:
    """The one sentence of a refusal."""
    status, _, err = answer
    assert status == 2
    assert err.startswith("zonesearch: ")
    assert "Traceback" not in err
    last = err.strip().splitlines()[-1]
    assert err.strip().count("\n") == 0, err
    return last


def test_run_ends_with_verdict_and_report_then_trains_nothing(command: Command, here: Path) -> None:
    status, out, _ = command("run", "small.toml")
    assert status == 0
    assert "finalists cannot be told apart" in out or "differs from" in out
    assert (here / "runs/small/report.html").stat().st_size > 100_000

    trials = sorted((here / "runs/small/trials").glob("*.jsonl"))
    before = [file.read_bytes() for file in trials]
    status, again, _ = command("run", "small.toml")
    assert status == 0
    assert "Nothing to train" in again
    assert [file.read_bytes() for file in trials] == before
    assert out.splitlines()[-2:] == again.splitlines()[-2:]


def test_run_of_a_study_that_ends_without_a_verdict_says_so(command: Command, here: Path) -> None:
    (here / "map.toml").write_text(SMALL[: SMALL.index("[interval]")] + 'stages = ["grid"]\n')
    status, out, _ = command("run", "map.toml")
    assert status == 0
    assert "Shard" not in out
    assert "8 trainings finished; this search ends without a verdict." in out
    assert (here / "runs/small/report.html").exists()


def test_status_trials_and_report_of_a_run(command: Command, here: Path) -> None:
    command("run", "small.toml", "--quiet")
    status = json.loads(command("status", "runs/small", "--json")[1])
    assert status["finished"] is True
    assert status["missing"] == status["failed"] == status["diverged"] == 0
    assert status["done"] > 8
    assert status["verdict"]["sentence"]
    assert [zone["number"] for zone in status["zones"]] == list(range(1, len(status["zones"]) + 1))
    assert status["zones"][0].keys() >= {"number", "peak", "value", "se", "cells", "intervals", "rim"}
    assert status["zones"][0]["peak"] in status["zones"][0]["cells"]
    assert [stage["stage"] for stage in status["stages"]] == ["grid", "interval", "polish"]
    assert "polish" in command("status", "runs/small")[1]

    header, *rows = command("trials", "runs/small", "--csv")[1].splitlines()
    assert header.startswith("width,batch,schedule,accuracy,")
    assert len(rows) == status["done"]

    code, out, _ = command("report", "runs/small", "--out", "elsewhere.html")
    assert code == 0
    assert out.strip() == "elsewhere.html"
    assert "<html" in (here / "elsewhere.html").read_text()


def test_new_writes_a_study_that_plans(command: Command, here: Path) -> None:
    assert command("new", "mine")[0] == 0
    status, out, _ = command("plan", "mine.toml", "--no-probe")
    assert status == 0
    assert "grid" in out
    assert "polish" in out
    assert "choose another name" in refused(command("new", "mine"))


def test_plan_says_at_most_how_much_and_how_long(command: Command) -> None:
    plan = json.loads(command("plan", "small.toml", "--json")[1])
    assert [stage["stage"] for stage in plan["stages"]] == ["grid", "interval", "polish"]
    assert plan["stages"][0]["trainings"] == 8
    assert plan["stages"][0]["epochs"] == 16
    assert plan["total"]["seconds"] > 0
    command("run", "small.toml", "--quiet")
    done = json.loads(command("status", "runs/small", "--json")[1])["done"]
    assert done <= plan["total"]["trainings"]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("trainning.epochs=3", 'unknown key "trainning"; did you mean "training"?'),
        ("optimizer.learning_rat=1", 'did you mean "learning_rate"?'),
        ("polish.kep=3", 'did you mean "keep"?'),
        ("training.epochs=0", "epochs must be a whole number, at least 1"),
        ("space.batch=[-16, 32]", "batch must be at least 1, not -16"),
        ("space.batch=[0, 32]", "batch must be at least 1, not 0"),
        ("space.batch=[]", "row is empty"),
        ("space.batch=[32, 100000]", "larger than the training split"),
        ("space.width={low=64, high=8}", "low must not exceed high"),
        ("space.widht=[8, 16]", 'did you mean "width"?'),
        ("data.root=/nowhere/at/all", "is no folder"),
        ("network.activation=rleu", 'did you mean "relu"?'),
        ("interval.method=spit(8)", 'did you mean "split"?'),
        ('polish.schedules=["stp(every=3)"]', 'did you mean "step"?'),
        ("search.reading=worst", "reading"),
    ],
)
def test_run_refuses_a_wrong_setting_in_one_sentence(command: Command, here: Path, setting: str, said: str) -> None:
    extra = ["--set", "data.name=mnist"] if setting.startswith("data.root") else []
    assert said in refused(command("run", "small.toml", "--set", setting, *extra))
    assert not (here / "runs").exists()


@pytest.mark.parametrize("quote", ['"', "'"])
def test_set_reaches_an_axis_with_a_dot_in_its_name(command: Command, here: Path, quote: str) -> None:
    key = f"space.{quote}early_stopping.patience{quote}"
    said = refused(command("run", "small.toml", "--set", f"{key}=[1, 0]"))
    assert "early_stopping.patience" in said
    assert "unknown key" not in said
    options = ["--no-probe", "--set", "early_stopping={}", "--set", f"{key}=[1, 2]"]
    assert command("plan", "small.toml", *options)[0] == 0


def test_run_refuses_a_study_that_has_changed(command: Command, here: Path) -> None:
    command("run", "small.toml", "--quiet")
    before = (here / "runs/small/trials/main.jsonl").read_bytes()
    said = refused(command("run", "small.toml", "--set", "optimizer.learning_rate=0.01"))
    assert "learning_rate: 0.001 -> 0.01" in said
    assert "--fresh" in said
    assert (here / "runs/small/trials/main.jsonl").read_bytes() == before
    assert command("run", "small.toml", "--set", "training.epochs=3", "--fresh", "--quiet")[0] == 0
    assert (here / "runs/small.old-1/trials/main.jsonl").read_bytes() == before


def test_run_refuses_a_folder_that_is_a_file(command: Command, here: Path) -> None:
    (here / "taken").write_text("a file")
    assert "taken" in refused(command("run", "small.toml", "--into", "taken"))
    assert "taken" in refused(command("run", "small.toml", "--into", "taken/inside"))


def test_run_refuses_a_missing_study_file_and_a_missing_run(command: Command) -> None:
    assert "nothing.toml" in refused(command("run", "nothing.toml"))
    assert "no run folder" in refused(command("status", "runs/nothing"))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('return "good"', "must give a number, but gave str"),
        ('return float("nan")', "all diverged"),
        ('raise RuntimeError("the disk of the camera is full")', "the disk of the camera is full"),
    ],
)
def test_run_says_what_is_wrong_with_an_objective(
    command: Command, here: Path, monkeypatch: pytest.MonkeyPatch, body: str, said: str
) -> None:
    module = f"objective_{abs(hash(body))}"
    (here / f"{module}.py").write_text(f"def train(params, seed, epochs):\n    {body}\n")
    monkeypatch.syspath_prepend(str(here))
    (here / "own.toml").write_text(f'[space]\nx = [1, 2, 3]\n[objective]\nfunction = "{module}:train"\n')
    assert said in command("run", "own.toml", "--quiet")[2]
    assert refused(command("run", "own.toml", "--quiet"))


@pytest.mark.slow
def test_second_run_in_a_folder_is_refused_while_one_is_alive(command: Command, here: Path) -> None:
    (here / "sleepy.py").write_text(
        "import time\ndef train(params, seed, epochs):\n    time.sleep(60)\n    return 1.0\n"
    )
    (here / "sleepy.toml").write_text('[space]\nx = [1, 2, 3]\n[objective]\nfunction = "sleepy:train"\n')
    environment = {**os.environ, "PYTHONPATH": str(here)}
    alive = preloaded.start("zonesearch", "run", "sleepy.toml", log=here / "log", env=environment)
    try:
        until(lambda: "trainings" in alive.log.read_text())
        second = preloaded.run("zonesearch", "run", "sleepy.toml", env=environment, timeout=60)
        assert second.returncode == 2
        holder = re.search(r"in use by process (\d+)", second.stderr)  # the one that trains; its parent watches it
        assert holder is not None
        parent = int(Path(f"/proc/{holder[1]}/stat").read_text().rpartition(")")[2].split()[1])
        assert alive.pid in (int(holder[1]), parent)
    finally:
        alive.kill()
        alive.wait()


def test_import_is_quick_to_load_and_without_torch() -> None:
    script = """
    import sys, zonesearch
    heavy = {"torch", "optuna", "plotly", "pandas", "sklearn"} & set(sys.modules)
    assert not heavy, heavy
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True)


def test_every_command_and_option_is_in_the_documents() -> None:
    documents = (ROOT / "README.md").read_text() + "".join(p.read_text() for p in (ROOT / "docs").glob("*.md"))
    root = parser()
    actions = {action.dest: action for action in root._actions}
    for name in COMMANDS:
        assert f"zonesearch {name}" in documents, name
        for action in actions["command"].choices[name]._actions:  # type: ignore[index]
            for option in action.option_strings:
                if option.startswith("--") and option != "--help":
                    assert option in documents, f"{name} {option}"


@pytest.mark.parametrize("study", sorted(path.name for path in (ROOT / "studies").glob("*.toml")))
def test_every_study_file_loads(study: str) -> None:
    from zonesearch import read_study

    made = read_study(ROOT / "studies" / study)
    assert made.stages


def test_status_says_what_each_shard_lacks_and_what_to_type_next(command: Command, here: Path) -> None:
    command("run", "small.toml", "--into", "part-1", "--shard", "1/2", "--quiet")
    command("merge", "part-1", "--into", "all")
    status = json.loads(command("status", "all", "--json")[1])
    first, second = status["shards"]
    assert first["missing"] == 0
    assert second["missing"] == second["missing"] + second["done"] > 0
    assert status["next"][0] == "zonesearch run STUDY.toml --shard 2/2"
    assert "shard 2/2: 0 done" in command("status", "all")[1]


def test_view_is_written_live_and_topped_up_without_doubles(command: Command, here: Path) -> None:
    import optuna

    url = f"sqlite:///{here}/view.db"
    assert command("run", "small.toml", "--view", url, "--quiet")[0] == 0
    n_done = json.loads(command("status", "runs/small", "--json")[1])["done"]

    def shown() -> int:
        return len(optuna.load_study(study_name="small", storage=url).trials)

    assert shown() == n_done
    assert command("view", "runs/small", "--storage", url)[1].startswith("0 trials added")
    assert shown() == n_done
    assert command("import", "--storage", url, "--study", "small", "--into", "back")[0] == 0
    assert json.loads(command("status", "back", "--json")[1])["done"] == n_done


def test_run_prints_json_for_scripts_and_nothing_else(command: Command) -> None:
    status, out, err = command("run", "small.toml", "--json")
    assert (status, err) == (0, "")
    outcome = json.loads(out)
    assert outcome["finished"] is True
    assert outcome["verdict"]["sentence"]
    assert out == command("status", "runs/small", "--json")[1]
