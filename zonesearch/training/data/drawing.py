"""Which examples train, validate and test: drawn from the targets alone, stratified, before anything else is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from zonesearch.core.seeding import stream_seed
from zonesearch.errors import ObjectiveError
from zonesearch.training.data.raw import Indices
from zonesearch.training.settings import DataSettings

__all__ = ["Drawn", "draw"]

_STRATA = 10  # a regression is stratified by deciles of its target


@dataclass(frozen=True)
class Drawn:
    """The examples of each part, ascending; those of a separate test set are numbered within it.

    Args:
        train, validation, test: indices.
        limited: the sizes of validation and test if a limit made them smaller, by the name of the limit.
    """

    train: Indices
    validation: Indices
    test: Indices
    limited: Mapping[str, int] = field(default_factory=dict)


def draw(
    settings: DataSettings,
    seed: int,
    targets: npt.NDArray[Any],
    test: npt.NDArray[Any] | None,
    classes: Sequence[object],
) -> Drawn:
    """Draw the three parts.

    Args:
        settings: fractions and limits.
        seed: of the study.
        targets: class numbers, or the values of a regression.
        test: targets of a separate test set; None if the test part is drawn from the other examples.
        classes: names of the classes; empty for a regression.

    Raises:
        ObjectiveError: a fraction or limit is invalid, or there are too few examples for it.
    """
    for key in ("validation", "test"):
        if not 0 < getattr(settings, key) < 1:
            raise ObjectiveError(f"[data] {key} must be a share between 0 and 1, not {getattr(settings, key)}")
    for key in ("limit", "limit_validation", "limit_test"):
        if getattr(settings, key) < 0:
            raise ObjectiveError(f"[data] {key} is a number of examples, 0 for none, not {getattr(settings, key)}")
    rng = np.random.default_rng(stream_seed(seed, "split"))
    strata = targets if classes else _tenths(targets)
    rest = np.arange(len(targets))
    if test is None:
        rest, held = _stratified(strata, rest, settings.test, rng, classes)
        of_test = strata
    else:
        held = np.arange(len(test))
        of_test = test if classes else _tenths(test)
    train, validation = _stratified(strata, rest, settings.validation, rng, classes)
    if settings.limit:
        if settings.limit >= len(train):
            raise ObjectiveError(f"[data] limit = {settings.limit}, but there are only {len(train)} training examples")
        train = _first(strata, train, settings.limit, "limit", rng)
    limited: dict[str, int] = {}
    validation = _limited(settings, "limit_validation", validation, strata, rng, limited)
    held = _limited(settings, "limit_test", held, of_test, rng, limited)
    return Drawn(train, validation, held, limited)


def _limited(
    settings: DataSettings,
    key: str,
    part: Indices,
    strata: npt.NDArray[Any],
    rng: np.random.Generator,
    limited: dict[str, int],
) -> Indices:
    """At most as many examples as the setting ``key`` says, or else ``limit``; a limit that removed some is noted."""
    n = getattr(settings, key) or settings.limit
    if not n or n >= len(part):
        return part
    kept = _first(strata, part, n, key if getattr(settings, key) else "limit", rng)
    limited[key] = len(kept)
    return kept


def _first(strata: npt.NDArray[Any], part: Indices, n: int, key: str, rng: np.random.Generator) -> Indices:
    """About ``n`` examples of ``part``, at least one of each class.

    Raises:
        ObjectiveError: ``n`` is too small for that; names ``key`` and the smallest number that suffices.
    """
    counts = np.unique(strata[part], return_counts=True)[1]

    def leaves_none(n: int) -> bool:
        return any(round((1 - n / len(part)) * int(m)) == m for m in counts)

    if leaves_none(n):
        least = next(more for more in range(n + 1, len(part) + 1) if not leaves_none(more))
        raise ObjectiveError(
            f"[data] {key} = {n} is too small: the {len(part):,} examples that it takes from are of {len(counts)} "
            f"classes (of a regression, tenths of its values), and each must be among them; give at least {least}"
        )
    return _stratified(strata, part, 1 - n / len(part), rng)[0]


def _tenths(targets: npt.NDArray[np.float64]) -> Indices:
    """The decile that each target belongs to."""
    ranks = np.argsort(np.argsort(targets, kind="stable"), kind="stable")
    return (ranks * _STRATA // max(1, len(targets))).astype(np.int64)


def _stratified(
    labels: npt.NDArray[np.generic],
    among: Indices,
    share: float,
    rng: np.random.Generator,
    names: Sequence[object] | None = None,
) -> tuple[Indices, Indices]:
    """``among`` split in (rest, part), the part holding ``share`` of every class; both in ascending order.

    If the ``names`` of classes are given (none for a regression), the part must hold some of every class.
    """
    part = []
    for label in np.unique(labels[among]):
        members = among[labels[among] == label]
        n = round(share * len(members))
        if n == len(members) or (n == 0 and names is not None):
            few = f"{len(members)} example" + "s" * (len(members) != 1)
            what = f"class {names[label]} has only {few}" if names else f"{len(among)} examples are too few"
            raise ObjectiveError(
                f"{what}: a share of {share:.3g} cannot be put aside for each of training, validation and test; give "
                "more data, or another share in [data]"
            )
        part.append(rng.permutation(members)[:n])
    chosen = np.sort(np.concatenate(part))
    return np.setdiff1d(among, chosen), chosen
