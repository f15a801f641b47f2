"""Identities as version 0.1.0 wrote them: all settings including defaults, and one version number for all code.

Since then, only what differs from a default is described, so that a new option changes no identity. To compare the two,
and to name defaults in a refusal, the settings of that version are filled in. Nothing is ever added here: no old run
described an option that came later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["FORMAT", "comparable"]

FORMAT = 2
"""The format of identities since then; those of version 0.1.0 have none."""

_CODE = 4  # the version of the training code in 0.1.0; later changes are described per feature

_TABLES: dict[str, dict[str, Any]] = {
    "data": {
        "name": "digits",
        "validation": 0.2,
        "test": 0.2,
        "limit": 0,
        "target": "",
        "size": 0,
        "task": "classification",
        "arguments": [],
    },
    "network": {
        "kind": "mlp",
        "width": 128,
        "depth": 1,
        "widths": [],
        "activation": "relu",
        "dropout": 0.0,
        "batch_norm": False,
        "init": "torch",
        "base_width": 0,
        "channels": 16,
        "blocks": 2,
        "kernel": 3,
        "pooling": "max",
        "residual": False,
        "backbone": "resnet18",
        "weights": "",
        "tune": "full",
        "arguments": [],
    },
    "optimizer": {
        "name": "adam",
        "learning_rate": 0.001,
        "weight_decay": 0.0,
        "momentum": 0.0,
        "nesterov": False,
        "dampening": 0.0,
        "beta1": 0.9,
        "beta2": 0.999,
        "eps": 0.0,
        "decay": 0.0,
        "history": 10,
        "iterations": 20,
    },
    "training": {
        "batch": 64,
        "schedule": "constant",
        "rate_rule": "none",
        "reference_batch": 64,
        "steps_per_epoch": 0,
        "tested": "best",
        "precision": "float32",
        "clip": 0.0,
        "metric": "",
        "direction": "maximise",
    },
    "augmentation": {"pad": 0, "padding": "zero", "flip": False},
}

_PHASE: dict[str, Any] = {"every": 5, "share": 0.2, "choose_by": "loss", "together": 10, "control": False}
_TECHNIQUES: dict[str, dict[str, Any]] = {
    "averaging": {"kind": "weights", "start": None, "every": 1, "keep": None},
    "gradient_noise": {"eta": 0.01, "gamma": 0.55},
    "noise_scale": {"batch": 32, "n_batches": 64},
    "early_stopping": {"patience": None, "rise": None, "least": 1, "after": None},
}
_EVOLUTION: dict[str, dict[str, Any]] = {
    "random_gradients": {
        **_PHASE,
        "children": 40,
        "temperature": 1.0,
        "noise_low": 0.0,
        "noise_high": 1.0,
        "learning_rate": None,
    },
    "strategies": {
        **_PHASE,
        "children": 50,
        "sigma": 0.1,
        "learning_rate": 0.001,
        "noise": "uniform",
        "antithetic": False,
        "generations": 1,
    },
}


def comparable(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two identities in a form in which they are equal if they are the same experiment.

    Identities of 0.1.0 do not include the user's imported modules, so these are not compared with an old run.
    """
    pair = _filled(a), _filled(b)
    if "format" not in a or "format" not in b:
        for identity in pair:
            if isinstance(identity.get("objective"), dict):
                identity["objective"].pop("modules", None)
    return pair


def _filled(identity: Mapping[str, Any]) -> dict[str, Any]:
    filled = {key: value for key, value in identity.items() if key != "format"}
    objective = filled.get("objective")
    if not isinstance(objective, Mapping):
        return filled
    made = dict(objective)
    if made.get("objective") == "pytorch":
        if made.get("code") == _CODE:
            del made["code"]
        for name, defaults in _TABLES.items():
            made[name] = {**defaults, **made.get(name, {})}
        made |= _techniques(made)
        if "arms" in made:
            made["arms"] = {
                name: {**arm, **_techniques({table: arm[table] for table in arm if table not in objective})}
                for name, arm in made["arms"].items()
            }
    filled["objective"] = made
    return filled


def _techniques(tables: Mapping[str, Any]) -> dict[str, Any]:
    """The techniques among ``tables``, with defaults filled in."""
    found = {name: {**defaults, **tables[name]} for name, defaults in _TECHNIQUES.items() if name in tables}
    if "evolution" in tables:
        kind = tables["evolution"].get("kind", "random_gradients")
        found["evolution"] = {"kind": kind, **_EVOLUTION.get(kind, {}), **tables["evolution"]}
    return found
