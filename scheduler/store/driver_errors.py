"""What a database driver reports, as our own errors: translated once, here, so that no caller knows a driver.

Three questions are asked of a driver's error: may the transaction be run again, is it the world's fault and which sentence
says so, or is it a mistake of this program (then it stays what it is).
"""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError, OperationalError

from scheduler.settings import passwords_in, without_password
from vaeval_core.errors import SchemaMismatch, ServiceUnreachable, StorageFailed, VaevalError

_SQLITE_PASSING = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_SQLITE_FILE_TROUBLE = {
    sqlite3.SQLITE_CORRUPT: "The database file is damaged.",
    sqlite3.SQLITE_NOTADB: "The database file is no SQLite database.",
    sqlite3.SQLITE_READONLY: "The database file cannot be written.",
    sqlite3.SQLITE_IOERR: "The database file cannot be read or written.",
}

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_POSTGRESQL_PASSING = {"40001", "40P01", "55P03"}  # serialization failure, deadlock, lock not available
_POSTGRESQL_DISK_FULL = "53100"
_POSTGRESQL_MISSING = {"42P01", "42703"}  # undefined table, undefined column
_POSTGRESQL_AWAY = ("08", "28", "3D", "53", "57P")  # connection, authorisation, no such database, resources, shutdown


def may_run_again(error: DBAPIError) -> bool:
    """True if the same transaction may succeed when it is run again: a lock, a deadlock, a lost connection."""
    if error.connection_invalidated:
        return True
    if isinstance(error.orig, sqlite3.Error):
        return _sqlite_code(error.orig) in _SQLITE_PASSING
    return _sqlstate(error) in _POSTGRESQL_PASSING


def translated(error: DBAPIError, url: str) -> VaevalError | None:
    """The error as a sentence for a person, or None if it is a mistake of this program.

    Args:
        error: What SQLAlchemy raised.
        url: Where to; its password appears in no message.
    """
    words = _without_secret(_first_line(error), url)
    if isinstance(error.orig, sqlite3.Error):
        return _from_sqlite(error.orig, words, url)
    sqlstate = _sqlstate(error)
    if sqlstate == _POSTGRESQL_DISK_FULL:
        return _disk_full(words, url)
    if sqlstate in _POSTGRESQL_MISSING:
        return _tables_missing(words)
    if sqlstate in _POSTGRESQL_PASSING:
        return _too_busy(words, url)
    # A server that cannot be reached at all gives no code.
    never_answered = sqlstate is None and isinstance(error, OperationalError)
    if error.connection_invalidated or never_answered or (sqlstate or "").startswith(_POSTGRESQL_AWAY):
        return _unreachable(words, url)
    return None


def _from_sqlite(error: sqlite3.Error, words: str, url: str) -> VaevalError | None:
    code = _sqlite_code(error)
    if code == sqlite3.SQLITE_FULL:
        return _disk_full(words, url)
    if code in _SQLITE_PASSING:
        return _too_busy(words, url)
    if code == sqlite3.SQLITE_CANTOPEN:
        return ServiceUnreachable(
            "The database file cannot be opened.",
            received=f"{url} ({words})",
            expected="a file in a folder that exists and that this user may write",
            next_step="check VAEVAL_HOME and VAEVAL_DATABASE_URL: vaeval config",
        )
    if code in _SQLITE_FILE_TROUBLE:
        return StorageFailed(
            _SQLITE_FILE_TROUBLE[code],
            received=f"{url} ({words})",
            expected="a healthy SQLite file on a local disk that this user may write",
            next_step="check the disk and the file's permissions, or restore the file from a backup",
        )
    if words.startswith(("no such table", "no such column")):
        return _tables_missing(words)
    return None


def _unreachable(words: str, url: str) -> ServiceUnreachable:
    return ServiceUnreachable(
        "The database does not answer.",
        received=f"{without_password(url)} ({words})",
        expected="a PostgreSQL server that accepts this user",
        next_step="check VAEVAL_DATABASE_URL and that the server runs: vaeval doctor",
    )


def _too_busy(words: str, url: str) -> ServiceUnreachable:
    return ServiceUnreachable(
        "The database was locked by others for too long.",
        received=f"{without_password(url)} ({words})",
        expected="a moment without another long transaction",
        next_step="run the command again; nothing was changed",
    )


def _disk_full(words: str, url: str) -> StorageFailed:
    return StorageFailed(
        "No space is left for the database.",
        received=f"{without_password(url)} ({words})",
        expected="free space on the disk that holds it",
        next_step="free some space and run the command again; nothing was changed",
    )


def _tables_missing(words: str) -> SchemaMismatch:
    return SchemaMismatch(
        "The database lacks a table or column of this program.",
        received=words,
        expected="the tables that the migrations make",
        next_step="vaeval db upgrade",
    )


def _sqlite_code(error: sqlite3.Error) -> int:
    """The primary code: extended codes, such as SQLITE_BUSY_SNAPSHOT, keep it in their low byte."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF


def _sqlstate(error: DBAPIError) -> str | None:
    sqlstate: str | None = getattr(error.orig, "sqlstate", None)
    return sqlstate


def _first_line(error: DBAPIError) -> str:
    lines = str(error.orig).strip().splitlines()
    return lines[0] if lines else type(error.orig).__name__


def _without_secret(words: str, url: str) -> str:
    for password in passwords_in(url):
        words = words.replace(password, "***")
    return words
