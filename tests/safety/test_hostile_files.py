"""Folders and archives that were damaged, or made to do harm: one sentence, within bounds."""

from __future__ import annotations

import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.run.made import SETTINGS, record_in, trial
from zonesearch import Study
from zonesearch.cli.main import main
from zonesearch.cli.terminal import Visible, visible
from zonesearch.errors import MergeError, StoreError
from zonesearch.run.storage import sources
from zonesearch.run.storage.identity import fingerprint
from zonesearch.run.storage.merge import merge
from zonesearch.run.storage.record import Heading
from zonesearch.run.storage.run_folder import RunFolder, checksum
from zonesearch.run.storage.store import Store

ROOT = Path(__file__).parents[2]


def accuracy(params: dict[str, Any]) -> float:
    return 0.5


def made(path: Path) -> Path:
    record_in(path, [trial(16)], settings=Study.of({"width": [16, 32]}, accuracy, stages=("grid",)).settings())
    return path


def sentence(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command that cannot do what it was asked says: one line."""
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err


# run.json


def test_run_json_that_was_changed_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = made(tmp_path / "run")
    file = run / "run.json"
    whole = file.read_text()
    file.write_text(whole.replace('"epochs": 1', '"epochs": 7'))
    for command in ("status", "trials", "report"):
        assert "its checksum does not fit" in sentence(capsys, command, str(run))
    file.write_text(json.dumps({k: v for k, v in json.loads(whole).items() if k != "checksum"}))
    assert main(["status", str(run)]) == 0  # an older run has none
    file.unlink()
    assert main(["status", str(run)]) == 0


def test_every_changed_byte_of_run_json_is_noticed_or_changes_nothing(tmp_path: Path) -> None:
    run = made(tmp_path / "run")
    file = run / "run.json"
    whole = file.read_bytes()
    heading = RunFolder.open(run).heading
    for at in range(0, len(whole), 7):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        try:
            found = RunFolder.open(run).heading
        except (StoreError, MergeError):
            continue
        assert found == heading


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        '{"a":' * 200_000,
        "[1]",
        '{"format": 1}',
        '{"format": "1", "study": "s", "name": "n", "identity": {}}',
        '{"format": 1, "study": 5, "name": "n", "identity": {}}',
        '{"format": 1, "study": "s", "name": ["n"], "identity": {}}',
        '{"format": 1, "study": "s", "name": "n", "identity": 3}',
        '{"format": 1, "study": "s", "name": "n", "identity": {}, "settings": "x"}',
        '{"format": 1, "study": "s", "name": "n", "identity": ' + '{"a":' * 300 + "1" + "}" * 301,
        '{"format": ' + "1" * 5000 + "}",
        "\x00" * 100,
        '{"format": 1, "study": "s", "name": "n", "identity": {}, "versions": {"a": NaN}}',
        '{"format": 1, "study": "s", "name": "n", "identity": {"a": [Infinity]}}',
        '{"format": 1, "study": "s", "name": "n", "identity": {}, "history": [{"since": "x"}]}',
        '{"format": 1, "study": "s", "name": "n", "identity": {}, "history": [3]}',
        '{"format": 1, "study": "s", "name": "n", "identity": {}, "history": 3}',
    ],
    ids=lambda text: text[:60],
)
def test_run_json_that_makes_no_sense_is_one_sentence(
    tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = made(tmp_path / "run")
    (run / "run.json").write_text(text)
    said = sentence(capsys, "status", str(run))
    assert "is damaged" in said or "update zonesearch" in said
    assert len(said) < 1000


def test_run_json_larger_than_any_is_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = made(tmp_path / "run")
    with (run / "run.json").open("r+b") as file:
        file.truncate(2**40)  # a terabyte of nothing
    assert "is larger than 64 MB" in sentence(capsys, "status", str(run))


def test_row_of_a_thousand_million_values_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = made(tmp_path / "run")
    meta = json.loads((run / "run.json").read_text())
    meta["settings"]["space"]["width"] = {"low": 1.0, "high": 2.0, "row": 10**9}
    meta["checksum"] = checksum(meta)
    (run / "run.json").write_text(json.dumps(meta))
    assert "1000000000" in sentence(capsys, "status", str(run))


# trials/


def test_trials_that_cannot_be_listed_are_an_error_and_not_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = made(tmp_path / "run")
    real = os.listdir

    def listdir(path: Any) -> list[str]:
        if str(path).endswith("trials"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", listdir)
        assert "Permission denied" in sentence(capsys, "status", str(run))
    trials = run / "trials"
    trials.rename(tmp_path / "away")
    assert "cannot be read: No such file" in sentence(capsys, "status", str(run))
    trials.write_text("a file")
    assert "cannot be read: Not a directory" in sentence(capsys, "status", str(run))
    trials.unlink()
    trials.symlink_to(tmp_path / "nowhere")
    assert "cannot be read: No such file" in sentence(capsys, "status", str(run))
    assert "cannot be read" in sentence(capsys, "merge", str(run), "--into", str(run))
    trials.unlink()
    trials.symlink_to(tmp_path / "away")
    assert main(["status", str(run)]) == 0


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_trials_without_permission_are_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = made(tmp_path / "run")
    (run / "trials").chmod(0)
    try:
        assert "Permission denied" in sentence(capsys, "status", str(run))
    finally:
        (run / "trials").chmod(0o700)


def test_file_of_trials_that_is_a_folder_or_a_broken_link_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = made(tmp_path / "run")
    (run / "trials" / "x.jsonl").mkdir()
    assert "is not a regular file" in sentence(capsys, "status", str(run))
    (run / "trials" / "x.jsonl").rmdir()
    (run / "trials" / "x.jsonl").symlink_to("nowhere")
    assert "cannot be read: No such file" in sentence(capsys, "status", str(run))


def test_line_without_end_is_not_held_in_memory(tmp_path: Path) -> None:
    run = made(tmp_path / "run")
    with (run / "trials" / "main.jsonl").open("r+b") as file:
        file.truncate(2**28)  # a quarter of a gigabyte without a line break
    limit = "import resource; resource.setrlimit(resource.RLIMIT_DATA, (2**29, 2**29))"
    code = f"{limit}\nimport sys\nfrom zonesearch.cli.main import main\nsys.exit(main(['status', sys.argv[1]]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(run)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "torn lines were skipped" in done.stdout


# archives


def test_archive_that_unpacks_to_far_more_than_its_size_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sources, "_SLACK", 2**20)
    zeros = bytes(2**25)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("run/trials/main.jsonl", zeros)
    for form in ("gz", "bz2", "xz"):
        with tarfile.open(tmp_path / f"bomb.tar.{form}", f"w:{form}") as tar:
            info = tarfile.TarInfo("run/other.bin" if form == "bz2" else "run/trials/main.jsonl")
            info.size = len(zeros)
            tar.addfile(info, io.BytesIO(zeros))
    for name in ("bomb.zip", "bomb.tar.gz", "bomb.tar.bz2", "bomb.tar.xz"):
        said = sentence(capsys, "merge", str(tmp_path / name), "--into", str(tmp_path / "new"))
        assert "would unpack to" in said
        assert not (tmp_path / "new").exists()


def test_archive_with_a_header_that_fills_the_memory_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 2**24
    with tarfile.open(tmp_path / "bomb.tar.gz", "w:gz") as tar:
        tar.addfile(info, io.BytesIO(bytes(2**24)))
    assert "a header of 16,777,216 bytes" in sentence(
        capsys, "merge", str(tmp_path / "bomb.tar.gz"), "--into", str(tmp_path / "new")
    )


def test_archive_of_a_real_run_is_far_from_being_refused(tmp_path: Path) -> None:
    """Trials that differ in nothing but what has to differ, packed as tightly as can be."""
    record_in(tmp_path / "run", [trial(width) for width in range(3000)])
    packed = Path(shutil.make_archive(str(tmp_path / "packed"), "xztar", tmp_path, "run"))
    size = sum(path.stat().st_size for path in (tmp_path / "run").rglob("*") if path.is_file())
    assert size < 0.5 * sources._MOST_UNPACKED * packed.stat().st_size
    assert merge([packed], tmp_path / "new").n_trainings == 3000


@pytest.mark.parametrize("cut", [10, 200, 600])
def test_archive_that_was_cut_or_is_none_is_one_sentence(
    tmp_path: Path, cut: int, capsys: pytest.CaptureFixture[str]
) -> None:
    record_in(tmp_path / "run", [trial(16)], settings=SETTINGS)
    for form in ("zip", "gztar", "xztar", "bztar"):
        packed = Path(shutil.make_archive(str(tmp_path / form), form, tmp_path, "run"))
        packed.write_bytes(packed.read_bytes()[:cut])
        assert "zonesearch: " in sentence(capsys, "merge", str(packed), "--into", str(tmp_path / "new"))


# terminals

EVIL = "\x1b]0;renamed\x07\x1b[2J\x9b1m\u202eevil"


def test_what_a_terminal_would_obey_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = visible(f"a\tb\n{EVIL}é")
    assert said == "a\tb\n\\x1b]0;renamed\\x07\\x1b[2J\\x9b1m\\u202eevilé"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert "\x1b" not in sentence(capsys, "status", EVIL.replace("\x07", ""))


def test_a_name_of_several_lines_takes_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "digits\nzonesearch: all is well"
    settings = Study.of({"width": [16, 32]}, accuracy, stages=("grid",)).settings()
    heading = Heading(fingerprint({"seed": 9}), name, {"seed": 9}, settings)
    strange = RunFolder.create(tmp_path / "strange", heading)
    with Store(strange, "main") as store:
        store.append([trial(16)])
    assert main(["status", str(strange.path)]) == 0
    assert capsys.readouterr().out.startswith("digits zonesearch: all is well (")
    record_in(tmp_path / "run", [trial(16)], settings=settings)
    said = sentence(capsys, "merge", str(strange.path), "--into", str(tmp_path / "run"))
    assert "another study (digits zonesearch: all is well)" in said


def test_commands_print_visibly_to_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    study = Study.of({"width": [16, 32]}, accuracy, stages=("grid",))
    record_in(
        tmp_path / "run", [trial(16, accuracy=0.5, host=EVIL), trial(16, accuracy=0.6)], settings=study.settings()
    )
    shown, piped = Terminal(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", shown)
    assert main(["status", str(tmp_path / "run")]) == 0
    monkeypatch.setattr(sys, "stdout", piped)
    assert main(["status", str(tmp_path / "run")]) == 0
    assert EVIL in piped.getvalue()  # a file gets what was recorded
    assert shown.getvalue() == visible(piped.getvalue())
    assert Visible(shown).isatty()


@pytest.mark.parametrize("command", ["report", "train"])
def test_file_is_not_put_in_the_place_of_a_pipe_or_a_folder(
    tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A rename would take the place of /dev/null for the whole machine, where the user may do that."""
    run = made(tmp_path / "run")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    for place in ("pipe", "link", "run"):
        said = sentence(capsys, command, str(run), "--out", str(tmp_path / place))
        assert "cannot be written: it is" in said
    assert stat.S_ISFIFO((tmp_path / "pipe").lstat().st_mode)
    assert (tmp_path / "link").is_symlink()


def test_sentence_about_megabytes_of_text_is_short(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = made(tmp_path / "run")
    meta = json.loads((run / "run.json").read_text())
    meta["settings"]["space"] = {"width": "8" * 3_000_000}
    meta["checksum"] = checksum(meta)
    (run / "run.json").write_text(json.dumps(meta))
    assert len(sentence(capsys, "status", str(run))) < 5000
