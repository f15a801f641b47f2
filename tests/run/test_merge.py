"""Merging is a set union of records, whatever they come in."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.run.made import IDENTITY, SETTINGS, few_trials, folder, record_in, trial
from zonesearch.cli.main import main
from zonesearch.core.trials import Trial, Trials
from zonesearch.errors import MergeError, StoreError
from zonesearch.run.storage.merge import merge
from zonesearch.run.storage.run_folder import RunFolder
from zonesearch.run.storage.store import Store

MANY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
parts = st.lists(few_trials, min_size=1, max_size=4)


def trials_in(path: Path) -> Trials:
    return Store(RunFolder.open(path), writer=None).load().trials


def runs_of(base: Path, made: list[list[Trial]]) -> list[Path]:
    for i, trials in enumerate(made):
        record_in(base / f"run-{i}", [*trials, trial(99)])
    return [base / f"run-{i}" for i in range(len(made))]


@MANY
@given(parts, st.randoms())
def test_merge_is_the_union_in_any_order_any_number_of_times(
    tmp_path_factory: pytest.TempPathFactory, made: list[list[Trial]], random: object
) -> None:
    base = tmp_path_factory.mktemp("merge")
    runs = runs_of(base, made)
    expected = Trials(t for part in made for t in part) | Trials([trial(99)])
    once = merge(runs, base / "once")
    shuffled = runs * 2
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    merge(shuffled, base / "twice")
    for run in shuffled:
        merge([run], base / "one by one")
    for result in ("once", "twice", "one by one"):
        assert trials_in(base / result) == expected
    assert once.n_trainings == len(expected)
    assert once.conflicts == expected.conflicts
    assert merge([*runs, base / "twice"], base / "once").n_new == 0
    assert len(list((base / "once" / "trials").iterdir())) == 1


@MANY
@given(few_trials, few_trials, few_trials)
def test_merge_may_be_grouped_in_any_way(
    tmp_path_factory: pytest.TempPathFactory, a: list[Trial], b: list[Trial], c: list[Trial]
) -> None:
    base = tmp_path_factory.mktemp("merge")
    x, y, z = runs_of(base, [a, b, c])
    merge([x, y], base / "xy")
    merge([base / "xy", z], base / "xy z")
    merge([y, z], base / "yz")
    merge([x, base / "yz"], base / "x yz")
    assert trials_in(base / "xy z") == trials_in(base / "x yz")


def test_merge_counts_trainings_however_many_records_each_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record_in(tmp_path / "a", [trial(16), trial(32)], settings=SETTINGS)
    record_in(tmp_path / "b", [trial(32), trial(32, epochs=2), trial(64), trial(64, epochs=3)], settings=SETTINGS)
    merged = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "all")
    assert [(s.n_trainings, s.n_new_trainings, s.n_records, s.n_new) for s in merged.sources] == [
        (2, 2, 2, 2),
        (2, 1, 4, 3),
    ]
    assert main(["merge", str(tmp_path / "b"), "--into", str(tmp_path / "a")]) == 0
    first, last = capsys.readouterr().out.splitlines()
    assert first == f"{tmp_path / 'b'}: 2 trainings, 1 new, 2 further new records of known trainings"
    assert last.startswith(f"{tmp_path / 'a'} holds 3 trainings. ")


def packed(run: Path, form: str) -> Path:
    if form == "folder":
        return run
    if form == "file":
        return run / "trials" / "main.jsonl"
    if form == "folder of runs":
        (run.parent / "all").mkdir()
        shutil.copytree(run, run.parent / "all" / "one")
        return run.parent / "all"
    if form == "folder of archives":
        (run.parent / "archives").mkdir()
        shutil.make_archive(str(run.parent / "archives" / "one"), "gztar", run.parent, run.name)
        return run.parent / "archives"
    return Path(shutil.make_archive(str(run.parent / "packed"), form, run.parent, run.name))


@pytest.mark.parametrize(
    "form", ["folder", "file", "folder of runs", "folder of archives", "zip", "tar", "gztar", "bztar", "xztar"]
)
def test_merge_reads_every_form_alike(tmp_path: Path, form: str) -> None:
    made = [trial(width) for width in (16, 32, 64)]
    record_in(tmp_path / "run", made, settings=SETTINGS, study_text="a = 1\n")
    merged = merge([packed(tmp_path / "run", form)], tmp_path / "into")
    assert trials_in(tmp_path / "into") == Trials(made)
    assert RunFolder.open(tmp_path / "into").heading == RunFolder.open(tmp_path / "run").heading
    assert [(s.n_records, s.n_new, s.n_torn) for s in merged.sources] == [(3, 3, 0)]


def test_merge_counts_torn_lines_and_keeps_the_rest(tmp_path: Path) -> None:
    record_in(tmp_path / "run", [trial(width) for width in range(1, 6)])
    file = tmp_path / "run" / "trials" / "main.jsonl"
    data = file.read_bytes()
    lines = data.splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:2], b"\xff\x00 noise\n", *lines[2:]])[:-7])
    merged = merge([tmp_path / "run"], tmp_path / "into")
    assert (merged.n_torn, merged.n_new, merged.n_trainings) == (2, 4, 4)


def test_merge_keeps_both_sides_of_a_conflict_and_names_them(tmp_path: Path) -> None:
    record_in(tmp_path / "a", [trial(16, accuracy=0.5, host="anna")])
    record_in(tmp_path / "b", [trial(16, accuracy=0.6, host="bert"), trial(32)])
    merged = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "into")
    (conflict,) = merged.conflicts
    assert "0.5 on anna" in str(conflict)
    assert "0.6 on bert" in str(conflict)
    assert {t.accuracy for t in trials_in(tmp_path / "into").records()} == {0.5, 0.6}


def test_merge_refuses_another_study_and_leaves_everything_as_it_was(tmp_path: Path) -> None:
    record_in(tmp_path / "a", [trial(16)])
    record_in(tmp_path / "b", [trial(32)], identity={**IDENTITY, "seed": 1})
    for sources, into in ((["a", "b"], "new"), (["b"], "a"), (["a"], "b")):
        before = trials_in(tmp_path / into) if (tmp_path / into).exists() else None
        with pytest.raises(MergeError, match=r"another study .*seed: \d -> \d"):
            merge([tmp_path / name for name in sources], tmp_path / into)
        assert (trials_in(tmp_path / into) if (tmp_path / into).exists() else None) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_merge_refuses_newer_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zonesearch.run.storage.record.FORMAT", 2)
    record_in(tmp_path / "a", [trial(16)])
    monkeypatch.undo()
    with pytest.raises(MergeError, match=r"format 2.*update zonesearch"):
        merge([tmp_path / "a"], tmp_path / "into")


@pytest.mark.parametrize("dates", [("2026-05-01", "2026-04-01"), ("2026-04-01", "2026-05-01"), ("2026-04-01",) * 2])
@pytest.mark.parametrize("n", [(1, 2), (2, 1), (2, 2)], ids=str)
def test_merge_of_runs_that_look_for_different_things_takes_the_settings_with_most_trainings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dates: tuple[str, str], n: tuple[int, int]
) -> None:
    settings = (SETTINGS, {**SETTINGS, "stages": []})
    for name, now, wanted, many, start in zip("ab", dates, settings, n, (0, 50), strict=True):
        monkeypatch.setattr("zonesearch.run.storage.run_folder._now", lambda now=now: now)
        record_in(tmp_path / name, [trial(16 + start + i) for i in range(many)], settings=wanted)
    found = []
    for order in ("ab", "ba"):
        merge([tmp_path / name for name in order], tmp_path / order)
        assert len(trials_in(tmp_path / order)) == sum(n)
        found.append(RunFolder.open(tmp_path / order).settings)
    assert found[0] == found[1]
    if n[0] != n[1]:
        assert found[0] == settings[n[0] < n[1]]
    merge([tmp_path / "ab"], tmp_path / "again")
    assert RunFolder.open(tmp_path / "again").settings == found[0]


def test_merge_leaves_the_settings_of_the_run_that_is_merged_into(tmp_path: Path) -> None:
    record_in(tmp_path / "a", [trial(16)], settings=SETTINGS)
    record_in(tmp_path / "b", [trial(32)], settings={**SETTINGS, "stages": []})
    merge([tmp_path / "b"], tmp_path / "a")
    assert RunFolder.open(tmp_path / "a").settings == SETTINGS
    assert len(trials_in(tmp_path / "a")) == 2


def test_merge_writes_nothing_outside_whatever_an_archive_says(tmp_path: Path) -> None:
    record_in(tmp_path / "run", [trial(16)])
    data = (tmp_path / "run/trials/main.jsonl").read_bytes()
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("../../evil.jsonl", data)
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        info = tarfile.TarInfo("/tmp/../evil.jsonl")
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("trials/link.jsonl")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    merged = merge([tmp_path / "evil.zip", tmp_path / "evil.tar"], tmp_path / "into")
    assert (merged.n_trainings, merged.n_torn) == (1, 0)
    names = {p.relative_to(tmp_path).parts[0] for p in tmp_path.rglob("*")}
    assert names == {"run", "evil.zip", "evil.tar", "into"}


def test_merge_refuses_what_is_no_source(tmp_path: Path) -> None:
    record_in(tmp_path / "run", [trial(16)])
    (tmp_path / "note.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    archive = Path(shutil.make_archive(str(tmp_path / "cut"), "gztar", tmp_path, "run"))
    archive.write_bytes(archive.read_bytes()[:-200])
    (tmp_path / "noise.jsonl").write_bytes(os.urandom(100))
    for name, reason in {
        "none": "there is no",
        "note.txt": "cannot be merged: expected a run folder",
        "empty": "holds no trials",
        "cut.tar.gz": "damaged",
        "noise.jsonl": "no intact line",
    }.items():
        with pytest.raises(MergeError, match=reason):
            merge([tmp_path / name], tmp_path / "into")
        assert not (tmp_path / "into").exists()
    with pytest.raises(MergeError, match="at least one"):
        merge([], tmp_path / "into")
    with pytest.raises(StoreError, match="not a run folder"):
        merge([tmp_path / "run"], tmp_path / "note.txt")


def test_merge_into_a_run_that_is_alive_is_refused(tmp_path: Path) -> None:
    record_in(tmp_path / "a", [trial(16)])
    with Store(folder(tmp_path / "into")), pytest.raises(StoreError, match="in use"):
        merge([tmp_path / "a"], tmp_path / "into")
