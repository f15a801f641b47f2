"""Runs in MLflow and TensorBoard: what stands there is read back with their own readers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from zonesearch import StoreError, Trial, load_run, run_pipeline
from zonesearch.cli.main import main
from zonesearch.core.wording import excerpt
from zonesearch.run.export.exporting import export_to_mlflow, export_to_tensorboard
from zonesearch.run.storage.run_folder import RunFolder
from zonesearch.run.storage.store import Store

SPACE = {"x": [0.0, 1.0], "kind": ["plain", "odd"]}


def curve(params: Any, seed: int, epochs: int) -> Iterator[float]:
    if params["kind"] == "odd" and params["x"] == 1.0:
        raise RuntimeError("no such network")
    for epoch in range(epochs):
        yield 1 - (params["x"] - 0.5) ** 2 - 1 / (epoch + 2) + 0.001 * seed


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with curves of three epochs, and a setting that fails."""
    run_pipeline(SPACE, objective=curve, epochs=3, stages=["grid"], seeds=1, into=tmp_path / "run", name="small search")
    return tmp_path / "run"


def goes_on(run: Path) -> None:
    """One training of the run goes on to five epochs, and what failed is complete."""
    trials = load_run(run).trials
    longer = next(trial for trial in trials if trial.complete)
    failed = next(trial for trial in trials if not trial.complete)
    params = dict(longer.params)
    with Store(RunFolder.open(run), "later") as store:
        values = list(curve(params, longer.seed, 5))
        longer_training = type(longer.training)(params, longer.seed, 5)
        store.append([Trial(longer_training, accuracy=max(values), curve={"validation_accuracy": values})])
        store.append([Trial(failed.training, accuracy=0.5, curve={"validation_accuracy": [0.3, 0.4, 0.5]})])


def longest(run: Path) -> Trial:
    return max(load_run(run).trials, key=lambda trial: trial.epochs)


class TestTensorBoard:
    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        pytest.importorskip("tensorboard", reason="tensorboard is not installed")

    def read(self, folder: Path) -> Any:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        return EventAccumulator(str(folder)).Reload()

    def test_curves_params_and_values_can_be_read_back(self, run: Path, tmp_path: Path) -> None:
        done = export_to_tensorboard(run, tmp_path / "board")
        assert (done.n_new, done.n_trainings) == (4, 4)
        place = Path(done.place)
        assert place.parent == tmp_path / "board"
        for trial in load_run(run).trials:
            told = self.read(place / trial.training.key)
            if not trial.complete:
                assert "accuracy" not in told.Tags()["scalars"]
                continue
            points = [(event.step, event.value) for event in told.Scalars("epoch/validation_accuracy")]
            assert points == [(i, pytest.approx(v)) for i, v in enumerate(trial.validation_curve, start=1)]
            assert told.Scalars("accuracy")[-1].value == pytest.approx(trial.accuracy)
            started = told.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
            assert b"kind" in started
        study = self.read(place)
        assert {"study/trainings", "study/best_accuracy"} <= set(study.Tags()["scalars"])
        assert b"no verdict" in study.Tensors("verdict")[0].tensor_proto.string_val[0]

    def test_exported_again_it_adds_only_what_is_new(self, run: Path, tmp_path: Path) -> None:
        place = Path(export_to_tensorboard(run, tmp_path / "board").place)
        before = {file: file.read_bytes() for file in place.rglob("events.*")}
        assert export_to_tensorboard(run, tmp_path / "board").n_new == 0
        assert set(place.rglob("events.*")) == set(before)
        goes_on(run)
        assert export_to_tensorboard(run, tmp_path / "board").n_new == 2
        assert all(file.read_bytes() == content for file, content in before.items())
        steps = [e.step for e in self.read(place / longest(run).training.key).Scalars("epoch/validation_accuracy")]
        assert steps == [1, 2, 3, 4, 5]
        assert export_to_tensorboard(run, tmp_path / "board").n_new == 0

    def test_the_command_says_what_it_did_and_refuses_a_wrong_place(
        self, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["export", str(run), "--tensorboard", str(tmp_path / "board")]) == 0
        assert "4 trainings added" in capsys.readouterr().out
        (tmp_path / "file").write_text("")
        assert main(["export", str(run), "--tensorboard", str(tmp_path / "file")]) == 2
        assert "cannot be written" in capsys.readouterr().err
        assert main(["export", str(run), "--tensorboard", str(tmp_path), "--experiment", "x"]) == 2
        assert "--experiment is for --mlflow" in capsys.readouterr().err


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real MLflow server on loopback, its store in SQLite."""
    pytest.importorskip("mlflow", reason="mlflow is not installed")
    pytest.importorskip("flask", reason="mlflow is installed without its server")
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    store = [
        "--backend-store-uri",
        f"sqlite:///{folder}/store.db",
        "--default-artifact-root",
        str(folder / "artifacts"),
    ]
    place = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    url = f"http://127.0.0.1:{port}"
    with (folder / "log").open("w") as log:
        alive = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *store, *place],
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
            start_new_session=True,
        )
        try:
            for _ in range(600):
                assert alive.poll() is None, (folder / "log").read_text()
                try:
                    urllib.request.urlopen(f"{url}/health", timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.2)
            yield url
        finally:
            os.killpg(alive.pid, 15)
            alive.wait(20)


@pytest.mark.slow
@pytest.mark.cluster
@pytest.mark.filterwarnings("ignore")
class TestMlflow:
    @pytest.fixture(autouse=True)
    def _quiet(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")

    def test_a_parent_with_children_that_are_told_once_and_go_on(
        self, run: Path, server: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from mlflow.tracking import MlflowClient

        assert main(["export", str(run), "--mlflow", server, "--experiment", "mine"]) == 0
        said = capsys.readouterr().out
        assert said.startswith("4 trainings added")
        assert said.count("\n") == 1
        client = MlflowClient(server)
        place = client.get_experiment_by_name("mine").experiment_id
        runs = client.search_runs([place])
        [parent] = [found for found in runs if "mlflow.parentRunId" not in found.data.tags]
        children = {found.data.tags["zonesearch.key"]: found for found in runs if found is not parent}
        assert {found.data.tags["mlflow.parentRunId"] for found in children.values()} == {parent.info.run_id}
        assert parent.info.run_name == "small search"
        assert parent.data.metrics["trainings"] == 4
        assert parent.info.status == "FINISHED"
        for trial in load_run(run).trials:
            child = children[trial.training.key]
            assert child.data.params == {"kind": trial.params["kind"], "x": str(trial.params["x"]), "seed": "0"}
            assert child.data.tags["zonesearch.stage"] == "grid"
            if not trial.complete:
                assert child.info.status == "FAILED"
                assert "no such network" in child.data.tags["zonesearch.error"]
                continue
            assert child.info.status == "FINISHED"
            assert child.data.metrics["accuracy"] == trial.accuracy
            history = client.get_metric_history(child.info.run_id, "validation_accuracy")
            assert {m.step: m.value for m in history} == dict(enumerate(trial.validation_curve, start=1))

        # again: only what is new, and what a killed export left half-told
        goes_on(run)
        untouched = next(t for t in load_run(run).trials if t.epochs == 3 and t.validation_curve[0] != 0.3)
        client.update_run(children[untouched.training.key].info.run_id, status="RUNNING")
        again = export_to_mlflow(run, server, experiment="mine")
        assert again.place == parent.info.run_id
        assert again.n_new == 3
        assert export_to_mlflow(run, server, experiment="mine").n_new == 0
        runs = client.search_runs([place], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
        assert len(runs) == 4
        assert {found.info.status for found in runs} == {"FINISHED"}
        [child] = [found for found in runs if found.data.tags["zonesearch.key"] == longest(run).training.key]
        steps = [m.step for m in client.get_metric_history(child.info.run_id, "validation_accuracy")]
        assert sorted(steps) == [1, 2, 3, 4, 5]

    def test_a_server_that_is_away_is_said_in_a_sentence(self, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        with pytest.raises(StoreError, match=r"MLflow at http://127\.0\.0\.1:9 does not respond"):
            export_to_mlflow(run, "http://127.0.0.1:9")

    def test_a_long_error_is_cut_between_words(self) -> None:
        text = "the server at the other end\n  does not answer"
        assert excerpt(text, 100) == "the server at the other end does not answer"
        assert [excerpt(text, n) for n in (24, 22)] == ["the server at the ...", "the server at the ..."]
        assert excerpt("a" * 50, 20) == "a" * 16 + " ..."


def test_export_needs_exactly_one_tracker(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["export", str(run)])
    assert stopped.value.code == 2
    assert "--mlflow" in capsys.readouterr().err


def test_choices_that_are_lists_or_nothing_are_words_to_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    space = {"widths": {"choices": [[64], [64, 32], None, "wide", True, 3]}}
    run_pipeline(space, objective=lambda params: 0.5, stages=["grid"], seeds=1, into=tmp_path / "run")
    assert export_to_tensorboard(tmp_path / "run", tmp_path / "board").n_new == 6
