"""Augmentations that are drawn in advance: as many versions of every image as are asked for, the same for all."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from zonesearch.core.trials import Training, Trial
from zonesearch.errors import ObjectiveError
from zonesearch.training import frozen
from zonesearch.training.augmentation import InAdvance
from zonesearch.training.recipe import Recipe
from zonesearch.training.settings import AugmentationSettings

DATA = {"limit": 60, "limit_validation": 40, "limit_test": 40}
DRAWN = {"pad": 1, "flip": True, "draws": 3}
STILL = {"name": "sgd", "learning_rate": 1e-12}


def recipe(kind: str = "mlp", augmentation: Any = DRAWN, seed: int = 0, **tables: Any) -> Recipe:
    sizes = {"mlp": {"width": 8}, "cnn": {"channels": 2, "blocks": 1}}
    training = {"batch": 60, "precision": "float64", **tables.pop("training", {})}
    made = {"network": {"kind": kind, **sizes[kind]}, "augmentation": augmentation, "training": training}
    return Recipe.from_tables({"data": DATA, **made, **tables}, seed)


def trained(made: Recipe, *wanted: Training) -> list[Trial]:
    found = {
        trial.training.key: trial
        for job in made.jobs(wanted)
        for trial in made.train(job, lambda share: None)
    }  # fmt: skip
    return [found[training.key] for training in wanted]


@pytest.mark.parametrize(("kind", "stack"), [("mlp", True), ("mlp", False), ("cnn", False)])
def test_each_epoch_sees_the_next_version_and_then_the_first_again(kind: str, stack: bool) -> None:
    made = recipe(kind, optimizer=STILL, training={"stack": stack})
    (trial,) = trained(made, Training({}, 0, 7))
    losses = trial.curve["train_loss"]
    assert trial.provenance["stacked"] == stack
    assert len({round(loss, 6) for loss in losses}) == 3
    assert losses[3:] == pytest.approx(losses[:-3], abs=1e-9)
    assert trial.curve["validation_loss"] == pytest.approx([trial.curve["validation_loss"][0]] * 7), "as they are"


def test_an_image_is_drawn_anew_in_each_epoch_without() -> None:
    (trial,) = trained(recipe(augmentation={"pad": 1}, optimizer=STILL), Training({}, 0, 7))
    assert len({round(loss, 6) for loss in trial.curve["train_loss"]}) == 7


def test_versions_are_those_of_the_study_whatever_the_seed_and_their_number() -> None:
    few, more, other = (
        InAdvance(AugmentationSettings(pad=2, flip=True, draws=draws), seed, 50)
        for draws, seed in ((2, 0), (8, 0), (2, 1))
    )
    device = torch.device("cpu")
    for k in range(2):
        drawn, same, unlike = (each.version(k, device) for each in (few, more, other))
        assert drawn.shifts is not None
        assert drawn.mirrored is not None
        assert same.shifts is not None
        assert unlike.shifts is not None
        assert torch.equal(drawn.shifts, same.shifts)
        assert torch.equal(drawn.mirrored, same.mirrored)  # type: ignore[arg-type]
        assert not torch.equal(drawn.shifts, unlike.shifts)
    first, second = (more.version(k, device).shifts for k in (0, 1))
    assert not torch.equal(first, second)  # type: ignore[arg-type]


@pytest.mark.parametrize("draws", [1, 3, 9])
def test_stacks_of_several_widths_seeds_and_lengths_give_what_each_gives_alone(draws: int) -> None:
    made = recipe(augmentation={**DRAWN, "draws": draws}, training={"batch": 16}, early_stopping={"patience": 2})
    wanted = [
        Training({"width": width, "learning_rate": 0.02}, seed, epochs, True)
        for width in (4, 9)
        for seed, epochs in ((0, 4), (1, 6))
    ]
    together, alone = trained(made, *wanted), trained(made.unstacked(), *wanted)
    assert len(made.jobs(wanted)) == 1
    for mine, other in zip(together, alone, strict=True):
        assert mine.provenance["stacked"]
        assert not other.provenance["stacked"]
        assert mine.test_accuracy == other.test_accuracy
        assert mine.curve["train_loss"] == pytest.approx(other.curve["train_loss"], abs=1e-9)


def test_what_differs_in_its_draws_is_no_stack() -> None:
    trainings = [Training({"draws": draws}, seed, 3) for draws in (0, 2, 3) for seed in (0, 1)]
    jobs = recipe().jobs(trainings)
    assert sorted(len(job.trainings) for job in jobs) == [1, 1, 2, 2], "drawn anew: alone"
    assert all(len({training.params["draws"] for training in job.trainings}) == 1 for job in jobs)


def test_arms_compare_drawn_in_advance_with_drawn_anew() -> None:
    arms = {"anew": {"augmentation": {"draws": 0}}, "few": {"augmentation": {"draws": 2}}}
    made = recipe(arms=arms)
    anew, few = trained(made, *(Training({"arm": arm}, 0, 3) for arm in arms))
    (plain,) = trained(recipe(augmentation={**DRAWN, "draws": 2}), Training({}, 0, 3))
    assert few.curve["train_loss"] == pytest.approx(plain.curve["train_loss"])
    assert anew.curve["train_loss"] != pytest.approx(plain.curve["train_loss"])


def test_draws_belong_to_the_identity() -> None:
    assert recipe().fingerprint()["augmentation"]["draws"] == 3
    assert "draws" not in recipe(augmentation={"pad": 1}).fingerprint()["augmentation"]


def test_images_that_fit_nowhere_in_advance_are_drawn_batch_by_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    made, wanted = recipe(), [Training({}, seed, 3, True) for seed in (0, 1)]
    frozen._kept.clear()
    together = trained(made, *wanted)
    frozen._kept.clear()
    monkeypatch.setattr(frozen, "_free", lambda device: 0)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("", (), {"free": 0}))
    alone = trained(made, *wanted)
    assert [trial.provenance["stacked"] for trial in (*together, *alone)] == [True, True, False, False]
    for mine, other in zip(together, alone, strict=True):
        assert mine.curve["train_loss"] == pytest.approx(other.curve["train_loss"], abs=1e-9)


@pytest.mark.parametrize("stack", [True, False])
def test_more_draws_than_any_memory_holds_cost_no_more_than_the_epochs_see(stack: bool) -> None:
    many, few = (recipe(augmentation={**DRAWN, "draws": draws}, training={"stack": stack}) for draws in (10**11, 6))
    frozen._kept.clear()
    for epochs in (2, 6, 4):
        mine, other = (trained(made, Training({}, 0, epochs))[0] for made in (many, few))
        assert mine.provenance["stacked"] == stack
        assert mine.curve["train_loss"] == other.curve["train_loss"]


def test_fewer_than_none_are_refused() -> None:
    with pytest.raises(ObjectiveError, match="draws is a number of versions"):
        recipe(augmentation={"pad": 1, "draws": -1}).check({})


def test_a_part_of_the_examples_keeps_its_versions() -> None:
    device, whole = torch.device("cpu"), InAdvance(AugmentationSettings(pad=2, flip=True, draws=2), 0, 50)
    rows, batch = torch.tensor([7, 3, 40, 11]), torch.tensor([2, 0])
    for epoch in (1, 4):
        (mine,) = whole.part(rows).of_batches([batch], device, epoch)
        (other,) = whole.of_batches([torch.tensor([40, 7])], device, epoch)
        assert torch.equal(mine.shifts, other.shifts)  # type: ignore[arg-type]
        assert torch.equal(mine.mirrored, other.mirrored)  # type: ignore[arg-type]


def test_descent_beside_evolution_sees_its_versions() -> None:
    made = recipe(evolution={"every": 4, "children": 2, "share": 0.5}, optimizer=STILL, training={"batch": 30})
    (trial,) = trained(made, Training({}, 0, 7))
    losses = trial.curve["train_loss"]
    assert losses[4:] == pytest.approx([losses[1], losses[2], losses[0]], abs=1e-6)
