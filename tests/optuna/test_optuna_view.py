"""A view shows each training once, can always be made again, and never stops a run."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import optuna
import pytest

from tests.run.made import trial
from zonesearch.core.metric import Metric
from zonesearch.core.space import Space
from zonesearch.core.trials import Training, Trial
from zonesearch.errors import StoreError
from zonesearch.optuna.storage import open_storage
from zonesearch.optuna.view import LiveView, OptunaView
from zonesearch.run.storage.urls import shown_url

SPACE = Space.parse({"width": {"low": 8, "high": 64, "scale": "log"}, "rate": [0.5, 1.0], "kind": ["a", "b"]})


def made(width: int = 16, rate: float = 1.0, kind: str = "a", **more: object) -> Trial:
    training = Training({"width": width, "rate": rate, "kind": kind, "schedule": "constant"}, epochs=2)
    return Trial(training, accuracy=0.75, curve={"validation_accuracy": (0.5, 0.75)}, seconds=2.0, **more)  # type: ignore[arg-type]


@pytest.fixture(params=["journal", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "view.journal") if request.param == "journal" else f"sqlite:///{tmp_path}/view.db"


def shown(url: str, name: str = "digits") -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name=name, storage=open_storage(url, create=False)).trials


def dashboard(url: str) -> dict[str, Any]:
    """What the dashboard's own server tells its page about the first study."""
    from optuna_dashboard import wsgi

    app = wsgi(open_storage(url, create=False))
    told: list[dict[str, Any]] = []
    for path in ("/api/studies", "/api/studies/{id}"):
        environ: dict[str, Any] = {}
        setup_testing_defaults(environ)
        study = told[0]["study_summaries"][0]["study_id"] if told else 0
        environ |= {"PATH_INFO": path.format(id=study), "QUERY_STRING": "after=0"}
        body = b"".join(app(environ, lambda status, headers, error=None: None))
        told.append(json.loads(body))
    return told[-1]


def test_view_shows_params_curve_and_what_else_is_known(url: str) -> None:
    view = OptunaView(url, "digits", "f", SPACE, lambda t: {"stage": "grid", "zone": 2})
    started = "2026-01-01T00:00:00+00:00"
    assert view.top_up([made(provenance={"host": "h", "started": started})]) == 1
    (found,) = shown(url)
    assert found.params == {"width": 16, "rate": 1.0, "kind": "a"}
    assert found.value == 0.75
    assert found.intermediate_values == {1: 0.5, 2: 0.75}
    attributes = found.user_attrs
    assert (attributes["stage"], attributes["zone"], attributes["seed"]) == ("grid", 2, 0)
    assert attributes["param:schedule"] == "constant"
    assert attributes["provenance"]["host"] == "h"
    assert found.distributions["width"] == optuna.distributions.IntDistribution(8, 64, log=True)
    assert found.duration is not None
    assert found.duration.total_seconds() == 2.0


def test_view_is_topped_up_without_duplicates(url: str) -> None:
    first = [made(width) for width in (8, 16)]
    assert OptunaView(url, "digits", "f", SPACE).top_up(first) == 2
    view = OptunaView(url, "digits", "f", SPACE)
    assert view.top_up([*first, made(32), made(33, rate=0.7), made(32)]) == 2
    assert view.top_up(first) == 0
    assert len(shown(url)) == 4


def test_view_is_made_again_from_nothing(url: str) -> None:
    OptunaView(url, "digits", "f", SPACE).top_up([made(8), made(16)])
    assert OptunaView(url, "digits", "g", SPACE, rebuild=True).top_up([made(64)]) == 1
    assert [t.params["width"] for t in shown(url)] == [64]


def test_view_refuses_to_mix_studies(url: str) -> None:
    OptunaView(url, "digits", "f", SPACE).top_up([made()])
    with pytest.raises(StoreError, match=r"shows something else \(f\)"):
        OptunaView(url, "digits", "g", SPACE)
    OptunaView(url, "other", "g", SPACE)


def test_view_shows_values_that_a_later_stage_adds(url: str) -> None:
    view = OptunaView(url, "digits", "f", SPACE)
    view.top_up([made(8), made(128), made(16, kind="c"), made(16, rate=3.0)])
    assert {t.user_attrs.get("param:kind") for t in shown(url)} == {None, "c"}


def test_diverged_and_failed_trainings_are_shown_as_failed(url: str) -> None:
    view = OptunaView(url, "digits", "f", SPACE)
    nan = {"validation_accuracy": (0.5, float("nan")), "train_loss": (1.0, float("inf"))}
    view.top_up([Trial(made().training, "diverged", curve=nan), Trial(made(32).training, "failed", error="no")])
    assert {(t.state.name, t.user_attrs["state"]) for t in shown(url)} == {("FAIL", "diverged"), ("FAIL", "failed")}


def test_view_has_the_direction_and_the_name_of_its_metric(url: str) -> None:
    rmse = Metric("rmse", unit="m")
    found = made(test_accuracy=0.5, metric=rmse, noted={"latency_ms": 7.0})
    assert OptunaView(url, "digits", "f", SPACE, metric=rmse).top_up([found]) == 1
    study = optuna.load_study(study_name="digits", storage=open_storage(url, create=False))
    assert study.direction == optuna.study.StudyDirection.MINIMIZE
    assert study.metric_names == ["rmse"]
    assert study.best_trial.value == 0.75, "in its own sign"
    assert study.best_trial.user_attrs["test_rmse"] == 0.5
    assert study.best_trial.user_attrs["latency_ms"] == 7.0
    with pytest.raises(StoreError, match="is to be minimized, but accuracy is to be maximized: rebuild it"):
        OptunaView(url, "digits", "f", SPACE)
    assert OptunaView(url, "digits", "f", SPACE, rebuild=True).top_up([made()]) == 1


def test_view_that_shows_no_value_yet_is_turned_when_the_first_one_says_its_metric(url: str) -> None:
    failed, found = Trial(made().training, "failed", error="no"), made(32, metric=Metric("rmse"))
    view = OptunaView(url, "digits", "f", SPACE)
    view.top_up([failed])
    with pytest.raises(StoreError, match="rmse is to be minimized, the view is not"):
        view.top_up([found])
    assert OptunaView(url, "digits", "f", SPACE, metric=Metric("rmse")).top_up([failed, found]) == 2
    assert optuna.load_study(study_name="digits", storage=open_storage(url, create=False)).best_value == 0.75


def test_view_without_a_space_takes_numbers_as_they_come(url: str) -> None:
    OptunaView(url, "digits", "f").top_up([trial(16), trial(32)])
    assert sorted(t.params["width"] for t in shown(url)) == [16, 32]


def test_journal_with_a_torn_line_is_mended(tmp_path: Path) -> None:
    url = str(tmp_path / "view.journal")
    OptunaView(url, "digits", "f", SPACE).top_up([made(8), made(16)])
    data = Path(url).read_bytes()
    Path(url).write_bytes(data[:-10])
    OptunaView(url, "digits", "f", SPACE).top_up([made(8), made(16), made(32)])
    assert sorted(t.params["width"] for t in shown(url)) == [8, 16, 32]


def test_figures_and_note_are_saved_in_the_dashboard(url: str) -> None:
    import plotly.graph_objects as go

    view = OptunaView(url, "digits", "f", SPACE)
    view.top_up([made()])
    view.show({"map": go.Figure(go.Scatter(x=[1], y=[2]))}, note="# Verdict")
    view.show({"map": go.Figure(go.Scatter(x=[1], y=[3]))})
    detail = dashboard(url)
    assert [figure["id"] for figure in detail["plotly_graph_objects"]] == ["map"]
    assert '"y":[3]' in detail["plotly_graph_objects"][0]["graph_object"].replace(" ", "")
    assert detail["note"]["body"] == "# Verdict"
    assert detail["trials"][0]["values"] == [0.75]


def test_live_view_catches_up_after_an_outage(url: str) -> None:
    away = threading.Event()
    away.set()
    tried = threading.Event()

    def open_view() -> OptunaView:
        tried.set()
        if away.is_set():
            raise StoreError("the database is away")
        return OptunaView(url, "digits", "f", SPACE)

    live = LiveView(open_view)
    live.add([made(8), made(16)])
    assert tried.wait(10)
    live.add([made(32)])
    away.clear()
    assert live.close() == 0
    assert live.trouble == ""
    assert len(shown(url)) == 3


def test_live_view_gives_up_at_the_end_and_says_why() -> None:
    def open_view() -> OptunaView:
        raise StoreError("the database is away")

    live = LiveView(open_view)
    live.add([made(8), made(16)])
    assert live.close() == 2
    assert live.trouble == "the database is away"


def test_storage_that_cannot_be_reached_is_one_sentence_without_the_password(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"postgresql://me:\*\*\*@127.0.0.1:1/db") as error:
        OptunaView("postgresql://me:secret@127.0.0.1:1/db", "digits", "f")
    assert "secret" not in str(error.value)
    with pytest.raises(StoreError, match="nosuch"):
        OptunaView("nosuch://host/db", "digits", "f")
    with pytest.raises(StoreError, match="there is no"):
        open_storage(str(tmp_path / "none.journal"), create=False)
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written"):
        open_storage(str(tmp_path / "file" / "view.journal"), create=True)
    assert shown_url("sqlite:///a.db") == "sqlite:///a.db"


@pytest.fixture(autouse=True)
def _closed_databases() -> Iterator[None]:
    """SQLite connections are closed when their storage is collected; a test that leaves one would warn elsewhere."""
    yield
    import gc

    gc.collect()
