"""Open an Optuna storage from the URL or path that a user types."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from zonesearch.errors import StoreError
from zonesearch.run.storage.urls import shown_url

__all__ = [
    "absolute_url",
    "connect_options",
    "open_storage",
    "quiet_optuna",
    "storage_errors",
    "with_driver",
]

_SQLITE = b"SQLite format 3\0"
_CONNECT_S = 10  # seconds: an unresponsive database is retried later rather than waited for


def open_storage(url: str, *, create: bool) -> BaseStorage:
    """The storage at ``url``.

    Args:
        url: ``postgresql://USER:PASSWORD@HOST/DATABASE``, ``mysql+pymysql://...``, ``sqlite:///FILE``,
            ``journal:///FILE``; anything without ``://`` is the path of a file: a journal, unless the file exists and
            is an SQLite database.
        create: create the tables or the file if they do not exist; repair a journal whose last line is incomplete.

    Raises:
        StoreError: it does not answer, does not exist, or needs a package that is not installed.
    """
    if url.startswith("journal:"):
        return JournalStorage(_journal(_journal_path(url), create))
    if "://" not in url:
        if not _is_sqlite(Path(url)):
            return JournalStorage(_journal(Path(url), create))
        url = f"sqlite:///{url}"
    options: dict[str, object] = {"pool_pre_ping": True}
    if connect_options(url):
        options["connect_args"] = connect_options(url)
    if url.startswith("sqlite:///") and not create and not Path(url.removeprefix("sqlite:///")).exists():
        raise StoreError(f"there is no database {url.removeprefix('sqlite:///')}")
    with storage_errors(url):
        try:
            return RDBStorage(with_driver(url), engine_kwargs=options, skip_table_creation=not create)
        except ImportError as error:
            raise StoreError(
                f"{shown_url(url)} needs a package that is not installed here ({error}): "
                f"pip install 'zonesearch[postgresql]' or 'zonesearch[mysql]'"
            ) from error


def absolute_url(url: str) -> str:
    """``url`` with its file path made absolute, so that it stays valid if the working directory changes."""
    if url.startswith("journal:"):
        return str(_journal_path(url).absolute())
    if "://" not in url:
        return str(Path(url).absolute())
    path = url.removeprefix("sqlite:///")
    if path == url or not path or path.startswith((":memory:", "file:")):
        return url
    return f"sqlite:///{Path(path).absolute()}"


def _journal_path(url: str) -> Path:
    """The file of ``journal:///FILE``: relative as in the URL of an SQLite database, or with a root as in any other
    URL.
    """
    rest = url.removeprefix("journal:").removeprefix("//")
    if rest.startswith("//") or not url.startswith("journal:///"):
        return Path(rest.removeprefix("/") if rest.startswith("//") else rest)
    relative, absolute = Path(rest[1:]), Path(rest)
    is_relative = relative.is_file() or (relative.parent.is_dir() and not absolute.is_file())
    return relative if is_relative else absolute


def _is_sqlite(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except OSError:
        return False


def connect_options(url: str) -> dict[str, object]:
    """The driver's connection options for ``url``."""
    return {"connect_timeout": _CONNECT_S} if url.startswith(("postgresql", "mysql", "mariadb")) else {}


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Silence Optuna's messages about every study and trial; zonesearch reports what users need to know."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)


@contextmanager
def storage_errors(url: str) -> Iterator[None]:
    """Turn whatever a storage raises (each kind differs) into a StoreError that names the storage."""
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        cause = error.__cause__ or error
        if "storage upgrade" in str(error):
            raise StoreError(
                f"the Optuna storage {shown_url(url)} was written by an older version of Optuna; this brings it up to "
                f"date: optuna storage upgrade --storage {shown_url(url)}"
            ) from error
        line = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
        raise StoreError(
            f"the Optuna storage {shown_url(url)} does not respond as expected: {line}. The trials of a run are in "
            f"its folder and need no database; fix the URL or the database and try again"
        ) from error


def with_driver(url: str) -> str:
    """``url`` with the installed driver: by default SQLAlchemy 2.0 uses psycopg2 and 2.1 uses psycopg."""
    scheme, mark, rest = url.partition("://")
    if scheme == "postgresql":
        for driver in ("psycopg", "psycopg2"):
            if find_spec(driver):
                return f"{scheme}+{driver}{mark}{rest}"
    return url


def _journal(path: Path, create: bool) -> JournalFileBackend:
    if not create and not path.is_file():
        raise StoreError(f"there is no Optuna journal file {path}")
    try:
        if create:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                _drop_torn_line(path)
        return JournalFileBackend(str(path))
    except OSError as error:
        raise StoreError(f"the Optuna journal {path} cannot be written: {error.strerror or error}") from error


def _drop_torn_line(path: Path) -> None:
    """Remove an incomplete last line: Optuna cannot read a journal once something has been appended to one."""
    with path.open("r+b") as file:
        data = file.read()
        if data and not data.endswith(b"\n"):
            file.truncate(data.rfind(b"\n") + 1)
