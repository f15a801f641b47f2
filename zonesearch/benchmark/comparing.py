"""Search methods compared on the user's problem: a study whose networks are trained, or a recorded map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from zonesearch.benchmark.contest import Contest
from zonesearch.benchmark.live import Kept, LiveProblem
from zonesearch.benchmark.methods import Method, methods
from zonesearch.benchmark.recorded import RecordedMap
from zonesearch.benchmark.recording import read_map
from zonesearch.benchmark.searching import Sought, check_contest, checkpoints, compare
from zonesearch.errors import StudyError
from zonesearch.run.engines.runner import open_engine
from zonesearch.run.running import Memory, check, identity_of
from zonesearch.run.storage.run_folder import RunFolder
from zonesearch.run.storage.store import Store
from zonesearch.study.files import read_study
from zonesearch.study.study import Study

__all__ = ["BUDGET", "METHODS", "compare_methods"]

METHODS = "grid+interval,strong,coordinate,tpe,gp,random"
"""Those that are compared when none are named."""

BUDGET = 50
"""Trainings of each search when nobody says how many."""

_LIVE_CHECKPOINTS = 5  # each asks for a recommendation whose truth costs trainings


def compare_methods(
    problem: Study | RecordedMap | str | Path,
    methods: str | Sequence[str | Method] = METHODS,
    *,
    budget: int | None = None,
    seeds: int = 10,
    rule: str = "posterior",
    truth_seeds: int = 5,
    into: str | Path | None = None,
    workers: int | None = None,
    engine: str | None = None,
    fresh: bool = False,
    searched: Callable[[Sought], None] = lambda sought: None,
    trained: Callable[[int], None] = lambda n: None,
) -> Contest:
    """Search with every method, every one with the same budget, and score what each recommends.

    Args:
        problem: a study or the path of a study file (``.toml``): it is trained; or a recorded map, the path of one, or
            a run folder: its table answers, within seconds.
        methods: names as in ``"grid+interval,tpe"``, or methods.
        budget: trainings of full length for each search; by default 50, or as many as the map holds where these are
            fewer, since more only ask again what is known.
        seeds: searches by each method, each with its own noise and its own chance.
        rule: how a recommendation is read off the trials, the same for all methods: ``posterior``, the measured point
            with the highest mean of a Gaussian process through all of them (the luck of single trainings is averaged
            out); or ``observed``, the point with the best mean of its own.
        truth_seeds: of a study: fresh seeds for every point that was recommended at a fifth, two fifths, ... of the
            budget.
        into: of a study: the folder where its trainings are kept; what is there already is not trained again, so the
            same call goes on after an interruption. Without one they are kept in memory.
        workers: processes; by default what the study says, else 1. ``engine`` of a study: as in
            :func:`zonesearch.run_pipeline`.
        fresh: of a study: move an old run in ``into`` aside and begin anew.
        searched: told of each search as it ends; ``trained`` of the number of trainings that finished.

    Raises:
        StudyError, SpaceError: a method, a budget or a study that makes no sense.
        ObjectiveError: nothing can be trained, or nothing was complete.
        StoreError: the map, or the folder, cannot be read or written.
    """
    chosen = _methods(methods)
    check_contest(chosen, 1 if budget is None else budget, range(seeds), rule)
    if workers is not None and workers < 1:
        raise StudyError(f"the comparison needs at least 1 worker, not {workers}")
    if not isinstance(problem, Study | RecordedMap):
        path = Path(problem)
        problem = read_study(path) if path.suffix == ".toml" else read_map(path)
    if budget is None:
        budget = min(BUDGET, problem.n_trainings) if isinstance(problem, RecordedMap) else BUDGET
    repeats = range(seeds)
    if isinstance(problem, RecordedMap):
        return compare(
            problem,
            chosen,
            budget=budget,
            repeats=repeats,
            rule=rule,
            reading=problem.reading,
            workers=workers or 1,
            came=searched,
        )
    study, objective = problem, problem.objective()
    check(study, objective)
    n_workers = workers if workers is not None else int(study.run.get("workers", 1))
    where = engine if engine is not None else str(study.run.get("engine", "local"))

    def train(store: Kept) -> Contest:
        limit, n_threads = study.run.get("timeout"), int(study.run.get("threads", 1))
        with open_engine(where, workers=n_workers, threads=n_threads, timeout=limit) as crew:
            live = LiveProblem(study, objective, store, crew, truth_seeds, trained)
            return compare(
                live,
                chosen,
                budget=budget,
                repeats=repeats,
                rule=rule,
                reading=study.reading,
                at=checkpoints(budget, _LIVE_CHECKPOINTS),
                came=searched,
            )

    if into is None:
        return train(Memory())
    folder = RunFolder.create_or_open(
        into,
        identity_of(study, objective),
        name=study.name,
        settings=None if (Path(into) / "run.json").exists() else {**study.settings(), "stages": []},
        study_text=study.text or None,
        fresh=fresh,
    )
    with Store(folder) as store:
        store.load()
        return train(store)


def _methods(given: str | Sequence[str | Method]) -> tuple[Method, ...]:
    if isinstance(given, str):
        return methods(given)
    return tuple(one for item in given for one in (methods(item) if isinstance(item, str) else (item,)))
