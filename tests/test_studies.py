"""Every small study in miniature: on the digits, two seeds, a few cells; what it claims is answered."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from benchmarks.gains import AVERAGED, chosen, measure
from studies import halves
from zonesearch.run.running import run_study
from zonesearch.search.stages.compare import Compare
from zonesearch.study.files import read_study

STUDIES = Path(__file__).parents[1] / "studies"

NO_LIMITS = ["data.limit=0", "data.limit_validation=0", "data.limit_test=0"]
DIGITS = ["data.name=digits", *NO_LIMITS, "data.validation=0.2"]
FEW_DIGITS = ["data.limit=300", "data.limit_validation=100", "data.limit_test=100"]

FEWER = {
    "lr_schedules_small": ["space.learning_rate=[0.04, 0.2]"],
    "optimizers_small": ["space.learning_rate=[0.001, 0.1]", "space.batch=[64]"],
    "mnist_repeats_small": ["space.batch=[64, 256]", "training.epochs=4"],
    "cifar10_swa_small": ["network.channels=2", *FEW_DIGITS],
    "finetune_small": [
        "training.epochs=1",
        'space.tune=["full", "head"]',
        "space.learning_rate=[0.01]",
        "space.pad=[0, 2]",
        "data.limit=25",
        "data.limit_validation=20",
        "data.limit_test=20",
    ],
    "cifar10_spartan_small": ["network.channels=2", "training.epochs=6", *FEW_DIGITS],
}


def test_every_small_study_has_a_miniature() -> None:
    assert {path.stem for path in STUDIES.glob("*_small.toml")} == {*FEWER, "mnist_fnn_small"}


def test_the_small_map_says_what_zones_and_schedules_give(tmp_path: Path) -> None:
    fewer = ["space.width.row=[128, 256]", "space.batch.row=[64, 512]", "training.epochs=2", "interval.method=split(2)"]
    polish = ["polish.keep=2", "polish.repeats=2", "run.workers=1"]
    study = read_study(STUDIES / "mnist_fnn_small.toml", [*DIGITS, *fewer, *polish])
    result = run_study(study, into=tmp_path / "run")
    choices = chosen(result.results)
    assert [choice.by for choice in choices] == [
        "plain grid, one seed", "plain grid, 2 seeds", "zones", "intervals", "schedules, the best",
        "schedules, recommended", "intervals, weights averaged", "strong search, 25 trainings"
    ]  # fmt: skip
    spent = [choice.spent or 0 for choice in choices]
    assert spent[:3] == [4, 8, 8]
    assert spent[2] < spent[3] < spent[4] == spent[5]
    studies = {(): study, AVERAGED: read_study(tmp_path / "run" / "study.toml", [*AVERAGED])}
    gains = measure(studies, choices, 3, tmp_path / "gains")
    assert gains == measure(studies, choices, 3, tmp_path / "gains"), "what was trained is read again"
    assert gains == measure(studies, choices, 9, tmp_path / "gains", trained=True)
    assert gains[0].gain == 0
    assert gains[6].params == gains[3].params
    assert (tmp_path / "gains-1" / "trials").is_dir(), "averaged weights are another experiment"
    for gain in gains:
        assert gain.gain == pytest.approx(gain.mean - gains[0].mean)
        assert gain.low <= gain.gain <= gain.high
        assert 50 < gain.mean < 100


@pytest.mark.parametrize("name", FEWER)
def test_a_small_study_runs_and_answers_all_its_claims(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(halves, "_EPOCHS", 1)  # of the weights that finetune_small begins with
    miniature = [*([] if name == "finetune_small" else DIGITS), "compare.repeats=2", "run.workers=1", *FEWER[name]]
    study = read_study(STUDIES / f"{name}.toml", miniature)
    result = run_study(study)
    (stage,) = study.stages
    assert isinstance(stage, Compare)
    outcomes = stage.check_claims(result.trials)
    assert outcomes
    assert all(outcome.n_seeds == 2 for outcome in outcomes)
    assert all(math.isfinite(outcome.difference) for outcome in outcomes)
    assert result.verdict is not None
    assert all(standing.n_lost == 0 for standing in result.verdict.standings)


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.toml")), ids=lambda path: path.stem)
def test_the_claims_of_a_study_are_about_cells_that_it_has(path: Path) -> None:
    study = read_study(path)
    points = list(study.space.grid())
    for stage in study.stages:
        for claim in stage.claims if isinstance(stage, Compare) else ():
            for side in (claim["better"], claim["than"]):
                assert any(side.items() <= point.items() for point in points), claim["says"]


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.toml")), ids=lambda path: path.stem)
def test_the_cells_of_a_study_on_small_data_can_be_trained(path: Path) -> None:
    """Arms, optimizers and schedules are all read; the data are replaced by the digits."""
    study = read_study(
        path,
        [
            *([] if path.stem == "finetune_small" else DIGITS),
            *(["augmentation.pad=1"] if "[augmentation]" in path.read_text() else []),
        ],
    )
    objective = study.objective()
    for point in study.space.grid():
        if point.get("batch", 1) <= 1000:
            objective.check(point)
