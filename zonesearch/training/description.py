"""The description of a recipe in the identity of a run: only what differs from a default.

So an option that is added later, with a default that keeps the previous behaviour, changes no identity, and existing
runs can be continued. Where the code gives different results than before for some settings, :func:`code_versions` adds
a version number for their feature; nothing changes for all others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, fields, replace
from typing import Any

from zonesearch.training.losses import is_task_loss
from zonesearch.training.settings import Settings
from zonesearch.training.techniques import Techniques

__all__ = ["FORMER", "changes", "code_versions", "described", "differing", "full"]

_NO_RESULT = {"data": ("root", "limit_validation", "limit_test"), "training": ("device", "stack", "keep_mb")}
"""Settings that affect only where and how fast a training runs; limits count by the resulting size of a part."""


FORMER: dict[str, dict[str, Any]] = {"training": {"precision": "float32", "evaluate_every": 1}}
"""Former defaults, in the order in which they changed: what an identity without these settings meant when it was
written. A changed default is described explicitly, so old runs keep their meaning (see ``Recipe.formers``).
"""


def code_versions(settings: Settings, techniques: Techniques) -> dict[str, int]:
    """The code version of each feature that these settings use, for features whose results differ from version 0.1.0.

    A change to the training code that changes a result adds a line here, so that runs with that feature become
    different experiments, and all others can be continued. So far: frozen batch norms keep their statistics when
    weights are averaged, epochs before the first member do not count, and members stand at the low end of cycles;
    evolution and the noise scale use the precision of training and leave frozen weights alone, and the noise scale uses
    augmented batches; a backbone uses the dropout that is set.
    """
    network, other = settings.network, settings.training.precision in ("bf16", "float64")
    frozen = network.kind == "backbone" and network.tune != "full"
    changed = {
        "averaging": techniques.averaging is not None,
        "evolution": techniques.evolution is not None and (other or frozen),
        "noise_scale": techniques.noise_scale is not None and (other or bool(settings.augmentation)),
        "network": network.kind == "backbone" and network.dropout > 0,
    }
    return {feature: 2 for feature, is_on in changed.items() if is_on}


def described(settings: Settings, techniques: Techniques) -> dict[str, Any]:
    """Tables with the settings that differ from their defaults; an active technique always has a table."""
    found: dict[str, Any] = {}
    settings = _plain(settings)
    for part in fields(settings):
        table = differing(getattr(settings, part.name), _NO_RESULT.get(part.name, ()), FORMER.get(part.name, {}))
        if table:
            found[part.name] = table
    for name, technique in vars(techniques).items():
        if technique is not None:
            kind = {"kind": technique.kind} if hasattr(technique, "kind") else {}
            found[name] = differing(technique) | kind
    versions = code_versions(settings, techniques)
    return found | ({"code": versions} if versions else {})


def full(settings: Settings, techniques: Techniques) -> dict[str, Any]:
    """All settings that affect a result, including defaults, to show what differs between two recipes."""
    found = asdict(_plain(settings))
    for table, names in _NO_RESULT.items():
        for name in names:
            found[table].pop(name)
    return found | techniques.describe()


def _plain(settings: Settings) -> Settings:
    """Settings without the loss, if it is the task's default, given explicitly or not."""
    if settings.training.loss and is_task_loss(settings):
        return replace(settings, training=replace(settings.training, loss=""))
    return settings


def changes(base: tuple[Settings, Techniques], arm: tuple[Settings, Techniques]) -> dict[str, Any]:
    """What an arm sets differently from the recipe, table by table; for a technique that only the arm has, what differs
    from the defaults.
    """
    before, after, own = full(*base), full(*arm), described(*arm)
    changed: dict[str, Any] = {
        table: _other(before[table], settings) if table in before else own[table] for table, settings in after.items()
    }
    found = {table: settings for table, settings in changed.items() if settings or table not in before}
    gone = {table: None for table in before if table not in after}
    versions = own.get("code", {})
    return found | gone | ({"code": versions} if versions != code_versions(*base) else {})


def _other(base: Mapping[str, Any], arm: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in arm.items() if key not in base or base[key] != value}


def differing(part: Any, without: tuple[str, ...] = (), before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The fields of a table that differ from their defaults, or from their former defaults ``before``."""
    before = before or {}
    values = asdict(part)
    return {
        field.name: values[field.name]
        for field in fields(part)
        if field.name not in without and not _same(values[field.name], before.get(field.name, _default(field)))
    }


def _default(field: Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


def _same(a: Any, b: Any) -> bool:
    return bool(a == b) and isinstance(a, bool) == isinstance(b, bool)
