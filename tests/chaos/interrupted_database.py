"""A database that fails a transaction in its middle: PostgreSQL ends its connection, SQLite is locked for a moment."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.pool import NullPool

from scheduler.store.database import Database

LOCKED_SECONDS = 0.02


@contextmanager
def interrupted(database: Database) -> Iterator[None]:
    """The first transaction that begins inside finds the database so; when it is run again, all is well."""
    if database.is_sqlite:
        with _locked(str(database.engine.url.database)):
            yield
    else:
        with _terminated(database):
            yield


@contextmanager
def _locked(file: str) -> Iterator[None]:
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    unlock = threading.Timer(LOCKED_SECONDS, other.execute, ["COMMIT"])
    unlock.start()
    try:
        yield
    finally:
        unlock.join()
        other.close()


@contextmanager
def _terminated(database: Database) -> Iterator[None]:
    is_done = threading.Event()

    def end_it(connection: Connection, *_: Any) -> None:
        if is_done.is_set():
            return
        is_done.set()
        process = connection.connection.dbapi_connection.info.backend_pid  # type: ignore[union-attr]
        executioner = create_engine(database.url, poolclass=NullPool)
        with executioner.connect() as other:
            other.execute(text("SELECT pg_terminate_backend(:process, 5000)"), {"process": process})

    event.listen(database.engine, "after_cursor_execute", end_it)
    try:
        yield
    finally:
        event.remove(database.engine, "after_cursor_execute", end_it)
