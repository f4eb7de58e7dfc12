"""The database under a store: a SQLite file by its path, or any other by its URL.

A SQLite file is kept in WAL mode, so that reading never waits for writing. What a transaction has
written is on the disk when it ends, in every database that does as it is told.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import exc

from comask.errors import StoreError

Answer = TypeVar("Answer")

_WAIT = 60  # seconds that a writer waits for the others
_CACHE = 32 * 1024  # KiB of pages that a connection may keep; undoing a long batch asks for them
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_AGAIN = ("40001", "40P01")  # two transactions in each other's way; PostgreSQL gave up this one

_ABOUT = sa.Table(
    "comask_about",
    sa.MetaData(),
    sa.Column("key", sa.String(40), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)


class Database:
    """An open database: whole transactions, and one sentence for whatever fails."""

    def __init__(self, engine: sa.Engine, name: str) -> None:
        self._engine = engine
        self.name = name

    def close(self) -> None:
        """Let go of it."""
        self._engine.dispose()

    def prepare(
        self, tables: sa.MetaData, what: str, format: int, later: Sequence[sa.Index] = ()
    ) -> None:
        """Make tables where they are not there, and their entry ``what`` of the format they have.

        Indices that came ``later`` change no format: stores that lack them get them now. Two
        processes may do so at the same time. Raises StoreError where they are of another format.
        """

        def make(connection: sa.Connection) -> str:
            _ABOUT.create(connection, checkfirst=True)
            query = sa.select(_ABOUT.c.value).where(_ABOUT.c.key == what)
            known = connection.execute(query).scalar()
            if known is None:
                tables.create_all(connection)
                row = {"key": what, "value": str(format)}
                connection.execute(sa.insert(_ABOUT).values(row))
            if known in (None, str(format)):
                for index in later:
                    _add_index(connection, index)
            return known or str(format)

        found = self.write(make, tries=6, doing="opened as a store")
        if found != str(format):
            raise StoreError(
                f"{self.name} is a store of format {found:.20}, this version of CoMask uses "
                f"{format}; name another one"
            )

    def read(self, query: sa.Select[Any] | sa.CompoundSelect[Any]) -> Sequence[sa.Row[Any]]:
        """Ask one question."""
        with self._sentences("read"), self._engine.connect() as connection:
            return connection.execute(query).all()

    def look(self, work: Callable[[sa.Connection], Answer]) -> Answer:
        """Ask several questions, all answered of the same moment."""
        with self._sentences("read"), self._engine.connect() as connection:
            if self._engine.dialect.name == "postgresql":
                connection.execution_options(isolation_level="REPEATABLE READ")
            return work(connection)

    def write(
        self,
        work: Callable[[sa.Connection], Answer],
        *,
        tries: int = 2,
        doing: str = "written to",
    ) -> Answer:
        """Do some work in one transaction; anew where another process did the same just now."""
        with self._sentences(doing):
            for _ in range(tries - 1):
                try:
                    return self.in_transaction(work)
                except (exc.IntegrityError, exc.ProgrammingError):
                    time.sleep(0.05)
                except exc.OperationalError as error:
                    if getattr(error.orig, "sqlstate", None) not in _AGAIN:
                        raise
            return self.in_transaction(work)

    def in_transaction(self, work: Callable[[sa.Connection], Answer]) -> Answer:
        """Do some work in one transaction, with the errors of SQLAlchemy."""
        with self._engine.connect() as connection:
            connection.execution_options(comask_writes=True)
            with connection.begin():
                return work(connection)

    @contextmanager
    def _sentences(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (exc.SQLAlchemyError, OSError, ImportError) as error:
            raise StoreError(f"{self.name} can't be {doing}: {said(error)}") from error


def _add_index(connection: sa.Connection, index: sa.Index) -> None:
    """Make an index of tables that are there, and remember it: asking for it may take a lock."""
    name = str(index.name)
    if connection.execute(sa.select(_ABOUT).where(_ABOUT.c.key == name)).first() is None:
        connection.execute(sa.schema.CreateIndex(index, if_not_exists=True))
        connection.execute(sa.insert(_ABOUT).values({"key": name, "value": "made"}))


def connect(target: str | Path) -> tuple[sa.Engine, str]:
    """Make an engine, and the name to call it by; raises StoreError."""
    url, name = _address(target)
    try:
        engine = sa.create_engine(url, connect_args=_connect_arguments(url))
    except (exc.ArgumentError, ImportError, ValueError) as error:
        raise StoreError(f"{name} can't be opened as a store: {said(error)}") from error
    if url.get_backend_name() == "sqlite":
        _tame(engine)
    return engine, name


def said(error: Exception) -> str:
    """Say in one line what a database complained of; never with the values it was given."""
    cause = getattr(error, "orig", None) or error
    if isinstance(cause, ImportError):
        return f"the Python package {cause.name or 'of its driver'} is not installed"
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(cause).__name__


def _address(target: str | Path) -> tuple[sa.URL, str]:
    """Read a path or a URL: what to open, and what to call it (passwords stay secret)."""
    text = str(target)
    if "://" in text:
        try:
            url = sa.make_url(text)
        except (exc.ArgumentError, ValueError) as error:
            raise StoreError("The store's address is no URL that a database has.") from error
        return url, url.render_as_string(hide_password=True)
    path = Path(text)
    if path.is_dir():
        raise StoreError(f"{path} is a folder; a store is a file or a database's URL")
    if not path.absolute().parent.is_dir():
        raise StoreError(f"there is no folder {path.absolute().parent} for the store {path.name}")
    return sa.URL.create("sqlite", database=str(path.absolute())), str(path)


def _connect_arguments(url: sa.URL) -> dict[str, Any]:
    return {"timeout": _WAIT} if url.get_backend_name() == "sqlite" else {}


def _tame(engine: sa.Engine) -> None:
    """Let transactions begin where we say, writers queue up, and readers never wait."""

    @sa.event.listens_for(engine, "connect")
    def connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        _keep_a_write_ahead_log(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA cache_size = -{_CACHE}")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get("comask_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _keep_a_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Put a SQLite file into WAL mode, once in its life.

    That change does not queue up as writing does: of several connections that make it at once, the
    losers are told at once that the file is locked. They ask again, and find it made.
    """
    until = time.monotonic() + _WAIT
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
            if mode != "wal":
                connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in _BUSY or time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return
