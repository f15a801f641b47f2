"""Runs in one SQLite file, a table of lines."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any


class OneFile:
    def __init__(self, address: str) -> None:
        self.path = Path(address).absolute()  # an objective may change the working directory

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path)
        connection.execute("CREATE TABLE IF NOT EXISTS lines (line BLOB)")
        return connection

    def lines(self) -> Iterator[bytes]:
        if not self.path.exists():
            return
        with closing(self._open()) as connection:
            for (line,) in connection.execute("SELECT line FROM lines ORDER BY rowid"):
                yield line

    def append(self, lines: Sequence[bytes]) -> None:
        with closing(self._open()) as connection, connection:
            connection.executemany("INSERT INTO lines VALUES (?)", [(line,) for line in lines])

    def __enter__(self) -> OneFile:
        return self

    def __exit__(self, *of: Any) -> None:
        pass
