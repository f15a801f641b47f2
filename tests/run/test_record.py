"""A trial survives being written as a line; a damaged line is never taken for one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.run.made import trial, trials_of_any_kind
from zonesearch.core.trials import Training, Trial
from zonesearch.errors import MergeError
from zonesearch.run.storage.record import Heading, heading_line, parse, parse_ending, to_heading, to_trial, trial_line


def back(line: bytes) -> Trial:
    record = parse(line)
    assert record is not None
    return to_trial(record)


@given(trials_of_any_kind())
def test_record_brings_back_the_trial_exactly(made: Trial) -> None:
    again = back(trial_line(made, "s"))
    assert repr(again) == repr(made)  # repr, because NaN is not equal to itself
    assert again.training.key == made.training.key
    assert trial_line(again, "s") == trial_line(made, "s")


@given(trials_of_any_kind())
def test_record_is_one_line_of_strict_json(made: Trial) -> None:
    line = trial_line(made, "s")
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    assert list(json.loads(line, parse_constant=refuse))[:2] == ["params", "accuracy"]


@given(trials_of_any_kind())
def test_ending_agrees_with_the_whole_record(made: Trial) -> None:
    line = trial_line(made, "s")
    ending, whole = parse_ending(line), parse(line)
    assert ending
    assert whole
    assert ending == {name: whole[name] for name in ("key", "study", "format")}


@given(trials_of_any_kind(), st.data())
def test_record_is_refused_when_any_byte_is_changed_or_cut(made: Trial, data: st.DataObject) -> None:
    line = trial_line(made, "s").rstrip()
    at = data.draw(st.integers(0, len(line) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda b: b != line[at]))
    damaged = line[:at] + bytes([byte]) + line[at + 1 :]
    if damaged.rstrip() != damaged:  # whitespace at the very end belongs to the line ending
        return
    assert parse(damaged) is None
    assert parse(line[:at]) is None
    assert parse_ending(line[:at]) is None


@given(st.binary(max_size=200))
def test_random_bytes_are_no_record(data: bytes) -> None:
    assert parse(data) is None


def test_a_pruned_trial_is_a_failure_to_older_versions() -> None:
    record = json.loads(trial_line(Trial(Training({"x": 1}), "pruned"), "f"))
    assert (record["state"], record["pruned"]) == ("failed", True)
    assert "pruned" not in json.loads(trial_line(Trial(Training({"x": 1}), "failed"), "f"))


def test_heading_comes_back() -> None:
    heading = Heading("s", "digits", {"a": [1, 2]}, {"space": {}}, 'name = "digits"\n')
    record = parse(heading_line(heading))
    assert record is not None
    assert to_heading(record) == heading


def test_heading_is_none_for_a_trial() -> None:
    record = parse(trial_line(trial(16), "s"))
    assert record is not None
    assert to_heading(record) is None


def test_newer_format_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zonesearch.run.storage.record.FORMAT", 2)
    line = trial_line(trial(16), "s")
    monkeypatch.undo()
    for read in (parse, parse_ending):
        with pytest.raises(MergeError, match=r"format 2.*up to format 1.*update"):
            read(line)


def test_numbers_keep_their_type() -> None:
    made = Trial(Training({"a": 1, "b": 1.0, "c": True, "d": 0.1 + 0.2, "e": 5e-324}), accuracy=0.1)
    assert repr(back(trial_line(made, "s")).params) == repr(made.params)
