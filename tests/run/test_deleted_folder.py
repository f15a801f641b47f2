"""A run folder that is taken away under a run: an error, and a rescue file with all that was known."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.run.made import IDENTITY, folder, record_in, trial
from zonesearch import run_pipeline
from zonesearch.benchmark.comparing import compare_methods
from zonesearch.cli.main import main
from zonesearch.core.trials import Training, Trial, Trials
from zonesearch.errors import StoreError
from zonesearch.optuna.runs import viewed
from zonesearch.run.running import Silent, run_study
from zonesearch.run.shards import Shard
from zonesearch.run.storage.merge import merge
from zonesearch.run.storage.run_folder import RunFolder
from zonesearch.run.storage.store import Store
from zonesearch.study.study import Study


def rescued(error: object) -> Path:
    """The file that the message names."""
    found = re.search(r"that this run knows are in (\S+?\.rescued-\w+\.jsonl): `zonesearch merge", str(error))
    assert found, str(error)
    return Path(found[1])


def trouble(run: Path, act: Callable[[Store], None], said: str, writer: str = "main") -> StoreError:
    """What comes of it when ``act`` happens to a store of the run."""

    def enter() -> None:
        with Store(folder(run), writer) as store:
            store.load()
            act(store)

    with pytest.raises(StoreError, match=said) as error:
        enter()
    return error.value


def widths(trials: Trials) -> set[object]:
    return {t.params["width"] for t in trials}


def deleted(run: Path) -> None:
    shutil.rmtree(run)


def renamed(run: Path) -> None:
    run.rename(run.with_name("elsewhere"))


def replaced(run: Path) -> None:
    """By a copy that holds all that was recorded: what is written on would go nowhere all the same."""
    shutil.copytree(run, run.with_name("copy"))
    shutil.rmtree(run)
    run.with_name("copy").rename(run)


def made_anew(run: Path) -> None:
    """Deleted and made again at once: the file system may give the same inode numbers again."""
    shutil.rmtree(run)
    folder(run)


def without_trials(run: Path) -> None:
    shutil.rmtree(run / "trials")


def with_trials_made_anew(run: Path) -> None:
    shutil.rmtree(run / "trials")
    (run / "trials").mkdir()


def without_its_file(run: Path) -> None:
    (run / "trials" / "main.jsonl").unlink()


def with_another_file(run: Path) -> None:
    path = run / "trials" / "main.jsonl"
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data)


def with_another_lock(run: Path) -> None:
    path = run / "locks" / "folder.lock"
    path.unlink()
    path.touch()


def with_its_parent_gone(run: Path) -> None:
    shutil.rmtree(run.parent)


@pytest.mark.parametrize(
    "take_away",
    [
        deleted,
        renamed,
        replaced,
        made_anew,
        without_trials,
        with_trials_made_anew,
        without_its_file,
        with_another_file,
        with_another_lock,
        with_its_parent_gone,
    ],
)
@pytest.mark.parametrize("moment", ["before the first record", "later", "at the end"])
def test_folder_that_is_taken_away_is_an_error_that_names_a_rescue_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, take_away: Callable[[Path], None], moment: str
) -> None:
    monkeypatch.chdir(tmp_path)
    spare = tmp_path / "spare"
    spare.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(spare))
    run = Path("runs/run")  # relative, as users name it
    record_in(run, [trial(8), trial(16)])
    if moment == "before the first record" and take_away is with_another_file:
        pytest.skip("another file with the same records before one is opened is no loss")

    def act(store: Store) -> None:
        if moment != "before the first record":
            store.append([trial(32)])
        take_away(run)
        if moment != "at the end":
            store.append([trial(64)])

    error = trouble(run, act, r"was deleted, moved or replaced|was deleted or truncated")
    expected = {8, 16} | ({32} if moment != "before the first record" else set())
    expected |= {64} if moment != "at the end" else set()
    file = rescued(error)
    assert file.parent == (spare if take_away is with_its_parent_gone else tmp_path / "runs")
    merged = merge([file], tmp_path / "back")
    assert merged.folder.identity == IDENTITY
    assert widths(Store(merged.folder, writer=None).load().trials) == expected


def test_what_stays_where_it_is_costs_nothing(tmp_path: Path) -> None:
    run = tmp_path / "run"
    before = len(os.listdir("/proc/self/fd"))
    with Store(folder(run)) as store:
        store.append([trial(8)])
        (run / "report.html").write_text("a report")
        (run / "trials" / "shard-1-of-2.jsonl").write_bytes((run / "trials" / "main.jsonl").read_bytes())
        os.utime(run)
        store.append([trial(16)])
        assert len(store.refresh().trials) == 2
    assert len(os.listdir("/proc/self/fd")) == before
    assert list(tmp_path.glob("*.rescued-*")) == []
    with Store(folder(run)) as store:
        began = time.process_time()
        for _ in range(1000):
            store.check_presence()
        assert time.process_time() - began < 1.0


def test_links_to_a_folder_are_followed(tmp_path: Path) -> None:
    folder(tmp_path / "far")
    (tmp_path / "run").symlink_to(tmp_path / "far")
    with Store(folder(tmp_path / "run")) as store:
        store.append([trial(8)])
    folder(tmp_path / "other")

    def lead_elsewhere(store: Store) -> None:
        (tmp_path / "run").unlink()
        (tmp_path / "run").symlink_to(tmp_path / "other")
        store.append([trial(16)])

    trouble(tmp_path / "run", lead_elsewhere, "replaced")


def test_file_of_another_shard_that_is_deleted_or_cut_is_noticed_at_the_end(tmp_path: Path) -> None:
    for harm in (Path.unlink, lambda path: os.truncate(path, 100)):
        run = tmp_path / f"run-{harm.__name__}"
        record_in(run, [trial(8), trial(16)], "shard-2-of-2")

        def act(store: Store, run: Path = run, harm: Callable[[Path], None] = harm) -> None:
            store.append([trial(32)])
            harm(run / "trials" / "shard-2-of-2.jsonl")

        error = trouble(run, act, r"shard-2-of-2\.jsonl was deleted or truncated", "shard-1-of-2")
        back = merge([rescued(error)], tmp_path / f"{run.name}-back").folder
        assert widths(Store(back, None).load().trials) == {8, 16, 32}


def test_shard_that_waits_for_others_does_not_wait_in_a_folder_that_is_gone(tmp_path: Path) -> None:
    run = tmp_path / "run"

    def wait(store: Store) -> None:
        threading.Timer(0.2, shutil.rmtree, args=(run,)).start()
        store.wait_for([Training({"width": 8})], look_s=0.05)

    trouble(run, wait, "deleted", "shard-1-of-2")


def test_rescue_that_fails_everywhere_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    run = tmp_path / "runs" / "run"

    def act(store: Store) -> None:
        shutil.rmtree(tmp_path / "runs")
        store.append([trial(8)])

    trouble(run, act, r"could not be written beside it or to .*nowhere either")


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "none", str(place)], capture_output=True).returncode:
        pytest.skip("this machine does not allow a file system to be mounted")
    return place


def test_file_system_that_is_unmounted_is_noticed(small_disk: Path) -> None:
    def act(store: Store) -> None:
        store.append([trial(8)])
        subprocess.run(["umount", "-l", str(small_disk)], check=True)
        store.append([trial(16)])

    error = trouble(small_disk / "run", act, "deleted, moved or replaced")
    assert rescued(error).parent == small_disk, "the folder under the mount is there"


# Whole runs.

SPACE = {"x": [1, 2, 3, 4, 5, 6]}


def peak(params: dict[str, float]) -> float:
    return 1 - abs(params["x"] - 3) / 10


class Deleting(Silent):
    """Deletes the folder when half of the trials of the grid are there."""

    def __init__(self, run: Path) -> None:
        self._run = run

    def trials_came(self, new: Sequence[Trial], trials: Trials) -> None:
        if len(trials) >= 3:
            shutil.rmtree(self._run, ignore_errors=True)


def test_run_whose_folder_is_deleted_ends_with_an_error_and_goes_on_from_the_rescue(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(StoreError) as error:
        run_pipeline(SPACE, objective=peak, into=run, observer=Deleting(run))
    merge([rescued(error.value)], tmp_path / "back")
    n = len(Store(RunFolder.open(tmp_path / "back"), writer=None).load().trials)
    assert n >= 3
    result = run_pipeline(SPACE, objective=peak, into=tmp_path / "back")
    assert result.verdict is not None
    assert {t.provenance["host"] for t in result.trials}
    assert len(result.trials) > n


@pytest.mark.cluster
@pytest.mark.slow
def test_run_on_dask_whose_folder_is_deleted_ends_with_an_error(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    run = tmp_path / "run"
    with pytest.raises(StoreError) as error:
        run_pipeline(SPACE, objective=peak, into=run, observer=Deleting(run), workers=2, engine="dask://local")
    assert rescued(error.value).exists()


def test_shard_view_and_comparison_notice_too(tmp_path: Path) -> None:
    study = Study.of(SPACE, peak, stages=("grid",))
    run = tmp_path / "run"
    with pytest.raises(StoreError) as error:
        run_study(
            study, into=run, shard=Shard(1, 1), observer=Deleting(run), watching=viewed(str(run / "view.journal"))
        )
    assert len(merge([rescued(error.value)], tmp_path / "back").folder.name) > 0
    into = tmp_path / "compared"
    with pytest.raises(StoreError) as error:
        compare_methods(study, "random", budget=6, seeds=2, into=into, trained=lambda n: shutil.rmtree(into, True))
    assert rescued(error.value).exists()


STUDY = '[space]\nx = [1, 2, 3]\n[objective]\nfunction = "deleting_surface:accuracy"\n[search]\nstages = ["grid"]\n'


@pytest.mark.parametrize("options", [(), ("--json",), ("--quiet",)])
def test_command_gives_no_outcome_of_a_run_whose_folder_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("deleting_surface.py").write_text(
        "import shutil\ndef accuracy(params):\n    shutil.rmtree('run', True)\n    return 0.5\n"
    )
    Path("study.toml").write_text(STUDY)
    assert main(["run", "study.toml", "--into", "run", *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "run was deleted, moved or replaced" in err
    assert rescued(err).exists()
    assert not Path("run").exists(), "no report is left where the run was"


def test_folder_that_goes_while_the_report_is_written_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from zonesearch.run.result import Result

    monkeypatch.chdir(tmp_path)
    report = Result.report

    def slow(self: Result, path: Path) -> Path:
        shutil.rmtree("run")
        return report(self, path)

    monkeypatch.setattr(Result, "report", slow)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("quiet_surface.py").write_text("def accuracy(params):\n    return 0.5\n")
    Path("study.toml").write_text(STUDY.replace("deleting_surface", "quiet_surface"))
    assert main(["run", "study.toml", "--into", "run"]) == 2
    assert "deleted, moved or replaced" in capsys.readouterr().err
