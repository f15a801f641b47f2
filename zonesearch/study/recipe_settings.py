"""The settings of a recipe by table, and which kinds of network, optimizer and evolution read which.

This repeats the fields of the dataclasses in :mod:`zonesearch.training`, so that a study is checked without loading
torch; a test compares the two.
"""

from __future__ import annotations

__all__ = [
    "EVOLUTION_KEYS",
    "KEYS_OF_ONE_EVOLUTION",
    "KEYS_OF_ONE_OPTIMIZER",
    "NETWORK_KEYS",
    "OPTIMIZER_KEYS",
    "SETTINGS",
    "SHORT_NAMED",
    "TECHNIQUE_TABLES",
    "setting_of",
]

NETWORK_KEYS = {
    "mlp": ("width", "depth", "widths", "activation", "dropout", "batch_norm", "init", "base_width"),
    "cnn": (
        "depth", "activation", "dropout", "batch_norm", "init", "channels", "blocks", "kernel", "pooling", "residual",
        "flatten",
    ),
    "backbone": ("backbone", "weights", "tune", "body_rate", "dropout"),
}  # fmt: skip
OPTIMIZER_KEYS = {
    "adam": ("beta1", "beta2", "eps"),
    "adamw": ("beta1", "beta2", "eps"),
    "sgd": ("momentum", "nesterov", "dampening"),
    "momentum": ("momentum", "nesterov", "dampening"),
    "nesterov": ("momentum", "nesterov", "dampening"),
    "rmsprop": ("momentum", "eps", "decay"),
    "adagrad": ("eps",),
    "adadelta": ("eps", "decay"),
    "lbfgs": ("history", "iterations"),
}
KEYS_OF_ONE_OPTIMIZER = frozenset(key for keys in OPTIMIZER_KEYS.values() for key in keys)
EVOLUTION_KEYS = {
    "random_gradients": ("temperature", "noise_low", "noise_high"),
    "strategies": ("sigma", "noise", "antithetic", "generations"),
}
KEYS_OF_ONE_EVOLUTION = frozenset(key for keys in EVOLUTION_KEYS.values() for key in keys)
TECHNIQUE_TABLES = ("averaging", "evolution", "gradient_noise", "noise_scale", "early_stopping")
"""The tables of techniques, whose settings are axes as ``table.key``; a technique without a table is off."""

SETTINGS = {
    "data": (
        "name", "root", "validation", "test", "limit", "limit_validation", "limit_test", "target", "size", "task",
        "arguments", "collate",
    ),
    "network": ("kind", *dict.fromkeys(key for keys in NETWORK_KEYS.values() for key in keys), "arguments"),
    "optimizer": ("name", "learning_rate", "weight_decay", *sorted(KEYS_OF_ONE_OPTIMIZER)),
    "training": (
        "batch", "schedule", "rate_rule", "reference_batch", "steps_per_epoch", "device", "tested", "precision", "clip",
        "metric", "direction", "loss", "class_weights", "stack", "keep_mb", "evaluate_every",
    ),
    "augmentation": ("pad", "padding", "flip", "draws"),
}  # fmt: skip
"""The keys of the tables of a recipe."""

SHORT_NAMED = ("network", "optimizer", "training", "augmentation")
"""Tables whose settings can also be axes under their own names."""


def setting_of(name: str) -> tuple[str, str]:
    """The table and the key of an axis; empty strings if it is not a setting but, say, an argument of a network."""
    table, dot, key = name.partition(".")
    if dot:
        return (table, key) if table in TECHNIQUE_TABLES or key in SETTINGS.get(table, ()) else ("", "")
    if name == "optimizer":
        return "optimizer", "name"
    found = [table for table, keys in SETTINGS.items() if name in keys and table != "data" and name != "name"]
    return (found[-1], name) if found else ("", "")
