"""Tables for spreadsheets: texts that would be formulas are made texts, numbers never."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pandas as pd
import pytest

from tests.run.made import record_in
from zonesearch import Study
from zonesearch.cli.main import main
from zonesearch.cli.spreadsheet import as_texts
from zonesearch.core.trials import Training, Trial, Trials

EVIL = ["=HYPERLINK()", "+1", "-1", "@SUM(1)", "\t=1", "fine", "a=b"]


def accuracy(params: object) -> float:
    return 0.5


def rows(tmp_path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> list[list[str]]:
    assert main(["trials", str(tmp_path / "run"), "--csv", *options]) == 0
    return list(csv.reader(io.StringIO(capsys.readouterr().out, newline="")))


def test_texts_are_escaped_and_numbers_are_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = {"=word": EVIL, "rate": [-2.0, -1.0, 1.0]}
    study = Study.of(space, accuracy, stages=("grid",))
    made = [Trial(Training({"=word": word, "rate": -1.0}), accuracy=-0.25 if i else 0.5) for i, word in enumerate(EVIL)]
    record_in(tmp_path / "run", made, settings=study.settings())
    head, *found = rows(tmp_path, capsys)
    assert head[:3] == ["'=word", "rate", "accuracy"]
    assert sorted(row[0] for row in found) == sorted(
        ["'=HYPERLINK()", "'+1", "'-1", "'@SUM(1)", "'\t=1", "fine", "a=b"]
    )
    assert {row[1] for row in found} == {"-1.0"}
    assert {row[2] for row in found} == {"-0.25", "0.5"}
    head, *found = rows(tmp_path, capsys, "--raw")
    assert head[0] == "=word"
    assert sorted(row[0] for row in found) == sorted(EVIL)
    assert main(["trials", str(tmp_path / "run"), "--raw"]) == 2
    assert "needs --csv" in capsys.readouterr().err


def test_numbers_among_texts_stay_numbers() -> None:
    frame = pd.DataFrame({"a": [-1, "-1", None, -2.5], "b": [1.0, -1.0, 2.0, 3.0]})
    assert as_texts(frame)["a"].tolist() == [-1, "'-1", None, -2.5]
    assert as_texts(frame)["b"].tolist() == [1.0, -1.0, 2.0, 3.0]


def test_whole_numbers_of_an_axis_that_is_sometimes_absent_stay_whole() -> None:
    trials = Trials(
        [Trial(Training({"opt": "sgd", "k": 2}), accuracy=0.5), Trial(Training({"opt": "adam"}), accuracy=0.4)]
    )
    told = as_texts(trials.frame()).to_csv(index=False)
    assert [row["k"] for row in csv.DictReader(io.StringIO(told))] in (["2", ""], ["", "2"])
