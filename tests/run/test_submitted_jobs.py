"""A job of a cluster, called in this process: it trains what the run that it belongs to was begun as."""

from __future__ import annotations

from pathlib import Path

import pytest

from zonesearch import load_run
from zonesearch.run.begun import as_recorded, open_run
from zonesearch.run.storage.merge import merge
from zonesearch.run.storage.run_folder import RunFolder
from zonesearch.run.submitting import Job
from zonesearch.study.files import read_study

STUDY = """
seed = 0
[space]
width = [4, 8]
[data]
name = "digits"
limit = 60
[training]
epochs = 1
batch = 20
[search]
stages = ["grid"]
seeds = 1
"""


def test_job_of_an_old_run_without_trials_trains_as_that_run_was_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "study.toml"
    file.write_text(STUDY)
    study = read_study(file)
    former = study.objective().former()  # type: ignore[attr-defined]
    known = open_run(study, former, tmp_path / "run")
    assert isinstance(known, RunFolder)
    for shard in ("1/2", "2/2"):
        job = Job(file, (), tmp_path / f"part-{shard[0]}", known.path, shard, None, tmp_path)
        assert job() == ""
        assert job() == "", "queued again at the end of its time"
        merge([job.folder], known.path)
    trials = load_run(known.path).trials
    assert {trial.provenance["precision"] for trial in trials} == {"float32"}
    assert len(trials) == 2
    assert not any(trial.of_any_precision for trial in trials)
    assert as_recorded(study, study.objective(), known.path)[0] == former
