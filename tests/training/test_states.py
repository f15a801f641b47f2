"""Kept ends of trainings: the longest that helps, bounded on disk, never in the way."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from zonesearch import Training
from zonesearch.training.states import States


def state(n_bytes: int = 0, epochs: int = 0) -> dict[str, object]:
    return {"epochs": epochs, "weights": torch.zeros(n_bytes, dtype=torch.uint8)}


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.pt"))


def test_the_longest_state_that_is_shorter_is_gone_on_from(tmp_path: Path) -> None:
    states = States(tmp_path / "a", 10)
    for epochs in (5, 20, 80):
        states.save(Training({"x": 1}, 0, epochs), state(epochs=epochs))
    for wanted, found in ((5, None), (6, 5), (19, 5), (40, 20), (200, 80)):
        loaded = states.load(Training({"x": 1}, 0, wanted))
        assert (None if loaded is None else loaded["epochs"]) == found
    assert states.load(Training({"x": 1}, 1, 80)) is None, "of another seed"
    assert States(tmp_path / "b", 10).load(Training({"x": 1}, 0, 80)) is None, "of another experiment"


def test_the_oldest_states_of_all_experiments_make_room(tmp_path: Path) -> None:
    for i in range(6):
        training = Training({"x": i}, 0, 1)
        states = States(tmp_path / f"experiment{i % 2}", 1)
        states.save(training, state(300_000))
        path = next(states.folder.glob(f"{training.key}-*.pt"))
        if path.exists():
            os.utime(path, (1000 + i, 1000 + i))
        assert sum(file.stat().st_size for file in tmp_path.rglob("*.pt")) <= 1_000_000
    assert kept(tmp_path) == sorted(f"{Training({'x': i}, 0, 1).key}-1.pt" for i in (3, 4, 5))


def test_a_torn_state_is_passed_over_and_a_folder_that_cannot_be_written_costs_nothing(tmp_path: Path) -> None:
    states, training = States(tmp_path / "a", 10), Training({"x": 1}, 0, 2)
    states.save(training, state(epochs=2))
    (tmp_path / "a" / f"{training.key}-3.pt").write_bytes(b"torn")
    loaded = states.load(Training({"x": 1}, 0, 5))
    assert loaded is not None
    assert loaded["epochs"] == 2
    (tmp_path / "file").write_text("no folder")
    States(tmp_path / "file" / "b", 10).save(training, state())
    assert States(tmp_path / "file" / "b", 10).load(training) is None


def test_state_that_others_could_have_written_is_not_gone_on_from(tmp_path: Path) -> None:
    states = States(tmp_path / "states", 10)
    training = Training({"x": 1.0}, 0, 3)
    states.save(training, {"epoch": 3})
    longer = Training({"x": 1.0}, 0, 5)
    assert states.load(longer) == {"epoch": 3}
    (tmp_path / "states").chmod(0o777)
    assert states.load(longer) is None
