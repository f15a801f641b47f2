"""Compare search methods on the user's problem: a study whose networks are trained, or a recorded map."""

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
from zonesearch.run.begun import identity_of
from zonesearch.run.engines.runner import open_engine
from zonesearch.run.running import Memory, check
from zonesearch.run.storage.run_folder import RunFolder
from zonesearch.run.storage.store import Store
from zonesearch.study.files import read_study
from zonesearch.study.study import Study

__all__ = ["BUDGET", "METHODS", "METHODS_RECORDED", "compare_methods"]

METHODS = "grid+interval,strong,coordinate,tpe,gp,random"
"""Methods compared by default where networks are trained."""

METHODS_RECORDED = "grid+interval,strong,coordinate,tpe,random"
"""Methods compared by default where results are looked up: without Optuna's ``gp``, whose suggestions take ten times
longer than those of all others together.
"""

BUDGET = 50
"""Default budget of each search, in trainings."""

_LIVE_CHECKPOINTS = 5  # each needs a recommendation whose true mean costs trainings


def compare_methods(
    problem: Study | RecordedMap | str | Path,
    methods: str | Sequence[str | Method] | None = None,
    *,
    budget: int | None = None,
    seeds: int = 10,
    rule: str = "posterior",
    truth_seeds: int = 5,
    into: str | Path | None = None,
    workers: int | None = None,
    engine: str | None = None,
    fresh: bool = False,
    apart: bool = False,
    searched: Callable[[Sought], None] = lambda sought: None,
    trained: Callable[[int], None] = lambda n: None,
) -> Contest:
    """Run every method with the same budget, and score what each recommends.

    Args:
        problem: a study or the path of a study file (``.toml``), which is trained; or a recorded map, its path, or a
            run folder, whose results are looked up within seconds.
        methods: names such as ``"grid+interval,tpe"``, or methods; by default :data:`METHODS` for a study,
            :data:`METHODS_RECORDED` for a map.
        budget: full-length trainings per search; by default 50, or the number in the map if smaller, since more would
            only repeat known results.
        seeds: searches per method, each with its own noise and random seed.
        rule: how a recommendation is derived from the trials, the same for all methods: ``posterior``, the measured
            point with the highest mean of a Gaussian process fitted to all of them (which averages out the luck of
            single trainings); or ``observed``, the point with the best mean of its own values.
        truth_seeds: for a study: fresh seeds per point recommended at one fifth, two fifths, ... of the budget.
        into: for a study: the folder that stores its trainings. Trainings already there are not repeated, so the same
            call continues after an interruption. Without a folder they are kept in memory.
        workers: processes; by default the study's number, else 1. ``engine`` (for a study): as in
            :func:`zonesearch.run_pipeline`.
        fresh: for a study: move an old run in ``into`` aside and start again. ``apart`` (for a study): even a single
            worker trains in a process of its own, which a training may end.
        searched: called with each search as it ends; ``trained`` with the number of finished trainings.

    Raises:
        StudyError, SpaceError: an invalid method, budget or study.
        ObjectiveError: nothing can be trained, or no training completed.
        StoreError: the map, or the folder, cannot be read or written.
    """
    if not isinstance(problem, Study | RecordedMap):
        path = Path(problem)
        problem = read_study(path) if path.suffix == ".toml" else read_map(path)
    if methods is None:
        methods = METHODS_RECORDED if isinstance(problem, RecordedMap) else METHODS
    chosen = _methods(methods)
    check_contest(chosen, 1 if budget is None else budget, range(seeds), rule)
    if workers is not None and workers < 1:
        raise StudyError(f"the comparison needs at least 1 worker, not {workers}")
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
        with open_engine(where, workers=n_workers, threads=n_threads, timeout=limit, apart=apart) as crew:
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
