"""One database, two kinds: transactions that look the same on SQLite and on PostgreSQL.

`write` and `read` run a function inside one transaction. A transaction that loses to a concurrent one, or whose connection
breaks, is rolled back and the function is run again, so it must have no effect outside the database. Driver errors leave
here as errors of vaeval.

SQLite: write-ahead log, and every writing transaction starts with BEGIN IMMEDIATE. A transaction that begins as a reader
and turns writer fails at once when another wrote in between, whatever the timeout; one that begins as a writer waits its
turn. Reading transactions never wait.

PostgreSQL: READ COMMITTED for writing, where each statement sees what others have committed; one REPEATABLE READ snapshot
for reading, so that several SELECTs agree with each other.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable
from typing import Any, Literal, TypeVar

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from scheduler.settings import without_password
from scheduler.store.connection_patience import patience
from scheduler.store.driver_errors import may_run_again, translated
from vaeval_core.errors import InvalidInput, ServiceUnreachable

Result = TypeVar("Result")

MAX_TRIES = 6
"""One run and five repetitions."""

LONGEST_SILENCE_SECONDS = 20
"""PostgreSQL ends a transaction that its client says nothing in for so long. A machine that is cut off, or a process that is
frozen, between an UPDATE and its COMMIT keeps rows locked until the server notices by itself, which takes two hours; a sweep
passes over locked rows, for who holds one is usually alive. Less than a lease, so that a lost shard is not found later."""

OLDEST_SQLITE = (3, 35, 0)
"""The first with UPDATE … RETURNING."""

_BEGIN = "vaeval_begin"
"""Execution option: how a transaction begins on SQLite."""


class RunAgain(Exception):
    """Raised inside a transaction that finds itself overtaken: roll back and run it again."""


class Database:
    """An SQLAlchemy engine and the two ways to use it. Safe to share between threads, not between processes.

    Args:
        url: As in `Settings.database_url`.

    Raises:
        InvalidInput: SQLite is older than this program needs.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_sqlite = url.startswith("sqlite")
        if self.is_sqlite:
            _require_sqlite_version()
            self.engine = create_engine(url)
            event.listen(self.engine, "connect", _prepare_sqlite_connection)
            event.listen(self.engine, "begin", _begin_on_sqlite)
        else:
            # No pool_pre_ping: it would cost each transaction a round trip, and one whose connection is gone is run again.
            self.engine = create_engine(url, connect_args=patience(url))
            event.listen(self.engine, "connect", _prepare_postgresql_connection)

    def __repr__(self) -> str:
        return f"Database({without_password(self.url)!r})"

    def write(self, work: Callable[[Connection], Result], *, exclusive: bool = False) -> Result:
        """Run `work` in one writing transaction and commit; an exception rolls back.

        Args:
            work: Gets the connection; may be run several times.
            exclusive: Keep readers of SQLite out too; for changes of the schema.

        Raises:
            ServiceUnreachable: The database does not answer, or stays locked.
            StorageFailed: Its disk is full or its file damaged.
            SchemaMismatch: A table is missing.
        """
        return self._transaction(work, {_BEGIN: "EXCLUSIVE" if exclusive else "IMMEDIATE"})

    def read(self, work: Callable[[Connection], Result]) -> Result:
        """Run `work` in one reading transaction: all its SELECTs see the same moment.

        Raises:
            ServiceUnreachable: The database does not answer, or stays locked.
            StorageFailed: Its file is damaged.
            SchemaMismatch: A table is missing.
        """
        if self.is_sqlite:
            return self._transaction(work, {_BEGIN: "DEFERRED"})
        return self._transaction(work, {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True})

    def dispose(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def _transaction(self, work: Callable[[Connection], Result], options: dict[str, Any]) -> Result:
        for attempt in range(1, MAX_TRIES + 1):
            try:
                with self.engine.connect() as unprepared:
                    connection = unprepared.execution_options(**options)
                    with connection.begin():
                        return work(connection)
            except DBAPIError as error:
                if attempt == MAX_TRIES or not may_run_again(error):
                    known = translated(error, self.url)
                    if known is None:
                        raise
                    raise known from error
            except RunAgain as error:
                if attempt == MAX_TRIES:
                    raise ServiceUnreachable(
                        "The database is too busy: a transaction was overtaken again and again.",
                        received=f"{MAX_TRIES} tries on {without_password(self.url)}",
                        expected="that one of them is not overtaken",
                        next_step="run the command again; nothing was changed",
                    ) from error
            # Two that collided must not collide again: wait up to 20, 40, … 320 ms, each its own time.
            time.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311 - no secret, only spread
        raise AssertionError("unreachable: the last attempt returns or raises")


def _require_sqlite_version() -> None:
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise InvalidInput(
            "The SQLite library of this Python is too old.",
            received=f"SQLite {sqlite3.sqlite_version}",
            expected=f"SQLite {'.'.join(map(str, OLDEST_SQLITE))} or newer",
            next_step="use another Python, or a PostgreSQL server: VAEVAL_DATABASE_URL=postgresql://…",
        )


def _prepare_sqlite_connection(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    # The driver would begin transactions by itself, at moments of its own choosing; `_begin_on_sqlite` does it.
    connection.isolation_level = None
    cursor = connection.cursor()
    try:
        cursor.execute("PRAGMA busy_timeout = 30000")
        cursor.execute("PRAGMA foreign_keys = ON")
        # The mode is a property of the file. To set it needs a lock, to read it does not.
        if cursor.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            cursor.execute("PRAGMA journal_mode = WAL")
        # With the log, NORMAL loses no committed transaction when a process dies, only perhaps at a power cut.
        cursor.execute("PRAGMA synchronous = NORMAL")
    finally:
        cursor.close()


def _prepare_postgresql_connection(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    try:
        # No connection option: these would overrule options in the URL, and connection poolers refuse them.
        cursor.execute(f"SET idle_in_transaction_session_timeout = '{LONGEST_SILENCE_SECONDS}s'")
    finally:
        cursor.close()
    connection.commit()


def _begin_on_sqlite(connection: Connection) -> None:
    how: Literal["IMMEDIATE", "EXCLUSIVE", "DEFERRED"] = connection.get_execution_options().get(_BEGIN, "IMMEDIATE")
    connection.exec_driver_sql(f"BEGIN {how}")
