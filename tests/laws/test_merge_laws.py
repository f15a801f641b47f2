"""The algebra of merging: a union."""

from __future__ import annotations

import random

import pandas as pd  # noqa: F401 - frames load it when first asked for, which no property test has the time for
from hypothesis import given
from hypothesis import strategies as st

from zonesearch import Training, Trial, Trials


@st.composite
def a_trial(draw: st.DrawFn) -> Trial:
    """One of few trainings, so that repeats and contradictions are common."""
    training = Training({"width": draw(st.sampled_from([8, 16]))}, draw(st.integers(0, 1)), draw(st.integers(1, 2)))
    state = draw(st.sampled_from(["complete", "complete", "diverged", "failed"]))
    host = {"host": draw(st.sampled_from(["a", "b"]))}
    if state != "complete":
        return Trial(training, state, provenance=host)  # type: ignore[arg-type]
    curve = tuple(draw(st.sampled_from([0.5, 0.6])) for _ in range(training.epochs))
    return Trial(training, accuracy=max(curve), curve={"validation_accuracy": curve}, provenance=host)


some = st.lists(a_trial(), max_size=8)


@given(some, some)
def test_merge_is_commutative(a: list[Trial], b: list[Trial]) -> None:
    left, right = Trials(a) | Trials(b), Trials(b) | Trials(a)
    assert left == right
    assert [t.training for t in left] == [t.training for t in right]
    assert left.frame().equals(right.frame())
    assert list(map(str, left.conflicts)) == list(map(str, right.conflicts))


@given(some, some, some)
def test_merge_is_associative(a: list[Trial], b: list[Trial], c: list[Trial]) -> None:
    assert (Trials(a) | Trials(b)) | Trials(c) == Trials(a) | (Trials(b) | Trials(c))


@given(some)
def test_merge_is_idempotent_and_has_a_neutral_element(a: list[Trial]) -> None:
    assert Trials(a) | Trials(a) == Trials(a)
    assert Trials(a) | Trials() == Trials() | Trials(a) == Trials(a)


@given(some, some)
def test_merge_never_makes_a_known_training_missing(a: list[Trial], b: list[Trial]) -> None:
    wanted = [trial.training for trial in a]
    assert (Trials(a) | Trials(b)).missing(wanted) == []


@given(some, st.randoms(use_true_random=False))
def test_order_of_arrival_does_not_matter(a: list[Trial], rng: random.Random) -> None:
    shuffled = a.copy()
    rng.shuffle(shuffled)
    assert Trials(a) == Trials(shuffled)
    assert Trials(a).frame().equals(Trials(shuffled).frame())
