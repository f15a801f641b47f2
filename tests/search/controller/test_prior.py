"""The learned prior's file: what is read, what is refused, and that it says what networks are like."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zonesearch.errors import StudyError
from zonesearch.search.controller.context import OPTIMIZERS, Context, features
from zonesearch.search.controller.prior import SHIPPED, load_prior


def written(file: Path, **changed: Any) -> Path:
    with np.load(SHIPPED, allow_pickle=False) as read:
        arrays = {name: read[name] for name in read.files}
    arrays.update(changed)
    np.savez(file, **{name: value for name, value in arrays.items() if value is not None})
    return file


def test_shipped_prior_is_small_and_knows_the_usual_roles() -> None:
    assert SHIPPED.stat().st_size < 5_000_000
    assert {"learning_rate", "width", "batch", "dropout"} <= load_prior().roles


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"w2": None}, "is missing w2"),
        ({"about": np.asarray(json.dumps({"version": 99}))}, "another version"),
        ({"about": np.asarray("{")}, "does not say what it is"),
        ({"w1": np.zeros((3, 3))}, "another version"),
        ({"shape_b1": None}, "is missing shape_b1"),
        ({"phi_b": np.full(6, np.nan)}, "not finite"),
        ({"w1": np.array([{"a": 1}], dtype=object)}, "cannot be read"),
    ],
)
def test_file_that_is_no_prior_is_refused_in_one_sentence(changed: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=said) as caught:
        load_prior(written(tmp_path / "prior.npz", **changed))
    assert "python -m controller.train" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 torn"])
def test_broken_file_is_refused_in_one_sentence(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "prior.npz").write_bytes(content)
    with pytest.raises(StudyError, match=r"prior\.npz"):
        load_prior(tmp_path / "prior.npz")


def best_rate(optimizer: str) -> float:
    rates = np.logspace(-5, 1, 61)
    x = features({"learning_rate": rates, "batch": np.full(61, 32.0)}, Context(), OPTIMIZERS[optimizer], 61)
    return float(rates[np.argmax(load_prior().see(x).mean)])


def test_prior_knows_that_adaptive_optimizers_want_smaller_rates() -> None:
    assert best_rate("adam") < best_rate("sgd")
    assert 1e-4 < best_rate("adam") < 0.1


def test_kernel_of_the_prior_is_a_covariance() -> None:
    rng = np.random.default_rng(0)
    values = {"learning_rate": 10 ** rng.uniform(-4, 0, 30), "width": 2 ** rng.uniform(2, 9, 30)}
    seen = load_prior().see(features(values, Context(epochs=10), -1.0, 30))
    K = load_prior().kernel(seen, seen)
    assert np.allclose(K, K.T)
    assert np.allclose(np.diag(K), load_prior().variance(seen))
    assert np.linalg.eigvalsh(K).min() > -1e-8


def test_prior_without_surfaces_of_tasks_is_read_as_well(tmp_path: Path) -> None:
    names = np.load(SHIPPED).files
    older = load_prior(written(tmp_path / "prior.npz", **dict.fromkeys(n for n in names if n.startswith("shape_"))))
    x = features({"learning_rate": np.logspace(-4, 0, 9)}, Context(), -1.0, 9)
    seen = older.see(x)
    assert seen.shapes is None
    assert np.allclose(np.diag(older.kernel(seen, seen)), older.variance(seen))


def test_surfaces_of_tasks_end_where_the_corpus_ends_and_ignore_the_length() -> None:
    values = {"learning_rate": np.full(3, 0.01), "width": np.array([256.0, 512.0, 4096.0])}
    wide = load_prior().see(features(values, Context(), -1.0, 3)).shapes
    longer = load_prior().see(features(values, Context(epochs=40), -1.0, 3)).shapes
    assert wide is not None
    assert longer is not None
    assert np.allclose(wide, wide[0], atol=1e-5)
    assert np.allclose(wide, longer, atol=1e-5)


def test_surfaces_of_tasks_say_nothing_about_those_of_another_kind_of_optimizer() -> None:
    values = {"learning_rate": np.logspace(-3, 0, 5)}
    sgd, adam = (load_prior().see(features(values, Context(), kind, 5)).shapes for kind in (-1.0, 1.0))
    assert sgd is not None
    assert adam is not None
    assert np.allclose(sgd @ adam.T, 0.0)


@pytest.mark.parametrize("shapes", [True, False])
def test_means_alone_are_those_of_the_whole(shapes: bool, tmp_path: Path) -> None:
    gone = {name: None for name in np.load(SHIPPED).files if name.startswith("shape_")} if not shapes else {}
    prior = load_prior(written(tmp_path / "prior.npz", **gone))
    x = features({"learning_rate": np.logspace(-5, 1, 7), "width": np.full(7, 40.0)}, Context(epochs=9), 1.0, 7)
    assert np.array_equal(prior.means(x), prior.see(x).mean)
    assert np.array_equal(x[:, -1], np.ones(7))
