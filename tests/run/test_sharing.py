"""Shards of a study, its view and an imported search, from the outside."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import optuna
import pytest

from zonesearch.core.trials import Trial, Trials
from zonesearch.errors import StudyError
from zonesearch.optuna.runs import import_run, live_view, open_view
from zonesearch.optuna.storage import open_storage
from zonesearch.run.begun import open_run
from zonesearch.run.pipeline import find
from zonesearch.run.result import Result
from zonesearch.run.running import Silent, run_study
from zonesearch.run.shards import Shard
from zonesearch.run.sharing import shards_of
from zonesearch.run.storage.run_folder import RunFolder
from zonesearch.run.storage.store import Store
from zonesearch.study.study import Study


def peak(params: dict[str, float]) -> float:
    return 1 - abs(params["x"] - 3) / 10 - abs(params["y"] - 2) / 10


STUDY = Study.of({"x": [1.0, 2.0, 3.0, 4.0], "y": [1.0, 2.0, 3.0]}, peak, stages=("grid", "interval"), seeds=1)


def test_shards_run_apart_and_merged_finish_the_study(tmp_path: Path) -> None:
    from zonesearch.run.storage.merge import merge

    parts = [tmp_path / "a", tmp_path / "b"]
    into = tmp_path / "all"
    for _ in range(2):
        for i, part in enumerate(parts, start=1):
            if into.exists():
                merge([into], part)
            run_study(STUDY, into=part, shard=Shard(i, 2))
        first = Store(RunFolder.open(parts[0]), writer=None)
        half = first.load().trials
        merge([parts[0]], into)
        if len(half) == 6:
            statuses = shards_of(STUDY, first.deals, half)
            assert [(s.n_done, s.n_missing) for s in statuses] == [(6, 0), (0, 6)]
        merge([parts[1]], into)
    together = Store(RunFolder.open(into), writer=None).load().trials
    assert shards_of(STUDY, first.deals, together) == []
    single = run_study(STUDY).trials
    assert [(t.training, t.accuracy) for t in together] == [(t.training, t.accuracy) for t in single]


def test_shards_that_wait_for_each_other_finish_the_study_together(tmp_path: Path) -> None:
    found: list[Result] = []
    others = [
        threading.Thread(
            target=lambda i: found.append(run_study(STUDY, into=tmp_path / "run", shard=Shard(i, 3), wait=True)),
            args=(i,),
            daemon=True,
        )
        for i in (1, 2, 3)
    ]
    for thread in others:
        thread.start()
    for thread in others:
        thread.join(60)
    single = [(t.training, t.accuracy) for t in run_study(STUDY).trials]
    assert [[(t.training, t.accuracy) for t in result.trials] for result in found] == [single] * 3
    records = list(Store(RunFolder.open(tmp_path / "run"), writer=None).load().trials.records())
    assert len(records) == len(single)
    with pytest.raises(StudyError, match="--shard I/N"):
        run_study(STUDY, into=tmp_path / "run", wait=True)


def test_view_is_written_while_a_run_goes_on(tmp_path: Path) -> None:
    folder = open_run(STUDY, STUDY.objective(), tmp_path / "run")
    reader = Store(folder, writer=None)
    live = live_view(STUDY, folder, lambda: reader.refresh().trials)

    class Watching(Silent):
        def trials_came(self, new: Sequence[Trial], trials: Trials) -> None:
            live.add(new)

    result = run_study(STUDY, into=tmp_path / "run", observer=Watching())
    assert live.close() == 0, live.trouble
    storage = open_storage(str(tmp_path / "run" / "view.journal"), create=False)
    shown = optuna.load_study(study_name=folder.name, storage=storage).trials
    assert {t.user_attrs["key"]: t.user_attrs["stage"] for t in shown}.keys() == {t.training.key for t in result.trials}
    assert {t.user_attrs["stage"] for t in shown} == {"grid", "interval"}


def test_view_of_a_run_names_stage_and_zone(tmp_path: Path) -> None:
    result = run_study(STUDY, into=tmp_path / "run")
    folder = RunFolder.open(tmp_path / "run")
    assert open_view(STUDY, folder, result.trials).top_up(result.trials) == len(result.trials)
    assert open_view(STUDY, folder, result.trials).top_up(result.trials) == 0
    storage = open_storage(str(tmp_path / "run" / "view.journal"), create=False)
    shown = optuna.load_study(study_name=folder.name, storage=storage).trials
    assert {t.user_attrs["stage"] for t in shown} == {"grid", "interval"}
    best = max(shown, key=lambda t: t.value)
    assert best.user_attrs["zone"] == 1
    assert {t.user_attrs.get("zone") for t in shown if t.user_attrs["stage"] == "interval"} == {1}


def test_imported_grid_has_zones(tmp_path: Path) -> None:
    url = str(tmp_path / "theirs.journal")
    grid = {"x": [1, 2, 3, 4], "y": [1, 2, 3]}
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        storage=open_storage(url, create=True), direction="maximize", sampler=optuna.samplers.GridSampler(grid, seed=0)
    )

    def objective(trial: optuna.Trial) -> float:
        return peak({"x": trial.suggest_int("x", 1, 4), "y": trial.suggest_int("y", 1, 3)})

    study.optimize(objective, n_trials=8)
    imported, folder = import_run(url, None, tmp_path / "run")
    assert len(imported.trials) == 8
    study.optimize(objective, n_trials=4)
    _, folder = import_run(url, None, tmp_path / "run")
    trials = Store(folder, writer=None).load().trials
    assert len(trials) == 12
    found = find(Study.from_settings(folder.settings, name=folder.name), trials)
    assert dict(found.zones[0].peak) == {"x": 3, "y": 2}
