"""What is believed of trainings that are under way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zonesearch.core.space import Space
from zonesearch.core.trials import Training, Trial, Trials
from zonesearch.search.believing import believed

SPACE = Space.parse({"x": {"low": 0.0, "high": 1.0, "row": 4}, "k": ["a", "b"]})
points = st.fixed_dictionaries({"x": st.floats(0, 1), "k": st.sampled_from("ab")})


@given(st.dictionaries(st.floats(0, 1), st.floats(-5, 5), min_size=1, max_size=6), points)
def test_a_belief_lies_within_what_is_known_and_answers_for_its_training(known, point) -> None:
    trials = Trials(Trial(Training({"x": x, "k": "a"}), accuracy=value) for x, value in known.items())
    [trial] = believed([Training(point, 3, 2)], trials, SPACE)
    assert trial.answers(Training(point, 3, 2, test=True))
    assert trial.accuracy is not None
    assert min(known.values()) - 1e-9 <= trial.accuracy <= max(known.values()) + 1e-9


def test_another_seed_of_a_known_point_is_believed_to_be_as_good() -> None:
    trials = Trials(Trial(Training({"x": x, "k": "a"}), accuracy=x) for x in (0.0, 0.5, 1.0))
    [trial] = believed([Training({"x": 0.5, "k": "a"}, 1)], trials, SPACE)
    assert trial.accuracy is not None
    assert abs(trial.accuracy - 0.5) < 1e-6


def test_with_nothing_known_all_are_alike_and_a_lost_training_does_not_count() -> None:
    lost = Trials([Trial(Training({"x": 0.5, "k": "a"}), "failed")])
    for trials in (Trials(), lost):
        found = believed([Training({"x": x, "k": "b"}) for x in (0.0, 1.0)], trials, SPACE)
        assert [trial.accuracy for trial in found] == [0.0, 0.0]


def test_a_point_without_one_of_the_axes_is_worth_the_mean() -> None:
    trials = Trials(Trial(Training({"x": x, "k": "a"}), accuracy=x) for x in (0.0, 1.0))
    [trial] = believed([Training({"x": 0.1})], trials, SPACE)
    assert trial.accuracy == 0.5
