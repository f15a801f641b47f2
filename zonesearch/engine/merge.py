"""Bring together what several machines have trained.

Merging is a set union of records: lines that are not there yet are copied as they are, byte for byte, into one new
file that appears whole or not at all. So merging twice changes nothing, and neither order nor grouping matters.
Nothing is decided here: records of one training that contradict each other are all kept and reported.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from zonesearch.domain.trials import Conflict, Trials
from zonesearch.engine.lengths import looks_at_length
from zonesearch.engine.record import Heading, Line, heading_line, parse, parse_ending, to_heading, to_trial
from zonesearch.engine.run_folder import RunFolder, store_errors, sync_folder
from zonesearch.engine.sources import source_files
from zonesearch.engine.store import same_study
from zonesearch.errors import MergeError, ZoneSearchError

__all__ = ["Merged", "SourceCount", "merge"]


@dataclass(frozen=True)
class SourceCount:
    """What one source brought.

    Args:
        place: the source as it was named.
        n_records: intact records of trials in it.
        n_new: of those, records that neither the run folder nor an earlier source had.
        n_torn: lines that were cut or damaged and skipped.
    """

    place: str
    n_records: int
    n_new: int
    n_torn: int


@dataclass(frozen=True)
class Merged:
    """What a merge did.

    Args:
        folder: the run folder, with the union in it.
        sources: what each source brought, in the order they were named.
        n_trainings: different trainings in the run folder now.
        conflicts: trainings whose records contradict each other, ordered by key.
    """

    folder: RunFolder
    sources: tuple[SourceCount, ...]
    n_trainings: int
    conflicts: tuple[Conflict, ...]

    @property
    def n_new(self) -> int:
        return sum(source.n_new for source in self.sources)

    @property
    def n_torn(self) -> int:
        return sum(source.n_torn for source in self.sources)


def merge(sources: Sequence[Path], into: Path) -> Merged:
    """The union of ``sources`` and what is in ``into`` already, in the run folder ``into``.

    Args:
        sources: run folders, ``.jsonl`` files, archives, or folders of these; at least one.
        into: the run folder; made when it is not there yet.

    Raises:
        MergeError: the sources belong to different studies (says what differs), a newer version wrote one of them, or
            one is nothing that can be merged. Then ``into`` is as it was.
        StoreError: something cannot be read or written, or a run in ``into`` is alive.
    """
    if not sources:
        raise MergeError("name at least one run to merge: zonesearch merge RUN... --into RUN")
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
            with spool.open("xb") as out:
                counts = tuple(union.add(source, out) for source in sources)
                out.flush()
                os.fsync(out.fileno())
            if is_new:
                folder = RunFolder.create(into, union.one_heading())
            if union.n_new:
                spool.rename(folder.trials_folder / f"merged-{union.digest_of_new}.jsonl")
                sync_folder(folder.trials_folder)
    return Merged(folder, counts, len(union.n_records), union.conflicts(folder))


class _Union:
    """The records seen so far, by the digest of their lines; of the trials themselves nothing is held in memory."""

    def __init__(self) -> None:
        self.n_new = 0
        self.n_records: Counter[str] = Counter()  # by key of the training
        self._headings: set[bytes] = set()
        self._first: Heading | None = None
        self._accepted: set[Any] = set()
        self._above = ""  # the study of the heading that was written last
        self._digests: set[bytes] = set()
        self._digest_of_new = 0

    @property
    def digest_of_new(self) -> str:
        """What was new, as a name: the same whatever the order it came in."""
        return f"{self._digest_of_new:032x}"[:12]

    def know(self, folder: RunFolder) -> None:
        """Take note of what is in ``folder``."""
        self._first = folder.heading
        if any(folder.trials_folder.glob("*.jsonl")):
            self.add(folder.trials_folder, None)

    def add(self, source: Path, out: IO[bytes] | None) -> SourceCount:
        """Write to ``out`` the lines of ``source`` that were not seen before."""
        if (source / "run.json").is_file():  # what was wanted of this run last may stand in none of its files
            with suppress(ZoneSearchError):
                self._headings.add(heading_line(RunFolder.open(source).heading))
        n_records = n_new = n_torn = 0
        for file in source_files(source):
            heading: Heading | None = None
            for line in file.lines():
                record = parse_ending(line)
                if record is None:
                    n_torn += bool(line.strip())
                    continue
                heading = to_heading(record) or heading
                self._check(record, heading, file.place)
                digest = hashlib.blake2b(line.rstrip(), digest_size=16).digest()
                is_new = digest not in self._digests
                self._digests.add(digest)
                if "heading" not in record:
                    n_records += 1
                    n_new += is_new
                    self.n_records[record["key"]] += is_new
                if is_new and out is not None:
                    if heading is not None and heading.study != self._above:
                        self._above = heading.study  # another version's name for the study: it stays known by it
                        if "heading" not in record:
                            out.write(heading_line(heading))
                    out.write(line if line.endswith(b"\n") else line + b"\n")
                    self._digest_of_new ^= int.from_bytes(digest)
                    self.n_new += "heading" not in record
        return SourceCount(str(source), n_records, n_new, n_torn)

    def _check(self, record: Line, heading: Heading | None, place: str) -> None:
        if self._first is None:
            if heading is None:
                raise MergeError(
                    f"{place} does not say what study it belongs to (its first line is damaged): merge it into a run "
                    f"folder of that study"
                )
            self._first = heading
        same_study(record, heading, self._first, place, self._accepted)
        if heading is not None and "heading" in record:
            self._headings.add(heading_line(heading))

    def one_heading(self) -> Heading:
        """What the union belongs to; of runs that looked for different things, as the newest settings say.

        Raises:
            MergeError: no source has a single intact line.
        """
        headings = [to_heading(record) for line in sorted(self._headings) if (record := parse(line))]
        known = [heading for heading in headings if heading is not None]
        if not known:
            raise MergeError("the sources hold no intact line: there is nothing to merge")
        return max(known, key=lambda heading: (bool(heading.settings), heading.since))

    def conflicts(self, folder: RunFolder) -> tuple[Conflict, ...]:
        """The contradictions among the trainings that have more than one record; only those are read."""
        repeated = {key for key, n in self.n_records.items() if n > 1}
        if not repeated:
            return ()
        trials, looks = [], looks_at_length(folder.identity)
        for file in source_files(folder.trials_folder):
            for line in file.lines():
                ending = parse_ending(line)
                if ending and ending.get("key") in repeated and (record := parse(line)):
                    trials.append(to_trial(record, looks))
        return Trials(trials).conflicts
