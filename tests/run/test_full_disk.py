"""A disk that is full or cannot be written costs a sentence, never a record."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.run.made import folder, record_in, trial
from zonesearch.errors import StoreError
from zonesearch.run.storage.run_folder import RunFolder
from zonesearch.run.storage.store import Store


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip("this machine does not allow a small file system to be mounted")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_full_disk_is_one_sentence_and_loses_nothing(tiny_disk: Path) -> None:
    (tiny_disk / "ballast").write_bytes(bytes(20_000))
    here = folder(tiny_disk / "run")
    with Store(here) as store:
        recorded = 0

        def record_until_full() -> None:
            nonlocal recorded
            for width in range(1, 1000):
                store.append([trial(width)])
                recorded = width

        with pytest.raises(StoreError, match=r"cannot be recorded in .*No space left.*safe.*make room"):
            record_until_full()
        assert recorded > 1
        assert len(store.load().trials) == recorded
        assert store.load().n_torn == 0
        (tiny_disk / "ballast").unlink()
        store.append([trial(10_000)])
        assert len(store.load().trials) == recorded + 1


def test_file_size_limit_is_one_sentence_and_loses_nothing(tmp_path: Path) -> None:
    here = record_in(tmp_path, [trial(16)])
    file = tmp_path / "trials" / "main.jsonl"
    old_handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with Store(here) as store:
            store.load()
            resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 50, old[1]))
            with pytest.raises(StoreError, match=os.strerror(errno.EFBIG)):
                store.append([trial(32)])
            resource.setrlimit(resource.RLIMIT_FSIZE, old)
            store.append([trial(64)])
            loaded = store.load()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, old_handler)
    assert {t.params["width"] for t in loaded.trials} == {16, 64}
    assert loaded.n_torn == 0


def test_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreError, match="is a file; name a folder"):
        folder(tmp_path / "file")
    with pytest.raises(StoreError, match=r"Not a directory.*name another folder"):
        folder(tmp_path / "file" / "run")
    with pytest.raises(StoreError, match=r"cannot be written|Permission"):
        folder(Path("/proc/zonesearch"))


def test_read_only_folder_can_be_read_but_not_entered(tmp_path: Path) -> None:
    record_in(tmp_path / "run", [trial(16)])
    bound = subprocess.run(["mount", "--bind", str(tmp_path / "run"), str(tmp_path / "run")], capture_output=True)
    if bound.returncode:
        pytest.skip("this machine does not allow a folder to be mounted read-only")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(tmp_path / "run")], check=True, capture_output=True)
        here = RunFolder.open(tmp_path / "run")
        assert len(Store(here, writer=None).load().trials) == 1
        with pytest.raises(StoreError, match="Read-only file system"):
            Store(here)
    finally:
        subprocess.run(["umount", "-l", str(tmp_path / "run")], check=True)
