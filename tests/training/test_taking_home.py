"""A network that is taken home is the one that the search trained, and answers raw examples by their labels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import own_parts
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_diabetes, load_digits
from torch import nn

from zonesearch import ObjectiveError, StoreError, load_network, load_run, read_study, run_pipeline
from zonesearch.core.trials import Training
from zonesearch.run.settled import chosen_epoch, recorded, settle, wanted
from zonesearch.run.taking_home import Home, open_home
from zonesearch.training.network_file import save_network
from zonesearch.training.trained import TrainedNetwork

Array = npt.NDArray[Any]

WORDS = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])

COMPARE = """
name = "home"
[search]
stages = ["compare"]
[compare]
repeats = 2
"""


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Array, Array]:
    """Digits as an .npz file with names for labels; and its test part as it stands there."""
    x, y = load_digits(return_X_y=True)
    images, labels = x.reshape(-1, 8, 8)[:400], WORDS[y[:400]]
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    np.savez(path, x_train=images[:300], y_train=labels[:300], x_test=images[300:], y_test=labels[300:])
    return path, images[300:], labels[300:]


def ran(folder: Path, text: str) -> Path:
    """The run folder of a study file with this text."""
    file = folder / "study.toml"
    file.write_text(text)
    run_pipeline(read_study(file), into=folder / "run")
    return folder / "run"


def at_home(home: Home, path: Path, **how: Any) -> TrainedNetwork:
    """Trained, written and read again."""
    notes: list[str] = []
    trained = home.train(say=notes.append, **how)
    assert not notes, "nothing else than what is recorded"
    own = home.given and home.given.recipe.network
    factory = getattr(own_parts, own.kind.partition(":")[2]) if own and own.is_factory else None
    return load_network(save_network(trained, path), factory=factory)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole search of stacked networks, whose sums depend on their companions."""
    return ran(
        tmp_path_factory.mktemp("searched"),
        """
name = "searched"
[space]
width = [8, 16, 24]
learning_rate = [0.01, 0.03]
[data]
limit = 300
[network]
batch_norm = true
dropout = 0.1
[training]
epochs = 4
[interval]
method = "split(1)"
[polish]
keep = 2
repeats = 3
schedules = ["constant", "cosine"]
""",
    )


def test_every_recorded_training_comes_back_to_the_last_bit(searched: Path, tmp_path: Path) -> None:
    results = load_run(searched).results
    trials = [trial for trial in results.trials if trial.complete]
    assert all(trial.provenance["stacked"] for trial in trials)
    assert {trial.seed >= 1000 for trial in trials} == {True, False}
    home = open_home(searched)
    assert home.given is not None
    for trial in trials[:: max(1, len(trials) // 8)]:
        [network, again] = home._train(
            home.given, Training(trial.params, trial.seed, trial.epochs, True), lambda _: None
        )
        assert again.accuracy == trial.accuracy
        assert again.curve == trial.curve
        assert trial.test_accuracy in (None, again.test_accuracy)
        x, y = home.given.recipe.split().validation
        right = (network(x).argmax(1) == y).double().mean()
        assert float(right) == trial.accuracy, "of the network itself, at the epoch that validation chose"


def test_recommended_setting_is_trained_on_the_first_seed_that_judged_it(searched: Path, tmp_path: Path) -> None:
    result = load_run(searched)
    verdict = result.verdict
    assert verdict is not None
    assert verdict.recommended is not None
    network = at_home(open_home(searched), tmp_path / "net.pt")
    assert network.setting == verdict.recommended.finalist.params
    seed = next(iter(verdict.recommended.accuracies))
    assert network.about["seeds"] == [seed]
    assert network.about["test"] == [verdict.recommended.accuracies[seed]]
    assert network.verdict is not None
    assert network.verdict["sentence"] == verdict.sentence
    x, y = load_digits(return_X_y=True)
    assert (network.predict(x) == y).mean() > 0.5, "pixels of 0 to 16, as scikit-learn has them"
    as_source = x.reshape(-1, 1, 8, 8).astype(np.float32) / 16
    assert (network.predict(x) == network.predict(as_source)).all()
    assert np.allclose(network.predict_proba(x).sum(1), 1)
    assert sum(p.numel() for p in network.module.parameters()) == verdict.recommended.n_parameters


PATHS: Mapping[str, str] = {
    "mlp": "[network]\nwidth = 8\nbatch_norm = true",
    "cnn": '[network]\nkind = "cnn"\nchannels = 4\nblocks = 1\nbatch_norm = true\ndropout = 0.2\n'
    "[augmentation]\npad = 1",
    "mean of weights": '[network]\nwidth = 8\nbatch_norm = true\n[averaging]\nkind = "weights"\nstart = 0.3',
    "snapshots": '[network]\nwidth = 8\n[averaging]\nkind = "ensemble"\nstart = 0.3',
    "early stopping": "[early_stopping]\npatience = 1\n[network]\nwidth = 4",
    "gradient noise": "[gradient_noise]\n[network]\nwidth = 8",
    "evolution": '[evolution]\nkind = "strategies"\n[network]\nwidth = 8',
    "float64": '[network]\nwidth = 8\n[optimizer]\nname = "sgd"\nmomentum = 0.9',
    "bf16": "[network]\nwidth = 8\n[augmentation]\npad = 1",
    "last": "[network]\nwidth = 8\n[augmentation]\npad = 1",
    "own network": '[network]\nkind = "own_parts:network"\nwidth = 8\n[network.arguments]\nwaist = 4',
}
TRAINING = {
    "float64": 'precision = "float64"',
    "bf16": 'precision = "bf16"',
    "last": 'tested = "last"\nschedule = "plateau(patience=1)"',
    "snapshots": 'schedule = "cosine"',
}


@pytest.mark.parametrize("path", PATHS)
def test_network_of_every_path_is_the_recorded_one_and_answers_raw_examples(
    path: str, digits: tuple[Path, Array, Array], tmp_path: Path
) -> None:
    data, x, y = digits
    run = ran(
        tmp_path,
        f'{COMPARE}[space]\nlearning_rate = [0.01]\n[data]\nname = "arrays"\nroot = "{data}"\n{PATHS[path]}\n'
        f"[training]\nepochs = 4\n{TRAINING.get(path, '')}\n",
    )
    study = tmp_path / "study.toml" if path == "own network" else None
    home = open_home(run, study=study)
    network = at_home(home, tmp_path / "net.pt")
    before = recorded(home.results, wanted(home.results, home.settled.params, network.about["seeds"][0]))
    assert before is not None
    assert network.about["validation"] == [before.accuracy]
    assert network.about["test"] == [before.test_accuracy]
    assert float((network.predict(x) == y).mean()) == pytest.approx(before.test_accuracy, abs=1e-12)
    assert network.predict(x).dtype.kind == "U"
    chances = network.predict_proba(x)
    assert chances.shape == (100, 10)
    assert list(network.classes) == sorted(WORDS)
    assert (np.array(network.classes)[chances.argmax(1)] == network.predict(x)).all()


def test_regression_is_answered_in_the_units_of_its_target(tmp_path: Path) -> None:
    x, y = load_diabetes(return_X_y=True)
    np.savez(tmp_path / "d.npz", x_train=x[:350], y_train=y[:350], x_test=x[350:], y_test=y[350:])
    run = ran(
        tmp_path,
        f'{COMPARE}[space]\nwidth = [4]\n[data]\nname = "arrays"\nroot = "{tmp_path / "d.npz"}"\ntask = "regression"\n'
        '[training]\nepochs = 3\nmetric = "mae"\n[optimizer]\nlearning_rate = 0.01\n',
    )
    network = at_home(open_home(run), tmp_path / "net.pt")
    [test] = network.about["test"]
    assert np.abs(network.predict(x[350:]) - y[350:]).mean() == pytest.approx(test, rel=1e-5)
    assert network.module(network.prepare(x[:2])).shape == (2,)
    with pytest.raises(ObjectiveError, match="a regression has no probabilities"):
        network.predict_proba(x)
    pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    from zonesearch.training.onnx_file import save_onnx

    session = onnxruntime.InferenceSession(str(save_onnx(network, tmp_path / "net.onnx")))
    for n in (1, 7):
        [values] = session.run(["outputs"], {"inputs": network.prepare(x[:n]).numpy()})
        assert values == pytest.approx(network.predict(x[:n]), rel=1e-4)


def test_table_is_answered_from_a_frame_with_its_own_columns(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"size": rng.normal(size=300), "kind": rng.choice(["oak", "ash", "elm"], 300)})
    frame["tall"] = np.where((frame["size"] > 0) ^ (frame["kind"] == "ash"), "yes", "no")
    (tmp_path / "trees").mkdir()
    frame[:240].to_csv(tmp_path / "trees" / "train.csv", index=False)
    frame[240:].to_csv(tmp_path / "trees" / "test.csv", index=False)
    run = ran(
        tmp_path,
        f'{COMPARE}[space]\nwidth = [16]\n[data]\nname = "table"\nroot = "{tmp_path / "trees"}"\ntarget = "tall"\n'
        "[training]\nepochs = 8\n[optimizer]\nlearning_rate = 0.03\n",
    )
    network = at_home(open_home(run), tmp_path / "net.pt")
    held = frame[240:]
    assert float((network.predict(held) == held["tall"]).mean()) == network.about["test"][0]
    shuffled = held[["kind", "tall", "size"]]
    assert (network.predict(shuffled) == network.predict(held)).all(), "columns are known by their names"
    assert network.predict(held[held["kind"] == "oak"]).shape == ((held["kind"] == "oak").sum(),)
    with pytest.raises(ObjectiveError, match='no column "size"'):
        network.predict(held[["kind"]])
    with pytest.raises(ObjectiveError, match="a table with the columns size, kind is needed"):
        network.predict(np.zeros((2, 4)))


def test_image_files_are_answered_by_the_names_of_their_folders(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for part, n in (("train", 20), ("test", 6)):
        for name, shade in (("dark", 40), ("light", 200)):
            (tmp_path / "pictures" / part / name).mkdir(parents=True)
            for i in range(n):
                pixels = np.clip(rng.normal(shade, 40, (6, 6)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(tmp_path / "pictures" / part / name / f"{i}.png")
    run = ran(
        tmp_path,
        f'{COMPARE}[space]\nwidth = [8]\n[data]\nname = "images"\nroot = "{tmp_path / "pictures"}"\nvalidation = 0.5\n'
        "[training]\nepochs = 3\nbatch = 8\n",
    )
    network = at_home(open_home(run), tmp_path / "net.pt")
    files = sorted((tmp_path / "pictures" / "test").rglob("*.png"))
    found = network.predict(files)
    right = np.mean([label == file.parent.name for label, file in zip(found, files, strict=True)])
    assert float(right) == network.about["test"][0]
    pictures = [Image.open(file) for file in files]
    assert (network.predict(pictures) == found).all()
    assert (network.predict(np.stack([np.asarray(picture) for picture in pictures])) == found).all(), "bytes"
    with pytest.raises(ObjectiveError, match="put it in brackets"):
        network.predict(files[0])
    with pytest.raises(ObjectiveError, match="6 x 6"):
        network.predict([Image.new("L", (5, 7))])


@pytest.mark.parametrize("schedule", ["constant", "cosine", "plateau(factor=0.5, patience=1)"])
def test_all_data_are_trained_as_long_as_validation_chose(
    schedule: str, digits: tuple[Path, Array, Array], tmp_path: Path
) -> None:
    data, x, y = digits
    run = ran(
        tmp_path,
        f'{COMPARE}[space]\nwidth = [16]\n[data]\nname = "arrays"\nroot = "{data}"\n[optimizer]\nlearning_rate = 0.1\n'
        f'[training]\nepochs = 6\nbatch = 32\nschedule = "{schedule}"\n',
    )
    home = open_home(run)
    network = at_home(home, tmp_path / "net.pt", all_data=True)
    trials = home.results.trials.of(home.settled.params)
    chosen = sorted(chosen_epoch(trial, "best") for trial in trials)
    assert network.about["epochs"] == [chosen[0]], "the median of two is the lower"
    assert network.about["validation"] == []
    assert network.about["test"] == [pytest.approx(float((network.predict(x) == y).mean()), abs=1e-12)]
    assert home.given is not None
    recipe, before = home.given.recipe, trials[0]
    taken: list[nn.Module] = []
    n = chosen_epoch(before, "best")
    scores = [before.metric.score(value) for value in before.validation_curve]
    trial = recipe.refit(Training(before.params, before.seed, 6, True), n, scores, lambda _: None, taken.append)
    rates, theirs = trial.curve["learning_rate"], before.curve["learning_rate"][:n]
    assert list(rates) == pytest.approx(list(theirs), abs=0.002), "but for the number of steps of an epoch"
    assert trial.n_validation is not None
    data_seen = recipe.split()
    assert len(data_seen.train[1]) + len(data_seen.validation[1]) == 300
    alone = home.train(seeds=[before.seed])
    assert not torch.equal(next(taken[0].parameters()), next(alone.members[0].parameters()))


def test_all_data_of_a_seed_that_is_not_recorded_are_trained_as_long_as_the_others(searched: Path) -> None:
    notes: list[str] = []
    home = open_home(searched, "best")
    network = home.train(all_data=True, seeds=[7], say=notes.append)
    assert not notes
    assert 1 <= network.about["epochs"][0] <= 4


def test_several_seeds_answer_with_the_mean_of_their_probabilities(searched: Path, tmp_path: Path) -> None:
    home = open_home(searched)
    seeds = home.settled.seeds_of(4)
    assert len(set(seeds)) == 4
    together = at_home(home, tmp_path / "net.pt", seeds=seeds[:2])
    x, _ = load_digits(return_X_y=True)
    each = [home.train(seeds=[seed]).predict_proba(x) for seed in seeds[:2]]
    assert together.predict_proba(x) == pytest.approx(np.mean(each, axis=0), abs=1e-6)
    assert len(together.members) == 2
    assert 0 < together.about["together_on_test"] <= 1


def test_file_holds_plain_data_only(searched: Path, tmp_path: Path) -> None:
    trained = open_home(searched).train()
    path = save_network(trained, tmp_path / "deep" / "net.pt")
    content = torch.load(path, weights_only=True)
    assert {"weights", "normalisation", "classes", "setting", "verdict", "about"} <= content.keys()
    assert content["classes"] == list(range(10))
    assert len(content["normalisation"]["mean"]) == 1
    assert set(content["weights"][0]) == set(trained.members[0].state_dict())
    assert list(path.parent.iterdir()) == [path], "nothing is left beside it"


def test_file_that_is_damaged_or_something_else_gives_one_sentence(searched: Path, tmp_path: Path) -> None:
    path = save_network(open_home(searched).train(), tmp_path / "net.pt")
    whole = path.read_bytes()
    with pytest.raises(StoreError, match=r"nowhere.pt cannot be read"):
        load_network(tmp_path / "nowhere.pt")
    with pytest.raises(StoreError, match="not a zonesearch network file"):
        load_network(tmp_path / "study.toml" if (tmp_path / "study.toml").exists() else __file__)
    for cut in (0, 100, len(whole) // 2, len(whole) - 50):
        path.write_bytes(whole[:cut])
        with pytest.raises(StoreError, match=r"not a zonesearch network file|cannot be read"):
            load_network(path)
    torch.save({"a": torch.zeros(2)}, path)
    with pytest.raises(StoreError, match="not a zonesearch network file"):
        load_network(path)
    (tmp_path / "whole.pt").write_bytes(whole)
    content = torch.load(tmp_path / "whole.pt", weights_only=True)
    for key, value in {
        "network": {"width": 10**12},
        "format": 99,
        "weights": [],
        "classes": [1, 2],
        "normalisation": {"mean": "evil"},
        "precision": "evil",
        "setting": 3,
    }.items():
        torch.save({**content, key: value}, path)
        with pytest.raises((StoreError, ObjectiveError)):
            load_network(path)


def test_network_of_a_factory_needs_that_factory_named(
    digits: tuple[Path, Array, Array], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ran(
        tmp_path,
        f'{COMPARE}[space]\nwaist = [2]\n[data]\nname = "arrays"\nroot = "{digits[0]}"\n'
        '[network]\nkind = "own_parts:network"\nwidth = 8\n[training]\nepochs = 1\n',
    )
    path = tmp_path / "net.pt"
    save_network(open_home(run, study=tmp_path / "study.toml").train(), path)
    with pytest.raises(ObjectiveError, match=r"holds a network of own_parts:network: give that function"):
        load_network(path)
    assert load_network(path, factory=own_parts.network).predict(digits[1]).shape == (100,)
    with pytest.raises(ObjectiveError, match="do not fit the network that the factory makes"):
        load_network(path, factory=lambda params: own_parts.network({**params, "width": 9}))
    with pytest.raises(ObjectiveError, match="needs no factory"):
        load_network(save_network(open_home_of_digits(tmp_path, digits).train(), path), factory=own_parts.network)


def open_home_of_digits(tmp_path: Path, digits: tuple[Path, Array, Array]) -> Home:
    (tmp_path / "plain").mkdir()
    return open_home(
        ran(
            tmp_path / "plain",
            f'{COMPARE}[space]\nwidth = [4]\n[data]\nname = "arrays"\nroot = "{digits[0]}"\n[training]\nepochs = 1\n',
        )
    )


def test_inputs_that_do_not_fit_give_one_sentence(digits: tuple[Path, Array, Array], tmp_path: Path) -> None:
    network = open_home_of_digits(tmp_path, digits).train()
    for wrong, said in (
        (np.zeros((2, 5, 5)), "not \\(2, 5, 5\\)"),
        (np.zeros(3), "are needed"),
        (np.full((2, 8, 8), np.nan), "example 0 holds a number that is missing"),
        (np.full((2, 8, 8), "x"), "inputs must be numbers"),
        (np.zeros((0, 8, 8)), "there are no examples"),
    ):
        with pytest.raises(ObjectiveError, match=said):
            network.predict(wrong)
    assert (network.predict(digits[1]) == network.predict(torch.tensor(digits[1]))).all()
    assert (network.predict(digits[1]) == network.predict(digits[1].reshape(-1, 64))).all()


def test_onnx_file_answers_as_the_module_does(digits: tuple[Path, Array, Array], tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    from zonesearch.training.onnx_file import save_onnx

    run = ran(
        tmp_path,
        f'{COMPARE}[space]\nchannels = [4]\n[data]\nname = "arrays"\nroot = "{digits[0]}"\n'
        '[network]\nkind = "cnn"\nblocks = 1\nbatch_norm = true\ndropout = 0.3\n[training]\nepochs = 1\n',
    )
    home = open_home(run)
    network = home.train(seeds=home.settled.seeds_of(2))
    session = onnxruntime.InferenceSession(str(save_onnx(network, tmp_path / "net.onnx")))
    x = network.prepare(digits[1])
    [scores] = session.run(None, {"inputs": x.numpy()})
    assert scores == pytest.approx(network.module(x).detach().numpy(), abs=1e-4)
    assert (np.array(network.classes)[scores.argmax(1)] == network.predict(digits[1])).all()
    assert list(tmp_path.glob(".*")) == []


def test_setting_that_is_asked_for_is_the_one_that_is_settled(searched: Path) -> None:
    result = load_run(searched)
    verdict = result.verdict
    assert verdict is not None
    assert verdict.best is not None
    assert verdict.cheapest is not None
    assert settle(result.results, "best").params == verdict.best.finalist.params
    assert settle(result.results, "cheapest").params == verdict.cheapest.finalist.params
    for standing in verdict.standings:
        assert settle(result.results, str(standing.finalist.number)).params == standing.finalist.params
    assert math.isfinite(verdict.best.mean)
