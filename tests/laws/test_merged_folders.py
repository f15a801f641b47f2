"""Run folders merged in the middle, in any grouping and order, in any form, run on in between: always the union."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.run.made import few_trials, folder, record_in, trial
from zonesearch.core.trials import Trial, Trials
from zonesearch.run.storage.merge import merge
from zonesearch.run.storage.record import parse
from zonesearch.run.storage.run_folder import RunFolder
from zonesearch.run.storage.store import Store

MANY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
NAMES = ("a", "b", "c", "d")
steps = st.lists(
    st.one_of(
        st.tuples(st.just("run"), st.sampled_from(NAMES), few_trials),
        st.tuples(st.just("age"), st.sampled_from(NAMES)),
        st.tuples(
            st.just("merge"),
            st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True),
            st.sampled_from(NAMES),
            st.sampled_from(["folder", "zip", "tar", "gztar", "file", "all"]),
        ),
    ),
    max_size=10,
)


def trials_in(path: Path) -> Trials:
    return Store(RunFolder.open(path), writer=None).load().trials


def packed(run: Path, form: str, scratch: Path) -> list[Path]:
    """``run`` in one of the forms that can be merged, outside of its own place."""
    scratch.mkdir()
    if form in ("zip", "tar", "gztar"):
        return [Path(shutil.make_archive(str(scratch / "run"), form, run.parent, run.name))]
    if form == "file":
        return sorted(run.glob("trials/*.jsonl"))
    if form == "all":
        shutil.copytree(run, scratch / "runs" / "one")
        return [scratch / "runs"]
    return [run]


def age(run: Path) -> None:
    """Take the headings out of merged files, as an older version wrote them."""
    for file in run.glob("trials/merged-*.jsonl"):
        lines = [line for line in file.read_bytes().splitlines(keepends=True) if "heading" not in (parse(line) or {})]
        file.write_bytes(b"".join(lines))


@MANY
@given(steps, st.randoms(use_true_random=False))
def test_merging_in_the_middle_gives_the_union_whatever_the_grouping(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[object, ...]], rng: random.Random
) -> None:
    base = tmp_path_factory.mktemp("merge")
    known: dict[str, list[Trial]] = {}
    for i, step in enumerate(steps):
        match step:
            case ("run", str(name), list(made)):
                record_in(base / name, [*made, trial(9)], writer=f"shard-{1 + NAMES.index(name)}-of-4")
                known.setdefault(name, []).extend([*made, trial(9)])
            case ("age", str(name)):
                age(base / name)
            case ("merge", list(names), str(into), str(form)):
                names = [name for name in names if name in known]
                sources = [file for name in names for file in packed(base / name, form, base / f"scratch-{i}-{name}")]
                if not sources:
                    continue
                merge(sources, base / into)
                known.setdefault(into, []).extend(t for name in names for t in list(known[name]))
                assert trials_in(base / into) == Trials(known[into])
    if known:
        names = list(known)
        rng.shuffle(names)
        merge([base / name for name in names], base / "together")
        assert trials_in(base / "together") == Trials(t for made in known.values() for t in made)


def test_merge_goes_on_from_a_folder_that_was_merged_into(tmp_path: Path) -> None:
    record_in(tmp_path / "a", [trial(16)], writer="shard-1-of-2")
    record_in(tmp_path / "b", [trial(32)], writer="shard-2-of-2")
    merge([tmp_path / "a"], tmp_path / "b")
    merge([tmp_path / "b"], tmp_path / "c")
    assert trials_in(tmp_path / "c") == Trials([trial(16), trial(32)])
    for file in [*tmp_path.glob("*/trials/*.jsonl")]:
        first = parse(file.read_bytes().splitlines()[0])
        assert first is not None
        assert first["heading"] == "digits", file


def test_documented_round_trip_works_over_rounds(tmp_path: Path) -> None:
    """Run each shard, bring all together, bring that back to each machine, run its shard again."""
    made: list[Trial] = []
    for turn in range(3):
        for i in (1, 2):
            here = tmp_path / f"machine-{i}"
            if turn:
                merge([tmp_path / "all"], here)
            fresh = trial(100 * turn + i)
            record_in(here, [fresh], writer=f"shard-{i}-of-2")
            made.append(fresh)
        merge([tmp_path / "machine-1", tmp_path / "machine-2"], tmp_path / "all")
        assert trials_in(tmp_path / "all") == Trials(made)


@pytest.mark.parametrize("form", ["folder", "file", "all", "zip", "tar", "gztar"])
@pytest.mark.parametrize("is_first", [True, False])
def test_file_without_heading_belongs_to_what_the_run_beside_it_says(tmp_path: Path, form: str, is_first: bool) -> None:
    record_in(tmp_path / "a", [trial(16)])
    record_in(tmp_path / "b", [trial(32)])
    merge([tmp_path / "a"], tmp_path / "b")
    (tmp_path / "b/trials/main.jsonl").unlink()
    age(tmp_path / "b")
    record_in(tmp_path / "x", [trial(64)])
    sources = [*packed(tmp_path / "b", form, tmp_path / "scratch"), tmp_path / "x"]
    merge(sources[: 1 if is_first else 2][:: 1 if is_first else -1], tmp_path / "c")
    expected = [trial(16)] if is_first else [trial(16), trial(64)]
    assert trials_in(tmp_path / "c") == Trials(expected)
    assert RunFolder.open(tmp_path / "c").identity == RunFolder.open(tmp_path / "a").identity


def test_file_without_heading_alone_is_named_by_a_source_that_comes_later(tmp_path: Path) -> None:
    made = record_in(tmp_path / "a", [trial(16)])
    file = tmp_path / "a/trials/main.jsonl"
    (tmp_path / "alone.jsonl").write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[1:]))
    record_in(tmp_path / "b", [trial(32)])
    for name, sources in {"one": ["alone.jsonl", "b"], "two": ["b", "alone.jsonl"]}.items():
        merge([tmp_path / source for source in sources], tmp_path / name)
        assert trials_in(tmp_path / name) == Trials([trial(16), trial(32)])
        assert RunFolder.open(tmp_path / name).heading == made.heading
        (tmp_path / name / "run.json").unlink()
        assert RunFolder.open(tmp_path / name).heading == made.heading


def test_merged_file_whose_lines_were_damaged_is_not_written_over(tmp_path: Path) -> None:
    record_in(tmp_path / "a", [trial(16)])
    merge([tmp_path / "a"], tmp_path / "b")
    [file] = (tmp_path / "b/trials").iterdir()
    file.write_bytes(b"damaged\n" * 3)
    merge([tmp_path / "a"], tmp_path / "b")
    assert file.read_bytes() == b"damaged\n" * 3
    assert trials_in(tmp_path / "b") == Trials([trial(16)])


def test_a_study_with_a_setting_named_key_can_be_merged(tmp_path: Path) -> None:
    identity = {"objective": {"data": {"name": "x", "key": "letter"}}, "seed": 0}
    record_in(tmp_path / "a", [trial(16)], identity=identity)
    merged = merge([tmp_path / "a"], tmp_path / "b")
    assert (merged.n_torn, merged.n_trainings) == (0, 1)
    assert folder(tmp_path / "b", identity).identity == identity
