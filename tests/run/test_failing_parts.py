"""What goes wrong in some cells, or in the data: one sentence each, and the rest of the run goes on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from tests import preloaded
from zonesearch.cli.main import main
from zonesearch.run.recorded import read_run
from zonesearch.run.result import Result

STUDY = """
[space]
width = [8, 16, 64, 128]
[data]
{data}
[network]
{network}
[training]
epochs = 2
[search]
seeds = 3
[interval]
method = "split(2)"
[polish]
schedules = ["constant"]
keep = 2
repeats = 2
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *, data: str = "limit = 200", network: str = "") -> tuple[int, str, str]:
    """``zonesearch run study.toml``: status, what it said, what it complained about."""
    Path("study.toml").write_text(STUDY.format(data=data, network=network))
    capsys.readouterr()
    status = main(["run", "study.toml", "--into", "run"])
    out, err = capsys.readouterr()
    return status, " ".join(out.split()), err


@pytest.mark.parametrize(
    ("factory", "state", "said"),
    [
        (
            "raises_when_wide",
            "failed",
            r"\d+ of \d+ trainings failed, the first with: RuntimeError: no weights for a",
        ),
        (
            "short_of_memory",
            "failed",
            "MemoryError: out of memory on cpu: the network in batches of 64 does not fit; end these axes lower",
        ),
        ("Larger", "failed", r"MemoryError: out of memory on cpu: a network of [\d,]+ parameters in batches of 64"),
        ("NanWhenWide", "diverged", r"\d+ of \d+ trainings diverged; they are marked on the map"),
    ],
)
def test_a_cell_that_cannot_be_trained_is_a_result_and_the_rest_goes_on(
    here: Path, capsys: pytest.CaptureFixture[str], factory: str, state: str, said: str
) -> None:
    """Half of the cells, and those that would take longest: more trainings than are ever lost before a run gives up."""
    status, out, err = run(capsys, network=f'kind = "own_parts:{factory}"')
    assert status == 0, err
    result = Result(read_run(Path("run"))[0])
    states: dict[str, set[Any]] = {}
    for trial in result.trials:
        states.setdefault(trial.state, set()).add(trial.params["width"])
    assert set(states) == {state, "complete"}
    assert states[state] >= {64, 128}
    assert max(states["complete"]) == 16
    assert result.verdict is not None
    assert result.verdict.sentence in out
    for shown in (out, Path("run/report.html").read_text()):
        assert re.search(said, " ".join(shown.split())), "the run says how many, and why"


def test_a_network_that_never_works_ends_the_run_early(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capsys, network='kind = "own_parts:no_network"')
    assert status == 2
    assert "the first 5 trainings all failed, the first with: TypeError: own_parts:no_network must give a torch" in err
    assert len(read_run(Path("run"))[0].trials) == 5


def test_an_image_that_cannot_be_read_is_named_and_the_run_goes_on(here: Path) -> None:
    x, y = load_digits(return_X_y=True)
    for label in (0, 1):
        folder = Path("images") / str(label)
        folder.mkdir(parents=True)
        for i, pixels in enumerate(x[y == label][:60]):
            Image.fromarray((pixels.reshape(8, 8) * 15).astype(np.uint8)).save(folder / f"{i}.png")
    Path("images/1/7.png").write_bytes(b"no picture")
    Path("study.toml").write_text(STUDY.format(data='name = "images"\nroot = "images"', network=""))
    done = preloaded.run("zonesearch", "run", "study.toml", "--into", "run", "--workers", "2")
    assert done.returncode == 0, done.stderr  # in a process of its own: pytest keeps warnings to itself
    assert [line for line in done.stderr.splitlines() if "cannot be read" in line] == [
        "zonesearch: images: image 1/7.png cannot be read (no image that Pillow knows); the run goes on without it"
    ]
    result = Result(read_run(Path("run"))[0])
    assert result.verdict is not None
    assert result.verdict.sentence in done.stdout


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ('name = "own_parts:digits_with_a_strange_label"', "the label 12 is out of range"),
        ('name = "own_parts:digits_without_a_class"', "class 4 has only 1 example"),
        ('name = "own_parts:digits_with_nan"', "1 of 600 examples hold numbers that are missing or not finite"),
    ],
)
def test_data_that_cannot_be_used_are_one_sentence_before_anything_is_trained(
    here: Path, capsys: pytest.CaptureFixture[str], data: str, said: str
) -> None:
    status, _, err = run(capsys, data=data)
    assert status == 2
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert not Path("run").exists()
