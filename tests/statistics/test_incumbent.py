"""Which point leads a search that goes on, and within what."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zonesearch import Training, Trial
from zonesearch.statistics.incumbent import Incumbent


def trial(width: int, accuracy: float | None, seed: int = 0, n: int | None = None) -> Trial:
    training = Training({"width": width, "batch": 8}, seed)
    if accuracy is None:
        return Trial(training, "diverged")
    return Trial(training, accuracy=accuracy, n_validation=n)


def said(*trials: Trial) -> str:
    incumbent = Incumbent(["width", "batch"])
    incumbent.add(trials)
    return incumbent.text()


def test_nothing_is_said_before_a_training_was_complete() -> None:
    assert said() == ""
    assert said(trial(4, None)) == ""


def test_interval_is_of_the_validation_set_for_one_seed_and_of_the_mean_for_several() -> None:
    assert said(trial(4, 0.9), trial(8, 0.8)) == "90.00 % at 4 x 8"
    assert said(trial(4, 0.9, n=100)) == "90.00 % (82.56 to 94.48) at 4 x 8"  # Wilson
    assert said(trial(4, 0.90, 0), trial(4, 0.92, 1)) == "91.00 % (78.29 to 100) at 4 x 8"  # Student, 12.7 x 0.01
    assert said(trial(4, 7.0)) == "7 at 4 x 8"


def test_seeds_that_agree_do_not_make_a_finite_set_certain() -> None:
    alike = said(trial(4, 0.9, 0, n=100), trial(4, 0.9, 1, n=100))
    assert alike == said(trial(4, 0.9, n=100)) == "90.00 % (82.56 to 94.48) at 4 x 8"
    assert said(trial(4, 0.90, 0, n=100), trial(4, 0.92, 1, n=100)) == "91.00 % (78.29 to 100) at 4 x 8"


def test_a_lucky_seed_gives_up_the_lead_when_its_next_one_is_bad() -> None:
    assert said(trial(4, 0.99), trial(8, 0.9), trial(4, 0.6, 1)).endswith("at 8 x 8")


def test_a_training_that_goes_on_counts_once_at_its_full_length() -> None:
    short = Trial(Training({"width": 4, "batch": 8}, 0, 2), accuracy=0.5)
    whole = Trial(Training({"width": 4, "batch": 8}, 0, 9), accuracy=0.9)
    assert said(short, whole) == said(whole, short) == said(whole) == "90.00 % at 4 x 8"


def test_its_point_is_known_as_parameters() -> None:
    incumbent = Incumbent()
    assert incumbent.params is None
    incumbent.add([trial(4, 0.9), trial(8, 0.95)])
    assert incumbent.params == trial(8, 0.95).params


@given(
    st.permutations([trial(w, a, s) for w in (4, 8) for s, a in enumerate((0.5, 0.75, 0.9 + w / 100))]),
    st.integers(0, 6),
)
def test_order_and_portions_do_not_matter(trials: list[Trial], cut: int) -> None:
    incumbent = Incumbent(["width", "batch"])
    incumbent.add(trials[:cut])
    incumbent.add(trials[cut:])
    assert incumbent.text().endswith("at 8 x 8")
