"""Every kind of data: what is read, how it is split and scaled, and what is said of what cannot be used."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import own_parts
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits, load_wine

from zonesearch import ObjectiveError, StudyError, Training, Trial
from zonesearch.core.metric import Metric
from zonesearch.core.objective import Job
from zonesearch.study.files import parse_study
from zonesearch.training.data import Split, load
from zonesearch.training.data.preprocessing import Preprocessing
from zonesearch.training.data.sources import _digits
from zonesearch.training.loop import begin_run
from zonesearch.training.networks import build
from zonesearch.training.recipe import Recipe
from zonesearch.training.settings import DataSettings, NetworkSettings, TrainingSettings

IMAGES = bool(os.environ.get("ZONESEARCH_DATA"))


def train(recipe: Recipe, params: dict[str, Any], epochs: int = 3) -> Trial:
    (trial,) = recipe.train(Job((Training(params, 0, epochs, True),)), lambda share: None)
    return trial


def sizes(data: Split) -> tuple[int, int, int]:
    return len(data.train[1]), len(data.validation[1]), len(data.test[1])


def refused(said: str, **settings: Any) -> None:
    with pytest.raises(ObjectiveError, match=said):
        load(DataSettings(**settings), 0)


@pytest.fixture
def wine() -> pd.DataFrame:
    """178 wines, 13 measurements, three growers."""
    frame: pd.DataFrame = load_wine(as_frame=True).frame
    return frame.assign(target=frame["target"].map({0: "Abel", 1: "Bruno", 2: "Carla"}))


def write_images(root: Path, n: int = 6, parts: tuple[str, ...] = ("",), colour: bool = False) -> None:
    """Digits 0, 1, 2 as images by class; ``root/zero/0.png`` or ``root/train/zero/0.png``."""
    x, y = load_digits(return_X_y=True)
    for part in parts:
        for label, name in enumerate(("zero", "one", "two")):
            folder = root / part / name
            folder.mkdir(parents=True)
            for i, pixels in enumerate(x[y == label][:n]):
                grey: npt.NDArray[Any] = (pixels.reshape(8, 8) * 15).astype(np.uint8)
                Image.fromarray(np.stack([grey, grey // 2, 255 - grey], axis=2) if colour else grey).save(
                    folder / f"{i}.png"
                )


# --- images


@pytest.mark.parametrize("colour", [False, True])
def test_a_folder_of_images_by_class(tmp_path: Path, colour: bool) -> None:
    write_images(tmp_path, n=10, colour=colour)
    data = load(DataSettings(name="images", root=str(tmp_path)), 0)
    assert data.shape == ((3, 8, 8) if colour else (1, 8, 8))
    assert data.n_classes == 3
    assert sizes(data) == (18, 6, 6)
    together = torch.cat([data.train[1], data.validation[1], data.test[1]])
    assert torch.bincount(together).tolist() == [10, 10, 10]


def test_a_zip_gives_what_the_folder_gives_and_its_test_part_is_kept_apart(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    write_images(folder, parts=("train", "test"))
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        for path in folder.rglob("*.png"):
            archive.write(path, path.relative_to(tmp_path))
        archive.writestr("__MACOSX/pictures/train/one/._0.png", b"no picture")
        archive.writestr("pictures/README.txt", "words")
    of_folder = load(DataSettings(name="images", root=str(folder)), 0)
    of_zip = load(DataSettings(name="images", root=str(tmp_path / "pictures.zip")), 0)
    assert sizes(of_zip) == sizes(of_folder) == (15, 3, 18)
    assert of_zip.digest == of_folder.digest
    assert of_zip.train[0].equal(of_folder.train[0])


def test_images_of_several_sizes_are_resized_when_asked(tmp_path: Path) -> None:
    write_images(tmp_path)
    Image.new("RGB", (20, 30), "red").save(tmp_path / "one" / "large.jpg")
    refused("large.jpg has 30 x 20 pixels, others 8 x 8; set \\[data\\] size", name="images", root=str(tmp_path))
    assert load(DataSettings(name="images", root=str(tmp_path), size=12), 0).shape == (3, 12, 12)


def test_images_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    refused("needs root", name="images")
    refused("does not exist", name="images", root=str(tmp_path / "none"))
    refused("holds no images", name="images", root=str(tmp_path))
    write_images(tmp_path / "a")
    for name in ("one/3.png", "two/0.png"):
        (tmp_path / "a" / name).write_bytes((tmp_path / "a" / name).read_bytes()[:60])
    refused(
        r"2 of 18 images cannot be read, the first one/3.png \(.*\); replace what is broken",
        name="images",
        root=str(tmp_path / "a"),
    )
    write_images(tmp_path / "b", parts=("train",))
    (tmp_path / "b" / "test" / "nine").mkdir(parents=True)
    Image.new("L", (8, 8)).save(tmp_path / "b" / "test" / "nine" / "0.png")
    refused('of the class "nine", of which there is no training image', name="images", root=str(tmp_path / "b"))
    (tmp_path / "c.zip").write_text("no zip")
    refused("neither a folder nor a zip", name="images", root=str(tmp_path / "c.zip"))
    (tmp_path / "d" / "one").mkdir(parents=True)
    Image.new("L", (8, 8)).save(tmp_path / "d" / "one" / "0.png")
    refused('only one class, "one"', name="images", root=str(tmp_path / "d"))


def test_an_image_that_cannot_be_read_is_left_out_and_named(tmp_path: Path) -> None:
    write_images(tmp_path, n=10)
    (tmp_path / "one" / "3.png").write_bytes((tmp_path / "one" / "3.png").read_bytes()[:60])
    with pytest.warns(UserWarning, match=r"image one/3.png cannot be read \(.*\); the run goes on without it"):
        data = load(DataSettings(name="images", root=str(tmp_path)), 0)
    assert sum(sizes(data)) == 29
    together = torch.cat([data.train[1], data.validation[1], data.test[1]])
    assert torch.bincount(together).tolist() == [9, 10, 10]


# --- arrays


def test_arrays_with_and_without_a_test_part(tmp_path: Path) -> None:
    x, y = load_digits(return_X_y=True)
    np.savez(tmp_path / "one.npz", x=x[:500], y=y[:500])
    images = x.reshape(-1, 8, 8)
    np.savez(tmp_path / "two.npz", x_train=images[:500], y_train=y[:500], x_test=images[500:600], y_test=y[500:600])
    one, two = (load(DataSettings(name="arrays", root=str(tmp_path / f"{name}.npz")), 0) for name in ("one", "two"))
    assert one.shape == (64,)
    assert two.shape == (1, 8, 8)
    assert sum(sizes(one)) == 500
    assert sizes(two)[2] == 100
    assert train(Recipe(data=DataSettings(name="arrays", root=str(tmp_path / "two.npz"))), {}).state == "complete"


def test_arrays_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    for arrays, said in (
        ({"x": np.ones((4, 2))}, 'holds no array "y"'),
        ({"x": np.ones((4, 2)), "y": np.arange(5)}, r"not \(4, 2\) and \(5,\)"),
        ({"x": np.ones(4), "y": np.arange(4)}, r"not \(4,\) and \(4,\)"),
        ({"x": np.array([[1.0], [np.inf]]), "y": np.arange(2)}, r"1 of 2 examples .* number 1\)"),
        ({"x": np.ones((4, 2)), "y": np.array([0, 1, np.nan, 1])}, "labels must name classes"),
        ({"x": np.ones((4, 2)), "y": np.zeros(4)}, "only one class, 0"),
        ({"x": np.array([["a"], ["b"]]), "y": np.arange(2)}, "inputs must be numbers"),
    ):
        np.savez(path, **arrays)  # type: ignore[arg-type]
        refused(said, name="arrays", root=str(path))
    path.write_text("words")
    refused("cannot be read as .npz", name="arrays", root=str(path))


# --- tables


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_with_words_among_its_columns_and_labels(tmp_path: Path, wine: pd.DataFrame, kind: str) -> None:
    frame = wine.assign(grape=np.where(np.arange(178) % 2, "red", "white"), old=np.arange(178) % 3 == 0)
    path = tmp_path / f"wine.{kind}"
    frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path)
    settings = DataSettings(name="table", root=str(path), target="target")
    data = load(settings, 0)
    assert data.shape == (13 + 2 + 1,)
    assert data.n_classes == 3
    assert sum(sizes(data)) == 178
    assert data.train[0].mean(0).abs().max() < 1e-5, "each column is normalised by the training split"
    torch.testing.assert_close(data.train[0].std(0, correction=0), torch.ones(16))
    trial = train(Recipe(data=settings, network=NetworkSettings(widths=(16, 8))), {"learning_rate": 0.03}, epochs=10)
    assert trial.accuracy is not None
    assert trial.accuracy > 0.85


def test_a_table_in_a_train_and_a_test_file(tmp_path: Path, wine: pd.DataFrame) -> None:
    wine[::2].to_csv(tmp_path / "train.csv", index=False)
    wine[1::2].to_parquet(tmp_path / "test.parquet")
    assert sizes(load(DataSettings(name="table", root=str(tmp_path), target="target"), 0)) == (71, 18, 89)


def test_tables_that_cannot_be_used_are_named(tmp_path: Path, wine: pd.DataFrame) -> None:
    path = tmp_path / "t.csv"
    empty = wine.assign(hue=np.nan)
    endless = wine.copy()
    endless.loc[3, "hue"] = np.inf
    unlabelled = wine.copy()
    unlabelled.loc[3, "target"] = None
    for frame, target, said in (
        (wine, "", "needs target"),
        (wine, "targte", 'no column "targte"; did you mean "target"'),
        (wine, "alcohol", "labels must name classes.*regression"),
        (empty, "target", 'column "hue" has missing values only'),
        (endless, "target", r'column "hue" holds a number that is not finite \(row 3\)'),
        (unlabelled, "target", '1 of 178 values of the target "target" are missing'),
        (wine[["target"]], "target", "no column besides the target"),
        (wine[:0], "target", "has no rows"),
    ):
        frame.to_csv(path, index=False)
        refused(said, name="table", root=str(path), target=target)
    path.write_text("a,b\n1,2\n1,2,3\n")
    refused("cannot be read", name="table", root=str(path), target="b")
    path.write_text("")
    refused("cannot be read", name="table", root=str(path), target="b")
    dated = wine.assign(bottled=pd.Timestamp("2020-01-01"))
    dated.to_parquet(tmp_path / "dated.parquet")
    refused('column "bottled" holds', name="table", root=str(tmp_path / "dated.parquet"), target="target")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and no more")
    refused("cannot be read", name="table", root=str(tmp_path / "broken.parquet"), target="target")
    (tmp_path / "t.xlsx").write_bytes(b"")
    refused("a table is a .csv or .parquet file", name="table", root=str(tmp_path / "t.xlsx"), target="target")


# --- a user's own


def test_a_factory_of_arrays_or_tensors_labels_of_any_kind() -> None:
    plain = load(DataSettings(name="own_parts:digits", arguments=(("n", 400),)), 0)
    assert sizes(plain)[2] == 300
    assert plain.shape == (64,)
    moved = load(DataSettings(name="own_parts:digits", arguments=(("labels_from", 7), ("n", 400))), 0)
    assert moved.train[1].equal(plain.train[1]), "labels need not begin at 0"
    words = load(DataSettings(name="own_parts:digits_as_tensors"), 0)
    assert words.shape == (1, 8, 8)
    assert words.n_classes == 10


def test_a_factory_of_data_sets_of_torch_and_of_frames() -> None:
    arrays, sets = (load(DataSettings(name=f"own_parts:{name}"), 0) for name in ("digits", "digits_as_datasets"))
    assert sets.digest == arrays.digest
    assert sets.test[0].equal(arrays.test[0])
    pictures, coloured = (
        load(DataSettings(name="own_parts:digits_as_datasets", arguments=(("colour", colour), ("pictures", True))), 0)
        for colour in (False, True)
    )
    assert pictures.shape == (1, 8, 8)
    assert coloured.shape == (3, 8, 8)
    torch.testing.assert_close(coloured.train[0][:, 1:2], pictures.train[0])
    frames = load(DataSettings(name="own_parts:wine_frames"), 0)
    assert (frames.shape, frames.n_classes) == ((13,), 3)


def test_lists_may_be_arguments_of_a_factory() -> None:
    names = [f"n{i}" for i in range(10)]
    recipe = Recipe.from_tables({"data": {"name": "own_parts:digits_as_tensors", "arguments": {"names": names}}})
    assert recipe.split().n_classes == 10


def test_factories_that_cannot_be_used_are_named() -> None:
    for name, said in (
        ("raises", "ended in OSError: the disk is gone"),
        ("missing", "cannot be imported"),
        ("no_number", "must give \\(train, test\\).*TypeError"),
        ("digits_with_a_strange_label", "label 12 is out of range: the training data have 10 classes, 0 to 9"),
        ("digits_without_a_class", "class 4 has only 1 example"),
        ("digits_with_nan", r"1 of 600 examples .* number 17\)"),
    ):
        refused(said, name=f"own_parts:{name}")


# --- any data


@pytest.mark.parametrize("limit", [100, 777, 1100, 1150])
def test_limit_keeps_every_class_alike(limit: int) -> None:
    counts = torch.bincount(load(DataSettings(limit=limit), 0).train[1])
    assert abs(int(counts.sum()) - limit) <= 5
    assert int(counts.max() - counts.min()) <= 0.05 * limit / 10 + 1
    refused("there are only 1151 training examples", limit=2000)


def test_normalisation_is_per_channel_and_of_the_training_split_alone(tmp_path: Path) -> None:
    write_images(tmp_path, n=20, colour=True)
    data = load(DataSettings(name="images", root=str(tmp_path)), 0)
    torch.testing.assert_close(data.train[0].mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(data.train[0].std((0, 2, 3), correction=0), torch.ones(3))
    assert float(data.validation[0].mean((0, 2, 3)).abs().max()) > 1e-4


@pytest.mark.slow
@pytest.mark.skipif(not IMAGES, reason="ZONESEARCH_DATA does not name a folder with MNIST and CIFAR-10")
def test_mnist_is_read_from_where_the_data_are() -> None:
    data = load(DataSettings(name="mnist", limit=1000), 0)
    assert data.shape == (1, 28, 28)
    assert (len(data.validation[1]), len(data.test[1])) == (12_000, 10_000)


@pytest.mark.parametrize(
    ("name", "folder"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST"), ("kmnist", "KMNIST")]
)
def test_the_files_of_torchvision_are_read_below_the_root(tmp_path: Path, name: str, folder: str) -> None:
    """The digits as IDX files: a header of type and sizes, then the bytes."""
    x, y = load_digits(return_X_y=True)
    images = np.kron(x.reshape(-1, 8, 8), np.ones((3, 3)))[:300] * 15
    raw = tmp_path / folder / "raw"
    raw.mkdir(parents=True)
    for part, of in (("train", slice(200)), ("t10k", slice(200, 300))):
        for kind, array in (("images-idx3", images[of]), ("labels-idx1", y[of])):
            header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
            (raw / f"{part}-{kind}-ubyte").write_bytes(header + array.astype(np.uint8).tobytes())
    data = load(DataSettings(name=name, root=str(tmp_path)), 0)
    assert data.shape == (1, 24, 24)
    assert len(data.test[1]) == 100
    assert data.n_classes == 10


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_images_by_class_stand_in_for_the_files_of_torchvision(tmp_path: Path, name: str) -> None:
    write_images(tmp_path, parts=("train", "test"), colour=True)
    data = load(DataSettings(name=name, root=str(tmp_path)), 0)
    assert sizes(data) == (15, 3, 18)
    refused("is not in .*: set \\[data\\] root to the folder that holds", name=name, root=str(tmp_path / "test"))


def test_digits_are_those_of_scikit_learn_to_the_bit() -> None:
    (inputs, labels), test, classes = _digits(DataSettings(name="digits"))
    x, y = load_digits(return_X_y=True)
    assert np.array_equal(inputs, (x.reshape(-1, 1, 8, 8) / 16).astype(np.float32))
    assert np.array_equal(labels, y)
    assert (inputs.dtype, labels.dtype, test, classes) == (np.float32, np.int64, None, list(range(10)))


WITHOUT_SCIKIT_LEARN = """
import sys
sys.modules["sklearn"] = None
import importlib.util
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "sklearn" else real(name, *rest)
from zonesearch.training.recipe import Recipe
from zonesearch.errors import ObjectiveError
from zonesearch.core.trials import Training
recipe = Recipe.from_tables({"data": {"name": "digits", "limit": 200}})
(job,) = recipe.jobs([Training({"learning_rate": 0.01, "width": 8, "batch": 64}, 0, 1)])
print(*(trial.state for trial in recipe.train(job, lambda share: None)))
try: Recipe.from_tables({"data": {"name": "digits"}, "training": {"metric": "f1_macro"}}).check({"batch": 64})
except ObjectiveError as error: print(error)
try: import zonesearch.sklearn
except ImportError as error: print(error)
"""


def test_digits_need_no_scikit_learn_and_what_does_names_the_extra() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_SCIKIT_LEARN], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "complete",
        "metric \"f1_macro\" needs scikit-learn: pip install 'zonesearch[sklearn]'",
        "ZoneSearchCV needs scikit-learn: pip install 'zonesearch[sklearn]'",
    ]


# --- regression and metrics

WINE = DataSettings(name="own_parts:wine_alcohol", task="regression")


def test_a_regression_is_measured_in_the_units_of_its_target() -> None:

    def measured(metric: str, direction: str = "maximise") -> Trial:
        recipe = Recipe(data=WINE, training=TrainingSettings(metric=metric, direction=direction))
        return train(recipe, {"learning_rate": 0.01, "batch": 16}, 10)

    r2, mae, rmse = (measured(name) for name in ("", "mae", "rmse"))
    assert r2.accuracy is not None
    assert mae.accuracy is not None
    assert rmse.accuracy is not None
    assert 0.3 < r2.accuracy < 1
    assert 0 < mae.accuracy < rmse.accuracy < 0.8, "errors are recorded as they are, in degrees of alcohol"
    assert [trial.metric for trial in (r2, mae, rmse)] == [Metric("r2"), Metric("mae"), Metric("rmse")]
    assert rmse.accuracy == min(rmse.validation_curve), "the best epoch is the one with the least error"
    assert r2.n_validation is None, "no binomial error"
    own = measured("own_parts:mean_relative_error", "minimise")
    assert own.accuracy is not None
    assert own.accuracy == pytest.approx(mae.accuracy / 13, rel=0.1)
    assert own.metric == Metric("mean_relative_error", "minimize")


def test_a_metric_of_the_users_own_and_balanced_accuracy() -> None:
    got: dict[str, float] = {}
    for metric in ("own_parts:share_of_top_two", "balanced_accuracy", "accuracy", ""):
        recipe = Recipe(data=DataSettings(limit=200), training=TrainingSettings(metric=metric))
        got[metric] = train(recipe, {"width": 16, "learning_rate": 0.02}).accuracy or 0.0
    assert got[""] == got["accuracy"] > 0.5
    assert got["balanced_accuracy"] == pytest.approx(got["accuracy"], abs=0.05)
    assert got["own_parts:share_of_top_two"] > got["accuracy"]


def test_metrics_that_cannot_be_used_are_named() -> None:
    for recipe, said in (
        (Recipe(training=TrainingSettings(metric="mae")), 'metric "mae" is for regression'),
        (Recipe(training=TrainingSettings(metric="acuracy")), 'did you mean "accuracy"'),
        (Recipe(training=TrainingSettings(direction="up")), 'direction is "maximise" or "minimise"'),
        (Recipe(data=DataSettings(task="ranking")), 'task is "classification" or "regression"'),
        (Recipe(data=DataSettings(task="regression")), "digits has classes"),
    ):
        with pytest.raises(ObjectiveError, match=said):
            recipe.check({})
    with pytest.raises(ObjectiveError, match="must give a number, but gave 'good'"):
        train(Recipe(training=TrainingSettings(metric="own_parts:no_number")), {"width": 4})


def test_a_regression_on_a_few_examples_says_so(tmp_path: Path) -> None:
    np.savez(tmp_path / "few.npz", x=np.random.default_rng(0).normal(size=(12, 2)), y=np.arange(12) / 7)
    refused("12 examples are too few", name="arrays", root=str(tmp_path / "few.npz"), task="regression")


# --- holes and words in tables


def with_holes() -> pd.DataFrame:
    """Numbers and words with holes; the words of the last rows are in no other row."""
    rng = np.random.default_rng(0)
    n = 120
    frame = pd.DataFrame({
        "size": rng.normal(10, 2, n), "count": rng.integers(0, 5, n), "grape": rng.choice(["red", "white"], n),
        "old": rng.random(n) > 0.5,
    })  # fmt: skip
    frame.loc[::7, "size"] = np.nan
    frame.loc[::11, "grape"] = None
    return frame.assign(target=(frame["size"].fillna(0) > 10).astype(int))


@pytest.mark.parametrize("kind", ["csv", "parquet", "pandas"])
def test_holes_of_a_table_are_filled_by_the_training_part_and_marked(tmp_path: Path, kind: str) -> None:
    frame, path = with_holes(), tmp_path / f"t.{kind}"
    if kind == "pandas":
        settings = DataSettings(name="own_parts:frame_of", arguments=(("path", str(tmp_path / "t.pkl")),))
        frame.to_pickle(tmp_path / "t.pkl")
    else:
        frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path)
        settings = DataSettings(name="table", root=str(path), target="target")
    data = load(settings, 0)
    steps = data.preprocessing
    assert steps.columns is not None
    assert steps.columns.made == [
        "size", "count", "old", "grape_red", "grape_white", "size is missing", "grape is missing"
    ]  # fmt: skip
    assert data.shape == (7,)
    assert data.code == {"table": 2}
    assert all(bool(x.isfinite().all()) for x, _ in (data.train, data.validation, data.test))
    size, _, grape, _ = sorted(
        steps.columns.columns, key=lambda column: ("size", "count", "grape", "old").index(column.name)
    )
    mean, deviation = steps.mean[0], steps.deviation[0]
    there = data.train[0][:, 0][data.train[0][:, 5] < 0] * deviation + mean
    assert size.fill == pytest.approx(float(np.median(there.numpy())), rel=1e-5), (
        "the median of the training part alone"
    )
    assert grape.fill in ("red", "white")
    again = Preprocessing.from_description(json.loads(json.dumps(steps.describe())))
    assert again == steps, "plain data that can be stored beside a network"
    every = again.apply(frame.drop(columns="target"))
    assert every.shape == (120, 7)
    new = pd.DataFrame({"old": [True], "grape": ["rosé"], "count": [3], "size": [None], "more": [1]})
    made = again.apply(new)[0] * again.deviation + again.mean
    assert made == pytest.approx([size.fill, 3, 1, 0, 0, 1, 0], abs=1e-5), "an unknown word is none of the known ones"
    with pytest.raises(ObjectiveError, match='no column "grape"'):
        again.apply(new.drop(columns="grape"))
    assert train(Recipe(data=settings), {"batch": 16}).state == "complete"


def test_words_that_only_validation_has_do_no_harm(tmp_path: Path) -> None:
    frame = with_holes().drop(columns=["size", "old"]).assign(grape="red")
    frame.loc[frame.index[:8], "grape"] = [f"rare {i}" for i in range(8)]
    frame.to_csv(tmp_path / "t.csv", index=False)
    settings = DataSettings(name="table", root=str(tmp_path / "t.csv"), target="target")
    data = load(settings, 0)
    assert data.code == {"table": 2}, "other columns than before: another experiment"
    assert data.shape[0] < 1 + 9
    constant = frame.assign(grape="red")
    constant.loc[load_test_rows(data), "grape"] = "white"
    constant.to_csv(tmp_path / "c.csv", index=False)
    only = load(DataSettings(name="table", root=str(tmp_path / "c.csv"), target="target"), 0)
    assert float(only.test[0].abs().max()) < 100, "what is constant in training is not divided by next to nothing"


def load_test_rows(data: Split) -> list[int]:
    """As many rows as the test part has, from the end."""
    return list(range(120 - len(data.test[1]), 120))


def test_a_table_without_holes_is_the_experiment_that_it_was(tmp_path: Path, wine: pd.DataFrame) -> None:
    frame = wine.assign(grape=np.where(np.arange(178) % 2, "red", "white"), old=np.arange(178) % 3 == 0)
    frame.to_csv(tmp_path / "w.csv", index=False)
    settings = DataSettings(name="table", root=str(tmp_path / "w.csv"), target="target")
    assert load(settings, 0).digest == "cddf32cef030703d", "as version 0.1.0 had it"
    assert "code" not in Recipe(data=settings).fingerprint()


def test_a_column_that_is_constant_in_training_makes_no_millions(tmp_path: Path) -> None:
    data = load(DataSettings(name="own_parts:digits"), 0)
    assert float(data.validation[0].abs().max()) < 100
    assert data.code == {"constants": 2}
    assert Recipe(data=DataSettings(name="own_parts:digits")).fingerprint()["code"] == {"constants": 2}
    assert load(DataSettings(), 0).code == {}


# --- limits of every part


def test_limit_is_of_every_part_and_of_each_by_itself() -> None:
    def sized(**limits: int) -> tuple[int, int, int]:
        return sizes(load(DataSettings(**limits), 0))  # type: ignore[arg-type]

    assert sized() == (1151, 287, 359)
    few = sized(limit=100)
    assert all(abs(n - 100) <= 5 for n in few)
    assert sized(limit=100, limit_validation=1000, limit_test=1000) == (few[0], 287, 359)
    mixed = sized(limit=100, limit_validation=40)
    assert (mixed[0], mixed[2]) == (few[0], few[2])
    assert abs(mixed[1] - 40) <= 5
    assert sized(limit_test=50)[:2] == (1151, 287)
    refused("limit_test is a number of examples", limit_test=-1)


@pytest.mark.parametrize("key", ["limit", "limit_validation", "limit_test"])
def test_a_limit_too_small_for_every_class_is_named_with_the_least(key: str) -> None:
    with pytest.raises(ObjectiveError, match=rf"\[data\] {key} = 2 is too small: .* 10 classes") as caught:
        load(DataSettings(**{key: 2}), 0)
    least = int(str(caught.value).rpartition(" ")[2])
    load(DataSettings(**{key: least, "limit_validation": 100, "limit_test": 100} | {key: least}), 0)
    with pytest.raises(ObjectiveError, match=f"{key} = {least - 1} is too small"):
        load(DataSettings(**{"limit_validation": 100, "limit_test": 100} | {key: least - 1}), 0)


def test_a_limit_changes_an_experiment_where_it_changes_a_part_alone() -> None:
    def told(**limits: int) -> Any:
        return Recipe(data=DataSettings(**limits)).fingerprint().get("data", {})  # type: ignore[arg-type]

    assert told(limit_validation=1000) == {}
    assert told(limit=500, limit_validation=1000, limit_test=1000) == {"limit": 500}, "as version 0.1.0 had it"
    assert told(limit=500) == {"limit": 500}
    assert told(limit_validation=100).keys() == {"limit_validation"}
    assert told(limit=100).keys() == {"limit", "limit_validation", "limit_test"}
    whole, some = load(DataSettings(limit=500), 0), load(DataSettings(limit=500, limit_test=50), 0)
    assert whole.train[0].equal(some.train[0]), "a limit of one part leaves the others as they are"


def test_a_limit_reads_no_more_images_than_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_images(tmp_path, n=40, parts=("train", "test"))
    opened: list[str] = []
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: opened.append(path.name) or read(path))
    data = load(DataSettings(name="images", root=str(tmp_path), limit=12, limit_test=9), 0)
    assert sizes(data) == (12, 12, 9)
    assert len(opened) == 33
    (tmp_path / "train" / "one" / "1.png").write_bytes(b"no image")
    load.cache_clear()
    with pytest.warns(UserWarning, match="the run goes on without it"):
        found = [sizes(load(DataSettings(name="images", root=str(tmp_path), limit=60), seed))[0] for seed in range(9)]
    assert set(found) == {59, 60}, "one that is not wanted is not missed"


def test_a_limit_reads_no_more_of_a_data_set_than_it_needs() -> None:
    seen = own_parts.READ
    seen.clear()
    data = load(DataSettings(name="own_parts:counted", limit=20, limit_validation=10), 0)
    assert sizes(data) == (20, 10, 20)
    assert len(set(seen)) <= 20 + 10 + 20 + 1
    whole = load(DataSettings(name="own_parts:counted"), 0)
    assert data.train[0].shape[1:] == whole.train[0].shape[1:]


# --- networks that were trained before


@pytest.mark.parametrize("kind", ["state", "state_dict", "model", "module", "safetensors", "function"])
def test_weights_are_read_in_every_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    from torchvision.models import get_model

    torch.manual_seed(0)
    state = get_model("shufflenet_v2_x0_5", num_classes=7).state_dict()
    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pt")
    if kind == "safetensors":
        pytest.importorskip("safetensors.torch").save_file(state, path)
    elif kind == "module":
        torch.save({"epoch": 3, "state_dict": {f"module.{name}": value for name, value in state.items()}}, path)
    else:
        torch.save({kind: state, "epoch": 3} if kind in ("state_dict", "model") else state, path)
    monkeypatch.setattr(own_parts, "WEIGHTS", path)
    weights = "own_parts:weights" if kind == "function" else str(path)
    network = build(NetworkSettings(kind="backbone", backbone="shufflenet_v2_x0_5", weights=weights), (1, 8, 8), 10)
    assert network.body.conv1[0].weight.equal(state["conv1.0.weight"])  # type: ignore[union-attr,index]


def test_weights_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    def refused_weights(path: Path, said: str) -> None:
        settings = NetworkSettings(kind="backbone", backbone="shufflenet_v2_x0_5", weights=str(path))
        with pytest.raises(ObjectiveError, match=said):
            build(settings, (1, 8, 8), 10)

    torch.save({"state_dict": [1, 2]}, tmp_path / "a.pt")
    refused_weights(tmp_path / "a.pt", "holds no tensors by name")
    torch.save(torch.ones(3), tmp_path / "b.pt")
    refused_weights(tmp_path / "b.pt", "holds no tensors by name")
    (tmp_path / "c.safetensors").write_bytes(b"words")
    refused_weights(tmp_path / "c.safetensors", "cannot be read")
    torch.save({"model": {"other": torch.ones(3)}}, tmp_path / "d.pt")
    refused_weights(tmp_path / "d.pt", "does not fit")


def test_head_and_body_have_rates_of_their_own() -> None:
    tables = {"kind": "backbone", "backbone": "shufflenet_v2_x0_5"}
    recipe = Recipe.from_tables({"data": {"limit": 40}, "network": {**tables, "body_rate": 0.1}})
    settings, _ = recipe.settings_of({"learning_rate": 0.02})
    run = begin_run(Training({}, 0, 1), settings, recipe.split(), 0)
    head, body = run.optimizer.param_groups
    assert (head["lr"], body["lr"]) == pytest.approx((0.02, 0.002))
    assert sum(p.numel() for p in head["params"]) == 1024 * 10 + 10
    assert run.learning_rate == 0.02
    one = Recipe.from_tables({"data": {"limit": 40}, "network": {**tables, "body_rate": 0.1, "tune": "head"}})
    run = begin_run(Training({}, 0, 1), one.settings_of({})[0], one.split(), 0)
    assert len(run.optimizer.param_groups) == 1, "a frozen body has no rate"
    for rates, said in (
        ({"body_rate": 0.0}, "body_rate must be above 0"),
        ({"optimizer": "lbfgs"}, "one learning rate"),
    ):
        with pytest.raises(ObjectiveError, match=said):
            recipe.check(rates)
    with pytest.raises(StudyError, match="body_rate has no effect"):
        parse_study("[space]\nwidth = [8, 16]\n[network]\nbody_rate = 0.1\n", name="s", where="s.toml")


def bomb() -> bytes:
    """A picture of some hundred bytes that would be decoded to 11 GB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + body + chunk(b"IEND", b"")


def test_picture_that_would_fill_the_memory_is_left_out(tmp_path: Path) -> None:
    write_images(tmp_path, 12)
    (tmp_path / "zero" / "bomb.png").write_bytes(bomb())
    with pytest.warns(UserWarning, match=r"zero/bomb\.png cannot be read .*decompression bomb"):
        split = load(DataSettings(name="images", root=str(tmp_path)), 0)
    assert len(split.train[1]) + len(split.validation[1]) + len(split.test[1]) == 36


def test_archive_with_a_picture_that_unpacks_to_a_thousand_times_its_size_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zonesearch.training.data.images._LARGEST_FILE", 10_000)
    write_images(tmp_path / "images", 12)
    (tmp_path / "images" / "zero" / "bomb.png").write_bytes(bytes(20_000))
    archive = shutil.make_archive(str(tmp_path / "images"), "zip", tmp_path / "images")
    with pytest.raises(ObjectiveError, match=r"zero/bomb\.png cannot be read: it would unpack to more than"):
        load(DataSettings(name="images", root=archive), 0)
