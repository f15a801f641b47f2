"""Networks and data of a user's own through all three stages, each from a study file of under 30 lines.

Real data and real trainings, small: a ResNet-18 on CIFAR-10 images, a convolutional network on MNIST, two hidden layers
on a table, and a network, data and metric that the user wrote.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest
from sklearn.datasets import load_breast_cancer, load_wine

from zonesearch.cli.main import main
from zonesearch.run.recorded import read_run
from zonesearch.run.result import Result

DATA = Path(os.environ.get("ZONESEARCH_DATA") or "no data")
CIFAR10, MNIST = DATA / "cifar10" / "cifar10-images.zip", DATA / "mnist"

RESNET = """
[space]
learning_rate = [0.0003, 0.001]
batch = [16, 32]
[data]
name = "cifar10"
root = "cifar10"
[network]
kind = "backbone"
backbone = "resnet18"
[training]
epochs = 2
[interval]
method = "split(2)"
[polish]
schedules = ["cosine"]
keep = 2
repeats = 2
"""

CNN = f"""
[space]
channels = [4, 8]
batch = [16, 32]
[data]
name = "mnist"
root = "{MNIST}"
validation = 0.01
limit = 800
[network]
kind = "cnn"
kernel = 5
batch_norm = true
[optimizer]
learning_rate = 0.03
[training]
epochs = 3
[interval]
method = "split(2)"
[polish]
schedules = ["constant", "onecycle"]
keep = 2
repeats = 2
"""

TABLE = """
[space]
width_1 = [4, 32]
width_2 = [4, 32]
[data]
name = "table"
root = "{file}"
target = "diagnosis"
[network]
widths = [16, 16]
[optimizer]
learning_rate = 0.01
[training]
epochs = 6
[interval]
method = "split(2)"
[search]
seeds = 2
"""

OWN = """
[space]
width = [8, 32]
slope = [0.0, 0.2]
[data]
name = "home_made:wines"
arguments = { colours = true }
task = "regression"
[network]
kind = "home_made:network"
[optimizer]
learning_rate = 0.01
[training]
epochs = 8
batch = 16
metric = "home_made:worst_error"
direction = "minimise"
[interval]
method = "split(2)"
[polish]
keep = 2
"""

MY_PARTS = '''
import torch
from sklearn.datasets import load_wine
from torch import nn

def wines(colours):
    """The alcohol of a wine by its other measurements, its colour among them or not."""
    x, _ = load_wine(return_X_y=True)
    inputs = x[:, 1:] if colours else x[:, 1:9]
    return (inputs, x[:, 0]), None

def network(params):
    (n_inputs,) = params["input_shape"]
    return nn.Sequential(
        nn.Linear(n_inputs, params["width"]),
        nn.LeakyReLU(params["slope"]),
        nn.Linear(params["width"], params["n_classes"]),
    )

def worst_error(outputs, targets):
    """In degrees of alcohol: nine in ten wines are nearer."""
    return torch.quantile((outputs.squeeze(1) - targets).abs(), 0.9)
'''

Run = Callable[[str], Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """``zonesearch run study.toml`` in an empty folder; gives what is recorded there."""
    monkeypatch.chdir(tmp_path)

    def run(study: str) -> Result:
        assert len(study.strip().splitlines()) < 30
        Path("study.toml").write_text(study)
        assert main(["run", "study.toml", "--into", "run", "--quiet"]) == 0, capsys.readouterr().err
        result = Result(read_run(Path("run"))[0])
        assert result.verdict is not None
        assert capsys.readouterr().out.strip() == result.verdict.sentence
        assert set(result.frame()["state"]) == {"complete"}
        assert [stage.name for stage in result.results.stages] == ["grid", "interval", "polish"]
        assert result.verdict.sentence in Path("run/report.html").read_text()
        return result

    return run


def assert_learnt(result: Result, accuracy: float) -> None:
    """Losses fall, and the best finalist reaches ``accuracy`` on the test split that the search never saw."""
    for trial in result.trials:
        losses = trial.curve["train_loss"]
        assert losses[-1] < losses[0]
    assert result.verdict is not None
    assert result.verdict.best is not None
    tested = [trial.test_accuracy for trial in result.trials if trial.training.test]
    assert max(value for value in tested if value is not None) > accuracy


def a_few_images(archive: Path, into: Path, n_train: int, n_test: int) -> None:
    """The first images of each class."""
    with zipfile.ZipFile(archive) as images:
        taken: dict[PurePosixPath, int] = {}
        for name in sorted(images.namelist()):
            folder = PurePosixPath(name).parent
            if name.endswith(".jpg") and taken.get(folder, 0) < (n_train if folder.parts[0] == "train" else n_test):
                taken[folder] = taken.get(folder, 0) + 1
                images.extract(name, into)


@pytest.mark.slow
@pytest.mark.skipif(not CIFAR10.exists(), reason="ZONESEARCH_DATA does not name a folder with CIFAR-10")
def test_a_resnet_of_torchvision_on_images_of_cifar10(run: Run) -> None:
    a_few_images(CIFAR10, Path("cifar10"), n_train=10, n_test=5)
    result = run(RESNET)
    assert {trial.n_parameters for trial in result.trials} == {11_181_642}
    assert_learnt(result, 0.0)  # 80 images are too few for more than a falling loss


@pytest.mark.slow
@pytest.mark.skipif(not MNIST.exists(), reason="ZONESEARCH_DATA does not name a folder with MNIST")
def test_a_convolutional_network_on_mnist(run: Run) -> None:
    result = run(CNN)
    assert_learnt(result, 0.4)


@pytest.mark.parametrize("file", ["patients.parquet", "patients.csv"])
def test_two_hidden_layers_on_a_table(run: Run, file: str) -> None:
    cancer = load_breast_cancer(as_frame=True)
    frame = cancer.frame.drop(columns="target").assign(diagnosis=cancer.target_names[cancer.frame["target"]])
    frame.to_parquet(file) if file.endswith("parquet") else frame.to_csv(file, index=False)
    result = run(TABLE.format(file=file))
    assert_learnt(result, 0.93)
    widest = result.trials.of({"width_1": 32, "width_2": 4})
    assert widest[0].n_parameters == 31 * 32 + 33 * 4 + 5 * 2


def test_a_network_data_and_a_metric_of_the_users_own(run: Run, tmp_path: Path) -> None:
    Path("home_made.py").write_text(MY_PARTS)
    result = run(OWN)
    spread = load_wine(as_frame=True).frame["alcohol"].std()
    assert_learnt(result, -1.5 * spread)
