"""The callbacks inside their real frameworks, on networks of a few neurons."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from zonesearch import ObjectiveError, run_pipeline

pytestmark = pytest.mark.filterwarnings("ignore")

SPACE = {"learning_rate": [0.001, 0.1, 1.0]}
TORCH = torch.Generator().manual_seed(0)
X = torch.randn(64, 2, generator=TORCH)
Y = (X[:, 0] > 0).long()


def search(objective: Any, **settings: Any) -> Any:
    return run_pipeline(SPACE, objective=objective, epochs=4, stages=["grid"], **{"grid": {"rungs": [2]}, **settings})


def curves_are_whole(result: Any) -> None:
    """Every training has one value an epoch; some ended after the rung, some went on."""
    assert {trial.state for trial in result.trials} == {"complete"}
    assert all(len(trial.validation_curve) == trial.epochs for trial in result.trials)
    assert max(trial.epochs for trial in result.trials) == 4


class TestLightning:
    @pytest.fixture(autouse=True)
    def _quiet(self) -> None:
        pytest.importorskip("lightning", reason="lightning is not installed", exc_type=ImportError)
        import logging

        for name in ("lightning.pytorch", "lightning.fabric", "pytorch_lightning"):
            logging.getLogger(name).setLevel(logging.ERROR)

    def fit(self, params: Any, seed: int, epochs: int, folder: Path, monitor: str = "val_accuracy") -> Any:
        import lightning

        from zonesearch.integrations.lightning import Report

        class Net(lightning.LightningModule):
            def __init__(self) -> None:
                super().__init__()
                self.layer = nn.Linear(2, 2)

            def training_step(self, batch: Any, number: int) -> Any:
                return nn.functional.cross_entropy(self.layer(batch[0]), batch[1])

            def validation_step(self, batch: Any, number: int) -> None:
                self.log("val_accuracy", (self.layer(batch[0]).argmax(1) == batch[1]).float().mean())

            def configure_optimizers(self) -> Any:
                return torch.optim.SGD(self.parameters(), params["learning_rate"])

        lightning.seed_everything(seed, verbose=False)
        trainer = lightning.Trainer(
            max_epochs=epochs,
            callbacks=[Report(monitor)],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
            accelerator="cpu",
        )
        data = DataLoader(TensorDataset(X, Y), 32)
        trainer.fit(Net(), data, data)
        return trainer

    def test_curves_rungs_and_epochs(self, tmp_path: Path) -> None:
        curves_are_whole(search(lambda p, seed, epochs: self.fit(p, seed, epochs, tmp_path)))

    def test_it_stops_a_trainer_that_was_made_for_more(self, tmp_path: Path) -> None:
        trained: list[int] = []
        result = search(lambda p, seed: trained.append(self.fit(p, seed, 9, tmp_path).current_epoch), grid={})
        assert set(trained) == {4}
        assert all(len(trial.validation_curve) == 4 for trial in result.trials)

    def test_a_metric_that_is_not_logged_ends_the_search_in_a_sentence(self, tmp_path: Path) -> None:
        with pytest.raises(ObjectiveError, match='did you mean "val_accuracy"'):
            search(lambda p, seed, epochs: self.fit(p, seed, epochs, tmp_path, "val_acc"))

    def test_outside_of_a_search_it_does_nothing(self, tmp_path: Path) -> None:
        assert self.fit({"learning_rate": 0.1}, 0, 2, tmp_path, "nothing").current_epoch == 2


class TestTransformers:
    @pytest.fixture(autouse=True)
    def _installed(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        pytest.importorskip("transformers", reason="transformers is not installed", exc_type=ImportError)
        pytest.importorskip("accelerate", reason="accelerate is not installed", exc_type=ImportError)
        import_module("transformers.trainer")
        gc.freeze()  # accelerate collects garbage several times a training, half a second each among all these modules
        yield
        gc.unfreeze()

    def trainer(self, params: Any, seed: int, epochs: int, folder: Path, monitor: str | None = "accuracy") -> Any:
        from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments, set_seed

        from zonesearch.integrations.transformers import Report

        config = BertConfig(
            vocab_size=20,
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=1,
            intermediate_size=8,
            max_position_embeddings=8,
        )
        words = torch.randint(1, 20, (32, 5), generator=torch.Generator().manual_seed(1))
        data = [{"input_ids": row, "labels": int(row[0] > 10)} for row in words]

        def model() -> Any:
            set_seed(seed)
            return BertForSequenceClassification(config)

        return Trainer(
            model_init=model,
            args=TrainingArguments(
                str(folder),
                num_train_epochs=epochs,
                eval_strategy="epoch",
                save_strategy="no",
                report_to="none",
                learning_rate=params["learning_rate"],
                seed=seed,
                use_cpu=True,
                disable_tqdm=True,
                per_device_train_batch_size=16,
                logging_strategy="no",
            ),
            train_dataset=data,
            eval_dataset=data,
            compute_metrics=lambda found: {"accuracy": float((found.predictions.argmax(-1) == found.label_ids).mean())},
            callbacks=[Report(monitor)] if monitor else [],
        )

    def test_curves_rungs_and_epochs(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        curves_are_whole(search(lambda p, seed, epochs: self.trainer(p, seed, epochs, tmp_path).train()))

    def test_it_stops_a_trainer_that_was_made_for_more(self, tmp_path: Path) -> None:
        ended: list[float] = []

        def longer(params: Any, seed: int) -> None:
            trainer = self.trainer(params, seed, 9, tmp_path, "eval_accuracy")
            trainer.train()
            ended.append(trainer.state.epoch)

        result = search(longer, grid={})
        assert set(ended) == {4.0}
        assert all(len(trial.validation_curve) == 4 for trial in result.trials)

    def test_hyperparameter_search_takes_a_zone_sampler(self, tmp_path: Path) -> None:
        from zonesearch import ZoneSampler

        trainer = self.trainer({"learning_rate": 0.1}, 0, 1, tmp_path, None)
        seeds: list[int] = []
        best = trainer.hyperparameter_search(
            hp_space=lambda trial: {
                "learning_rate": trial.suggest_float("learning_rate", 1e-3, 1.0, log=True),
                "seed": trial.number,
            },
            compute_objective=lambda metrics: (seeds.append(trainer.args.seed), metrics["eval_accuracy"])[1],
            direction="maximize",
            backend="optuna",
            n_trials=4,
            sampler=ZoneSampler(seeds=1),
        )
        assert seeds == [0, 1, 2, 3]
        assert best.hyperparameters.keys() == {"learning_rate"}
        assert 1e-3 <= best.hyperparameters["learning_rate"] <= 1.0


class TestKeras:
    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        os.environ.setdefault("KERAS_BACKEND", "torch")
        pytest.importorskip("keras", reason="keras is not installed", exc_type=ImportError)

    def fit(self, params: Any, seed: int, epochs: int, monitor: str = "val_accuracy") -> int:
        import keras

        from zonesearch.integrations.keras import Report

        keras.utils.set_random_seed(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(2, activation="softmax")])
            rate = params["learning_rate"]
            model.compile(keras.optimizers.SGD(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
            data = X.numpy(), Y.numpy()
            history = model.fit(*data, epochs=epochs, validation_data=data, verbose=0, callbacks=[Report(monitor)])
        return len(history.epoch)

    def test_curves_rungs_and_epochs(self) -> None:
        def objective(params: Any, seed: int, epochs: int) -> None:
            self.fit(params, seed, epochs)

        curves_are_whole(search(objective))

    def test_it_stops_a_training_that_was_made_for_more(self) -> None:
        trained: list[int] = []
        search(lambda p, seed: trained.append(self.fit(p, seed, 9)), grid={})
        assert set(trained) == {4}

    def test_a_loss_is_minimized(self) -> None:
        result = search(lambda p, seed, epochs: self.fit(p, seed, epochs, "val_loss"), metric="val_loss", grid={})
        assert all(trial.accuracy == min(trial.validation_curve) for trial in result.trials)
