"""A Lightning trainer inside an objective: the callback reports each epoch, and stops what is not worth going on."""

from typing import Any

import lightning
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from zonesearch import run_pipeline
from zonesearch.integrations.lightning import Report

X = torch.randn(256, 8, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] * X[:, 1] > 0).long()


class Net(lightning.LightningModule):
    """One hidden layer."""

    def __init__(self, width: int, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.layers = nn.Sequential(nn.Linear(8, width), nn.ReLU(), nn.Linear(width, 2))

    def training_step(self, batch: Any, number: int) -> Any:
        return nn.functional.cross_entropy(self.layers(batch[0]), batch[1])

    def validation_step(self, batch: Any, number: int) -> None:
        self.log("val_accuracy", (self.layers(batch[0]).argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), self.rate)


def objective(params: dict[str, Any], seed: int, epochs: int) -> None:
    lightning.seed_everything(seed, verbose=False)
    trainer = lightning.Trainer(
        max_epochs=epochs,
        callbacks=[Report("val_accuracy")],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    train = DataLoader(TensorDataset(X[:192], Y[:192]), 32, shuffle=True)
    trainer.fit(Net(params["width"], params["rate"]), train, DataLoader(TensorDataset(X[192:], Y[192:]), 64))


if __name__ == "__main__":
    result = run_pipeline(
        {"width": [4, 16], "rate": [1e-3, 1e-2, 1e-1]},
        objective=objective,
        epochs=4,
        stages=["grid", "polish"],
        grid={"rungs": [1]},  # after one epoch only what may still be best goes on
        polish={"keep": 2, "repeats": 2},
    )
    print(result.verdict.sentence if result.verdict else "no verdict")
    print(result.frame()[["width", "rate", "epochs", "accuracy"]])
