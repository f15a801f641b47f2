"""One writer of a view at a time, using a lock of the storage itself.

Optuna creates tables, studies and trials without coordination: two viewers that both look for a trial and do not find
it both add it. So the writer of a view holds a lock that every other writer of zonesearch respects and that is released
when its process ends: an advisory lock of the database (on a separate connection, so that Optuna's transactions are
unaffected), or ``flock`` for files.

Known limits: a connection pool that changes the server's session between statements (PgBouncer in transaction mode)
does not keep an advisory lock, and other programs that write into the study do not take it. Any duplicates are removed
by the next top-up (:mod:`zonesearch.optuna.view`).
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zonesearch.errors import StoreError
from zonesearch.optuna.storage import connect_options, with_driver
from zonesearch.run.storage.urls import shown_url

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Connection

__all__ = ["one_writer"]

_PATIENCE_S = 120.0
_LOOK_S = 0.02
_KEY = int.from_bytes(hashlib.sha256(b"zonesearch view").digest()[:8], signed=True)
"""Key of the advisory lock; PostgreSQL has one set of keys per database."""


@contextmanager
def one_writer(url: str, patience_s: float = _PATIENCE_S) -> Iterator[None]:
    """Exclude other writers to the storage at ``url``; not reentrant within a thread.

    Args:
        url: as for :func:`zonesearch.optuna.storage.open_storage`.
        patience_s: how long to wait for other writers, in seconds.

    Raises:
        StoreError: they take longer, or the lock file cannot be opened. An unresponsive database raises its own errors.
    """
    with _lock(url, patience_s):
        yield


def _lock(url: str, patience_s: float) -> Any:
    if "://" not in url:
        return _file(Path(url), url, patience_s)  # a journal is only ever appended to, so it stays the same file
    from sqlalchemy.engine import make_url

    parsed = make_url(with_driver(url))
    kind = parsed.get_backend_name()
    if kind == "sqlite":
        name = parsed.database
        if not name or name == ":memory:" or name.startswith("file:"):
            return nullcontext()
        # A separate file: closing another descriptor of the database would release the locks that SQLite holds on it.
        return _file(Path(f"{name}.lock"), url, patience_s)
    if kind in ("postgresql", "mysql", "mariadb"):
        return _database(parsed, url, kind, patience_s)
    return nullcontext()


@contextmanager
def _file(path: Path, url: str, patience_s: float) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise StoreError(f"the Optuna storage {path} cannot be written: {error.strerror}") from error
    try:
        end = time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                    raise StoreError(
                        f"{path} cannot be locked: {error.strerror}. Mount that file system with locks, or name a "
                        f"storage elsewhere"
                    ) from error
                if time.monotonic() > end:
                    raise _busy(url, patience_s) from None
                time.sleep(_LOOK_S)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _database(parsed: URL, url: str, kind: str, patience_s: float) -> Iterator[None]:
    import sqlalchemy
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import NullPool

    engine = sqlalchemy.create_engine(
        parsed, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=connect_options(url)
    )
    with engine.connect() as connection:
        if not _taken(connection, parsed, kind, patience_s):
            raise _busy(url, patience_s)
        try:
            yield
        finally:
            with suppress(DBAPIError):  # a lost connection holds no lock either
                connection.execute(sqlalchemy.text(_release(kind)), _names(parsed, kind))


def _taken(connection: Connection, parsed: URL, kind: str, patience_s: float) -> bool:
    import sqlalchemy
    from sqlalchemy.exc import OperationalError

    names = _names(parsed, kind)
    if kind != "postgresql":
        return connection.execute(sqlalchemy.text(f"SELECT GET_LOCK(:name, {patience_s:.0f})"), names).scalar() == 1
    connection.execute(sqlalchemy.text(f"SET lock_timeout = {max(1, round(patience_s * 1000))}"))
    try:
        connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(:key)"), names)
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", getattr(error.orig, "pgcode", None)) == "55P03":  # lock_not_available
            return False
        raise
    return True


def _release(kind: str) -> str:
    return "SELECT pg_advisory_unlock(:key)" if kind == "postgresql" else "SELECT RELEASE_LOCK(:name)"


def _names(parsed: URL, kind: str) -> dict[str, Any]:
    """The lock's name: MySQL has one set of names for the whole server, with at most 64 characters each."""
    if kind == "postgresql":
        return {"key": _KEY}
    return {"name": f"zonesearch:{hashlib.sha256((parsed.database or '').encode()).hexdigest()[:32]}"}


def _busy(url: str, patience_s: float) -> StoreError:
    return StoreError(
        f"the Optuna storage {shown_url(url)} was locked by others for {patience_s:.0f} s: try again, or stop them"
    )
