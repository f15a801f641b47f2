"""The three stages end to end on functions with known peaks, and what a run does when things go wrong."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import surfaces

from zonesearch import ObjectiveError, StudyError, Training, Trial, Trials, advance, run_pipeline
from zonesearch.run.engines.gpus import visible_gpus
from zonesearch.run.pipeline import next_round
from zonesearch.run.recorded import read_run
from zonesearch.statistics.verdict import Verdict
from zonesearch.study.study import Study

SURFACE = surfaces.noisy(surfaces.two_peaks, 0.003)


def test_two_noisy_peaks_are_both_zones_and_both_in_the_verdict() -> None:
    result = run_pipeline(surfaces.SPACE, objective=SURFACE, seeds=3, polish={"keep": 5, "repeats": 5})
    peaks = {(zone.peak["width"], zone.peak["batch"]) for zone in result.zones}
    assert peaks == {(256, 32), (1024, 256)}
    assert result.verdict is not None
    alike = {standing.finalist.zone for standing in result.verdict.alike}
    assert alike == {1, 2}
    assert list(result.frame().columns[:3]) == ["width", "batch", "accuracy"]


def test_interval_finds_an_optimum_between_the_cells() -> None:
    def between(params: dict[str, Any], seed: int) -> float:
        return 1 - 0.1 * abs(params["x"] - 0.4375)

    result = run_pipeline({"x": {"low": 0.0, "high": 1.0, "row": 4}}, objective=between)
    assert result.zones[0].peak == {"x": 0.5}
    assert max(result.candidates, key=lambda c: c.value).params["x"] == pytest.approx(0.4375)


def test_run_without_an_answer_for_anything_wants_the_whole_grid_first() -> None:
    study = Study.of(surfaces.SPACE, SURFACE, seeds=2)
    wanted = advance(study.stages, Trials())
    assert len(wanted) == 2 * study.space.n_cells
    assert len(set(wanted)) == len(wanted)


def test_advance_is_a_pure_function_of_the_trials() -> None:
    study = Study.of(surfaces.SPACE, SURFACE, seeds=2)
    records: list[Trial] = []
    rng = random.Random(5)
    while True:
        at = next_round(study.stages, Trials(records))
        shuffled = records.copy()
        rng.shuffle(shuffled)
        assert next_round(study.stages, Trials(shuffled)) == at
        if at.finished:
            break
        for training in at.missing:
            value = SURFACE(dict(training.params), training.seed, 1)
            records.append(Trial(training, accuracy=value, curve={"validation_accuracy": (value,)}))
    assert isinstance(advance(study.stages, Trials(records)), Verdict)


def test_second_call_trains_nothing_and_says_the_same(tmp_path: Path) -> None:
    calls: list[Training] = []

    def counted(params: dict[str, Any], seed: int, epochs: int) -> float:
        calls.append(Training(params, seed, epochs))
        return SURFACE(params, seed, epochs)

    first = run_pipeline(surfaces.SPACE, objective=counted, into=tmp_path / "run", seeds=2)
    n_calls = len(calls)
    assert n_calls == len(first.trials) == len(set(calls))
    second = run_pipeline(surfaces.SPACE, objective=counted, into=tmp_path / "run", seeds=2)
    assert len(calls) == n_calls
    assert second.verdict == first.verdict
    results, n_torn = read_run(tmp_path / "run")
    assert results.verdict == first.verdict
    assert n_torn == 0


def test_two_workers_find_what_one_finds(tmp_path: Path) -> None:
    space = {"width": [64, 128, 256], "batch": [8, 16, 32]}
    one = run_pipeline(space, objective=SURFACE, seeds=2)
    two = run_pipeline(space, objective=SURFACE, seeds=2, workers=2)
    columns = ["width", "batch", "accuracy", "seed", "epochs", "state", "key"]
    assert one.frame()[columns].equals(two.frame()[columns])


def test_two_workers_share_the_gpus_that_are_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4, 7")

    def device(params: dict[str, Any]) -> float:
        time.sleep(0.2)
        return float(os.environ["CUDA_VISIBLE_DEVICES"])

    assert set(run_pipeline({"x": [1, 2, 4, 8]}, objective=device, workers=2).frame()["accuracy"]) == {4.0, 7.0}


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("", ()),
        ("-1", ()),
        ("NoDevFiles", ()),
        ("0", ("0",)),
        (" 1 , 0 ", ("1", "0")),
        ("0,-1,1", ("0",)),
        ("0,,1", ("0",)),
        ("0,x,1", ("0",)),
        ("0,0", ()),
        ("0,1,0", ()),
        ("0,00", ()),
        ("0,0,-1", ()),
        ("0,-1,0", ("0",)),
        ("1gpu,+2", ("1", "2")),
        ("GPU-1,GPU-2", ("GPU-1", "GPU-2")),
        ("GPU-1,0,GPU-2", ("GPU-1",)),
        ("GPU-1,GPU-1", ()),
        ("0,GPU-1", ("0",)),
        ("MIG-a/1/0,MIG-b/1/0,GPU-1", ("MIG-a/1/0", "MIG-b/1/0")),
    ],
)
def test_gpus_are_those_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch, given: str, found: tuple[str, ...]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert visible_gpus() == found


def test_another_experiment_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    space = {"x": [1, 2, 4]}
    run_pipeline(space, objective=lambda params: params["x"] / 8, into=tmp_path / "run")
    with pytest.raises(StudyError, match="seed: 0 -> 1"):
        run_pipeline(space, objective=lambda params: params["x"] / 8, into=tmp_path / "run", seed=1)


def test_generator_gives_learning_curves() -> None:
    def train(params: dict[str, Any], seed: int, epochs: int) -> Iterator[float]:
        for epoch in range(epochs):
            yield 1 - 1 / (epoch + params["x"])

    result = run_pipeline({"x": [2, 4, 8]}, objective=train, epochs=4)
    trial = result.trials.get(Training({"x": 8}, 0, 2))
    assert trial is not None
    assert trial.validation_curve == (1 - 1 / 8, 1 - 1 / 9)


def test_objective_that_gives_no_number_ends_the_run_with_a_sentence(tmp_path: Path) -> None:
    numbers = []

    def half(params: dict[str, Any]) -> Any:
        if params["x"] >= 3:
            return "very good"
        numbers.append(params["x"])
        return 0.5

    with pytest.raises(ObjectiveError, match="must give a number, but gave str 'very good'"):
        run_pipeline({"x": [1, 2, 3, 4]}, objective=half, into=tmp_path / "run")
    assert numbers
    assert [trial.params["x"] for trial in read_run(tmp_path / "run")[0].trials] == sorted(numbers)


def test_objective_that_diverges_everywhere_ends_the_run_with_a_sentence() -> None:
    with pytest.raises(ObjectiveError, match="all diverged"):
        run_pipeline({"x": [1, 2, 3]}, objective=lambda params: float("nan"))


def test_failures_here_and_there_are_results_and_the_run_goes_on() -> None:
    def fragile(params: dict[str, Any], seed: int) -> float:
        if params["x"] == 2:
            raise RuntimeError("a cable came loose")
        return float("inf") if params["x"] == 8 else 0.9 + params["x"] / 100

    result = run_pipeline({"x": [1, 2, 4, 8, 16]}, objective=fragile, seeds=2, interval={"method": "split(2)"})
    states = result.frame().groupby("x")["state"].first()
    assert states[2] == "failed"
    assert states[8] == "diverged"
    assert "a cable came loose" in next(t.error for t in result.trials if t.state == "failed")
    assert result.verdict is not None
    assert result.verdict.best is not None
    assert any("failed" in note for note in result.results.notes)


def test_failed_trainings_are_trained_again_when_asked(tmp_path: Path) -> None:
    mended = tmp_path / "mended"

    def fragile(params: dict[str, Any]) -> float:
        if params["x"] == 2 and not mended.exists():
            raise RuntimeError("a cable came loose")
        return float(params["x"])

    def run(**more: Any) -> Any:
        return run_pipeline({"x": [1, 2, 4]}, objective=fragile, into=tmp_path / "run", **more).trials

    assert next(t.state for t in run().of({"x": 2})) == "failed"
    mended.touch()
    assert next(t.state for t in run().of({"x": 2})) == "failed"
    assert next(t.state for t in run(retry_failed=True).of({"x": 2})) == "complete"


def test_settings_of_unknown_stages_are_refused() -> None:
    with pytest.raises(StudyError, match='did you mean "polish"'):
        run_pipeline({"x": [1, 2]}, objective=lambda params: 1.0, polsh={"keep": 3})
    with pytest.raises(StudyError, match='did you mean "keep"'):
        run_pipeline({"x": [1, 2]}, objective=lambda params: 1.0, polish={"kep": 3})
    with pytest.raises(StudyError, match="objective="):
        run_pipeline({"x": [1, 2]})
