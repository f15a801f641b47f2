"""Reaching an Optuna storage by the text a user types for it."""

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
_CONNECT_S = 10  # a database that does not answer is asked again later rather than waited for


def open_storage(url: str, *, create: bool) -> BaseStorage:
    """The storage at ``url``.

    Args:
        url: ``postgresql://USER:PASSWORD@HOST/DATABASE``, ``mysql+pymysql://...``, ``sqlite:///FILE``,
            ``journal:///FILE``; anything without ``://`` is the path of a file, of a journal unless it is there and is
            an SQLite database.
        create: make tables or the file when they are not there yet; mend a journal whose last line was torn.

    Raises:
        StoreError: it does not answer, is not there, or needs a package that is not installed.
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
    """``url`` with the path of a file made absolute, so that it stays right when the working directory changes."""
    if url.startswith("journal:"):
        return str(_journal_path(url).absolute())
    if "://" not in url:
        return str(Path(url).absolute())
    path = url.removeprefix("sqlite:///")
    if path == url or not path or path.startswith((":memory:", "file:")):
        return url
    return f"sqlite:///{Path(path).absolute()}"


def _journal_path(url: str) -> Path:
    """The file that ``journal:///FILE`` names: as in the URL of an SQLite database, or with a root as in any other."""
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
    """What a driver is told about a connection to ``url``."""
    return {"connect_timeout": _CONNECT_S} if url.startswith(("postgresql", "mysql", "mariadb")) else {}


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Optuna announces every study and trial; what a user has to know is said in our own words."""
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
    """Turn whatever a storage raises, and each raises in its own way, into a StoreError that names it."""
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
    """``url`` with the driver that is installed: SQLAlchemy 2.0 takes psycopg2 unless told, 2.1 takes psycopg."""
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
    """Optuna cannot read a journal again once something was appended to a torn line."""
    with path.open("r+b") as file:
        data = file.read()
        if data and not data.endswith(b"\n"):
            file.truncate(data.rfind(b"\n") + 1)
