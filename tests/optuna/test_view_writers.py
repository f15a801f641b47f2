"""Many viewers of one run at the same time: each training is shown once, and what was doubled before is repaired."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import pytest

from tests import preloaded
from tests.optuna.test_optuna_view import _closed_databases, dashboard  # noqa: F401
from tests.run.made import record_in, trial
from zonesearch.cli.main import main
from zonesearch.core.space import Space
from zonesearch.errors import StoreError
from zonesearch.optuna.storage import open_storage
from zonesearch.optuna.view import OptunaView
from zonesearch.optuna.view_lock import one_writer

SPACE = Space.parse({"width": {"low": 1, "high": 100, "integer": True, "row": 10}})
N_VIEWERS, N_TRIALS = 3, 30

VIEWER = """
import sys, time
from tests.optuna.test_view_writers import SPACE, TRIALS
from zonesearch.optuna.view import OptunaView
url, at = sys.argv[1], float(sys.argv[2])
time.sleep(max(0.0, at - time.time()))
n = 0
for share in range(3):
    n += OptunaView(url, "digits", "f", SPACE).top_up(TRIALS[: (share + 1) * len(TRIALS) // 3])
print(n)
"""

TRIALS = [trial(width) for width in range(1, N_TRIALS + 1)]


def viewed_at_once(url: str) -> list[int]:
    """How many trials each of several processes added, which begin at the same time with nothing there."""
    at = time.time() + 4  # all have imported what they need by then
    with ThreadPoolExecutor(N_VIEWERS) as pool:
        ended = list(pool.map(lambda _: preloaded.run("-c", VIEWER, url, at, cwd=preloaded.ROOT), range(N_VIEWERS)))
    assert [viewer.stderr for viewer in ended] == [""] * N_VIEWERS
    return [int(viewer.stdout) for viewer in ended]


def shown(url: str) -> Counter[str]:
    study = optuna.load_study(study_name="digits", storage=open_storage(url, create=False))
    return Counter(str(t.user_attrs.get("key")) for t in study.trials)


@pytest.fixture(params=["journal", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "view.journal") if request.param == "journal" else f"sqlite:///{tmp_path}/view.db"


def test_viewers_at_the_same_time_show_each_training_once(url: str) -> None:
    assert sum(viewed_at_once(url)) == N_TRIALS
    assert shown(url) == {t.training.key: 1 for t in TRIALS}


def doubled(url: str) -> OptunaView:
    """A view as older versions left it: half of the trials twice, one three times, and one of somebody else."""
    view = OptunaView(url, "digits", "f", SPACE)
    view.top_up(TRIALS[:4])
    view.study.add_trials([*view.study.trials[:2], view.study.trials[0]])
    view.study.add_trial(optuna.trial.create_trial(value=0.25))
    return view


def test_doubles_are_removed_by_the_next_top_up_and_nothing_else_is(url: str) -> None:
    pytest.importorskip("optuna_dashboard")
    from optuna_dashboard import save_note

    old = doubled(url)
    old.study.set_user_attr("mine", "kept")
    old.show({}, note="# Verdict")
    assert old.n_repaired == 3
    save_note(old.study, "# Verdict, again")
    view = OptunaView(url, "digits", "f", SPACE)
    assert view.top_up(TRIALS[:6]) == 2
    assert view.n_repaired == 0
    assert shown(url) == {**{t.training.key: 1 for t in TRIALS[:6]}, "None": 1}
    study = optuna.load_study(study_name="digits", storage=open_storage(url, create=False))
    assert study.user_attrs["mine"] == "kept"
    assert [t.number for t in study.trials] == list(range(7))
    assert dashboard(url)["note"]["body"] == "# Verdict, again"
    best = max(study.trials[:6], key=lambda t: t.params.get("width", 0))
    assert (best.value, best.user_attrs["seed"]) == (0.5, 0)


def test_notes_on_trials_move_with_them(url: str) -> None:
    pytest.importorskip("optuna_dashboard")
    from optuna_dashboard._note import get_note_from_system_attrs, save_note_with_version

    view = doubled(url)
    last = view.study.trials[3]
    save_note_with_version(view.study._storage, view.study._study_id, last._trial_id, 1, "look here")
    with view.alone() as study:
        attrs = study._storage.get_study_system_attrs(study._study_id)
        notes = {t.params.get("width"): get_note_from_system_attrs(attrs, t._trial_id)["body"] for t in study.trials}
    assert notes == {1: "", 2: "", 3: "", 4: "look here", None: ""}


def test_view_that_another_made_anew_or_deleted_is_found_again(url: str) -> None:
    view = OptunaView(url, "digits", "f", SPACE)
    view.top_up(TRIALS[:3])
    OptunaView(url, "digits", "f", SPACE, rebuild=True).top_up(TRIALS[:2])
    assert view.top_up(TRIALS[:4]) == 2
    optuna.delete_study(study_name="digits", storage=open_storage(url, create=False))
    assert view.top_up(TRIALS[:4]) == 4
    OptunaView(url, "digits", "g", SPACE, rebuild=True)
    with pytest.raises(StoreError, match="shows something else"):
        view.top_up(TRIALS)


def test_writers_take_turns_and_one_that_waits_too_long_says_so(url: str) -> None:
    held: list[int] = []

    def hold() -> None:
        with one_writer(url):
            held.append(1)
            time.sleep(0.3)
            held.append(0)

    threads = [threading.Thread(target=hold) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert held == [1, 0] * 3
    with one_writer(url), pytest.raises(StoreError, match="was locked by others for 0 s"):
        one_writer(url, 0.1).__enter__()


def test_command_says_what_it_repaired(tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    from zonesearch.study.study import Study

    space = {"width": {"low": 1, "high": 100, "scale": "linear", "integer": True, "row": [1, 2]}}
    study = Study.of(space, lambda params: 0.5, name="digits", stages=("grid",))
    record_in(tmp_path / "run", TRIALS[:4], settings=study.settings())
    assert main(["view", str(tmp_path / "run"), "--storage", url]) == 0
    storage = open_storage(url, create=False)
    made = optuna.load_study(study_name="digits", storage=storage)
    made.add_trials(made.trials[:2])
    capsys.readouterr()
    assert main(["view", str(tmp_path / "run"), "--storage", url]) == 0
    assert "2 duplicate trials were removed" in capsys.readouterr().out
    assert set(shown(url).values()) == {1}


def test_in_memory_database_needs_no_lock() -> None:
    view = OptunaView("sqlite://", "digits", "f", SPACE)
    assert view.top_up(TRIALS[:2]) == 2
