"""A Hugging Face trainer inside an objective, and ``hyperparameter_search`` by zones.

The network is made from a configuration and has never seen anything; give ``from_pretrained`` for a real one.
"""

from typing import Any

import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments, set_seed

from zonesearch import ZoneSampler, run_pipeline
from zonesearch.integrations.transformers import Report

WORDS = torch.randint(1, 20, (64, 6), generator=torch.Generator().manual_seed(0))
DATA = [{"input_ids": row, "labels": int(row[0] > 10)} for row in WORDS]


def make_model() -> BertForSequenceClassification:
    return BertForSequenceClassification(
        BertConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    )


def make_trainer(epochs: int, seed: int, **settings: Any) -> Trainer:
    arguments = TrainingArguments(
        "runs/huggingface",
        num_train_epochs=epochs,
        seed=seed,
        eval_strategy="epoch",  # one value an epoch
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        **settings,
    )
    return Trainer(
        model_init=make_model,
        args=arguments,
        train_dataset=DATA[:48],
        eval_dataset=DATA[48:],
        compute_metrics=lambda found: {"accuracy": float((found.predictions.argmax(-1) == found.label_ids).mean())},
    )


def objective(params: dict[str, Any], seed: int, epochs: int) -> None:
    set_seed(seed)
    trainer = make_trainer(epochs, seed, learning_rate=params["learning_rate"])
    trainer.add_callback(Report("accuracy"))
    trainer.train()


def by_hyperparameter_search() -> None:
    """The other way round: the trainer calls Optuna, and Optuna asks the zones."""
    best = make_trainer(epochs=1, seed=0).hyperparameter_search(
        hp_space=lambda trial: {
            "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True),
            "seed": trial.number,  # set, not searched: repeats of a setting are other seeds
        },
        compute_objective=lambda metrics: metrics["eval_accuracy"],
        direction="maximize",
        backend="optuna",
        n_trials=4,
        sampler=ZoneSampler(seeds=1),
    )
    print("hyperparameter_search:", best.hyperparameters)


if __name__ == "__main__":
    result = run_pipeline(
        {"learning_rate": [1e-3, 1e-2]},
        objective=objective,
        epochs=2,
        stages=["grid", "polish"],
        polish={"keep": 1, "repeats": 2},
    )
    print(result.verdict.sentence if result.verdict else "no verdict")
    by_hyperparameter_search()
