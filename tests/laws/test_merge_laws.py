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
    if draw(st.booleans()):
        host |= {"precision": draw(st.sampled_from(["bf16", "float32"])), "precision_asked": "auto"}
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
    assert list(map(str, left.rounded)) == list(map(str, right.rounded))
    assert [t.accuracy for t in left] == [t.accuracy for t in right]


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


def of_auto(precision: str, accuracy: float, host: str = "a") -> Trial:
    """A training whose machine chose the precision."""
    provenance = {"host": host, "precision": precision, "precision_asked": "auto"}
    curve = {"validation_accuracy": [accuracy]}
    return Trial(Training({"width": 8}), accuracy=accuracy, curve=curve, provenance=provenance)


def test_values_of_unlike_machines_under_auto_are_no_conflict_and_the_most_exact_counts() -> None:
    low, exact = of_auto("bf16", 0.5), of_auto("float32", 0.6, "b")
    both = Trials([low]) | Trials([exact])
    assert both.conflicts == ()
    assert [conflict.trials for conflict in both.rounded] == [(low, exact)]
    assert [trial.accuracy for trial in both] == [0.6]
    alike = Trials([of_auto("bf16", 0.5), of_auto("bf16", 0.6, "b")])
    assert (len(alike.conflicts), len(alike.rounded)) == (0, 1)


def test_values_of_a_precision_that_was_set_are_a_conflict() -> None:
    training, curve = Training({"width": 8}), {"validation_accuracy": [0.7]}
    said = Trial(training, accuracy=0.7, curve=curve, provenance={"precision": "float32"})
    both = Trials([said, of_auto("float32", 0.6)])
    assert (len(both.conflicts), both.rounded) == (1, ())
