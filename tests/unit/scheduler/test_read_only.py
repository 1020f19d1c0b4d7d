"""Questions in SQL over a connection that cannot write."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from scheduler.store.read_only import ask
from vaeval_core.errors import InvalidInput, NotFound, ServiceUnreachable


@pytest.fixture
def url(tmp_path: Path) -> str:
    path = tmp_path / "a folder with % and ?" / "vaeval.db"
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE numbers (n INTEGER, name TEXT)")
    connection.executemany("INSERT INTO numbers VALUES (?, ?)", [(1, "one"), (2, "two"), (3, None)])
    connection.commit()
    connection.close()
    return f"sqlite:///{path}"


def contents(url: str) -> list[tuple[int, str | None]]:
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    try:
        return connection.execute("SELECT n, name FROM numbers ORDER BY n").fetchall()
    finally:
        connection.close()


def test_rows_come_with_their_column_names(url: str) -> None:
    answer = ask(url, "SELECT name, n * 10 AS tens FROM numbers WHERE n < 3 ORDER BY n", limit=10)
    assert answer.columns == ("name", "tens")
    assert answer.rows == (("one", 10), ("two", 20))
    assert not answer.is_cut


def test_more_rows_than_asked_for_are_cut_and_it_is_said(url: str) -> None:
    assert ask(url, "SELECT n FROM numbers", limit=3).is_cut is False
    answer = ask(url, "SELECT n FROM numbers ORDER BY n", limit=2)
    assert answer.rows == ((1,), (2,))
    assert answer.is_cut


def test_recursive_and_window_queries_are_reading(url: str) -> None:
    numbers = "WITH RECURSIVE t(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM t WHERE i < 4) SELECT sum(i) FROM t"
    assert ask(url, numbers, limit=5).rows == ((10,),)
    assert ask(url, "SELECT rank() OVER (ORDER BY n DESC) FROM numbers WHERE n = 3", limit=5).rows == ((1,),)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO numbers VALUES (4, 'four')",
        "INSERT INTO numbers VALUES (4, 'four') RETURNING n",
        "DELETE FROM numbers",
        "UPDATE numbers SET n = 0",
        "DROP TABLE numbers",
        "CREATE TABLE more (n INTEGER)",
        "CREATE TEMP TABLE more (n INTEGER)",
        "ATTACH DATABASE 'other.db' AS other",
        "PRAGMA query_only = OFF",
        "PRAGMA journal_mode = DELETE",
        "VACUUM INTO 'copy.db'",
        "BEGIN IMMEDIATE",
        "SELECT load_extension('evil')",
        "SELECT 1; DELETE FROM numbers",
    ],
)
def test_nothing_but_reading_gets_through(
    url: str, statement: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = contents(url)
    with pytest.raises(InvalidInput) as caught:
        ask(url, statement, limit=10)
    assert caught.value.received == statement
    assert "SELECT" in str(caught.value.expected)
    assert contents(url) == before
    assert [path.name for path in tmp_path.iterdir()] == ["a folder with % and ?"]


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("SELEC 1", 'near "SELEC": syntax error'),
        ("SELECT fidd FROM numbers", "no such column: fidd"),
        ("SELECT * FROM nowhere", "no such table: nowhere"),
        ("  ", "the statement is empty"),
        ("-- only a remark", "the statement gives no rows"),
    ],
)
def test_the_database_explains_in_its_own_words(url: str, statement: str, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        ask(url, statement, limit=10)
    assert words in caught.value.what


def test_a_statement_without_end_is_stopped(url: str) -> None:
    endless = "WITH RECURSIVE t(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM t) SELECT count(*) FROM t"
    with pytest.raises(InvalidInput, match=r"stopped after 0\.05 s"):
        ask(url, endless, limit=1, time_limit_seconds=0.05)


def test_a_database_that_does_not_exist_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        ask(f"sqlite:///{tmp_path / 'none.db'}", "SELECT 1", limit=1)
    assert str(tmp_path / "none.db") in str(caught.value.received)
    assert list(tmp_path.iterdir()) == []


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


@pytest.fixture
def numbers_url(empty_postgresql_url: str) -> str:
    with psycopg.connect(as_psycopg(empty_postgresql_url), autocommit=True) as connection:
        connection.execute("CREATE TABLE numbers (n INTEGER, name TEXT)")
        connection.execute("INSERT INTO numbers VALUES (1, 'one'), (2, 'two'), (3, NULL)")
    return empty_postgresql_url


def as_psycopg(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


@pytest.mark.service
def test_postgresql_answers_alike(numbers_url: str) -> None:
    answer = ask(numbers_url, "SELECT name, n * 10 AS tens FROM numbers WHERE name LIKE '%o%' ORDER BY n", limit=1)
    assert (answer.columns, answer.rows, answer.is_cut) == (("name", "tens"), (("one", 10),), True)


@pytest.mark.service
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO numbers VALUES (4, 'four')",
        "DELETE FROM numbers RETURNING n",
        "WITH gone AS (DELETE FROM numbers RETURNING n) SELECT * FROM gone",
        "SELECT 1; COMMIT; DELETE FROM numbers",
        "DROP TABLE numbers",
        "CREATE TEMP TABLE more (n INTEGER)",
        "SET default_transaction_read_only = off",
        "SELECT set_config('transaction_read_only', 'off', false)",
        "BEGIN READ WRITE",
        "DO $$ BEGIN DELETE FROM numbers; END $$",
        "COPY numbers TO STDOUT",
        "COPY (SELECT 1) TO PROGRAM 'cat'",
        "SELECT lo_create(0)",
    ],
)
def test_nothing_but_reading_gets_through_to_postgresql(numbers_url: str, statement: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        ask(numbers_url, statement, limit=10)
    assert caught.value.received == statement
    with psycopg.connect(as_psycopg(numbers_url)) as connection:
        assert connection.execute("SELECT n, name FROM numbers ORDER BY n").fetchall() == [
            (1, "one"),
            (2, "two"),
            (3, None),
        ]


@pytest.mark.service
def test_options_of_the_url_hold_for_questions_too_but_none_that_would_let_them_write(numbers_url: str) -> None:
    options = quote("-c work_mem=7MB -c default_transaction_read_only=off")
    url = f"{numbers_url}{'&' if '?' in numbers_url else '?'}options={options}"
    asked = "SELECT current_setting('work_mem'), current_setting('default_transaction_read_only')"
    assert ask(url, asked, limit=1).rows == (("7MB", "on"),)


@pytest.mark.service
def test_postgresql_stops_a_statement_without_end(numbers_url: str) -> None:
    with pytest.raises(InvalidInput, match="statement timeout"):
        ask(numbers_url, "SELECT pg_sleep(60)", limit=1, time_limit_seconds=0.1)


def test_a_postgresql_that_does_not_answer_is_told_without_its_password() -> None:
    with pytest.raises(ServiceUnreachable) as caught:
        ask("postgresql+psycopg://me:S3CRET@127.0.0.1:1/vaeval", "SELECT 1", limit=1)
    assert caught.value.received == "postgresql+psycopg://me:***@127.0.0.1:1/vaeval"
    assert "S3CRET" not in str(caught.value)
