"""Transactions: run again where that helps, translated where it does not, and without a password in sight."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import URL, Connection, event, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from scheduler.store.database import MAX_TRIES, Database, RunAgain
from vaeval_core.errors import InvalidInput, SchemaMismatch, ServiceUnreachable, StorageFailed

INSERT = text("INSERT INTO leases (name, owner, expires_at) VALUES (:name, 'me', '2026-01-01 00:00:00.000000')")
COUNT = text("SELECT COUNT(*) FROM leases")


@pytest.fixture
def sqlite(sqlite_url: str) -> Iterator[Database]:
    database = Database(sqlite_url)
    yield database
    database.dispose()


def count(database: Database) -> int:
    return int(database.read(lambda connection: connection.execute(COUNT).scalar_one()))


class TestTransactions:
    def test_what_was_written_is_there(self, database: Database) -> None:
        assert database.write(lambda connection: connection.execute(INSERT, {"name": "a"}).rowcount) == 1
        assert count(database) == 1

    def test_an_exception_takes_everything_back(self, database: Database) -> None:
        def work(connection: Connection) -> None:
            connection.execute(INSERT, {"name": "a"})
            raise KeyError("after the insert")

        with pytest.raises(KeyError):
            database.write(work)
        assert count(database) == 0

    def test_a_mistake_of_this_program_is_not_dressed_up(self, database: Database) -> None:
        database.write(lambda connection: connection.execute(INSERT, {"name": "a"}))
        with pytest.raises(IntegrityError):
            database.write(lambda connection: connection.execute(INSERT, {"name": "a"}))

    def test_a_reader_sees_one_moment(self, database: Database) -> None:
        def work(connection: Connection) -> tuple[int, int]:
            before = connection.execute(COUNT).scalar_one()
            database.write(lambda other: other.execute(INSERT, {"name": "in between"}))
            return before, connection.execute(COUNT).scalar_one()

        assert database.read(work) == (0, 0)
        assert count(database) == 1

    def test_an_overtaken_transaction_is_run_again_from_the_start(self, database: Database) -> None:
        calls = []

        def work(connection: Connection) -> str:
            calls.append(connection.execute(INSERT, {"name": "a"}))
            if len(calls) < 3:
                raise RunAgain
            return "done"

        assert database.write(work) == "done"
        assert (len(calls), count(database)) == (3, 1)

    def test_a_transaction_that_is_always_overtaken_ends_with_a_sentence(self, database: Database) -> None:
        calls = []

        def work(_: Connection) -> None:
            calls.append(1)
            raise RunAgain

        with pytest.raises(ServiceUnreachable) as caught:
            database.write(work)
        assert len(calls) == MAX_TRIES
        assert f"{MAX_TRIES} tries" in str(caught.value.received)
        assert "nothing was changed" in str(caught.value.next_step)

    def test_a_missing_table_means_another_schema(self, empty_database: Database) -> None:
        with pytest.raises(SchemaMismatch) as caught:
            count(empty_database)
        assert "leases" in str(caught.value.received)
        assert caught.value.next_step == "vaeval db upgrade"


class TestSqlite:
    def test_the_file_is_set_up_for_many_processes(self, sqlite: Database) -> None:
        def pragma(name: str) -> object:
            return sqlite.read(lambda connection: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())

        values = [pragma(name) for name in ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")]
        assert values == ["wal", 1, 30_000, 1]

    def test_eight_writers_lose_no_update_and_see_no_lock(self, sqlite: Database) -> None:
        """Read, then write: the pattern that fails at once when a transaction begins as a reader."""
        sqlite.write(lambda connection: connection.execute(INSERT, {"name": "counter"}))
        sqlite.write(lambda connection: connection.execute(text("UPDATE leases SET owner = '0'")))

        def add_one(connection: Connection) -> None:
            value = int(connection.execute(text("SELECT owner FROM leases")).scalar_one())
            connection.execute(text("UPDATE leases SET owner = :next"), {"next": str(value + 1)})

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda _: sqlite.write(add_one), range(80)))
        assert sqlite.read(lambda c: c.execute(text("SELECT owner FROM leases")).scalar_one()) == "80"

    def test_readers_do_not_wait_for_a_writer(self, sqlite: Database) -> None:
        def work(connection: Connection) -> int:
            connection.execute(INSERT, {"name": "not yet there"})
            return count(sqlite)

        assert sqlite.write(work) == 0

    def test_a_file_that_stays_locked_is_said(self, sqlite: Database, tmp_path: Path) -> None:
        event.listen(sqlite.engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout = 1"))
        other = sqlite3.connect(tmp_path / "vaeval.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ServiceUnreachable) as caught:
            sqlite.write(lambda connection: connection.execute(INSERT, {"name": "a"}))
        other.execute("ROLLBACK")
        other.close()
        assert "locked by others" in caught.value.what
        assert "vaeval.db" in str(caught.value.received)

    def test_a_full_disk_is_said_and_nothing_is_changed(self, sqlite: Database) -> None:
        def fill(connection: Connection) -> None:
            connection.exec_driver_sql("PRAGMA max_page_count = 1")
            for number in range(1000):
                connection.execute(INSERT, {"name": f"{number} " + "x" * 4000})

        with pytest.raises(StorageFailed) as caught:
            sqlite.write(fill)
        assert "No space is left" in caught.value.what
        assert "full" in str(caught.value.received)
        assert "free some space" in str(caught.value.next_step)
        assert count(sqlite) == 0

    def test_a_folder_that_does_not_exist_is_said(self, tmp_path: Path) -> None:
        database = Database(f"sqlite:///{tmp_path / 'missing' / 'vaeval.db'}")
        with pytest.raises(ServiceUnreachable) as caught:
            count(database)
        assert str(tmp_path / "missing") in str(caught.value.received)
        assert "a folder that exists" in str(caught.value.expected)

    def test_a_file_that_is_no_database_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "vaeval.db").write_text("These are notes, not a database. " * 100, encoding="utf-8")
        database = Database(f"sqlite:///{tmp_path / 'vaeval.db'}")
        with pytest.raises(StorageFailed) as caught:
            count(database)
        assert caught.value.what == "The database file is no SQLite database."
        assert str(tmp_path) in str(caught.value.received)
        assert "healthy SQLite file" in str(caught.value.expected)

    def test_a_file_that_may_not_be_written_is_said(self, sqlite: Database) -> None:
        event.listen(sqlite.engine, "connect", lambda connection, _: connection.execute("PRAGMA query_only = 1"))
        with pytest.raises(StorageFailed) as caught:
            sqlite.write(lambda connection: connection.execute(INSERT, {"name": "a"}))
        assert "cannot be written" in caught.value.what
        assert "permissions" in str(caught.value.next_step)

    def test_an_old_library_is_refused(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 26, 0))
        monkeypatch.setattr(sqlite3, "sqlite_version", "3.26.0")
        with pytest.raises(InvalidInput) as caught:
            Database(f"sqlite:///{tmp_path / 'vaeval.db'}")
        assert caught.value.received == "SQLite 3.26.0"
        assert "3.35.0" in str(caught.value.expected)


class TestPasswords:
    @pytest.mark.parametrize("password", ["S3CRET", "S3%40CRET"])
    def test_a_server_that_does_not_answer_is_named_without_its_password(self, tmp_path: Path, password: str) -> None:
        url = f"postgresql+psycopg://kim:{password}@/vaeval?host={quote(str(tmp_path))}"
        database = Database(url)
        with pytest.raises(ServiceUnreachable) as caught:
            count(database)
        assert caught.value.what == "The database does not answer."
        assert "kim:***@" in str(caught.value.received)
        assert "vaeval doctor" in str(caught.value.next_step)
        for words in (str(caught.value), repr(caught.value), repr(database)):
            assert "S3" not in words
        database.dispose()


@pytest.mark.service
class TestPostgresql:
    @pytest.fixture
    def database(self, postgresql_url: str) -> Iterator[Database]:
        database = Database(postgresql_url)
        yield database
        database.dispose()

    def test_a_connection_that_breaks_is_replaced_and_the_transaction_run_again(self, database: Database) -> None:
        calls = []

        def work(connection: Connection) -> int:
            calls.append(connection.execute(INSERT, {"name": "a"}))
            if len(calls) == 1:
                connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
            return int(connection.execute(COUNT).scalar_one())

        assert database.write(work) == 1
        assert len(calls) == 2

    def test_two_that_deadlock_both_succeed_in_the_end(self, database: Database) -> None:
        for name in ("a", "b"):
            database.write(lambda connection, name=name: connection.execute(INSERT, {"name": name}))
        both_hold_one = threading.Barrier(2, timeout=30)
        runs: list[str] = []

        def update(connection: Connection, names: str) -> None:
            runs.append(names)
            for number, name in enumerate(names):
                connection.execute(
                    text("UPDATE leases SET owner = :new WHERE name = :name"), {"new": names, "name": name}
                )
                if number == 0 and len(runs) <= 2:
                    both_hold_one.wait()

        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda names: database.write(lambda c: update(c, names)), ["ab", "ba"]))
        assert len(runs) == 3, "one was run twice"
        owners = database.read(lambda c: c.execute(text("SELECT owner FROM leases")).scalars().all())
        assert len(set(owners)) == 1, "the two were not mixed"

    def test_a_reading_transaction_cannot_write(self, database: Database) -> None:
        with pytest.raises(DBAPIError, match="read-only transaction"):
            database.read(lambda connection: connection.execute(INSERT, {"name": "a"}))
        database.write(lambda connection: connection.execute(INSERT, {"name": "a"}))

    @pytest.mark.parametrize(
        ("more", "expected"), [("", "30000"), ("tcp_user_timeout=5000", "5000")], ids=["ours", "that of the URL"]
    )
    def test_a_server_that_is_gone_in_the_middle_of_a_question_is_given_up(
        self, postgresql_url: str, more: str, expected: str
    ) -> None:
        database = Database(f"{postgresql_url}{'&' if '?' in postgresql_url else '?'}{more}")

        def parameters(connection: Connection) -> dict[str, str]:
            driver: Any = connection.connection.driver_connection
            return dict(driver.info.get_parameters())

        told = database.read(parameters)
        database.dispose()
        assert (told["tcp_user_timeout"], told["keepalives_idle"]) == (expected, "30")

    def test_a_database_that_does_not_exist_is_said(self, postgresql_server: URL) -> None:
        database = Database(postgresql_server.set(database="nowhere").render_as_string(hide_password=False))
        with pytest.raises(ServiceUnreachable) as caught:
            count(database)
        assert "nowhere" in str(caught.value.received)
        database.dispose()
