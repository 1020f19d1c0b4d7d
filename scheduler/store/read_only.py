"""Questions in SQL by people, over a connection that cannot write.

What keeps the data safe is the connection, never a look at the text:

- SQLite: the file is opened with `mode=ro`; `query_only` is on; an authorizer lets statements read and compute, nothing
  else, so no ATTACH, no PRAGMA that would switch the first two off.
- PostgreSQL: the statement declares a cursor, which only a query can (COPY … TO PROGRAM cannot), alone in its message,
  inside a READ ONLY transaction that is always rolled back, with a time limit. A query may still call functions with
  effects outside the tables if its role may; give people you do not trust a role of their own that may only SELECT.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from scheduler.settings import without_password
from scheduler.store.connection_patience import patience
from vaeval_core.errors import InvalidInput, NotFound, ServiceUnreachable

TIME_LIMIT_SECONDS = 30.0
"""A question that takes longer is stopped: it must not hold back the workers."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Rows of a question.

    Attributes:
        columns: Names, as the statement gives them.
        rows: At most as many as were asked for.
        is_cut: True if there are more.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    is_cut: bool


def ask(url: str, statement: str, *, limit: int, time_limit_seconds: float = TIME_LIMIT_SECONDS) -> Answer:
    """Run one reading statement.

    Args:
        url: Database URL as in `Settings.database_url`.
        statement: One SELECT, WITH or VALUES, without a semicolon inside.
        limit: Most rows to return, ≥ 1.
        time_limit_seconds: When to stop the statement.

    Raises:
        InvalidInput: The database refuses the statement, or it takes too long; with the database's own words.
        NotFound: The SQLite file does not exist.
        ServiceUnreachable: PostgreSQL does not answer.
    """
    if not statement.strip():
        raise _refused(statement, "the statement is empty")
    if url.startswith("sqlite"):
        return _ask_sqlite(Path(url.split("///", 1)[1]), statement, limit, time_limit_seconds)
    return _ask_postgresql(url, statement, limit, time_limit_seconds)


_READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}


def _only_reading(
    action: int, first: str | None, second: str | None, _database: str | None, _trigger: str | None
) -> int:
    """SQLite asks this for each thing that a statement would do, while compiling it."""
    if action not in _READING or (action == sqlite3.SQLITE_FUNCTION and second == "load_extension"):
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def _ask_sqlite(path: Path, statement: str, limit: int, time_limit_seconds: float) -> Answer:
    with _sqlite_for_reading(path) as connection:
        ends_at = time.monotonic() + time_limit_seconds
        connection.set_authorizer(_only_reading)
        connection.set_progress_handler(lambda: time.monotonic() > ends_at, 10_000)
        try:
            cursor = connection.execute(statement)
            found = cursor.fetchmany(limit + 1)
        except (sqlite3.Error, sqlite3.Warning) as error:
            words = str(error)
            if words == "interrupted":
                words = f"stopped after {time_limit_seconds:g} s"
            raise _refused(statement, words) from error
        names = tuple(entry[0] for entry in cursor.description or ())
        return _answer(names, found, limit, statement)


@contextmanager
def _sqlite_for_reading(path: Path) -> Iterator[sqlite3.Connection]:
    if not path.is_file():
        raise NotFound(
            "There is no database yet.",
            received=str(path),
            expected="a database that a command of vaeval has created",
            next_step="vaeval db upgrade, or check VAEVAL_HOME",
        )
    connection = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, timeout=30)
    try:
        connection.execute("PRAGMA query_only = ON")
        yield connection
    finally:
        connection.close()


def _ask_postgresql(url: str, statement: str, limit: int, time_limit_seconds: float) -> Answer:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    address = url.replace("postgresql+psycopg://", "postgresql://", 1)
    try:
        # After what the URL says, such as a search path: of two values for one thing the later counts.
        own = conninfo_to_dict(address).get("options") or ""
        limits = f"-c default_transaction_read_only=on -c statement_timeout={round(time_limit_seconds * 1000)}"
        connection = psycopg.connect(make_conninfo(address, options=f"{own} {limits}".strip(), **patience(url)))
    except (psycopg.OperationalError, psycopg.ProgrammingError) as error:
        raise ServiceUnreachable(
            "The database does not answer.",
            received=without_password(url),
            expected="a PostgreSQL server that accepts this user",
            next_step="check VAEVAL_DATABASE_URL and that the server runs: vaeval doctor",
        ) from error
    try:
        connection.read_only = True
        # prepare=True sends one statement by the extended protocol: `SELECT 1; COMMIT; DELETE …` is an error there.
        connection.execute(f"DECLARE question NO SCROLL CURSOR FOR {statement}".encode(), prepare=True)
        cursor = connection.execute(f"FETCH FORWARD {limit + 1} FROM question".encode())
        names = tuple(column.name for column in cursor.description or ())
        return _answer(names, cursor.fetchall(), limit, statement)
    except psycopg.Error as error:
        raise _refused(statement, error.diag.message_primary or str(error)) from error
    finally:
        connection.close()  # rolls back


def _answer(names: tuple[str, ...], found: list[tuple[Any, ...]], limit: int, statement: str) -> Answer:
    if not names:
        raise _refused(statement, "the statement gives no rows")
    return Answer(columns=names, rows=tuple(tuple(row) for row in found[:limit]), is_cut=len(found) > limit)


def _refused(statement: str, words: str) -> InvalidInput:
    return InvalidInput(
        f"The database refuses the statement: {' '.join(words.split()).rstrip('.')}.",
        received=" ".join(statement.split()),
        expected="one SELECT; this connection cannot write. The views are leaderboard and scores_long",
        next_step='vaeval sql "SELECT * FROM leaderboard"',
    )
