"""Clocks that jump, machines that share a folder, objectives that contradict themselves, closed streams, and so on."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import pytest

from tests.run.made import folder, trial
from zonesearch import Study
from zonesearch.cli.main import main
from zonesearch.errors import StoreError, ZoneSearchError
from zonesearch.run.recorded import read_run
from zonesearch.run.running import run_study
from zonesearch.run.shards import Shard
from zonesearch.run.storage.merge import merge
from zonesearch.run.storage.run_folder import RunFolder, checksum
from zonesearch.run.storage.store import Store

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
SPACE = {"x": [1.0, 2.0, 3.0], "y": [1.0, 2.0]}


def accuracy(params: dict[str, Any], seed: int, epochs: int) -> float:
    return 0.9 - 0.01 * abs(params["x"] - 2) - 0.001 * params["y"]


def outcome(run: Path) -> list[tuple[Any, ...]]:
    return [(t.training, t.state, t.accuracy) for t in read_run(run)[0].trials]


def test_clock_that_goes_back_changes_nothing_but_the_recorded_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Study.of(SPACE, accuracy)
    run_study(study, into=tmp_path / "right")
    years = itertools.count(1)

    class Back(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime(2020, 1, 1, tzinfo=tz) - timedelta(days=365 * next(years))

    monkeypatch.setattr("zonesearch.run.engines.worker.datetime", Back)
    monkeypatch.setattr("zonesearch.run.storage.run_folder.datetime", Back)
    for _ in range(2):
        run_study(study, into=tmp_path / "back")
        for file in (tmp_path / "back" / "trials").iterdir():
            os.utime(file, (1, 1))
    assert outcome(tmp_path / "back") == outcome(tmp_path / "right")
    starts = [t.provenance["started"] for t in read_run(tmp_path / "back")[0].trials.records()]
    assert max(starts) < "2020"


def held_elsewhere(run: Path, host: str, writer: str) -> subprocess.Popen[str]:
    """A process on another machine that writes in the same folder, as far as this process can tell."""
    code = (
        "import socket, sys; socket.gethostname = lambda: sys.argv[2]\n"
        "from zonesearch.run.storage.run_folder import RunFolder; from zonesearch.run.storage.store import Store\n"
        "store = Store(RunFolder.open(sys.argv[1]), sys.argv[3]); print('in', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(run), host, writer],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "in\n"
    return process


def test_second_host_on_a_shared_folder_is_kept_out_by_name(tmp_path: Path) -> None:
    here = folder(tmp_path / "run")
    process = held_elsewhere(tmp_path / "run", "box2", "shard-2-of-2")
    try:
        with pytest.raises(StoreError, match=f"in use by process {process.pid} on box2"):
            Store(here, "shard-2-of-2")
        with pytest.raises(StoreError, match="in use"):
            Store(here)
        with Store(here, "shard-1-of-2") as store:
            store.append([trial(16)])
    finally:
        process.communicate("")
    with Store(here):
        pass


def test_hosts_on_a_file_system_without_locks_lose_nothing_and_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "flock", lambda descriptor, how: None)
    here = folder(tmp_path / "run")
    with Store(here) as one, Store(here) as two:
        one.append([trial(1)])
        two.append([trial(2)])
        with pytest.warns(UserWarning, match="another process is also writing to .*main.jsonl"):
            one.append([trial(3)])
        one.append([trial(4)])  # said once
        with pytest.warns(UserWarning, match="no locks between machines"):
            two.append([trial(5)])
    loaded = Store(RunFolder.open(tmp_path / "run"), writer=None).load()
    assert loaded.n_torn == 0
    assert {t.params["width"] for t in loaded.trials} == {1, 2, 3, 4, 5}


noise: Iterator[int] = itertools.count()


def moody(params: dict[str, Any], seed: int, epochs: int) -> float:
    """Looks at nothing but how often it was called."""
    return 0.5 + 0.001 * next(noise)


def test_objective_that_contradicts_itself_is_reported_and_every_machine_chooses_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = Study.of(SPACE, moody, stages=("grid",), seeds=1)
    for name in ("a", "b"):
        run_study(study, into=tmp_path / name)
    forth = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "forth")
    back = merge([tmp_path / "b", tmp_path / "a"], tmp_path / "back")
    assert len(forth.conflicts) == 6
    assert list(map(str, forth.conflicts)) == list(map(str, back.conflicts))
    assert outcome(tmp_path / "forth") == outcome(tmp_path / "back")
    assert main(["status", str(tmp_path / "forth")]) == 0
    assert capsys.readouterr().out.count("conflict: training") == 6
    before = outcome(tmp_path / "forth")
    run_study(study, into=tmp_path / "forth")  # nothing is trained again because of it
    assert outcome(tmp_path / "forth") == before
    assert main(["report", str(tmp_path / "forth")]) == 0


def failing(params: dict[str, Any], seed: int, epochs: int) -> float:
    if params["x"] == 3.0:
        raise RuntimeError("<script>" + "no memory " * 300_000)
    return 0.5


def test_errors_of_three_megabytes_are_shortened_and_said_briefly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_study(Study.of(SPACE, failing, stages=("grid",), seeds=1), into=tmp_path / "run")
    results, n_torn = read_run(tmp_path / "run")
    failed = [t for t in results.trials if t.state == "failed"]
    assert (n_torn, len(failed)) == (0, 2)
    for trial_of_it in failed:
        assert len(trial_of_it.error) < 5_000
        assert "RuntimeError: <script>no memory" in trial_of_it.error
        assert trial_of_it.error.rstrip().endswith("no memory")
    assert all(len(note) < 2000 for note in results.notes)
    for command in ("status", "trials", "report"):
        assert main([command, str(tmp_path / "run")]) == 0
        assert len(capsys.readouterr().out) < 10_000
    assert (tmp_path / "run" / "report.html").stat().st_size < 10_000_000
    merge([tmp_path / "run"], tmp_path / "merged")
    assert outcome(tmp_path / "merged") == outcome(tmp_path / "run")


STUDY = """
name = "loud"
[space]
x = [1.0, 2.0, 3.0]
[objective]
function = "loud:accuracy"
[search]
stages = ["grid"]
seeds = 1
"""

LOUD = """
import os
def accuracy(params):
    for descriptor in range(12):
        try:
            os.write(descriptor, b"noise\\n") if descriptor in (0, 1, 2) else None
        except OSError:
            pass
    return 0.5
"""


@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", ">&-", "2>&-"])
def test_command_with_closed_streams_keeps_what_is_printed_out_of_its_files(tmp_path: Path, closed: str) -> None:
    (tmp_path / "loud.toml").write_text(STUDY)
    (tmp_path / "loud.py").write_text(LOUD)
    command = f'exec "$0" -m zonesearch run loud.toml --into run {closed}'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    loaded = Store(RunFolder.open(tmp_path / "run"), writer=None).load()
    assert (len(loaded.trials), loaded.n_torn) == (3, 0)
    for file in (tmp_path / "run").rglob("*"):
        assert file.is_dir() or b"noise\n" not in file.read_bytes(), file


def test_store_takes_no_descriptor_of_a_standard_stream(tmp_path: Path) -> None:
    code = (
        "import os, sys; from zonesearch.run.storage.store import Store; from tests.run.made import folder, trial\n"
        "os.close(1); os.close(2); store = Store(folder(sys.argv[1])); store.append([trial(16)])\n"
        "os.write(1, b'noise') if os.path.exists('/proc/self/fd/1') else None\n"
        "store.append([trial(32)]); assert store._descriptor > 2"
    )
    with suppress(subprocess.CalledProcessError):  # the lock may have got the number, and takes the noise
        subprocess.run([sys.executable, "-c", code, str(tmp_path / "run")], cwd=ROOT, env=ENVIRONMENT, check=True)
    loaded = Store(RunFolder.open(tmp_path / "run"), writer=None).load()
    assert (len(loaded.trials), loaded.n_torn) == (2, 0)


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:All-NaN")  # epochs at which no curve has a value
def test_import_of_a_hostile_optuna_study_makes_a_folder_that_can_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    evil = "<script>alert(1)</script>\x1b[2J=cmd()"
    storage = f"sqlite:///{tmp_path}/theirs.db"
    study = optuna.create_study(storage=storage, study_name=evil, direction="maximize")
    numbers = optuna.distributions.FloatDistribution(0.0, 1.0)
    words = optuna.distributions.CategoricalDistribution(("=1+1", "<b>", "../../x"))
    for i, word in enumerate(words.choices):
        study.add_trial(
            optuna.trial.create_trial(
                params={evil: 0.5, "word": word},
                distributions={evil: numbers, "word": words},
                value=0.1 * i,
                user_attrs={"shard": "9/2", "key": "x", "error": evil, "zonesearch:study": 5},
                intermediate_values={0: 0.1, 5: float("nan"), 10**6: 0.3},
            )
        )
    status = main(["import", "--storage", storage, "--study", evil, "--into", str(tmp_path / "run")])
    said = capsys.readouterr()
    assert status == 0, said.err
    for command in (["status"], ["report"], ["trials", "--csv"]):
        assert main([command[0], str(tmp_path / "run"), *command[1:]]) == 0
        assert "\n=" not in capsys.readouterr().out
    assert "<script>alert(1)" not in (tmp_path / "run" / "report.html").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "theirs.db"]


def test_shard_whose_folder_was_copied_by_hand_is_told_what_was_dealt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The deal travels with the file of trials, whichever way that is brought along."""
    study = Study.of(SPACE, accuracy, stages=("grid",))
    run_study(study, into=tmp_path / "a", shard=Shard(1, 3))
    (tmp_path / "b").mkdir()
    shutil.copytree(tmp_path / "a" / "trials", tmp_path / "b" / "trials")
    assert main(["status", str(tmp_path / "b"), "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert [(s["shard"], s["done"], s["missing"]) for s in status["shards"]] == [
        ("1/3", 2, 0),
        ("2/3", 0, 2),
        ("3/3", 0, 2),
    ]


HALF = "caf\udce9"  # as Python shows the file name caf\\xe9 of an older system


def test_error_with_half_of_a_character_is_recorded_so_that_it_can_be_printed(tmp_path: Path) -> None:
    def fails(params: dict[str, Any]) -> float:
        if params["x"] == 2:
            raise FileNotFoundError(HALF)
        return accuracy({**params, "y": 1}, 0, 1)

    study = Study.of({"x": [1.0, 2.0, 3.0]}, fails, stages=("grid",), seeds=1)
    run_study(study, into=tmp_path / "run")
    [failed] = [t for t in read_run(tmp_path / "run")[0].trials if t.state == "failed"]
    assert "caf\\udce9" in failed.error
    failed.error.encode()


@pytest.mark.parametrize(
    "made",
    [
        lambda: Study.of(SPACE, accuracy, name=HALF),
        lambda: Study.of({HALF: [1, 2]}, accuracy),
        lambda: Study.of({"x": ["a", HALF]}, accuracy),
    ],
    ids=["study", "axis", "choice"],
)
def test_name_with_half_of_a_character_is_refused(made: Callable[[], Study]) -> None:
    with pytest.raises(ZoneSearchError, match=r"can be written, not 'caf.udce9'"):
        made()


def test_run_json_with_half_of_a_character_is_damaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_study(Study.of(SPACE, accuracy, name="whole", stages=("grid",)), into=tmp_path / "run")
    file = tmp_path / "run" / "run.json"
    meta = {**json.loads(file.read_text()), "name": HALF}
    file.write_text(json.dumps({**meta, "checksum": checksum(meta)}))
    assert main(["status", str(tmp_path / "run")]) == 2
    assert "is damaged" in capsys.readouterr().err
