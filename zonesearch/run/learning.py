"""Learning from the user's earlier runs for the stage ``controller``, read once when a run begins.

Such a run may come from a stranger, so nothing that it names is imported or called: its space, metric and numbers are
read as by any reader, and only numbers by role are kept (:class:`zonesearch.search.controller.lessons.Lesson`). What
was learned is stored in the settings of the new run's run.json, so that the run continues as it began, even if the
earlier runs or the cache change.

The cache is a folder with one JSON file per run, ``zonesearch/learned`` in the user's cache (``XDG_CACHE_HOME``). It is
not used with shards, on queues, in Optuna's sampler and in scikit-learn, because it differs between machines.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from zonesearch.core.reading import Reading
from zonesearch.core.space import Space
from zonesearch.core.wording import excerpt
from zonesearch.errors import MergeError, StoreError, StudyError, ZoneSearchError
from zonesearch.run.storage.kept import Kept
from zonesearch.run.storage.run_folder import RunFolder, store_errors, write_atomically
from zonesearch.run.storage.storage import is_address
from zonesearch.run.storage.store import Store
from zonesearch.search.controller.context import known_optimizer
from zonesearch.search.controller.lessons import MOST_LESSONS, Lesson, lesson_of
from zonesearch.search.stage import Stage
from zonesearch.study.study import Study

if TYPE_CHECKING:
    from zonesearch.search.controller.stage import Controller

__all__ = ["Cached", "Learned", "as_learned", "learned_stages", "read_lesson"]

_FORMAT = 1
_LARGEST = 1_000_000  # bytes of a file in the cache; a lesson takes a few kilobytes
_ODD = (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError)


def read_lesson(run: str | Path) -> Lesson:
    """The lesson of the run in the folder ``run``, or at the address of a storage.

    Raises:
        StoreError, MergeError: there is none, or it cannot be read.
        StudyError: it cannot be interpreted, has no axis with a role, or too few trainings with a value.
    """
    opened = Kept.open(str(run)) if is_address(run) else RunFolder.open(run)
    store = opened if isinstance(opened, Kept) else Store(opened, writer=None)
    settings = opened.settings
    try:
        space = Space.parse(settings["space"])
        reading, epochs = Reading.parse(settings["reading"]), int(settings["epochs"])
        objective = opened.identity.get("objective")
        table = objective.get("optimizer") if isinstance(objective, Mapping) else None
        optimizer = known_optimizer(table.get("name")) if isinstance(table, Mapping) else ""
        searched = {"optimizer", "optimizer.name", "arm"} & set(space.names)
        return lesson_of(opened.name, space, store.load().trials, reading, epochs, "" if searched else optimizer)
    except StudyError as error:
        raise StudyError(f"{run}: {error}") from None  # several runs may have the name that it mentions
    except ZoneSearchError:
        raise
    except _ODD as error:
        raise StudyError(
            f"nothing can be learned from {run}: what it says that it looks for cannot be understood "
            f"({type(error).__name__}: {excerpt(str(error), 200)})"
        ) from None


@dataclass(frozen=True)
class Cached:
    """A run in the cache.

    Args:
        source: its folder or address, which identifies it.
        lesson: what was learned from it.
    """

    source: str
    lesson: Lesson


@dataclass(frozen=True)
class Learned:
    """The user's cache of lessons.

    Args:
        folder: created when the first lesson is stored.
    """

    folder: Path

    @classmethod
    def of_user(cls) -> Learned:
        """Below ``XDG_CACHE_HOME``, by default ``~/.cache``."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
        try:
            cache = cache.expanduser()
        except RuntimeError:  # a user without a home
            raise StoreError("there is no home folder to keep a cache in: set XDG_CACHE_HOME") from None
        return cls(cache / "zonesearch" / "learned")

    def all(self) -> list[Cached]:
        """The cached lessons, by source.

        Raises:
            StoreError: a file cannot be read or is damaged; names it.
        """
        if not self.folder.is_dir():
            return []
        with store_errors(f"the cache {self.folder} cannot be read"):
            files = sorted(self.folder.glob("*.json"))
        return sorted((self._read(file) for file in files), key=lambda each: each.source)

    def keep(self, run: str | Path) -> Cached:
        """Learn from a run, replacing what was learned from it before. Raises like :func:`read_lesson`."""
        return self.keep_all([run])[0]

    def keep_all(self, runs: Sequence[str | Path]) -> list[Cached]:
        """Learn from all of these runs, or from none if one cannot be read. Raises like :func:`read_lesson`."""
        found = list({(source := _source(run)): Cached(source, read_lesson(run)) for run in runs}.values())
        sources = {each.source for each in found}
        n_kept = len([each for each in self.all() if each.source not in sources])
        if n_kept + len(found) > MOST_LESSONS:
            raise StudyError(
                f"{n_kept} runs are in the cache, and {MOST_LESSONS} are the most: `zonesearch learn --forget RUN`"
            )
        with store_errors(f"the cache {self.folder} cannot be written"):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for each in found:
                plain = {"format": _FORMAT, "source": each.source, "lesson": each.lesson.describe()}
                write_atomically(self._file(each.source), json.dumps(plain, indent=1) + "\n")
        return found

    def forget(self, run: str | Path) -> str:
        """Remove a run, given its folder or address, or the name of its file; returns its source.

        Raises:
            StoreError: it is not in the cache, or its file cannot be removed.
        """
        file = self._file(_source(run))
        named = self.folder / f"{Path(str(run)).name.removesuffix('.json')}.json"
        file = file if file.exists() or not named.is_file() else named
        if not file.exists():
            raise StoreError(f"{run} is not among what was learned; `zonesearch learn --list` says what is")
        try:
            source = self._read(file).source
        except StoreError:
            source = str(run)
        with store_errors(f"{file} cannot be removed"):
            file.unlink()
        return source

    def _file(self, source: str) -> Path:
        return self.folder / f"{hashlib.sha256(source.encode()).hexdigest()[:16]}.json"

    def _read(self, file: Path) -> Cached:
        mend = f"`zonesearch learn --forget {file.stem}` removes it"
        try:
            if file.stat().st_size > _LARGEST:
                raise StudyError("it is too large")
            plain = json.loads(file.read_bytes())
            if plain["format"] != _FORMAT:
                raise StudyError(f"it has format {plain['format']!r}, and this version reads {_FORMAT}")
            return Cached(str(plain["source"]), Lesson.parse(plain["lesson"], str(file)))
        except (OSError, StudyError, *_ODD) as error:
            plain_words = getattr(error, "strerror", None) or (str(error) if isinstance(error, StudyError) else "")
            reason = excerpt(plain_words, 200) or "it is damaged, or of another version"
            raise StoreError(f"{file} in the cache of what was learned cannot be read ({reason}): {mend}") from None


def as_learned(
    study: Study, into: str | Path | None = None, *, cache: bool = True, fresh: bool = False, reads: bool = True
) -> Study:
    """The study with lessons added to its ``controller`` stages.

    Args:
        study: as it was read.
        into: where it runs: an existing run there continues with what it had learned, even if that was nothing, unless
            ``learn_from`` or ``cache`` have changed.
        cache: whether to use the user's cache.
        fresh: whether to ignore an existing run.
        reads: whether runs and the cache may be read; otherwise only what is stored in the run in ``into`` counts.

    Raises:
        StudyError, StoreError, MergeError: a run of ``learn_from``, or the cache, cannot be read.
    """
    if not any(_learns(stage) for stage in study.stages):
        return study
    begun = [] if into is None or fresh else _begun(into)
    if not reads:
        known = {str(table.get("name")): tuple(table.get("learned") or ()) for table in begun}
        stages = (
            replace(stage, learned=known.get(stage.name, ())) if _learns(stage) else stage for stage in study.stages
        )
        return replace(study, stages=tuple(stages))
    return replace(study, stages=learned_stages(study.stages, cache=cache, into=into, begun=begun))


def learned_stages(
    stages: Sequence[Stage], *, cache: bool, into: str | Path | None = None, begun: Sequence[Mapping[str, Any]] = ()
) -> tuple[Stage, ...]:
    """The stages, with lessons added to those called ``controller``; see :func:`as_learned`."""
    return tuple(
        _taught(stage, cache, into, begun) if _learns(stage) and stage.learned is None else stage for stage in stages
    )


def _learns(stage: Stage) -> TypeGuard[Controller]:
    """Whether it is the stage that learns. Without asking its class, which takes longer to load than the rest of a run
    and is there already if there is such a stage.
    """
    return hasattr(stage, "learn_from") and hasattr(stage, "learned")


def _begun(into: str | Path) -> list[Mapping[str, Any]]:
    """The stages that the run in ``into`` was started with."""
    try:
        settings = (Kept.open(str(into)) if is_address(into) else RunFolder.open(into)).settings
    except (StoreError, MergeError, StudyError):  # none there, or one that opening it to write says more about
        return []
    return [table for table in settings.get("stages", ()) if isinstance(table, Mapping)]


def _taught(stage: Controller, cache: bool, into: str | Path | None, begun: Sequence[Mapping[str, Any]]) -> Controller:
    before = next((table for table in begun if table.get("name") == stage.name), None)
    if before is not None:
        same = list(before.get("learn_from", ())) == list(stage.learn_from) and before.get("cache", True) == stage.cache
        if same:
            return replace(stage, learned=tuple(before.get("learned") or ()))
    own = None if into is None else _source(into)
    lessons: dict[str, Lesson] = {}
    for run in stage.learn_from:
        if _source(run) == own:
            raise StudyError(f"[{stage.name}] learn_from names {run}, which is the run itself")
        try:
            lessons[_source(run)] = read_lesson(run)
        except ZoneSearchError as error:
            raise type(error)(f"[{stage.name}] learn_from: {error}") from None
    if cache and stage.cache:
        for each in Learned.of_user().all():
            if each.source != own:
                lessons.setdefault(each.source, each.lesson)
    if len(lessons) > MOST_LESSONS:
        raise StudyError(
            f"[{stage.name}] {len(lessons)} runs are to be learned from, in learn_from and the cache together, and "
            f"{MOST_LESSONS} are the most"
        )
    different = {lesson.digest: lesson for lesson in lessons.values()}
    return replace(stage, learned=tuple(lesson.describe() for lesson in different.values()))


def _source(run: str | Path) -> str:
    return str(run) if is_address(run) else str(Path(run).expanduser().resolve())
