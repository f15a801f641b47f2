"""Records with a right checksum that no version writes: each is skipped or does no harm, in every command."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.run.made import record_in
from zonesearch import Study
from zonesearch.cli.main import main
from zonesearch.core.compact import Curves
from zonesearch.core.trials import Training, Trial
from zonesearch.run.recorded import read_recorded
from zonesearch.run.storage.record import parse, to_trial, trial_line

SPACE = {"x": [1.0, 2.0, 3.0, 4.0], "word": ["a", "b"]}
NEW = Training({"x": 4.0, "word": "b"}, 0, 2)
CURVE = [0.1, 0.5]
DEEP: Any = 1
for _ in range(400):
    DEEP = [DEEP]


def accuracy(params: dict[str, Any]) -> float:
    return 0.5


def sealed(record: Any) -> bytes:
    body = json.dumps(record)[:-1].encode()
    return body + b', "crc": "%08x"}\n' % zlib.crc32(body)


def made(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda record: {**record, **changes}


HEADING = {"heading": "x", "identity": {}, "settings": {}, "study_text": None, "study": "s", "format": 1}

SKIPPED: dict[str, dict[str, Any]] = {
    f"{name}={ascii(value)[:30]}": {name: value}
    for name, values in {
        "params": [
            None,
            [],
            "x",
            {"x": [{}]},
            {"x": {}},
            {"x": float("nan")},
            {"x": DEEP},
            {"x": 10**400},
            {"x": "\ud800"},
        ],
        "epochs": [0, -1, "3", 1.5, None, True, 10**30],
        "seed": [-1, "0", None, 1.0, 10**30, []],
        "test": ["yes", None],
        "state": ["evil", None, "diverged", []],
        "accuracy": ["nan", "inf", "evil", [], None, {}],
        "curve": [
            None,
            [1.0],
            3,
            *({"validation_accuracy": values} for values in ("abc", ["a"], [None], [[1.0]], DEEP)),
        ],
        "seconds": ["x", None, "nan", "inf"],
        "n_parameters": ["evil", -1, 1.5, 10**30],
        "n_validation": ["evil", -1],
        "error": [3, None, ["x"], "\udfff"],
        "provenance": [None, [], "x", 3],
        "metric": ["", {"name": 3}, {"name": "a", "direction": "sideways"}, 5, None],
        "noted": [[1], {"a": "x"}, "x"],
        "cost": ["x", []],
        "right": ["no base 64!", 5],
        "key": [None, 5],
    }.items()
    for value in values
}
HARMLESS: dict[str, dict[str, Any]] = {
    "a thousand million epochs": {"epochs": 10**9},
    "another key than its own": {"key": "0123456789abcdef"},
    "params that are not searched": {"params": {"x": 4.0, "word": "b", "evil": "<script>alert(1)</script>"}},
    "params missing": {"params": {"x": 4.0}},
    "nothing for a value": {"params": {"x": None, "word": "b"}},  # a choice may be None
    "wrong type": {"params": {"x": "<b>four", "word": 5}},
    "a value out of the space": {"params": {"x": -1e300, "word": "b"}},
    "a curve longer than its epochs": {"curve": {"validation_accuracy": [0.1] * 1000}},
    "a curve of words for numbers": {"curve": {"validation_accuracy": ["nan", "inf"]}},
    "curves without end": {"curve": {f"<i>{i}": [0.5, 0.5] for i in range(2000)}},
    "an odd host": {"provenance": {"host": {"a": [1]}, "shard": None, "started": 3}},
    "deep provenance": {"provenance": {"a": DEEP}},
    "an unknown field": {"evil": {"a": 1}},
    "negative seconds": {"seconds": -5.0},
    "an absurd accuracy": {"accuracy": -1e300},
    "an absurd value of a curve": {"curve": {"validation_accuracy": [1e308, 0.5]}},
    "many parameters": {"n_parameters": 2**61},
    "a long error": {"state": "failed", "accuracy": None, "error": "<script>" + "no " * 1_000_000},
}


def run(path: Path, *changes: dict[str, Any]) -> Path:
    study = Study.of(SPACE, accuracy, name="<script>alert(2)</script>", stages=("grid", "interval"), epochs=2)
    trials = [
        Trial(
            Training({"x": x, "word": word}, 0, 2), accuracy=0.5 + 0.01 * x, curve={"validation_accuracy": [0.1, 0.5]}
        )
        for x in SPACE["x"]
        for word in SPACE["word"]
        if (x, word) != (4.0, "b")
    ]
    folder = record_in(path, trials, settings=study.settings())
    record = parse(trial_line(Trial(NEW, accuracy=0.9, curve={"validation_accuracy": [0.1, 0.9]}), folder.study))
    assert record is not None
    record = {**record, "curve": dict(record["curve"]), "provenance": {}}
    with (path / "trials" / "main.jsonl").open("ab") as file:
        for change in changes:
            file.write(sealed({**record, **change}))
    return path


@pytest.mark.parametrize("change", SKIPPED)
def test_absurd_record_is_skipped_and_its_training_wanted_again(tmp_path: Path, change: str) -> None:
    recorded = read_recorded(run(tmp_path, SKIPPED[change]))
    assert recorded.n_torn == 1
    assert len(recorded.results.trials) == 7
    assert NEW not in recorded.results.trials


@pytest.mark.parametrize("name", ["params", "accuracy", "seed", "epochs", "state", "curve", "error", "key", "study"])
def test_record_that_lacks_something_is_skipped(tmp_path: Path, name: str) -> None:
    path = run(tmp_path, {})
    file = path / "trials" / "main.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    record = json.loads(lines[-1])
    file.write_bytes(b"".join([*lines[:-1], sealed({k: v for k, v in record.items() if k not in (name, "crc")})]))
    recorded = read_recorded(path)
    assert (recorded.n_torn, len(recorded.results.trials)) == (1, 7)


def test_every_command_goes_on_with_all_absurd_records_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # compare writes its page where one stands
    path = run(tmp_path / "run", *SKIPPED.values(), *HARMLESS.values())
    for command in (
        ["status", str(path)],
        ["trials", str(path), "--csv"],
        ["view", str(path)],
        ["merge", str(path), "--into", str(tmp_path / "merged")],
        ["report", str(path)],
        ["compare", str(path), "--methods", "random", "--budget", "3", "--seeds", "1", "--quiet"],
    ):
        assert main(command) == 0, (command, capsys.readouterr().err[-2000:])
    out = capsys.readouterr().out
    assert f"{len(SKIPPED)} torn lines were skipped" in out
    page = (path / "report.html").read_text()
    for evil in ("<script>alert", "<b>four", "<i>0", "<script>no"):
        assert evil not in page


@pytest.mark.parametrize("change", HARMLESS)
def test_odd_record_is_read(tmp_path: Path, change: str) -> None:
    recorded = read_recorded(run(tmp_path, HARMLESS[change]))
    assert recorded.n_torn == 0
    assert len(recorded.results.trials) == 8


@pytest.mark.parametrize("change", [{"accuracy": 1e160}, {"curve": {"validation_accuracy": [-1e160, 0.5]}}], ids=str)
def test_value_whose_square_is_none_diverged(tmp_path: Path, change: dict[str, Any]) -> None:
    [trial] = [t for t in read_recorded(run(tmp_path, change)).results.trials if t.training == NEW]
    assert (trial.state, trial.accuracy) == ("diverged", None)


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 100_000 + b"\n",
        sealed(DEEP),
        sealed(
            {"heading": "x", "identity": {"a": DEEP}, "settings": {}, "study_text": None, "study": "s", "format": 1}
        ),
        sealed({"heading": 3, "identity": {}, "settings": {}, "study_text": None, "study": "s", "format": 1}),
        sealed({"heading": "x", "identity": [], "settings": 3, "study_text": 5, "study": "s", "format": 1}),
        sealed({"format": 1}),
        sealed({"format": 1, "study": "s"}),
        sealed([1, 2, 3]).replace(b'"', b"'"),
    ],
    ids=map(str, range(8)),
)
def test_line_that_is_no_record_is_counted_and_skipped(tmp_path: Path, line: bytes) -> None:
    path = run(tmp_path / "run")
    with (path / "trials" / "main.jsonl").open("ab") as file:
        file.write(line)
    recorded = read_recorded(path)
    assert (recorded.n_torn, len(recorded.results.trials)) == (1, 7)
    assert main(["merge", str(path), "--into", str(tmp_path / "merged")]) == 0


def test_usual_records_are_read_the_quick_way_with_the_same_outcome() -> None:
    usual = Trial(NEW, accuracy=0.9, curve={"validation_accuracy": [0.1, 0.9]}, provenance={"host": "a"}, seconds=1.5)
    line = trial_line(usual, "s")
    record = parse(line)
    assert record is not None
    assert isinstance(record["curve"], Curves)
    other = parse(sealed({**json.loads(line[: line.rindex(b', "crc"')] + b"}"), "later": 1}))
    assert other is not None
    assert not isinstance(other["curve"], Curves)
    assert to_trial(record) == to_trial(other) == usual
    assert repr(to_trial(record)) == repr(usual)
