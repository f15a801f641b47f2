"""``load_run``: the result of any run, wherever it was made and however far it is."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import preloaded
from zonesearch import StoreError, load_run, run_pipeline
from zonesearch.study.files import read_study

OLD = Path(__file__).parents[1] / "old_runs"


def test_load_run_gives_what_the_run_itself_gave(tmp_path: Path) -> None:
    ran = run_pipeline(
        {"x": [0.0, 0.25, 0.5, 0.75, 1.0]},
        objective=lambda params, seed: 0.9 - (params["x"] - 0.5) ** 2 + 0.001 * seed,
        seeds=2,
        into=tmp_path / "run",
        polish={"keep": 2, "repeats": 2},
    )
    loaded = load_run(tmp_path / "run")
    assert loaded.verdict == ran.verdict
    assert loaded.zones == ran.zones
    assert loaded.trials == ran.trials
    assert loaded.frame().equals(ran.frame())
    assert loaded.figures.heatmap() is not None
    assert loaded.report(tmp_path / "report.html").stat().st_size > 100_000
    assert loaded.folder == tmp_path / "run"


def test_load_run_of_half_a_run_has_no_verdict_yet(tmp_path: Path) -> None:
    shutil.copytree(OLD / "digits-part", tmp_path / "part")
    result = load_run(str(tmp_path / "part"))
    assert result.verdict is None
    assert len(result.trials) == 4
    assert "no verdict yet" in str(result)


def test_load_run_imports_nothing_that_the_folder_names(tmp_path: Path) -> None:
    (tmp_path / "their_code.py").write_text(
        "from pathlib import Path\n"
        "Path(__file__).with_suffix('.ran').touch()\n"
        "def train(params, seed, epochs):\n    return 0.5 + 0.01 * params['x'] + 0.001 * seed\n"
    )
    (tmp_path / "own.toml").write_text(
        '[space]\nx = [1, 2, 3]\n[objective]\nfunction = "their_code:train"\n[search]\nseeds = 2\n'
        "[polish]\nkeep = 2\nrepeats = 2\n"
    )
    assert preloaded.run("zonesearch", "run", "own.toml", "--into", "run", "--quiet", cwd=tmp_path).returncode == 0
    (tmp_path / "their_code.ran").unlink()
    # asked where their module could be imported from: where the study stands
    said = subprocess.run(
        [sys.executable, "-c", "import zonesearch; print(zonesearch.load_run('run').verdict.sentence)"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert said.strip() == load_run(tmp_path / "run").verdict.sentence  # type: ignore[union-attr]
    assert not (tmp_path / "their_code.ran").exists()


def test_load_run_refuses_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no run folder"):
        load_run(tmp_path / "nothing")
    with pytest.raises(StoreError, match="is not a run folder"):
        load_run(tmp_path)


def test_result_shows_itself_in_the_forms_that_are_asked_for(tmp_path: Path) -> None:
    shutil.copytree(OLD / "digits-old", tmp_path / "old")
    result = load_run(tmp_path / "old")
    assert result.verdict is not None
    forms = result._repr_mimebundle_()
    assert forms["text/plain"] == result.verdict.sentence
    assert "<table>" in forms["text/html"]
    assert result._repr_mimebundle_(include=["text/html"]).keys() == {"text/html"}
    assert result._repr_mimebundle_(exclude=["text/html"]).keys() == {"text/plain"}


def test_load_run_of_a_study_file_knows_the_study(tmp_path: Path) -> None:
    shutil.copytree(OLD / "digits-old", tmp_path / "old")
    results = load_run(tmp_path / "old").results
    assert results.name == "digits-old"
    assert results.space == read_study(OLD / "digits.toml").space
