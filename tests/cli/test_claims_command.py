"""A study with arms and claims, run and read as a user does."""

from __future__ import annotations

import json

import pytest

from zonesearch.cli.main import main
from zonesearch.run.running import run_study
from zonesearch.study.files import read_study

STUDY = """
name = "small"
[space]
arm = ["slow", "fast"]
[network]
width = 16
[training]
epochs = 3
[arms.slow]
optimizer.learning_rate = 1e-4
[arms.fast]
optimizer.learning_rate = 1e-2
[search]
stages = ["compare"]
[compare]
repeats = 3
[[compare.claims]]
says = "fast is better"
better = { arm = "fast" }
than = { arm = "slow" }
by = 0.05
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(STUDY)
    run_study(read_study("small.toml"), into="run")
    return "run"


def test_claims_prints_what_was_claimed_beside_what_was_found(run, capsys) -> None:
    assert main(["claims", run]) == 0
    *_, row = capsys.readouterr().out.splitlines()
    assert row.startswith("| fast is better | +5.00 | +")
    assert row.endswith("| 3 | held |")


def test_claims_as_json_with_the_spread_of_every_cell(run, capsys) -> None:
    assert main(["claims", run, "--json", "--spread"]) == 0
    shown = json.loads(capsys.readouterr().out)
    (claim,) = shown["claims"]
    assert claim["low"] < claim["difference"] < claim["high"]
    assert claim["verdict"] == "held"
    assert {cell["params"]["arm"]: cell["n"] for cell in shown["spread"]} == {"slow": 3, "fast": 3}


def test_a_study_without_claims_says_so(run, tmp_path, capsys) -> None:
    (tmp_path / "other.toml").write_text('[space]\nwidth = [4]\n[search]\nstages = ["grid"]\n')
    run_study(read_study("other.toml"), into="other")
    assert main(["claims", "other"]) == 2
    assert "makes no claims" in capsys.readouterr().err
