"""``zonesearch train`` and ``load_network`` import nothing that a run folder or a network file names."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from zonesearch import ObjectiveError, ZoneSearchError, load_network, read_study, run_pipeline
from zonesearch.cli.main import main
from zonesearch.run.storage.run_folder import checksum

EVIL = 'import os, pathlib\npathlib.Path(os.environ["MARKER"]).write_text("ran")\n'
STUDY = """
name = "taken"
[space]
width = [4, 8]
[data]
limit = 200
[training]
epochs = 1
[search]
stages = ["compare"]
[compare]
repeats = 2
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder from a stranger, in which the user stands; nothing in it may run."""
    marker = tmp_path / "marker"
    monkeypatch.setenv("MARKER", str(marker))
    folder = tmp_path / "stranger"
    folder.mkdir()
    (folder / "evil.py").write_text(EVIL)
    (folder / "study.toml").write_text(STUDY)
    monkeypatch.chdir(folder)
    run_pipeline(read_study("study.toml"), into="run")
    before = list(sys.path)
    yield folder
    assert sys.path == before
    assert "evil" not in sys.modules
    assert not marker.exists(), "code of the run folder was run"


def refused(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert main(["train", "run", *options]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (STUDY.replace("[data]", '[data]\nname = "evil:data"'), '[data] name = "evil:data"'),
        (STUDY.replace("[data]", '[network]\nkind = "evil:network"\n[data]'), '[network] kind = "evil:network"'),
        (STUDY.replace("epochs = 1", 'epochs = 1\nmetric = "os:system"'), '[training] metric = "os:system"'),
        (
            STUDY.replace("[data]", 'arm = ["a"]\n[data]') + '[arms.a.network]\nkind = "evil:f"\n',
            "evil:f",
        ),
        (STUDY + '[objective]\nkind = "evil"\n', "evil"),
        (STUDY + "\n#:set network.kind=evil:network\n", "evil:network"),
    ],
    ids=["data", "network", "metric", "arm", "objective", "replaced"],
)
def test_study_of_a_run_folder_that_names_code_has_to_be_named(
    here: Path, text: str, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "run" / "study.toml").write_text(text)
    said = refused(capsys)
    assert named in said
    assert "--study FILE" in said


def test_function_of_a_run_folder_is_printed_and_not_imported(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = 'name = "f"\n[space]\nwidth = [4, 8]\n[objective]\nfunction = "evil:f"\n'
    (here / "run" / "study.toml").write_text(text)
    assert main(["train", "run"]) == 0
    assert "from evil import f" in capsys.readouterr().out


def test_params_in_the_records_that_name_code_are_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from zonesearch import Trial, Trials
    from zonesearch.run.storage.run_folder import RunFolder
    from zonesearch.run.storage.store import Store

    folder = RunFolder.open("run")
    with Store(folder, "evil") as store:
        known = store.load().trials
        store.append(
            [
                Trial(type(trial.training)({"width": 4, "network.kind": "evil:f"}, trial.seed, 1, True), accuracy=0.99,
                      test_accuracy=0.99, provenance=trial.provenance)
                for trial in known
            ]
        )  # fmt: skip
    assert isinstance(known, Trials)
    meta = json.loads((here / "run" / "run.json").read_text())
    meta["settings"]["space"] = {"width": {"choices": [4]}, "network.kind": {"choices": ["evil:f"]}}
    meta["checksum"] = checksum(meta)
    (here / "run" / "run.json").write_text(json.dumps(meta))
    assert "--study FILE" in refused(capsys)


@pytest.mark.parametrize("kind", ["evil:network", "os:system", "builtins:exec"])
def test_network_file_imports_nothing(here: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "run", "--out", "net.pt"]) == 0
    content: dict[str, Any] = torch.load("net.pt", weights_only=True)
    torch.save({**content, "network": {"kind": kind, "arguments": {"command": "touch $MARKER"}}}, "net.pt")
    with pytest.raises(ObjectiveError, match="give that function"):
        load_network("net.pt")
    for key in ("normalisation", "about", "setting", "source", "classes", "precision", "snapshots"):
        torch.save({**content, key: "evil:f"}, "net.pt")
        with pytest.raises(ZoneSearchError):
            load_network("net.pt")


def test_pickled_network_file_runs_nothing(here: Path) -> None:
    import os
    import pickle

    class OnLoad:
        def __reduce__(self) -> Any:
            return os.system, ("touch $MARKER",)

    Path("net.pt").write_bytes(pickle.dumps(OnLoad()))
    with pytest.raises(ZoneSearchError, match="not a zonesearch network file"):
        load_network("net.pt")
    torch.save({"weights": OnLoad(), "format": 1}, "net.pt")
    with pytest.raises(ZoneSearchError, match="not a zonesearch network file"):
        load_network("net.pt")
