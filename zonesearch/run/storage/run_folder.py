"""The folder of a run: what it belongs to, and who may write to it.

    <folder>/run.json            name, identity and fingerprint of the study, format, when and with what it was made;
                                 the settings of its stages, and which were used since when; a checksum of all that
    <folder>/study.toml          the study file as it was last used
    <folder>/trials/*.jsonl      the trials, one file per writer (``store``)
    <folder>/locks/              who is writing now (``lock``)

No trial in it is ever deleted or rewritten; a fresh start moves the whole folder aside. The settings of stages are not
part of the experiment: if they change, the same trials are evaluated again, and run.json records the new settings with
the time.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from zonesearch.core.wording import excerpt
from zonesearch.errors import MergeError, StoreError, StudyError
from zonesearch.run.storage.files import LONGEST_LINE, open_regular, read_meta, refuse_link
from zonesearch.run.storage.identity import differences, fingerprint, plain_identity
from zonesearch.run.storage.lock import Lock
from zonesearch.run.storage.provenance import versions_lock
from zonesearch.run.storage.record import DEEPEST, FORMAT, Heading, nested_deeper, parse, to_heading
from zonesearch.run.storage.storage import refuse_address

__all__ = ["RunFolder", "changed_sentence", "continued", "heading_of_meta", "store_errors", "write_atomically"]

_EXCLUSIVE = "main"
_IMPORTED = "optuna_study"  # the key of identities of imported studies
"""The writer that excludes all others: the one that computes everything."""


@dataclass(frozen=True)
class RunFolder:
    """An existing run folder, which belongs to one study.

    Created by :meth:`create_or_open` (for writing) or :meth:`open` (for reading).

    Args:
        path: the folder.
        heading: the study that it belongs to; also at the top of each trials file.
        notes: notes on the folder for the user, as sentences.
        pending: whether the heading differs from what the folder says, until :meth:`written`.
    """

    path: Path
    heading: Heading
    notes: tuple[str, ...] = field(default=(), compare=False)
    pending: bool = field(default=False, compare=False)

    @property
    def name(self) -> str:
        """The name of the study, on one line whoever wrote it."""
        return " ".join(self.heading.name.splitlines())

    @property
    def study(self) -> str:
        """The fingerprint of the study."""
        return self.heading.study

    @property
    def identity(self) -> Mapping[str, Any]:
        return self.heading.identity

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings (space, stages) when the run was last written; not part of the fingerprint."""
        return self.heading.settings

    @property
    def study_text(self) -> str | None:
        """The study file as last used; None if the run was started without one."""
        return self.heading.study_text

    @property
    def trials_folder(self) -> Path:
        return self.path / "trials"

    def files(self) -> list[Path]:
        """The files of trials, by name.

        Raises:
            StoreError: they cannot be listed, for instance because the folder is missing.
        """
        try:
            return _files_in(self.trials_folder)
        except OSError as error:
            raise StoreError(
                f"the trials in {self.trials_folder} cannot be read: {error.strerror or error}. Fix the permissions, "
                f"restore that folder, or start again (--fresh)"
            ) from error

    @property
    def report(self) -> Path:
        """The default path of this run's report."""
        return self.path / "report.html"

    @classmethod
    def create_or_open(
        cls,
        path: str | os.PathLike[str],
        identity: Mapping[str, Any],
        *,
        name: str | None = None,
        settings: Mapping[str, Any] | None = None,
        study_text: str | None = None,
        fresh: bool = False,
        older: Sequence[Mapping[str, Any]] = (),
        at_once: bool = True,
    ) -> RunFolder:
        """The run folder at ``path`` for the study with this ``identity``, created if missing.

        Args:
            path: the folder; parents are created too.
            identity: everything that affects a result apart from parameters and seed, as plain JSON values.
            name: the study's name; by default the folder's.
            settings: space and stages as plain JSON values; if they differ from the folder's, they replace them and are
                recorded with the time. None keeps the folder's.
            study_text: the study file, stored beside the trials.
            fresh: move an existing folder aside (to ``<path>.old-1``, ...) and start with an empty one.
            older: identities that older versions gave to the same experiment.
            at_once: whether an existing folder gets the new settings now, rather than with :meth:`written`: so an
                attempt that fails before it has anything to record leaves the folder as it is.

        Raises:
            StudyError: the folder belongs to another experiment; says which keys differ and how.
            StoreError: it cannot be created, read or written, or ``fresh`` is set while a run in it is active.
        """
        refuse_address(Path(path))
        path = Path(path).absolute()  # an objective may change the working directory
        wanted = Heading(
            fingerprint(identity),
            name or path.resolve().name,
            plain_identity(identity),
            plain_identity(settings or {}),
            study_text,
        )
        if path.exists() and not path.is_dir():
            raise StoreError(f"run folder {path} is a file; name a folder")
        if fresh:
            _move_aside(path)
        kept, _ = _find_heading(path)
        if kept is None:
            return cls.create(path, wanted)
        mend = "name another folder (--into), or start again with --fresh (the old trials are kept)"
        now = continued(kept, wanted, older, f"the run in {path}", mend, looks_for_more=settings is not None)
        known = (path / "run.json").exists()
        folder = cls(path, now, pending=not known or now != kept)
        return folder.written() if at_once else folder

    def written(self) -> RunFolder:
        """The folder, after its heading was written if that was pending; raises like :meth:`create`."""
        return self.create(self.path, self.heading) if self.pending else self

    @classmethod
    def create(cls, path: Path, heading: Heading) -> RunFolder:
        """Write ``heading`` into the folder at ``path``, keeping existing trials and history.

        Raises:
            StoreError: it cannot be written.
        """
        now = _now()
        before = _noted(path / "run.json")
        meta = {
            "name": heading.name,
            "study": heading.study,
            "identity": heading.identity,
            "settings": heading.settings,
            "format": FORMAT,
            "created": before.get("created", now),
            "versions": versions_lock(),
        }
        history = _history(before, heading.settings, now)
        if history:
            meta["history"] = history
        heading = replace(heading, since=_since(meta))
        with store_errors(f"run folder {path} cannot be written"):
            for folder in (path / "trials", path / "locks"):
                folder.mkdir(parents=True, exist_ok=True)
            if heading.study_text is not None:
                write_atomically(path / "study.toml", heading.study_text)
            meta["checksum"] = checksum(meta)
            write_atomically(path / "run.json", json.dumps(meta, indent=2) + "\n")
        return cls(path, heading)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> RunFolder:
        """The run folder at ``path``, for reading; nothing is written.

        Raises:
            StoreError: there is no run folder, or it cannot be read.
            MergeError: a newer version wrote it.
        """
        path = Path(path)
        refuse_address(path)
        if path.is_file():
            raise StoreError(f"{path} is a file, not a run folder; a study STUDY.toml has its run in runs/STUDY")
        if not path.is_dir():
            raise StoreError(f"there is no run folder {path}; `zonesearch run STUDY.toml --into {path}` makes one")
        heading, notes = _find_heading(path)
        if heading is None:
            raise StoreError(f"{path} is not a run folder: it has neither run.json nor trials/*.jsonl")
        return cls(path, heading, notes)

    def lock(self, writer: str) -> tuple[Lock, Lock]:
        """Lock the folder for ``writer``: "main" excludes all others; other names only exclude "main" and themselves.

        Raises:
            StoreError: another writer holds the lock; names its process and host.
        """
        with store_errors(f"run folder {self.path} cannot be written"):
            refuse_link(self.path / "locks")
            (self.path / "locks").mkdir(exist_ok=True)
        folder_lock = Lock(
            self.path / "locks" / "folder.lock",
            what=f"run folder {self.path}",
            mend="wait until that run ends or stop it; or name another folder (--into)",
            shared=writer != _EXCLUSIVE,
        )
        try:
            own_lock = Lock(
                self.path / "locks" / f"{writer}.lock",
                what=f"the part {writer} of run folder {self.path}",
                mend="wait until it ends or stop it; or choose another part",
            )
        except StoreError:
            folder_lock.release()
            raise
        return folder_lock, own_lock


def continued(
    kept: Heading,
    wanted: Heading,
    older: Sequence[Mapping[str, Any]],
    what: str,
    mend: str,
    *,
    looks_for_more: bool = True,
) -> Heading:
    """The heading of a run that is continued.

    Args:
        kept: the present heading of the run; ``wanted`` is the new one.
        older: identities that older versions gave to the same experiment.
        what: the run, and ``mend`` the alternatives, for messages.
        looks_for_more: whether the settings and study file of ``wanted`` replace the present ones.

    Raises:
        StudyError: it is a different experiment; says which keys differ and how.
    """
    if _IMPORTED in kept.identity and _IMPORTED not in wanted.identity:
        raise StudyError(
            f"{what} was imported from the Optuna study {kept.identity[_IMPORTED]!r}, and nothing is trained there: "
            f"continue that study with the sampler zonesearch.ZoneSampler and import it again, or {mend}"
        )
    changes = differences(kept.identity, wanted.identity)
    if "format" in kept.identity:
        older = ()
    if changes and all(differences(kept.identity, other) for other in older):
        raise StudyError(f"{what} is another experiment: {'; '.join(changes)}. Continue with the old values, {mend}")
    now = replace(kept, identity=wanted.identity)
    if not looks_for_more:
        return now
    text = kept.study_text if wanted.study_text is None and kept.settings == wanted.settings else wanted.study_text
    return replace(now, settings=wanted.settings, study_text=text)


def changed_sentence(old: Heading, new: Heading) -> str:
    """The differences between two studies, in one line; empty if they are the same experiment."""
    return "; ".join(differences(old.identity, new.identity))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _noted(meta: Path) -> dict[str, Any]:
    """The content of an existing run.json; empty if it is missing or unreadable."""
    try:
        noted = json.loads(meta.read_bytes())
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}


def _since(meta: Mapping[str, Any]) -> str:
    """When the present settings were first used."""
    history = meta.get("history")
    return str(history[-1].get("since", "") if history else meta.get("created", ""))


def _history(before: Mapping[str, Any], settings: Mapping[str, Any], now: str) -> list[dict[str, Any]]:
    """The settings used over time, the present ones last; empty if they never changed."""
    history = list(before.get("history", ()))
    last = history[-1]["settings"] if history else before.get("settings")
    if not last or last == settings:
        return history
    if not history:
        history.append({"since": before.get("created"), "settings": last})
    return [*history, {"since": now, "settings": dict(settings)}]


@contextmanager
def store_errors(what: str) -> Iterator[None]:
    """Turn an ``OSError`` into a StoreError that begins with ``what`` and names the file and the fix."""
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise StoreError(
            f"{what}: {error.strerror or error}{where}. What was already recorded is safe; make room or fix the "
            f"permissions, or name another folder, then run again"
        ) from error


def write_atomically(path: Path, text: str) -> None:
    """Replace the content of ``path`` by ``text``: readers see the old or the new file, even after a power loss."""
    new = path.with_name(f".{path.name}.{uuid4().hex}.new")  # process ids repeat between machines that share a folder
    try:
        with new.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Sync the directory entries of ``folder`` to disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _find_heading(path: Path) -> tuple[Heading | None, tuple[str, ...]]:
    """The heading of a folder, from its run.json or, if that is missing, from its trials files.

    Also notes about it, as sentences.
    """
    meta = path / "run.json"
    with store_errors(f"run folder {path} cannot be read"):
        if not path.exists():
            return None, ()
        if meta.exists() or meta.is_symlink():
            text, notes = _study_text(path / "study.toml")
            return heading_of_meta(read_meta(meta), text, str(meta)), notes
        for file in _files_in(path / "trials") if (path / "trials").exists() else []:
            with open_regular(file) as lines:
                for line in iter(lambda lines=lines: lines.readline(LONGEST_LINE), b""):  # type: ignore[misc]
                    record = parse(line)
                    heading = to_heading(record) if record else None
                    if heading:
                        return heading, ()
    return None, ()


def _study_text(path: Path) -> tuple[str | None, tuple[str, ...]]:
    """The study file in a run folder. It is only for people: an unreadable one is left out with a note."""
    if not path.exists():
        return None, ()
    try:
        return read_meta(path).decode("utf-8"), ()
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror or error
        return None, (f"{path} was left out: {reason}",)


def _files_in(folder: Path) -> list[Path]:
    """The trials files in ``folder``, by name.

    Raises:
        OSError: it cannot be read (``Path.glob`` would find nothing, and the run would look as if it had not started).
    """
    return sorted(folder / name for name in os.listdir(folder) if name.endswith(".jsonl") and name[0] != ".")


def heading_of_meta(data: bytes, study_text: str | None, where: str) -> Heading:
    """The heading in a run.json.

    Raises:
        StoreError: it is damaged.
        MergeError: a newer version wrote it.
    """
    mend = "The trials beside it are not: remove this one file and run again"
    try:
        meta = json.loads(data)
        version = meta["format"]
        if isinstance(version, int) and version > FORMAT:
            raise MergeError(
                f"{where} was written in format {version}, and this version of zonesearch reads up to format "
                f"{FORMAT}: update zonesearch here"
            )
        heading = Heading(
            meta["study"], meta["name"], meta["identity"], meta.get("settings", {}), study_text, _since(meta)
        )
        kinds = ((version, int), (heading.study, str), (heading.name, str), (heading.identity, dict))
        if not all(isinstance(value, kind) for value, kind in (*kinds, (heading.settings, dict))):
            raise TypeError("a value has the wrong type")
        if nested_deeper(meta, DEEPEST):
            raise ValueError(f"more than {DEEPEST} nested tables")
        if not all(isinstance(then, dict) and isinstance(then["settings"], dict) for then in meta.get("history", ())):
            raise TypeError("its history is none")
        json.dumps(meta, ensure_ascii=False).encode()  # fails for lone surrogates
        made = checksum(meta)  # fails for numbers that JSON cannot represent
    except MergeError:
        raise
    except (AttributeError, ValueError, KeyError, TypeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {excerpt(str(error), 200)}"
        raise StoreError(f"{where} is damaged ({reason}). {mend}") from error
    if meta.get("checksum", made) != made:
        raise StoreError(f"{where} is damaged (its checksum does not fit). {mend}")
    return heading


def checksum(meta: Mapping[str, Any]) -> str:
    """16 hexadecimal digits over the rest of a run.json; older ones have none."""
    plain = plain_identity({key: value for key, value in meta.items() if key != "checksum"})
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _move_aside(path: Path) -> None:
    """Rename a run folder to the first free ``<path>.old-<n>``; any other folder is left in place."""
    with store_errors(f"run folder {path} cannot be moved aside"):
        if not (path / "run.json").exists() and not any(path.glob("trials/*.jsonl")):
            return
        (path / "locks").mkdir(exist_ok=True)
        lock = Lock(
            path / "locks" / "folder.lock",
            what=f"run folder {path}",
            mend="stop that run before you start again",
        )
        with lock:
            n = 1
            while (aside := path.with_name(f"{path.name}.old-{n}")).exists():
                n += 1
            path.rename(aside)
