"""The database behind everything: SQLite in a file of its own, or PostgreSQL by URL. Opening it makes its tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from datasets.errors import ConfigError

MIGRATIONS = Path(__file__).resolve().parent / "migrations"
# How long one process waits for another's write.
_BUSY_MS = 30_000
_READING = "reading"
# Any number: by it one process alone migrates a PostgreSQL database.
_MIGRATION_LOCK = 7_316_201


@dataclass(frozen=True)
class Database:
    """An open database.

    Attributes:
        engine: Of SQLAlchemy.
    """

    engine: Engine

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A look at one state of everything; nothing is written."""
        with self.engine.connect().execution_options(**{_READING: True}) as connection, Session(connection) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction: all of it, or, after an exception, nothing."""
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    def close(self) -> None:
        """Let go of the connections."""
        self.engine.dispose()


def open_database(url: str) -> Database:
    """Open a database and bring its tables to this version.

    Args:
        url: `sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/NAME`.

    Raises:
        ConfigError: It is neither, or cannot be reached.
    """
    try:
        known = make_url(url)
    except ArgumentError as error:
        raise ConfigError("sqlite:///FILE or postgresql://…", "something else", "correct --database") from error
    if known.get_backend_name() == "sqlite":
        engine = _sqlite(url)
    elif known.get_backend_name() == "postgresql":
        engine = create_engine(known.set(drivername="postgresql+psycopg"), isolation_level="READ COMMITTED")
    else:
        got = known.get_backend_name()
        raise ConfigError("a database of SQLite or PostgreSQL", got, "correct --database")
    try:
        _migrate(engine)
    except DBAPIError as error:
        engine.dispose()
        # What the driver says may hold the URL, and with it the password.
        raise ConfigError(
            "a database that can be reached", known.render_as_string(hide_password=True), "correct --database"
        ) from error
    return Database(engine)


def migrations_config(connection: Connection | None = None) -> Config:
    """What Alembic needs to know; the connection is the one that migrates."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def _sqlite(url: str) -> Engine:
    file = make_url(url).database
    if file and file != ":memory:":
        Path(file).parent.mkdir(parents=True, exist_ok=True)
    # Connections are cheap here, and none is to be handed to another thread or to a forked process.
    engine = create_engine(url, poolclass=NullPool)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # Python's module would begin transactions by itself, too late for a lock to be had.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")  # A decision that was confirmed outlives a power cut.
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # Who writes takes the lock at once: one that is asked for after reading may never be given.
    reading = connection.get_execution_options().get(_READING, False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _migrate(engine: Engine) -> None:
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
        command.upgrade(migrations_config(connection), "head")
