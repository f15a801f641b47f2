"""Trials, objectives and run folders that the tests of the engine share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from zonesearch.core.trials import Training, Trial
from zonesearch.run.storage.run_folder import RunFolder
from zonesearch.run.storage.store import Store

IDENTITY = {"objective": {"data": "digits", "optimizer": {"name": "adam", "rate": 0.001}}, "seed": 0}
SETTINGS = {"space": {"width": [16, 32]}, "stages": ["grid"]}


def folder(path: Path, identity: Mapping[str, Any] = IDENTITY, **more: Any) -> RunFolder:
    return RunFolder.create_or_open(path, identity, name="digits", **more)


def trial(width: int, seed: int = 0, accuracy: float = 0.5, epochs: int = 1, host: str = "here") -> Trial:
    return Trial(Training({"width": width}, seed, epochs), accuracy=accuracy, provenance={"host": host})


def record_in(path: Path, trials: Sequence[Trial], writer: str = "main", **more: Any) -> RunFolder:
    made = folder(path, **more)
    with Store(made, writer) as store:
        store.append(trials)
    return made


names = st.text(min_size=1, max_size=8)
values = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
)
any_floats = st.floats()


@st.composite
def trials_of_any_kind(draw: st.DrawFn) -> Trial:
    """Any trial that an objective could return: odd names, infinite losses, failed ones."""
    state = draw(st.sampled_from(["complete", "diverged", "failed", "pruned"]))
    epochs = draw(st.integers(1, 4))
    return Trial(
        Training(
            draw(st.dictionaries(names, values, max_size=3)), draw(st.integers(0, 9)), epochs, draw(st.booleans())
        ),
        state,
        accuracy=draw(st.floats(0, 1)) if state == "complete" else None,
        curve=draw(st.dictionaries(names, st.lists(any_floats, max_size=4), max_size=2)),
        test_accuracy=draw(st.none() | st.floats(0, 1)),
        seconds=draw(st.floats(0, 1e6)),
        n_parameters=draw(st.none() | st.integers(0, 10**9)),
        error=draw(st.text(max_size=20)) if state == "failed" else "",
        provenance=draw(st.dictionaries(names, values, max_size=2)),
    )


few_trials = st.lists(
    st.builds(
        trial,
        width=st.integers(1, 4),
        seed=st.integers(0, 1),
        accuracy=st.sampled_from([0.25, 0.5, 0.75]),
        epochs=st.integers(1, 2),
        host=st.sampled_from(["a", "b"]),
    ),
    max_size=6,
)
