"""Merge what several machines have trained.

Merging is a set union of records: lines that are not there yet are copied byte for byte into one new file, which
appears atomically and begins with its heading, so that it can be merged again from anywhere. Merging twice changes
nothing, and neither order nor grouping matters. Contradictory records of one training are all kept and reported.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from zonesearch.core.trials import Conflict, Trials
from zonesearch.core.wording import rounded_sentences
from zonesearch.errors import MergeError, ZoneSearchError
from zonesearch.run.storage.lengths import looks_at_length
from zonesearch.run.storage.record import Heading, Line, heading_line, parse, parse_ending, sound_trial, to_heading
from zonesearch.run.storage.run_folder import RunFolder, store_errors, sync_folder
from zonesearch.run.storage.sources import source_files
from zonesearch.run.storage.storage import is_address, refuse_address
from zonesearch.run.storage.store import same_study

__all__ = ["Merged", "SourceCount", "merge"]


@dataclass(frozen=True)
class SourceCount:
    """What one source contributed.

    Args:
        place: the source, as named.
        n_records: intact records of trials in it; a training may have several, of different lengths, say.
        n_new: of those, records that neither the run folder nor an earlier source had.
        n_torn: lines that were cut or damaged and skipped.
        n_trainings: different trainings among the records.
        n_new_trainings: of those, trainings that neither the run folder nor an earlier source had.
    """

    place: str
    n_records: int
    n_new: int
    n_torn: int
    n_trainings: int
    n_new_trainings: int


@dataclass(frozen=True)
class Merged:
    """The outcome of a merge.

    Args:
        folder: the run folder with the union.
        sources: the contribution of each source, in the given order.
        n_trainings: different trainings in the run folder now.
        conflicts: trainings whose records contradict each other, ordered by key.
        notes: further notes for the user, as sentences.
    """

    folder: RunFolder
    sources: tuple[SourceCount, ...]
    n_trainings: int
    conflicts: tuple[Conflict, ...]
    notes: tuple[str, ...] = ()

    @property
    def n_new(self) -> int:
        return sum(source.n_new for source in self.sources)

    @property
    def n_torn(self) -> int:
        return sum(source.n_torn for source in self.sources)


def merge(sources: Sequence[str | Path], into: Path) -> Merged:
    """Merge ``sources`` into the run folder ``into``, in addition to what is already there.

    Args:
        sources: run folders, ``.jsonl`` files, archives, folders of these, or storages (``NAME://ADDRESS``); at least
            one.
        into: the run folder; created if missing.

    Raises:
        MergeError: the sources belong to different studies (says what differs), a newer version wrote one of them, or
            one cannot be merged. ``into`` is then unchanged.
        StoreError: something cannot be read or written, or a run is writing into ``into``.
    """
    if not sources:
        raise MergeError("name at least one run to merge: zonesearch merge RUN... --into RUN")
    refuse_address(into, "a merge ends in a run folder")
    with ExitStack() as stack:
        union = _Union()
        is_new = not into.exists() or (into.is_dir() and not any(into.iterdir()))
        if not is_new:
            folder = RunFolder.open(into)
            for lock in folder.lock("merge"):
                stack.enter_context(lock)
            union.know(folder)
        with store_errors(f"{into} cannot be written"):
            into.parent.mkdir(parents=True, exist_ok=True)
            spool = (into if into.is_dir() else into.parent) / f".{into.name}.{uuid4().hex}.merging"
            stack.callback(spool.unlink, missing_ok=True)
            with spool.open("x+b") as out:
                counts = tuple(union.add(source, out) for source in sources)
                heading = union.one_heading() if is_new else folder.heading
                if union.n_new and not union.begins_with_heading:
                    _put_before(heading_line(heading), out)
                out.flush()
                os.fsync(out.fileno())
            if is_new:
                folder = RunFolder.create(into, heading)
            if union.n_new:
                spool.rename(_free_name(folder.trials_folder / f"merged-{union.digest_of_new}.jsonl"))
                sync_folder(folder.trials_folder)
    repeated = union.repeated(folder)
    return Merged(folder, counts, len(union.n_records), repeated.conflicts, rounded_sentences(repeated.rounded))


def _put_before(head: bytes, out: IO[bytes]) -> None:
    """Insert ``head`` at the beginning of the open file ``out``."""
    out.seek(0)
    with tempfile.TemporaryFile(dir=Path(out.name).parent) as body:
        shutil.copyfileobj(out, body)
        out.seek(0)
        out.truncate()
        out.write(head)
        body.seek(0)
        shutil.copyfileobj(body, out)


def _free_name(path: Path) -> Path:
    """``path``, with a number appended if that file exists (with lines that have been damaged since)."""
    n, free = 1, path
    while free.exists() or free.is_symlink():
        n += 1
        free = path.with_name(f"{path.stem}-{n}{path.suffix}")
    return free


def _timeless(heading: Heading) -> bytes:
    """A heading as bytes, without the time at which its settings were first used."""
    return heading_line(replace(heading, since=""))


class _Union:
    """The records seen so far, by the digest of their lines; the trials themselves are not kept in memory."""

    def __init__(self) -> None:
        self.n_new = 0
        self.n_records: Counter[str] = Counter()  # by key of the training
        self.begins_with_heading = False  # what is written
        self._headings: set[bytes] = set()
        self._keys_of: dict[bytes, set[str]] = {}  # by heading, the trainings below it
        self._first: Heading | None = None
        self._accepted: set[Any] = set()
        self._above = ""  # the study of the last heading that was written
        self._study: str | None = None  # of records that came before any heading, and their location
        self._nameless = ""
        self._digests: set[bytes] = set()
        self._digest_of_new = 0

    @property
    def digest_of_new(self) -> str:
        """A digest of the new lines, independent of their order."""
        return f"{self._digest_of_new:032x}"[:12]

    def know(self, folder: RunFolder) -> None:
        """Take note of what is in ``folder``."""
        self._first = folder.heading
        if folder.files():
            self.add(folder.trials_folder, None)

    def add(self, source: str | Path, out: IO[bytes] | None) -> SourceCount:
        """Write to ``out`` the lines of ``source`` that were not seen before, below a heading."""
        if not is_address(source) and (Path(source) / "run.json").is_file():
            with suppress(ZoneSearchError):  # the latest settings of this run may be in none of its files
                self._headings.add(heading_line(RunFolder.open(Path(source)).heading))
        n_records = n_new = n_torn = n_new_trainings = 0
        here: set[str] = set()
        for file in source_files(source):
            heading: Heading | None = None
            below: set[str] | None = None  # the trainings below that heading, in any file
            is_first = True
            for line in file.lines():
                record = parse_ending(line)
                if record is None:
                    n_torn += bool(line.strip())
                    continue
                own = to_heading(record)
                if own is None and is_first:  # a file of an older run, described by the run.json beside it
                    own = file.beside()
                is_first = False
                if own is not None:
                    heading = own
                    self._headings.add(heading_line(own))
                    below = self._keys_of.setdefault(_timeless(own), set())
                self._check(record, heading, file.place)
                digest = hashlib.blake2b(line.rstrip(), digest_size=16).digest()
                is_new = digest not in self._digests
                self._digests.add(digest)
                if "heading" not in record:
                    key = record["key"]
                    n_records += 1
                    n_new += is_new
                    n_new_trainings += key not in self.n_records
                    here.add(key)
                    self.n_records[key] += is_new
                    if below is not None:
                        below.add(key)
                if is_new and out is not None:
                    self._write(line if line.endswith(b"\n") else line + b"\n", "heading" in record, heading, out)
                    self._digest_of_new ^= int.from_bytes(digest)
                    self.n_new += "heading" not in record
        return SourceCount(str(source), n_records, n_new, n_torn, len(here), n_new_trainings)

    def _write(self, line: bytes, is_heading: bool, heading: Heading | None, out: IO[bytes]) -> None:
        """Write ``line`` below a heading with the fingerprint of its study, which another version may have computed
        differently.
        """
        above = heading or self._first
        if out.tell() == 0:
            self.begins_with_heading = is_heading or above is not None
        if above is not None and above.study != self._above:
            self._above = above.study
            if not is_heading:
                out.write(heading_line(above))
        out.write(line)

    def _check(self, record: Line, heading: Heading | None, place: str) -> None:
        study = record["study"]
        self._first = self._first or heading
        if self._first is not None:
            same_study(record, heading, self._first, place, self._accepted)
        if self._study not in (None, study):
            raise MergeError(
                f"{place} holds trials of another study (fingerprint {study}) than {self._nameless} (fingerprint "
                f"{self._study}). Merge only runs of one study"
            )
        if self._first is None:  # only the fingerprint identifies it; another source may tell more
            self._study, self._nameless = study, place

    def one_heading(self) -> Heading:
        """The heading of the union; if runs had different settings, that of the settings with the most trainings.

        Trainings count for the settings of the heading above them; ties go to the heading that sorts first. So neither
        clocks nor the order of the sources matter.

        Raises:
            MergeError: no source has a single intact line.
        """
        headings = [to_heading(record) for line in sorted(self._headings) if (record := parse(line))]
        known = [heading for heading in headings if heading is not None]
        if not known:
            if self._study is not None:
                raise MergeError(
                    f"{self._nameless} does not say which study it belongs to (its first line is damaged): merge it "
                    f"into a run folder of that study"
                )
            raise MergeError("the sources hold no intact line: there is nothing to merge")
        count = {line: len(keys) for line, keys in self._keys_of.items()}

        def rank(heading: Heading) -> tuple[bool, int, bytes]:
            line = _timeless(heading)
            return not heading.settings, -count.get(line, 0), line

        first = min(known, key=rank)
        alike = [heading for heading in known if _timeless(heading) == _timeless(first)]
        return min(alike, key=lambda heading: heading.since)

    def repeated(self, folder: RunFolder) -> Trials:
        """The trainings with more than one record, which may differ; only these are parsed."""
        repeated = {key for key, n in self.n_records.items() if n > 1}
        if not repeated:
            return Trials()
        trials, looks = [], looks_at_length(folder.identity)
        for file in source_files(folder.trials_folder):
            for line in file.lines():
                ending = parse_ending(line)
                if ending and ending.get("key") in repeated and (record := parse(line)):
                    trial = sound_trial(record, looks)
                    if trial is not None:
                        trials.append(trial)
        return Trials(trials)
