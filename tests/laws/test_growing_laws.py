"""Sets of trials that share their memory: none of them ever changes, whatever is added to whichever."""

from __future__ import annotations

import copy
import pickle
import threading
import time

from hypothesis import given
from hypothesis import strategies as st

from tests.run.made import few_trials, trial
from zonesearch import Trial, Trials

additions = st.lists(st.tuples(st.integers(0, 10), few_trials, st.booleans()), max_size=8)


@given(additions)
def test_adding_to_any_of_them_changes_none(steps: list[tuple[int, list[Trial], bool]]) -> None:
    """Each step adds to one of the sets made so far; all are compared with sets built from nothing at the end."""
    made: list[tuple[Trials, list[Trial]]] = [(Trials(), [])]
    for which, new, as_union in steps:
        base, held = made[which % len(made)]
        grown = base | Trials(new) if as_union else base.added(new)
        made.append((grown, [*held, *new]))
    for grown, held in made:
        fresh = Trials(held)
        assert grown == fresh
        assert len(grown) == len(fresh)
        assert [t.training for t in grown] == [t.training for t in fresh]
        assert sorted(map(repr, grown.records())) == sorted(map(repr, fresh.records()))
        both = (sorted(sorted(map(repr, records)) for records in made._records.repeated()) for made in (grown, fresh))
        assert next(both) == next(both)
        for t in held:
            assert set(map(repr, grown.records_of(t.training))) == set(map(repr, fresh.records_of(t.training)))
            assert (grown.get(t.training) is None) == (fresh.get(t.training) is None)
        assert grown.missing([trial(w).training for w in range(1, 5)]) == fresh.missing(
            [trial(w).training for w in range(1, 5)]
        )
        assert [str(c) for c in grown.conflicts] == [str(c) for c in fresh.conflicts]


@given(few_trials, few_trials)
def test_copies_are_equal_and_stand_alone(a: list[Trial], b: list[Trial]) -> None:
    whole = Trials(a)
    for made in (copy.deepcopy(whole), pickle.loads(pickle.dumps(whole)), copy.copy(whole)):
        grown = made.added(b)
        assert made == whole
        assert grown == whole | Trials(b)


def test_adding_costs_the_same_however_many_there_are() -> None:
    new = [trial(width) for width in range(40_000)]
    _ = [t.training.identity for t in new]

    def seconds(n: int) -> float:
        began = time.process_time()
        trials = Trials()
        for t in new[:n]:
            trials = trials | Trials([t])
        assert len(trials) == n
        return time.process_time() - began

    seconds(1000)
    assert seconds(40_000) < 20 * seconds(4_000)  # ten times as many; copying would cost a hundred times as much


def test_a_viewer_may_look_while_another_thread_adds() -> None:
    trials = Trials()
    troubles: list[BaseException] = []
    over = threading.Event()

    def look() -> None:
        try:
            while not over.is_set():
                now = trials
                n = sum(1 for _ in now.records())
                assert n == len(now) == len(list(now))
                assert n == sum(1 for _ in now._records.items())
        except BaseException as error:
            troubles.append(error)

    viewer = threading.Thread(target=look)
    viewer.start()
    for width in range(3000):
        trials = trials.added([trial(width)])
    over.set()
    viewer.join()
    assert not troubles
