"""What measures a GPU runs on a processor, too: it goes on where it was, and no piece waits for another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu import Sizes, begin, main, map_summary, measure_map, records, resnet_summary

SCRIPT = Path(__file__).parents[2] / "scripts" / "gpu_check.sh"
TINY = replace(Sizes.tiny(), widths=(4,), batches=(64, 128))


def called(piece: str, into: Path, *more: str) -> int:
    return main([piece, "--smoke", "--device", "cpu", "--into", str(into), *more])


def test_a_map_goes_on_where_it_was(tmp_path: Path) -> None:
    begin(tmp_path, "cpu", TINY)
    measure_map(tmp_path, TINY, "cpu")
    found = records(tmp_path, "map")
    assert [record["way"] for record in found] == ["here", "script", "script"] * 2
    path = tmp_path / "map.jsonl"
    path.write_text(path.read_text()[: path.read_text().rindex('"here"')])
    assert len(records(tmp_path, "map")) == 3, "killed in the middle of a line"
    measure_map(tmp_path, TINY, "cpu")
    again = records(tmp_path, "map")
    assert len(again) == len(found)
    assert {record["key"] for record in again if record["way"] == "script"} == {t.key for t in TINY.trainings}
    here = [record["accuracies"] for record in again if record["way"] == "here"]
    assert here[0] == here[1], "rounds train the same"
    summary = map_summary(again, TINY)
    assert summary is not None
    assert (summary["n_trainings"], summary["n_by_script"], summary["n_rounds"]) == (4, 4, 2)


def test_resnet_and_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert called("resnet", tmp_path) == 0
    once = (tmp_path / "resnet.jsonl").read_text()
    assert called("resnet", tmp_path) == 0
    assert (tmp_path / "resnet.jsonl").read_text() == once
    assert called("table", tmp_path) == 75, "the map is not measured"
    table = capsys.readouterr().out
    assert table.count("| resnet18 on noise (CIFAR-10 is not here)") == 2
    assert "| map | not measured |" in table
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert (found["map"], found["tests"], len(found["resnet"])) == (None, None, 2)
    assert (tmp_path / "gpu.md").read_text() in table
    with pytest.raises(SystemExit) as ended:
        main(["table", "--device", "cpu", "--into", str(tmp_path)])
    assert ended.value.code == 2


def here(seconds: float, keys: str) -> dict[str, Any]:
    accuracies = dict.fromkeys(keys, 0.9)
    return {"way": "here", "seconds": seconds, "accuracies": accuracies, "data": "MNIST", "precisions": ["tf32"]}


def by_script(key: str, width: int, batch: int, seconds: float) -> dict[str, Any]:
    return {"way": "script", "key": key, "cell": [width, batch], "seconds": seconds, "accuracy": 0.8}


def test_the_map_counts_a_missing_seed_as_the_mean_of_its_cell() -> None:
    measured = [here(3.0, "abcd"), by_script("a", 4, 64, 10.0), by_script("b", 4, 64, 14.0)]
    assert map_summary(measured, TINY) is None, "a cell was not measured at all"
    summary = map_summary([*measured, by_script("c", 4, 128, 3.0), here(1.0, "abcd"), here(2.0, "abcd")], TINY)
    assert summary is not None
    assert (summary["seconds"], summary["script_seconds"], summary["times"]) == (2.0, 30.0, 15.0)
    assert (summary["n_by_script"], summary["accuracy"], summary["script_accuracy"]) == (
        3,
        pytest.approx(0.9),
        pytest.approx(0.8),
    )


def test_resnet_needs_both_ways_and_takes_medians() -> None:
    one = {"precision": "auto", "used": "tf32", "accuracy": 0.5, "data": "CIFAR-10"}
    ours = [{**one, "way": "here", "seconds": s} for s in (2.0, 1.0, 9.0)]
    assert resnet_summary(ours) == []
    (row,) = resnet_summary([*ours, {**one, "way": "tuned", "seconds": 5.0}])
    assert (row["seconds"], row["tuned_seconds"], row["times"], row["n_rounds"]) == (2.0, 5.0, 2.5, 1)


def pieces(tmp_path: Path, program: str, **settings: str) -> tuple[int, list[str]]:
    """The script with a stand-in for Python, which writes down how it was called; ``piece`` names what."""
    stand_in = tmp_path / "python"
    calls = tmp_path / "calls"
    stand_in.write_text(f"#!{sys.executable}\nimport sys, time\nopen({str(calls)!r}, 'a').write("
                        f"' '.join(sys.argv[1:]) + '\\n')\npiece = sys.argv[3]\n{program}\n")  # fmt: skip
    stand_in.chmod(0o755)
    environment = {**os.environ, "PYTHON": str(stand_in), "INTO": "there", **settings}
    done = subprocess.run([SCRIPT, "--smoke"], env=environment, capture_output=True, timeout=60, check=False)
    return done.returncode, calls.read_text().splitlines()


def test_each_piece_runs_whatever_became_of_the_others(tmp_path: Path) -> None:
    program = "if piece == 'tests': sys.exit(3)\nif piece == 'map': time.sleep(50)"
    status, calls = pieces(tmp_path, program, MAP_S="0.5")
    assert status == 3
    assert calls == [f"-m benchmarks.gpu {piece} --into there --smoke" for piece in ("tests", "map", "resnet", "table")]


def test_what_has_more_to_do_says_so(tmp_path: Path) -> None:
    program = "if piece == 'map': time.sleep(50)\nsys.exit(75 if piece == 'table' else 0)"
    assert pieces(tmp_path, program, MAP_S="0.5")[0] == 75


def test_the_limits_leave_it_under_ten_minutes() -> None:
    limits = [int(part.partition("}")[0]) for part in SCRIPT.read_text().split("_S:-")[1:]]
    assert len(limits) == 3
    assert sum(limits) + 3 * 10 < 600
