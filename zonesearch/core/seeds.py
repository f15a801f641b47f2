"""The number of seeds per cell of a map: the same everywhere, or more where they matter.

Far from the best, knowing exactly how bad a cell is gains nothing. So every cell gets a few seeds, one by default, and
those that may belong to a zone get more, until all cells of the zones have them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zonesearch.errors import StudyError, did_you_mean

__all__ = ["Seeds"]

_KEYS = ("first", "zone")


@dataclass(frozen=True)
class Seeds:
    """Numbers of seeds per cell.

    Args:
        first: number for every cell, at least 1.
        zone: number for cells that may belong to a zone, at least ``first``.

    Raises:
        StudyError: the numbers are invalid.
    """

    first: int = 1
    zone: int = 3

    def __post_init__(self) -> None:
        for key in _KEYS:
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise StudyError(f"seeds: {key} must be a whole number, at least 1, not {value!r}")
        if self.zone < self.first:
            raise StudyError(f"seeds: zone must be at least first, but {self.zone} < {self.first}")

    @classmethod
    def parse(cls, given: Seeds | int | Mapping[str, Any]) -> Seeds:
        """Parse a number, which applies everywhere, or a table with ``first`` and ``zone``.

        Raises:
            StudyError: naming what was given and what is expected.
        """
        if isinstance(given, Seeds):
            return given
        if isinstance(given, Mapping):
            for key in given:
                if key not in _KEYS:
                    raise StudyError(f'seeds has no key "{key}"; {did_you_mean(str(key), _KEYS)}')
            return cls(**given)
        if isinstance(given, bool) or not isinstance(given, int) or given < 1:
            raise StudyError(
                f"seeds must be a whole number, at least 1, or a table as {{first = 1, zone = 3}}, not {given!r}"
            )
        return cls(given, given)

    @property
    def everywhere(self) -> bool:
        """Whether all cells get the same number."""
        return self.first == self.zone

    def describe(self) -> int | dict[str, int]:
        """As plain data, which :meth:`parse` reads back."""
        return self.first if self.everywhere else {"first": self.first, "zone": self.zone}

    def __str__(self) -> str:
        return str(self.first) if self.everywhere else f"{self.first}, {self.zone} where a zone may be"
