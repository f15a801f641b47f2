"""Plug-ins as others write them: stages, objectives and schedules that are found by name."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from zonesearch.core.plugins import registered
from zonesearch.errors import ObjectiveError, StudyError
from zonesearch.run.running import run_study
from zonesearch.study.files import parse_study
from zonesearch.training.schedules.parsing import parse

ENTRY_POINTS = """
[zonesearch.stages]
corners = plugged:Corners
[zonesearch.objectives]
four = plugged:Four
table = plugged:Table
wind = plugged:FromTables
nothing = plugged:METRIC
[zonesearch.schedules]
halving = plugged:Halving
broken = plugged_nowhere:Schedule
"""


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The plug-in package, installed in a folder of its own."""
    (tmp_path / "plugged.py").write_text((Path(__file__).parent / "plugged.py").read_text())
    (tmp_path / "plugged-1.0.dist-info").mkdir()
    (tmp_path / "plugged-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 1.0\n")
    (tmp_path / "plugged-1.0.dist-info" / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    caches = (registered, parse)
    for cached in caches:
        cached.cache_clear()
    yield
    sys.modules.pop("plugged", None)
    for cached in caches:
        cached.cache_clear()


def study(text: str) -> Any:
    return parse_study(f"[space]\nx = [1, 2, 4]\n{text}", name="s", where="s.toml")


def values(text: str) -> dict[Any, float]:
    trials = run_study(study(text)).results.trials
    return {trial.params["x"]: trial.value() for trial in trials}


def test_a_stage_without_postponed_annotations_is_read_as_strictly() -> None:
    text = '[search]\nstages = ["corners"]\n[objective]\nkind = "four"\n'
    assert set(values(text)) == {1, 4}
    made = study(text + '[corners]\nscale = 2\nnames = ["a"]\nlimit = 3\n').stages[0]
    assert (made.scale, made.names, made.limit) == (2.0, ("a",), 3)
    for line, said in (
        ("scale = 'wide'", r"\[corners\] scale must be a number, not 'wide'"),
        ("names = ['a', 1]", r"\[corners\] names must be a list of texts"),
        ("limit = 1.5", r"\[corners\] limit must be a whole number, not 1.5"),
        ("limits = 1", r'\[corners\] has no key "limits"; did you mean "limit"'),
    ):
        with pytest.raises(StudyError, match=said):
            study(f"{text}[corners]\n{line}\n")


def test_an_objective_needs_four_methods_and_nothing_else() -> None:
    assert values('[objective]\nkind = "four"\n')[2] == pytest.approx(0.2)
    with pytest.raises(StudyError, match="slope"):
        study('[objective]\nkind = "four"\nslope = 2.0\n').objective()
    with pytest.raises(ObjectiveError, match="has no fingerprint, check, jobs, train"):
        study('[objective]\nkind = "nothing"\n').objective()


@pytest.mark.parametrize("place", ["[table]", '[objective]\nkind = "table"'])
def test_an_objective_may_have_a_table_of_its_own(place: str) -> None:
    head = "" if "kind" in place else '[objective]\nkind = "table"\n'
    assert values(f"{head}{place}\nslope = 2\n")[2] == pytest.approx(0.4)
    for line, said in (
        ("slop = 2", r'has no key "slop"; did you mean "slope"'),
        ("steps = 2.5", "steps must be a whole number, not 2.5"),
    ):
        with pytest.raises(StudyError, match=said):
            study(f"{head}{place}\n{line}\n").objective()
    with pytest.raises(StudyError, match=r"\[network\] has no effect"):
        study(f"{head}{place}\nslope = 2\n[network]\nwidth = 2\n").objective()
    with pytest.raises(StudyError, match='unknown key "table"'):
        study('[objective]\nkind = "four"\n[table]\nslope = 2\n')


def test_an_objective_that_reads_its_tables_itself_gets_those_it_names() -> None:
    text = 'seed = 1\n[space]\nx = [1, 2, 4]\n[objective]\nkind = "wind"\n[wind]\nslope = 1.0\n[data]\noffset = 0.5\n'
    assert parse_study(text, name="s", where="s.toml").objective().slope == 2.5  # type: ignore[attr-defined]
    with pytest.raises(StudyError, match='unknown key "winds"'):
        study('[objective]\nkind = "wind"\n[winds]\n')


@pytest.mark.parametrize("schedule", ["halving", "halving(2)", "halving(every=2)", "warmup(1, then=halving(every=1))"])
def test_a_schedule_works_in_trainings_and_in_polishing(schedule: str) -> None:
    text = f"""
[space]
width = [4, 8]
[data]
name = "digits"
limit = 150
[training]
epochs = 2
schedule = "{schedule}"
[polish]
schedules = ["{schedule}", "constant"]
keep = 2
repeats = 2
"""
    trials = run_study(parse_study(text, name="s", where="s.toml")).results.trials
    assert all(trial.complete for trial in trials)
    own = [trial for trial in trials if trial.params.get("schedule") != "constant"]
    assert own
    assert all(trial.whole for trial in own)  # it does not say that it looks at no length
    assert all(trial.curve["learning_rate"][0] <= 0.001 for trial in own)


def test_a_wrong_argument_of_a_schedule_is_one_sentence() -> None:
    with pytest.raises(StudyError, match='schedule "halving" has no argument "evry"; did you mean "every"'):
        parse("halving(evry=2)")
    with pytest.raises(StudyError, match=r'schedule "broken": "broken" of the package plugged 1\.0 cannot be imported'):
        parse("broken")
