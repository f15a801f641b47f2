"""What can go wrong, by what the user can do about it.

    ZoneSearchError
    ├── SpaceError      (ValueError)  an axis or a space that makes no sense: mend the space
    ├── StudyError      (ValueError)  a study file or a setting: mend the file, or the --set
    ├── ObjectiveError  (ValueError)  data, a network or a function that cannot be trained: fix the objective
    ├── StoreError      (OSError)     a run folder that cannot be read, written or entered: mend the disk or the path
    └── MergeError      (ValueError)  trials that must not be mixed: merge what belongs together

Every message says what was expected, what came, where, and what to do. The command line prints the message and
ends with exit status 2; a traceback is for bugs in zonesearch. A training that fails is none of these: it is a
stored result (``Trial.state == "failed"``).
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = [
    "MergeError",
    "ObjectiveError",
    "SpaceError",
    "StoreError",
    "StudyError",
    "ZoneSearchError",
    "did_you_mean",
]


class ZoneSearchError(Exception):
    """The root of all errors that zonesearch raises on purpose."""


class SpaceError(ZoneSearchError, ValueError):
    """An axis or a space makes no sense."""


class StudyError(ZoneSearchError, ValueError):
    """A study file, or a setting that replaces one of its keys, cannot be used."""


class ObjectiveError(ZoneSearchError, ValueError):
    """Data, a network or a function cannot be trained as asked."""


class StoreError(ZoneSearchError, OSError):
    """A run folder cannot be read, written or entered."""


class MergeError(ZoneSearchError, ValueError):
    """Trials that do not belong to the same experiment were about to be mixed."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown ``word``: its nearest known name, or all of them.

    >>> did_you_mean("widht", ["width", "batch"])
    'did you mean "width"?'
    """
    names = sorted(known)
    small = {name.lower(): name for name in names}
    near = get_close_matches(word.lower(), small, n=1, cutoff=0.6)
    if near:
        return f'did you mean "{small[near[0]]}"?'
    return "known: " + ", ".join(names) if names else "none is available here"
