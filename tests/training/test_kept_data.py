"""Data are read once: kept in the user's cache as files, mapped by all processes, and the same numbers as before."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from zonesearch import ObjectiveError, StoreError, Training
from zonesearch.core.trials import Trial
from zonesearch.run.engines.runner import open_engine
from zonesearch.run.engines.scratch import PREFIX, remove_abandoned
from zonesearch.training.data import Split, load
from zonesearch.training.data.shelf import Entry, Shelf
from zonesearch.training.recipe import Recipe
from zonesearch.training.settings import DataSettings, NetworkSettings


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache of this test alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    load.cache_clear()
    yield tmp_path / "cache" / "zonesearch" / "data"
    load.cache_clear()


def entries(cache: Path) -> list[Path]:
    return sorted(path for path in cache.iterdir() if path.is_dir())


def read(settings: DataSettings, seed: int = 0, **more: Any) -> Split:
    """As a process would that begins now."""
    load.cache_clear()
    return load(settings, seed, **more)


def tensors(data: Split) -> list[torch.Tensor]:
    found = [tensor for part in (data.train, data.validation, data.test) for tensor in part]
    given = [] if data.given is None else tensors(data.given)
    return [tensor for tensor in found if isinstance(tensor, torch.Tensor)] + given


def assert_same(a: Split, b: Split) -> None:
    for x, y in zip(tensors(a), tensors(b), strict=True):
        assert x.dtype == y.dtype
        assert torch.equal(x, y)
    for name in ("n_classes", "digest", "scale", "preprocessing", "limited", "code"):
        assert getattr(a, name) == getattr(b, name), name
    assert repr(a.preprocessing) == repr(b.preprocessing), "to the type: a class 1 is no class 1.0"


def write_arrays(path: Path, seed: int = 0, whole: bool = False) -> DataSettings:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 50, (60, 5)) if whole else rng.normal(size=(60, 5))
    np.savez(path, x=x, y=np.arange(60) % 3)
    return DataSettings(name="arrays", root=str(path))


def write_images(root: Path, sides: int = 8) -> DataSettings:
    rng = np.random.default_rng(0)
    for label in ("a", "b"):
        (root / label).mkdir(parents=True)
        for i in range(12):
            Image.fromarray(rng.integers(0, 255, (sides, sides, 3), dtype=np.uint8)).save(root / label / f"{i}.png")
    return DataSettings(name="images", root=str(root))


def write_table(path: Path) -> DataSettings:
    words = ["red", "", "blue"]
    rows = [f"{i / 7},{words[i % 3]},{i % 2}" for i in range(60)]
    path.write_text("\n".join(["a,b,target", *rows]))
    return DataSettings(name="table", root=str(path), target="target")


@pytest.fixture(params=["digits", "arrays", "whole", "images", "limited", "table", "regression"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> DataSettings:
    made = {
        "digits": lambda: DataSettings(limit=100),
        "arrays": lambda: write_arrays(tmp_path / "a.npz"),
        "whole": lambda: write_arrays(tmp_path / "a.npz", whole=True),
        "images": lambda: write_images(tmp_path / "images"),
        "limited": lambda: DataSettings(**{**vars(write_images(tmp_path / "images")), "limit": 6}),
        "table": lambda: write_table(tmp_path / "a.csv"),
        "regression": lambda: DataSettings(**{**vars(write_table(tmp_path / "a.csv")), "task": "regression"}),
    }
    found: DataSettings = made[request.param]()
    return found


@pytest.mark.parametrize("double", [False, True])
def test_kept_data_are_those_that_were_read(
    settings: DataSettings, double: bool, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as none_kept:
        none_kept.setenv("ZONESEARCH_CACHE_MB", "0")
        plain = read(settings, double=double)
    assert not cache.exists()
    first, again = read(settings, double=double), read(settings, double=double)
    assert len(entries(cache)) == 1
    assert_same(plain, first)
    assert_same(plain, again)


def test_kept_data_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = write_images(tmp_path / "images")
    data = read(settings)
    monkeypatch.setattr(Image, "open", lambda *given: pytest.fail("an image was read again"))
    assert_same(read(settings), data)


def test_another_seed_limit_or_precision_is_another_entry(cache: Path) -> None:
    for seed, limit, double in [(0, 0, False), (1, 0, False), (0, 50, False), (0, 0, True)]:
        read(DataSettings(limit=limit), seed, double=double)
    assert len(entries(cache)) == 4


def test_changed_files_are_other_data_even_with_the_old_date(tmp_path: Path) -> None:
    settings = write_arrays(path := tmp_path / "a.npz")
    before, date = read(settings), path.stat().st_mtime_ns
    write_arrays(path, seed=1)
    os.utime(path, ns=(date, date))
    assert read(settings).digest != before.digest
    write_arrays(path)
    assert read(settings).digest == before.digest


def test_changed_image_is_other_data_even_with_the_old_date_and_size(tmp_path: Path) -> None:
    root = tmp_path / "images"
    settings = write_images(root)
    for path in root.rglob("*.png"):
        Image.open(path).save(path.with_suffix(".bmp"))
        path.unlink()
    before = read(settings)
    path = root / "a" / "0.bmp"
    date = path.stat().st_mtime_ns
    path.write_bytes(path.read_bytes()[:-9] + b"\0" * 9)
    os.utime(path, ns=(date, date))
    assert read(settings).digest != before.digest


@pytest.mark.parametrize("harm", ["torn", "overwritten", "lost", "facts", "no facts", "other facts", "pickle"])
def test_damaged_entry_is_made_anew(cache: Path, tmp_path: Path, harm: str) -> None:
    settings = write_arrays(tmp_path / "a.npz")
    data = [tensor.clone() for tensor in tensors(read(settings))]
    load.cache_clear()
    (entry,) = entries(cache)
    file = entry / "train.x.npy"
    if harm == "torn":
        os.truncate(file, file.stat().st_size - 8)
    elif harm == "overwritten":
        file.write_bytes(bytes(file.stat().st_size))
    elif harm == "lost":
        file.unlink()
    elif harm == "facts":
        (entry / "facts.json").write_text('{"arrays": {}')
    elif harm == "no facts":
        (entry / "facts.json").write_text('{"arrays": {}, "facts": {}}')
    elif harm == "other facts":
        facts = json.loads((entry / "facts.json").read_text())
        facts["facts"]["said"] = ["this was never said"]
        (entry / "facts.json").write_text(json.dumps(facts))
    else:
        np.save(file, np.array([print], dtype=object))
    for _ in range(2):
        assert all(map(torch.equal, tensors(read(settings)), data))
    assert len(entries(cache)) == 1


def test_deleted_cache_costs_time_only(cache: Path, tmp_path: Path) -> None:
    settings = write_arrays(tmp_path / "a.npz")
    data = read(settings)
    for path in entries(cache)[0].iterdir():
        path.unlink()
    assert torch.isfinite(data.train[0]).all(), "what is mapped stays"  # type: ignore[arg-type]
    assert_same(read(settings), data)


def test_cache_that_cannot_be_written_is_said_and_the_data_are_read(cache: Path, tmp_path: Path) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text("no folder")
    settings = write_arrays(tmp_path / "a.npz")
    with pytest.warns(UserWarning, match="cannot be kept in"):
        assert len(read(settings).train[1]) > 30


def test_full_cache_is_said(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setenv("ZONESEARCH_CACHE_MB", "0.01")
    with pytest.warns(UserWarning, match="more than the 0 MB allowed"):
        read(DataSettings())
    assert not entries(cache)


def test_oldest_entries_make_room(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, limit_mb=0.02)
    for i in range(4):
        shelf.keep(f"{i}", Entry({"x": np.full(1000, float(i))}))
        os.utime(tmp_path / f"{i}", (i, i))
    assert [shelf.find(f"{i}") is not None for i in range(4)] == [False, False, True, True]


def test_what_cannot_be_read_is_refused_and_not_kept(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(ObjectiveError, match="does not exist"):
        read(DataSettings(name="arrays", root=str(tmp_path / "none.npz")))
    (tmp_path / "a.npz").write_bytes(b"no arrays")
    with pytest.raises(ObjectiveError, match="cannot be read as"):
        read(DataSettings(name="arrays", root=str(tmp_path / "a.npz")))
    assert not cache.exists() or not entries(cache)


def test_words_about_a_broken_image_are_said_each_time(tmp_path: Path) -> None:
    settings = write_images(tmp_path / "images")
    (tmp_path / "images" / "a" / "3.png").write_bytes(b"broken")
    for _ in range(3):
        with pytest.warns(UserWarning, match=r"a/3\.png cannot be read .* goes on without it"):
            read(settings)


def test_writing_into_the_data_changes_neither_the_file_nor_others(tmp_path: Path) -> None:
    settings = write_arrays(tmp_path / "a.npz")
    read(settings)
    mine = read(settings)
    before = [tensor.clone() for tensor in tensors(mine)]
    mine.train[0].zero_()  # type: ignore[union-attr]
    assert all(map(torch.equal, tensors(read(settings)), before))


def test_data_of_a_function_are_kept_nowhere(cache: Path) -> None:
    read(DataSettings(name="own_parts:counted"))
    assert not cache.exists() or not entries(cache)


@pytest.mark.parametrize("name", ["digits", "tests.training.shared_data:once"])
def test_workers_train_on_the_data_of_the_process_that_started_them(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHARED_DATA_LOG", str(tmp_path / "log"))
    recipe = Recipe(DataSettings(name=name, limit=100), NetworkSettings(width=8))
    trainings = [Training({"learning_rate": rate, "batch": 10}, 0, 1) for rate in (0.1, 0.01)]
    recipe.check(trainings[0].params)
    came: list[Trial] = []
    with open_engine(workers=2) as engine:
        engine.run(recipe, recipe.jobs(trainings), came.extend)
    here = [trial for job in recipe.jobs(trainings) for trial in recipe.train(job, lambda share: None)]
    assert {t.key: t.accuracy for t in came} == {t.key: t.accuracy for t in here}
    if name != "digits":
        assert (tmp_path / "log").read_text() == "read\n", "workers do not call it again"


def test_folder_of_a_killed_run_goes_with_the_next_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    code = (
        "import os; from zonesearch.run.engines.processes import Processes; p = Processes(1); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    assert len(list(tmp_path.glob(f"{PREFIX}*"))) == 1
    with open_engine(workers=2):
        (mine,) = tmp_path.glob(f"{PREFIX}*")
        remove_abandoned()
        assert mine.exists(), "its owner lives"
    assert not list(tmp_path.glob(f"{PREFIX}*"))


@pytest.mark.parametrize("said", ["abc", "-1", "nan", "20 GB", "1,000"])
def test_limit_of_the_cache_that_is_no_number_is_refused(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZONESEARCH_CACHE_MB", said)
    with pytest.raises(StoreError, match=f"ZONESEARCH_CACHE_MB is how many megabytes .* not .{said}"):
        read(DataSettings(name="digits", limit=50))


@pytest.mark.parametrize("said", ["", " 100 ", "1e3", "inf"])
def test_limit_of_the_cache_is_any_number(said: str, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setenv("ZONESEARCH_CACHE_MB", said)
    read(DataSettings(name="digits", limit=50))
    assert entries(cache)


@pytest.mark.parametrize("whose", ["the folder is", "the entry is", "the entry belongs to"])
def test_data_that_others_could_have_written_are_not_relied_on(
    whose: str, cache: Path, recwarn: pytest.WarningsRecorder
) -> None:
    settings = DataSettings(name="digits", limit=50)
    right = copy.deepcopy(read(settings))  # what is mapped would change with the file
    [entry] = entries(cache)
    [array] = entry.glob("train.x.npy")
    status = array.stat()
    poisoned = np.load(array)
    np.save(array, -poisoned)
    os.utime(array, ns=(status.st_atime_ns, status.st_mtime_ns))  # as it was, but for its numbers
    if whose == "the entry belongs to":
        if os.geteuid() != 0:
            pytest.skip("only root gives files away")
        os.chown(entry, 12345, -1)
    else:
        (cache if whose == "the folder is" else entry).chmod(0o777)
    assert_same(read(settings), right)
    said = [str(warning.message) for warning in recwarn if "kept" in str(warning.message)]
    assert bool(said) == (whose == "the folder is")
    assert all("others may write there" in words for words in said)
