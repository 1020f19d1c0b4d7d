"""What every test stands on: no VAEVAL_* variable of the developer's shell reaches a test, and both real databases.

`database` and `database_url` are parametrised over SQLite and PostgreSQL: a test that takes one runs on both. The tables
come from the migrations, which run once.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, text
from sqlalchemy.pool import NullPool

from scheduler.store import schema
from scheduler.store.database import Database
from tests.chaos.emptied import emptied
from tests.postgresql_server import running_postgresql

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    # A shell starts a job in the background so that Ctrl-C does not reach it, and every program inherits that: tests of
    # Ctrl-C would wait for what cannot happen.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("VAEVAL_") and not name.startswith("VAEVAL_TEST_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[URL]:
    """URL of a PostgreSQL server; started when the first test needs it."""
    with running_postgresql() as url:
        yield url


@pytest.fixture(scope="session")
def _migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("migrated") / "vaeval.db"
    _upgrade(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def _migrated_postgresql(postgresql_server: URL) -> Iterator[str]:
    name = f"vaeval_migrated_{uuid.uuid4().hex}"
    _administer(postgresql_server, f"CREATE DATABASE {name}")
    _upgrade(database_on(postgresql_server, name))
    yield name
    _administer(postgresql_server, f"DROP DATABASE {name}")


@pytest.fixture
def postgresql_url(postgresql_server: URL, _migrated_postgresql: str) -> Iterator[str]:
    """URL of a PostgreSQL database of this test, with all tables."""
    with _postgresql_database(postgresql_server, f"TEMPLATE {_migrated_postgresql}") as url:
        yield url


@pytest.fixture
def empty_postgresql_url(postgresql_server: URL) -> Iterator[str]:
    """URL of a PostgreSQL database of this test, without tables."""
    with _postgresql_database(postgresql_server, "") as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path: Path, _migrated_sqlite: Path) -> str:
    """URL of a SQLite file of this test, with all tables."""
    return f"sqlite:///{shutil.copy(_migrated_sqlite, tmp_path / 'vaeval.db')}"


@pytest.fixture
def home_with_tables(tmp_path: Path, _migrated_sqlite: Path) -> Path:
    """VAEVAL_HOME of this test, its database migrated already: to do that anew would take most of a short test's time."""
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(_migrated_sqlite, home / "vaeval.db")
    return home


BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.service)]


@pytest.fixture(params=BOTH)
def database_url(request: pytest.FixtureRequest) -> str:
    """URL of a database of this test, with all tables: once on SQLite, once on PostgreSQL."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(scope="session")
def _shared_sqlite(tmp_path_factory: pytest.TempPathFactory, _migrated_sqlite: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{shutil.copy(_migrated_sqlite, tmp_path_factory.mktemp('shared') / 'vaeval.db')}")
    yield opened
    opened.dispose()


@pytest.fixture(scope="session")
def _shared_postgresql(postgresql_server: URL, _migrated_postgresql: str) -> Iterator[Database]:
    with _postgresql_database(postgresql_server, f"TEMPLATE {_migrated_postgresql}") as url:
        opened = Database(url)
        yield opened
        opened.dispose()


@pytest.fixture(params=BOTH)
def database(request: pytest.FixtureRequest) -> Database:
    """A database with all tables and no rows: once on SQLite, once on PostgreSQL.

    Emptied, not made, for each test: that is forty times as fast. A test that breaks its database, or gives it to other
    processes, takes `database_url` instead.
    """
    return emptied(request.getfixturevalue(f"_shared_{request.param}"))


@pytest.fixture(params=BOTH)
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database of this test without tables: once on SQLite, once on PostgreSQL."""
    is_sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'empty.db'}" if is_sqlite else request.getfixturevalue("empty_postgresql_url")
    opened = Database(url)
    yield opened
    opened.dispose()


@contextmanager
def _postgresql_database(server: URL, clause: str) -> Iterator[str]:
    name = f"vaeval_test_{uuid.uuid4().hex}"
    _administer(server, f"CREATE DATABASE {name} {clause}")
    try:
        yield database_on(server, name)
    finally:
        _administer(server, f"DROP DATABASE {name} WITH (FORCE)")


def database_on(server: URL, name: str) -> str:
    """URL of another database on the same server."""
    return server.set(database=name).render_as_string(hide_password=False)


def _administer(server: URL, statement: str) -> None:
    engine = create_engine(server, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(statement))


def _upgrade(url: str) -> None:
    migrated = Database(url)
    schema.upgrade(migrated)
    migrated.dispose()
