"""The benchmark of the time to an answer, on its tiny task."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import pytest

pytest.importorskip("torch")


def training(n: int, width: int, curve: list[float], seed: int, pruned: bool = False) -> dict[str, object]:
    return {
        "params": {"width": width},
        "seed": seed,
        "curve": curve,
        "pruned": pruned,
        "cpu": float(n),
        "wall": 2.0 * n,
    }


def test_the_script_recommends_the_best_mean_of_all_seeds_of_points_that_were_not_pruned() -> None:
    from benchmarks.answer import steps
    from benchmarks.answer_searches import TASKS

    records = [
        *(training(1 + i, 8, [0.5, 0.4], i) for i in range(3)),
        training(4, 16, [0.9], 0, pruned=True),
        *(training(5 + i, 9, [0.6], i) for i in range(3)),
        *(training(8 + i, 10, [0.5], i) for i in range(3)),
    ]
    assert steps(TASKS["tiny"], "script", records) == [(3.0, 6.0, {"width": 8}), (7.0, 14.0, {"width": 9})]


def test_an_answer_is_there_from_when_on_the_recommendation_stays_good() -> None:
    from benchmarks.answer import answer

    found = [(1.0, 2.0, {"x": 1}), (2.0, 4.0, {"x": 2}), (3.0, 6.0, {"x": 3}), (5.0, 9.0, {"x": 1})]
    which = ("tiny", "script", 0)
    end = (9.0, 12.0, None)
    came = answer(which, found, [0.0, 0.3, 0.1, 0.05], end)
    assert (came.first, came.settled, came.settled_wall, came.end) == (1.0, 3.0, 6.0, 9.0)
    never = answer(which, found, [0.0, 0.3, 0.1, 0.2], end)
    assert (never.first, never.settled) == (1.0, math.inf)


def test_quartiles_and_gains_bear_searches_that_never_answer() -> None:
    from benchmarks.answer import gain, quartiles

    assert quartiles([1.0, 2.0, 3.0]) == (1.5, 2.0, 2.5)
    assert quartiles([1.0, math.inf]) == (math.inf, math.inf, math.inf)
    assert gain([40.0] * 3, [2.0] * 3) == (20.0, 20.0, 20.0)
    assert gain([math.inf] * 3, [2.0] * 3)[0] == math.inf
    assert gain([2.0] * 3, [math.inf] * 3)[0] == 0.0


def test_another_search_trains_the_same_points_with_other_seeds_and_the_truth_with_others_again() -> None:
    from benchmarks.answer_searches import TASKS
    from zonesearch.core.trials import Training

    asked = Training({"width": 8, "batch": 64}, 3, 2)
    curves = []
    for number in (None, 0, 0, 1):
        recipe = TASKS["tiny"].recipe(number)
        [job] = recipe.jobs([asked])
        [trial] = recipe.train(job, lambda share: None)
        assert trial.training == asked
        curves.append(tuple(trial.curve["validation_loss"]))
    assert curves[1] == curves[2]
    assert len(set(curves)) == 3


def test_a_search_of_the_script_that_was_cut_goes_on_where_it_was(tmp_path) -> None:
    pytest.importorskip("optuna")
    from benchmarks.answer_searches import file_of, read, search

    path = file_of(tmp_path, "tiny", "pruned", 0)
    assert search(tmp_path, "tiny", "pruned", 0)
    whole = read(path)
    path.write_text("".join(json.dumps(each) + "\n" for each in whole[:2]) + '{"torn')
    assert not search(tmp_path, "tiny", "pruned", 0, minutes=0.0)
    assert read(path) == whole[:2]
    assert search(tmp_path, "tiny", "pruned", 0)
    again = read(path)
    assert [(each.get("params"), each.get("curve")) for each in again] == [
        (each.get("params"), each.get("curve")) for each in whole
    ]
    assert all(a["cpu"] <= b["cpu"] for a, b in pairwise(again))


def test_the_whole_is_measured_and_scored_again_from_its_records(tmp_path, capsys) -> None:
    pytest.importorskip("optuna")
    from benchmarks.answer import main
    from benchmarks.answer_searches import WAYS, search

    for way in WAYS:
        assert search(tmp_path, "tiny", way, 100)
    call = ["--quick", "--seeds", "1", "--folder", str(tmp_path), "--no-run"]
    main([*call, "--json"])
    both = json.loads(capsys.readouterr().out)
    assert set(both) == {"validation", "unseen"}
    assert both["validation"]["answers"][0]["lacks"] != both["unseen"]["answers"][0]["lacks"]
    found = both["unseen"]
    assert [each["way"] for each in found["answers"]] == list(WAYS)
    assert all(each["end"] > 0 for each in found["answers"])
    assert set(found["best_known"]["tiny"]["params"]) >= {"width", "batch"}
    main(call)
    assert "| tiny | strong | 1 |" in capsys.readouterr().out


def test_without_the_images_a_task_is_left_out_with_the_reason(tmp_path, capsys, monkeypatch) -> None:
    from benchmarks.answer import main

    monkeypatch.setenv("ZONESEARCH_DATA", str(tmp_path / "nothing"))
    main(["--tasks", "mnist", "--no-run", "--folder", str(tmp_path)])
    assert "mnist is left out" in capsys.readouterr().err
