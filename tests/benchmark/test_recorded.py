"""A finished map replayed: what it answers, what is true of it, and how it is read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from zonesearch import Metric, StoreError, StudyError, Training, run_pipeline
from zonesearch.benchmark.methods import methods
from zonesearch.benchmark.recorded import RecordedCell, RecordedMap
from zonesearch.benchmark.recording import map_of, read_map, write_map
from zonesearch.benchmark.searching import compare, search
from zonesearch.core.space import Space

RECORDED = sorted((Path(__file__).parents[2] / "benchmarks" / "recorded").glob("*.json"))
SPACE = Space.parse({"x": [1, 2, 4, 8], "kind": ["a", "b"]})


def curve(x: int, kind: str, seed: int) -> tuple[float, float, float]:
    """Rises over three epochs; the last is the best."""
    top = 0.5 + x / 20 + (0.02 if kind == "b" else 0) + seed / 1000
    return top - 0.2, top - 0.1, top


MAP = RecordedMap(
    "made",
    SPACE,
    3,
    tuple(
        RecordedCell(point, tuple(curve(point["x"], point["kind"], seed) for seed in range(5)))
        for point in SPACE.grid()
    ),
)


def test_a_map_of_an_error_keeps_its_metric_and_its_digits(tmp_path: Path) -> None:
    metric = Metric("loss", unit="nats")
    cells = tuple(replace(cell, curves=tuple(tuple(3e-6 * v for v in c) for c in cell.curves)) for cell in MAP.cells)
    turned = replace(MAP, cells=cells, metric=metric)
    assert turned.best == min(turned.means) < turned.median < max(turned.means)
    write_map(turned, tmp_path / "map.json")
    again = read_map(tmp_path / "map.json")
    assert again.metric == metric
    assert np.allclose(again.means, turned.means, rtol=1e-5)
    [answer] = again.answer([Training({"x": 4, "kind": "a"}, 0, 2)], repeat=0)
    assert (answer.metric, answer.accuracy) == (metric, min(answer.validation_curve))
    contest = compare(again, methods("random,coordinate"), budget=6, repeats=range(2))
    assert contest.metric == metric
    assert contest.scale > 0
    assert all(regret >= 0 for search in contest.searches for regret in search.regret)
    assert min(regret for search in contest.searches for regret in search.regret) < contest.scale


def test_a_map_without_a_metric_is_one_of_accuracies(tmp_path: Path) -> None:
    write_map(MAP, tmp_path / "map.json")
    head = json.loads((tmp_path / "map.json").read_text())
    assert (head["format"], head.get("metric")) == (1, None), "older versions read it"
    assert read_map(tmp_path / "map.json").metric == Metric()


def test_a_training_gets_a_recorded_seed_of_its_cell() -> None:
    recorded = {curve(4, "a", seed)[-1] for seed in range(5)}
    answers = MAP.answer([Training({"x": 4, "kind": "a"}, seed, 3) for seed in range(5)], repeat=0)
    assert {trial.accuracy for trial in answers} == recorded
    again = MAP.answer([trial.training for trial in reversed(answers)], repeat=0)
    assert [trial.accuracy for trial in reversed(again)] == [trial.accuracy for trial in answers]
    drawn = {MAP.answer([Training({"x": 4, "kind": "a"}, 0, 3)], repeat)[0].accuracy for repeat in range(40)}
    assert drawn == recorded


def test_a_mean_of_few_repeats_is_the_truth_only_without_replacement() -> None:
    trainings = [Training({"x": 4, "kind": "a"}, seed, 3) for seed in range(10)]

    def values(map_: RecordedMap) -> list[list[float]]:
        return [[t.accuracy or 0.0 for t in map_.answer(trainings, repeat)] for repeat in range(20)]

    once, anew = values(MAP), values(replace(MAP, with_replacement=True))
    truth = MAP.truth(trainings[0].params)
    assert np.allclose(np.mean(once, axis=1), truth)
    assert np.std(np.mean(anew, axis=1)) > 2e-4
    assert np.mean(anew) == pytest.approx(truth, abs=3e-4)
    assert {value for row in anew for value in row} == {curve(4, "a", seed)[-1] for seed in range(5)}
    assert values(replace(MAP, with_replacement=True)) == anew


def test_a_shorter_training_is_the_beginning_of_the_longer_one() -> None:
    point = {"x": 2, "kind": "b"}
    short, long = (MAP.answer([Training(point, 0, epochs)], 3)[0] for epochs in (2, 3))
    assert short.validation_curve == long.validation_curve[:2]
    assert short.accuracy == short.validation_curve[-1]
    with pytest.raises(StudyError, match="ends at 3 epochs, but 4 were requested"):
        MAP.answer([Training(point, 0, 4)], 0)


def test_the_truth_is_the_mean_over_the_seeds() -> None:
    for point in SPACE.grid():
        assert MAP.truth(point) == pytest.approx(np.mean([curve(point["x"], point["kind"], s)[-1] for s in range(5)]))
    assert MAP.best == pytest.approx(MAP.truth({"x": 8, "kind": "b"}))
    assert MAP.noise == pytest.approx(np.std(np.arange(5) / 1000, ddof=1))
    truths = MAP.truths([{"x": 1, "kind": "a"}])
    assert truths.values == (MAP.truth({"x": 1, "kind": "a"}),)
    assert truths.best == MAP.best


def test_between_the_cells_the_nearest_one_answers() -> None:
    assert MAP.truth({"x": 5, "kind": "a"}) == MAP.truth({"x": 4, "kind": "a"})  # on the log scale of the axis
    assert MAP.truth({"x": 6, "kind": "a"}) == MAP.truth({"x": 8, "kind": "a"})
    lonely = RecordedMap("lonely", SPACE, 3, tuple(c for c in MAP.cells if c.params != {"x": 1, "kind": "a"}))
    assert lonely.truth({"x": 1, "kind": "a"}) == MAP.truth({"x": 2, "kind": "a"})  # never another choice


def test_a_lost_training_is_lost_again_and_counts_as_the_worst() -> None:
    point = {"x": 8, "kind": "b"}
    cells = tuple(
        RecordedCell(cell.params, ((),) * 2 + cell.curves[2:]) if dict(cell.params) == point else cell
        for cell in MAP.cells
    )
    lossy = RecordedMap("lossy", SPACE, 3, cells)
    states = [t.state for t in lossy.answer([Training(point, seed, 3) for seed in range(5)], 0)]
    assert sorted(states) == ["complete"] * 3 + ["diverged"] * 2
    worst = curve(1, "a", 0)[-1]
    assert lossy.truth(point) == pytest.approx(np.mean([worst, worst, *(curve(8, "b", s)[-1] for s in (2, 3, 4))]))


def test_a_replay_is_deterministic_and_its_regret_that_of_the_table() -> None:
    first, again = (compare(MAP, methods("grid+interval,random"), budget=8, repeats=range(3)) for _ in range(2))
    assert [(s.regret, s.recommended) for s in first.searches] == [(s.regret, s.recommended) for s in again.searches]
    for one in first.searches:
        assert one.regret[-1] == pytest.approx(MAP.best - MAP.truth(one.recommended))
    assert first.noise == MAP.noise
    assert "5 recorded seeds" in first.source


def test_searches_side_by_side_are_those_one_after_the_other() -> None:
    alone, beside = (compare(MAP, methods("grid,tpe"), budget=6, repeats=range(2), workers=n) for n in (1, 2))
    assert [(s.method, s.repeat, s.regret) for s in alone.searches] == [
        (s.method, s.repeat, s.regret) for s in beside.searches
    ]


def test_a_map_without_repeats_has_no_noise_to_be_within() -> None:
    once = RecordedMap("once", SPACE, 3, tuple(RecordedCell(c.params, c.curves[:1]) for c in MAP.cells))
    contest = compare(once, methods("grid,random"), budget=8, repeats=range(2))
    assert np.isnan(contest.noise)
    assert all(np.isnan(standing.within_noise) for standing in contest.standings())
    assert json.loads(json.dumps(contest.describe()))["standings"][0]["within_noise"] is None


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    size = write_map(MAP, tmp_path / "map.json")
    assert (tmp_path / "map.json").stat().st_size == size
    read = read_map(tmp_path / "map.json")
    assert read.space == MAP.space
    assert (read.name, read.epochs, read.reading) == (MAP.name, MAP.epochs, MAP.reading)
    for cell, before in zip(read.cells, MAP.cells, strict=True):
        assert cell.params == before.params
        assert np.array(cell.curves) == pytest.approx(np.array(before.curves), abs=5e-5)


def test_a_finished_run_is_a_map(tmp_path: Path) -> None:
    space = {"x": {"low": 0.0, "high": 1.0}, "batch": [16, 32]}
    result = run_pipeline(
        space,
        objective=lambda params, seed, epochs: 0.9 - (params["x"] - 0.3) ** 2 + seed / 1000,
        seeds=3,
        stages=("grid", "interval"),
        into=tmp_path / "run",
    )
    recorded = read_map(tmp_path / "run")
    assert recorded == map_of(result.results)
    assert recorded.n_seeds == 3
    assert len(recorded.cells) > 10  # the grid's, and those between
    assert recorded.truth({"x": 0.25, "batch": 16}) == pytest.approx(0.9 - 0.05**2 + 0.001)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_recorded_maps_that_ship_are_whole_and_small(path: Path) -> None:
    recorded = read_map(path)
    assert len(recorded.cells) == recorded.space.n_cells
    assert recorded.n_seeds >= (3 if path.stem == "mnist_full" else 5)
    assert 0 < recorded.noise < 0.02 < recorded.best - recorded.median + 0.02
    assert path.stat().st_size < 1_000_000
    found = search(methods("random")[0], recorded, budget=20)
    assert 0 <= found.regret[-1] <= recorded.best - float(recorded.means.min())


def test_maps_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"recorded map .*none.json cannot be read: No such file"):
        read_map(tmp_path / "none.json")
    (tmp_path / "other.json").write_text('{"format": 1}')
    with pytest.raises(StudyError, match=r"other.json is not a recorded map \(KeyError: 'cells'\)"):
        read_map(tmp_path / "other.json")
    (tmp_path / "later.json").write_text('{"format": 9}')
    with pytest.raises(StudyError, match="newer zonesearch"):
        read_map(tmp_path / "later.json")
    with pytest.raises(StudyError, match="no complete training"):
        RecordedMap("empty", SPACE, 3, (RecordedCell({"x": 1, "kind": "a"}, ((),)),))


def test_answers_and_training_accuracies_are_kept_to_the_last_example(tmp_path: Path) -> None:
    n = 37
    counts = {(x, seed): (10 + x + seed, 20 + x + 2 * seed) for x in (1, 2) for seed in range(2)}

    def right(k: int) -> bytes:
        return np.packbits(np.arange(n) < k).tobytes()

    cells = tuple(
        RecordedCell(
            {"x": x},
            (tuple(k / n for k in counts[x, 0]), tuple(k / n for k in counts[x, 1]), ()),
            ((0.5, 1.0), (0.50001, 0.99999), ()),
            (right(counts[x, 0][1]), right(counts[x, 1][1]), b""),
        )
        for x in (1, 2)
    )
    whole = RecordedMap("counted", Space.parse({"x": [1, 2]}), 2, cells, n_validation=n)
    write_map(whole, tmp_path / "map.json")
    again = read_map(tmp_path / "map.json")
    assert again == whole
    trial = again.trials.get(Training({"x": 2}, 1, 2))
    assert trial is not None
    assert (trial.accuracy, trial.right, trial.curve["train_accuracy"]) == (24 / n, right(24), (0.50001, 0.99999))
    assert sorted(trial.state for trial in again.trials) == ["complete"] * 4 + ["diverged"] * 2
    with pytest.raises(StudyError, match=r"answers of 1 seeds at .*, where 3 are recorded"):
        replace(cells[0], right=(b"",))
