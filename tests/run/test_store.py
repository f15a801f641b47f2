"""What is recorded stays, whatever happens to the process or to the end of the file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.run.made import IDENTITY, folder, record_in, trial, trials_of_any_kind
from zonesearch.core.trials import Trial, Trials
from zonesearch.errors import MergeError, StoreError
from zonesearch.run.storage.run_folder import RunFolder
from zonesearch.run.storage.store import Store

REUSE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def read(path: Path) -> Store:
    store = Store(RunFolder.open(path), writer=None)
    store.load()
    return store


@REUSE
@given(st.lists(trials_of_any_kind(), max_size=5))
def test_store_gives_back_what_was_appended(tmp_path_factory: pytest.TempPathFactory, made: list[Trial]) -> None:
    path = tmp_path_factory.mktemp("run")
    record_in(path, made)
    found = read(path).trials
    assert {repr(t) for t in found.records()} <= {repr(t) for t in made}
    assert {t.training.key for t in found} == {t.training.key for t in made}
    assert found == read(path).trials


def test_store_knows_what_it_appended_as_a_reader_does(tmp_path: Path) -> None:
    nan = Trial(trial(16).training, "diverged", curve={"train_loss": [1.0, float("nan")]})
    with Store(folder(tmp_path)) as store:
        store.append([nan])
        own = store.trials
        assert store.refresh().trials == own
    assert read(tmp_path).trials == own


def test_store_reads_a_record_cut_at_every_byte_as_missing(tmp_path: Path) -> None:
    record_in(tmp_path, [trial(16), trial(32)])
    file = tmp_path / "trials" / "main.jsonl"
    whole = file.read_bytes()
    start = whole[:-1].rindex(b"\n") + 1
    for end in range(start, len(whole)):
        file.write_bytes(whole[:end])
        store = Store(RunFolder.open(tmp_path), writer=None)
        loaded = store.load()
        complete = end == len(whole) - 1  # only the newline is missing
        assert len(loaded.trials) == 1 + complete
        assert loaded.n_torn == (start < end and not complete)
        with Store(folder(tmp_path)) as writer:
            writer.load()
            writer.append([trial(64), trial(32)])
        again = read(tmp_path)
        assert {t.params["width"] for t in again.trials} == {16, 32, 64}


@REUSE
@given(st.lists(st.tuples(st.integers(0, 10**4), st.binary(min_size=1, max_size=30)), max_size=4))
def test_store_never_invents_a_trial_from_random_bytes(
    tmp_path_factory: pytest.TempPathFactory, damage: list[tuple[int, bytes]]
) -> None:
    path = tmp_path_factory.mktemp("run")
    made = [trial(width) for width in (16, 32, 64)]
    record_in(path, made)
    file = path / "trials" / "main.jsonl"
    data = file.read_bytes()
    for at, noise in damage:
        at %= len(data)
        data = data[:at] + noise + data[at + len(noise) :]
    file.write_bytes(data)
    for found in read(path).trials.records():
        assert found in made


def test_refresh_reads_what_others_appended_since(tmp_path: Path) -> None:
    here = folder(tmp_path)
    with Store(here, "shard-1-of-2") as one, Store(here, "shard-2-of-2") as two:
        one.append([trial(16)])
        two.append([trial(32)])
        assert len(two.trials) == 1
        assert len(two.refresh().trials) == 2
        one.append([trial(64)])
        assert len(two.refresh().trials) == 3


def test_wait_for_ends_when_others_have_recorded_the_rest(tmp_path: Path) -> None:
    here = folder(tmp_path)
    with Store(here, "shard-1-of-2") as one, Store(here, "shard-2-of-2") as two:
        one.append([trial(16)])
        left: list[int] = []

        def others_go_on(n_missing: int) -> None:
            left.append(n_missing)
            two.append([trial(16 * 2 ** len(left))])

        found = one.wait_for([trial(w).training for w in (16, 32, 64)], look_s=0.0, on_look=others_go_on)
    assert left == [2, 1, 0]
    assert {t.params["width"] for t in found} == {16, 32, 64}


def test_refresh_waits_for_a_line_that_is_being_written(tmp_path: Path) -> None:
    record_in(tmp_path / "from", [trial(16), trial(32)])
    data = (tmp_path / "from" / "trials" / "main.jsonl").read_bytes()
    reader = Store(folder(tmp_path / "to"), writer=None)
    file = tmp_path / "to" / "trials" / "other.jsonl"
    file.write_bytes(data[:-20])
    first = reader.refresh()
    assert (len(first.trials), first.n_torn) == (1, 1)
    with file.open("ab") as out:
        out.write(data[-20:])
    second = reader.refresh()
    assert (len(second.trials), second.n_torn) == (2, 0)


def test_append_restores_the_heading_that_was_torn(tmp_path: Path) -> None:
    record_in(tmp_path, [trial(16)])
    file = tmp_path / "trials" / "main.jsonl"
    file.write_bytes(file.read_bytes()[:30])
    with Store(RunFolder.open(tmp_path)) as store:
        store.load()
        store.append([trial(16)])
    (tmp_path / "run.json").unlink()
    assert RunFolder.open(tmp_path).identity == IDENTITY


def test_clock_has_no_part_in_what_is_known(tmp_path: Path) -> None:
    record_in(tmp_path, [trial(16)])
    file = tmp_path / "trials" / "main.jsonl"
    with Store(RunFolder.open(tmp_path)) as store:
        store.load()
        os.utime(file, (10**9, 10**9))  # the clock jumped back by years
        store.append([trial(32)])
        os.utime(file, (5 * 10**8, 5 * 10**8))
        assert len(store.refresh().trials) == 2


def test_trials_of_another_study_are_refused_with_what_differs(tmp_path: Path) -> None:
    other = {**IDENTITY, "objective": {"data": "mnist", "optimizer": {"name": "adam", "rate": 0.001}}}
    record_in(tmp_path / "other", [trial(16)], identity=other)
    record_in(tmp_path / "run", [trial(16)])
    os.link(tmp_path / "other/trials/main.jsonl", tmp_path / "run/trials/copied.jsonl")
    with pytest.raises(MergeError, match=r'copied.jsonl.*objective.data: "digits" -> "mnist"'):
        read(tmp_path / "run")


def test_second_writer_is_refused_naming_the_first(tmp_path: Path) -> None:
    here = folder(tmp_path)
    with Store(here):
        with pytest.raises(StoreError, match=f"in use by process {os.getpid()} on .*wait until"):
            Store(here)
        with pytest.raises(StoreError, match="in use"):
            Store(here, "shard-1-of-2")
    with Store(here, "shard-1-of-2"), Store(here, "shard-2-of-2"):
        for taken in ("shard-1-of-2", "main"):
            with pytest.raises(StoreError, match="in use"):
                Store(here, taken)
    with Store(here):
        pass


def test_lock_is_free_after_its_process_was_killed(tmp_path: Path) -> None:
    folder(tmp_path)
    code = (
        "import sys, time, multiprocessing as mp;"
        "from zonesearch.run.storage.run_folder import RunFolder; from zonesearch.run.storage.store import Store;"
        "store = Store(RunFolder.open(sys.argv[1]));"
        "mp.get_context('fork').Process(target=time.sleep, args=(20,)).start();"  # a child that outlives it
        "print('in', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"in\n"
        with pytest.raises(StoreError, match=f"in use by process {process.pid} on"):
            Store(RunFolder.open(tmp_path))
        process.kill()
        process.wait()
        with Store(RunFolder.open(tmp_path)):
            pass
    finally:
        os.killpg(process.pid, 9)
        process.wait()
        if process.stdout:
            process.stdout.close()


def test_reader_needs_no_lock_and_cannot_write(tmp_path: Path) -> None:
    here = folder(tmp_path)
    with Store(here):
        reader = Store(here, writer=None)
        assert reader.load().trials == Trials()
        with pytest.raises(StoreError, match="reading only"):
            reader.append([trial(16)])


def test_writer_name_is_a_file_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="may hold letters"):
        Store(folder(tmp_path), "../main")
