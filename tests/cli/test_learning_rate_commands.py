"""The commands ``schedule`` and ``lr-range`` as a user types them."""

from __future__ import annotations

import json

import pytest

from zonesearch.cli.main import main
from zonesearch.run.running import run_study
from zonesearch.study.files import read_study

STUDY = """
name = "small"
[space]
width = [8, 16, 32]
learning_rate = [1e-3, 1e-2]
[optimizer]
name = "adam"
[training]
batch = 32
"""


@pytest.fixture
def typed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(STUDY)

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main(arguments)
        return (status, *capsys.readouterr())

    return call


def test_schedule_prints_one_rate_per_step_as_json(typed) -> None:
    spec = "step(every=1, factor=0.5)"
    status, out, _ = typed("schedule", spec, "--epochs", "2", "--steps-per-epoch", "3", "--lr", "0.4", "--json")
    shown = json.loads(out)
    assert status == 0
    assert shown["learning_rates"] == [0.4] * 3 + [0.2] * 3
    assert shown["schedule"] == spec


def test_schedule_draws_in_the_terminal_and_into_a_file(typed, tmp_path) -> None:
    status, out, _ = typed("schedule", "cosine", "--html", "rates.html")
    assert status == 0
    assert "•" in out
    assert "<html" in (tmp_path / "rates.html").read_text()
    assert list(tmp_path.glob("*.html")) == [tmp_path / "rates.html"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["schedule", "stpe"], 'did you mean "step"'),
        (["schedule", "step", "--epochs", "0"], "at least 1 of its epochs"),
        (["schedule", "step", "--html", "no/such/folder.html"], "cannot be written"),
        (["lr-range", "small.toml", "--seeds", "0"], "--seeds must be at least 1"),
        (["lr-range", "small.toml", "--low", "2", "--high", "1"], "from a low to a higher rate"),
        (["lr-range", "small.toml", "--at", "widht=3"], 'did you mean "width"'),
        (["lr-range", "small.toml", "--at", "width"], "--at takes NAME=VALUE"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_one_sentence(typed, arguments, said: str) -> None:
    status, _, err = typed(*arguments)
    assert status == 2
    assert said in err
    assert err.count("\n") == 1


def test_lr_range_gives_a_suggestion_between_its_bounds(typed) -> None:
    status, out, _ = typed("lr-range", "small.toml", "--json", "--seeds", "3", "--at", "width=64")
    found = json.loads(out)
    assert status == 0
    assert found["params"] == {"width": 64}
    assert 1e-4 < found["low"] < found["suggestion"] <= found["high"] < 1
    assert found["n_seeds"] == 3


def test_lr_range_draws_and_says_what_it_found(typed, tmp_path) -> None:
    status, out, _ = typed("lr-range", "small.toml", "--seeds", "2", "--html", "range.html")
    assert status == 0
    assert "range test at width 16" in out
    assert "^ suggestion" in out
    assert "triangular2(low=" in out
    assert (tmp_path / "range.html").exists()


def test_lr_range_is_a_stage_before_the_grid(typed, tmp_path) -> None:
    """Through a study file: the sweeps are trials of the run, and the grid searches the narrowed axis."""
    stages = '[search]\nstages = ["lr-range", "grid"]\n[lr-range]\nseeds = 2\n'
    (tmp_path / "staged.toml").write_text(STUDY + "epochs = 1\n" + stages)
    result = run_study(read_study(tmp_path / "staged.toml"))
    sweeps = [trial for trial in result.trials if "schedule" in trial.params]
    searched = {trial.params["learning_rate"] for trial in result.trials if "schedule" not in trial.params}
    assert len(sweeps) == 2
    assert all(len(trial.curve["step_loss"]) > 10 for trial in sweeps)
    assert 1e-3 <= min(searched) < max(searched) <= 1e-2
    cells = {trial.training.identity[0] for trial in result.trials if "schedule" not in trial.params}
    assert len(cells) == 3 * len(searched)
    assert result.zones


def test_schedule_lists_the_epochs_after_which_members_are_stored(typed) -> None:
    _, out, _ = typed("schedule", "snapshot(cycles=5)", "--epochs", "24", "--steps-per-epoch", "20", "--json")
    shown = json.loads(out)
    assert shown["members"] == [4, 9, 14, 19, 24]
    rates = shown["learning_rates"]
    assert all(rates[20 * epoch - 1] < 0.1 * max(rates) for epoch in shown["members"])
    _, out, _ = typed("schedule", "swa(low=0.0001)", "--epochs", "8")
    assert "members of an average or ensemble after epochs 6 to 8" in out
    _, out, _ = typed("schedule", "constant", "--json")
    assert json.loads(out)["members"] == []
    status, out, _ = typed("schedule", "triangular(0.001, 0.1, 1.75)", "--epochs", "21", "--json")
    assert status == 0, "the rates are as good as any without averaging"
    assert json.loads(out)["members"] == []
    assert 'the nearest that fits is "triangular(low=0.001, high=0.1, half_cycle=2.0)"' in json.loads(out)["note"]


TIED = """
name = "tied"
[space]
learning_rate = { low = 1e-4, high = 1.0, scale = "log", row = 4 }
width = [32, 64]
[optimizer]
name = "sgd"
[training]
epochs = 3
batch = 256
"""


def test_lr_range_suggests_the_rate_that_the_batch_rule_makes_the_right_one(typed, tmp_path) -> None:
    found = {}
    for rule, lines in (("none", ""), ("linear", 'rate_rule = "linear"\nreference_batch = 16\n')):
        (tmp_path / "tied.toml").write_text(TIED + lines)
        _, out, _ = typed("lr-range", "tied.toml", "--json")
        found[rule] = json.loads(out)
    assert found["none"]["suggestion"] == pytest.approx(0.19, rel=0.05)
    assert found["linear"]["suggestion"] == pytest.approx(0.0119, rel=0.05)
    assert found["linear"]["schedule"] == found["none"]["schedule"], "whose rates are absolute"


def test_lr_range_says_what_plays_no_part_in_it(typed, tmp_path) -> None:
    (tmp_path / "small.toml").write_text(
        STUDY + "epochs = 8\n[averaging]\nstart = 0.5\n[early_stopping]\npatience = 2\n"
    )
    _, out, _ = typed("lr-range", "small.toml", "--seeds", "1", "--steps", "40")
    assert "[averaging] and [early_stopping] act between epochs and play no part in it." in out
