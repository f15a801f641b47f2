"""A command as a process: signals, closed streams, readers that leave, and disks that are full at the end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cluster.runs import n_recorded, until
from tests.run.test_engines import left_in_group
from zonesearch.cli.main import main
from zonesearch.run.recorded import read_run
from zonesearch.run.storage.run_folder import RunFolder
from zonesearch.run.storage.store import Store

STUDY = (
    '[space]\nx = [1, 2, 3, 4]\n[objective]\nfunction = "a_surface:accuracy"\n[search]\nstages = ["grid"]\nseeds = 1\n'
)
SURFACE = """
import time

def accuracy(params):
    time.sleep({seconds})
    return 1 - abs(params["x"] - 2) / 10
"""

ENDLESS = """
import time
from itertools import count

calls = count()

def accuracy(params):
    time.sleep(100 if next(calls) else 0)
    return 0.5
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("study.toml").write_text(STUDY)
    Path("a_surface.py").write_text(SURFACE.format(seconds=0.01))
    return tmp_path


def shell(line: str) -> subprocess.CompletedProcess[str]:
    command = line.replace("zonesearch", f"{sys.executable} -m zonesearch", 1)
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)


def _heed_signals() -> None:
    """What the tests' own caller has ignored (nohup, ``&`` in a script) a run would go on ignoring."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


def ended(name: str, *arguments: str, to_group: bool = False) -> tuple[int, str]:
    """The exit status and the errors of a run of endless trainings that got a signal when the first was recorded."""
    Path("a_surface.py").write_text(ENDLESS)
    command = [sys.executable, "-m", "zonesearch", "run", "study.toml", "--into", name, *arguments]
    scratch = Path(name + "-scratch")
    scratch.mkdir()
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(scratch)},
        preexec_fn=_heed_signals,
    )
    until(lambda: n_recorded(Path(name)) > 0)
    if to_group:
        os.killpg(process.pid, getattr(signal, name))
    else:
        process.send_signal(getattr(signal, name))
    errors = process.communicate(timeout=60)[1]
    assert left_in_group(process.pid) == []
    assert list(scratch.iterdir()) == [], "scratch files are left"
    return process.returncode, errors


@pytest.mark.parametrize(
    ("name", "status", "workers", "to_group"),
    [("SIGTERM", 143, "2", False), ("SIGHUP", 129, "1", True), ("SIGINT", 130, "1", False)],
)
def test_signal_that_asks_to_end_is_obeyed_as_ctrl_c_is(
    here: Path, name: str, status: int, workers: str, to_group: bool
) -> None:
    returned, errors = ended(name, "--workers", workers, "--quiet", to_group=to_group)
    assert returned == status
    assert errors == "zonesearch: stopped; finished trainings are kept, and the same command continues\n"
    assert len(read_run(name)[0].trials) >= 1


def test_training_that_takes_a_single_worker_with_it_costs_itself_alone(here: Path) -> None:
    """The run is in that process too: it goes on in another one, and --fresh is not done again."""
    assert main(["run", "study.toml", "--into", "run"]) == 0
    Path("a_surface.py").write_text(
        "import os\ndef accuracy(params):\n    if params['x'] == 3:\n        os._exit(0)\n    return params['x'] / 10\n"
    )
    done = shell("zonesearch run study.toml --into run --fresh")
    assert done.returncode == 0, done.stderr
    assert "ended in the middle of a training (it exited with status 0; out of memory?)" in done.stderr
    assert "1 of 4 trainings failed, the first with: the process that trained this ended" in done.stdout
    states = {t.params["x"]: t.state for t in read_run("run")[0].trials}
    assert states == {1: "complete", 2: "complete", 3: "failed", 4: "complete"}
    assert sorted(path.name for path in here.glob("run*")) == ["run", "run.old-1"]


@pytest.mark.parametrize(
    ("command", "status", "says"),
    [
        ("plan study.toml", 0, "failed (the process that trained this ended"),
        ("lr-range net.toml", 2, "failed: the process"),
        ("compare study.toml --budget 2 --seeds 1 --methods random", 2, "no training of any search was completed"),
    ],
)
def test_other_commands_that_train_survive_a_training_that_ends_its_process(
    here: Path, command: str, status: int, says: str
) -> None:
    Path("a_surface.py").write_text("import os\ndef accuracy(params):\n    os._exit(3)\nnetwork = accuracy\n")
    Path("net.toml").write_text('[space]\nlearning_rate = [0.1, 0.2]\n[network]\nkind = "a_surface:network"\n')
    done = shell(f"zonesearch {command}")
    assert done.returncode == status, done.stderr
    assert "process ended in the middle of a training (it exited with status 3; out of memory?)" in done.stderr
    assert says in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_process_that_is_killed_takes_the_run_with_it(here: Path) -> None:
    Path("a_surface.py").write_text(ENDLESS)
    with subprocess.Popen([sys.executable, "-m", "zonesearch", "run", "study.toml", "--into", "run"]) as process:
        until(lambda: n_recorded(Path("run")) > 0)
        process.kill()
    with Store(RunFolder.open("run")) as store:
        assert len(store.load().trials) == 1


def test_run_without_standard_streams_writes_nothing_but_trials_into_its_files(here: Path) -> None:
    Path("a_surface.py").write_text('import os\ndef accuracy(params):\n    os.write(1, b"noise")\n    return 0.5\n')
    done = shell("zonesearch run study.toml --into run <&- >&- 2>&-")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert b"noise" not in Path("run/trials/main.jsonl").read_bytes()
    assert len(read_run("run")[0].trials) == 4


def test_reader_that_leaves_ends_the_output_and_not_the_run(here: Path) -> None:
    done = shell("zonesearch run study.toml --into run 2>&1 | true; exit ${PIPESTATUS[0]}")
    assert done.returncode in (0, 1)
    assert "Traceback" not in done.stderr
    assert len(read_run("run")[0].trials) == 4
    assert Path("run/report.html").exists()


def test_output_to_a_full_disk_is_one_sentence(here: Path) -> None:
    done = shell("zonesearch run study.toml --into run > /dev/full")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "zonesearch: the output cannot be written: No space left on device"
    assert "Traceback" not in done.stderr
    assert Path("run/report.html").exists()


@pytest.mark.parametrize("options", ["--help", "--version", "plan --help"])
def test_help_that_cannot_be_written_is_an_error(options: str) -> None:
    done = shell(f"zonesearch {options} > /dev/full")
    assert done.returncode == 2
    assert done.stderr == "zonesearch: the output cannot be written: No space left on device\n"


def test_progress_that_cannot_be_shown_ends_nothing(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with open("/dev/full", "w", buffering=1) as full:
        monkeypatch.setattr(sys, "stderr", full)
        assert main(["run", "study.toml", "--into", "run"]) == 0
        monkeypatch.undo()
        with suppress(OSError):
            full.close()
    assert "4 trainings finished" in capsys.readouterr().out


@pytest.mark.parametrize("options", [(), ("--quiet",), ("--json",)])
def test_disk_that_is_full_at_report_time_leaves_the_outcome(
    here: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    """A file system on which the trials fit and the report does not."""
    place = here / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(place)], capture_output=True).returncode:
        pytest.skip("this machine does not allow a small file system to be mounted")
    try:
        Path("study.toml").write_text(STUDY.replace('stages = ["grid"]\n', ""))
        assert main(["run", "study.toml", "--into", str(place / "run"), *options]) == 0
        out, err = capsys.readouterr()
        if options == ("--json",):
            assert json.loads(out)["finished"]
        else:
            assert "x 2:" in out
        assert "Report:" not in out
        warning = err.splitlines()[-1]
        assert warning.startswith("zonesearch: the report")
        assert "No space left on device" in warning
        assert f"`zonesearch report {place}/run` writes it later" in warning
        assert sorted(path.name for path in (place / "run").iterdir()) == ["locks", "run.json", "study.toml", "trials"]
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
