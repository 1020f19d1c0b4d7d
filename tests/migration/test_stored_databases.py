"""Databases as earlier revisions left them, brought to this one: nothing is lost and the work goes on; on both kinds.

`store_a_database.py` made the files and says what is in them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from scheduler.lifecycle import EvaluationState
from scheduler.store import schema
from scheduler.store.database import Database
from tests.factories import scores
from tests.laws.stores import Stores, file_of
from tests.migration.test_migrations import REVISIONS, everything

STORED = Path(__file__).parent / "stored"
FILES = sorted(STORED.glob("*.sql"))
KINDS = ("postgresql", "sqlite")


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Database]]:
    """A revision, and a database with what that revision left."""
    file: Path = request.param
    revision, kind, _ = file.name.split(".")
    script = file.read_text(encoding="utf-8")
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path / 'stored.db'}"
        with sqlite3.connect(tmp_path / "stored.db") as connection:
            connection.executescript(script)
        connection.close()
    else:
        url = request.getfixturevalue("empty_postgresql_url")
        with create_engine(url, poolclass=NullPool).begin() as server:
            server.exec_driver_sql(script)
    database = Database(url)
    yield revision, database
    database.dispose()


def shape(database: Database) -> dict[str, Any]:
    """All about the tables; of CHECKs their names alone, for PostgreSQL writes them anew when it reads a dump."""
    found = everything(database)
    for table in found.values():
        if isinstance(table, dict):
            table["checks"] = [name for name, _ in table["checks"]]
    return found


def test_every_earlier_revision_is_stored_for_both_kinds() -> None:
    assert [path.name for path in FILES] == [f"{name}.{kind}.sql" for name in REVISIONS[:-1] for kind in KINDS]


@pytest.mark.service
def test_it_is_what_its_name_says_until_it_is_upgraded(stored: tuple[str, Database]) -> None:
    revision, database = stored
    assert schema.current_revision(database) == revision
    schema.upgrade(database)
    schema.require_current(database)


@pytest.mark.service
def test_the_tables_are_those_of_a_new_database(
    stored: tuple[str, Database], empty_database_like: Callable[[Database], Database]
) -> None:
    _, database = stored
    schema.upgrade(database)
    assert shape(database) == shape(empty_database_like(database))


@pytest.mark.service
def test_results_and_failures_are_still_there(stored: tuple[str, Database]) -> None:
    _, database = stored
    schema.upgrade(database)
    reads = Stores(database).reads
    (row,) = reads.leaderboard()
    assert (row["evaluation"], row["checkpoint"], row["rank"], row["fid"]) == (1, "beta4/step-100", 1, 12.5)
    assert reads.evaluation(1).scores == tuple(scores(12.5))
    failed = reads.evaluation(2)
    assert failed.state is EvaluationState.FAILED
    assert "The decoder gives no images." in str(failed.error)


@pytest.mark.service
def test_work_that_was_under_way_goes_on(stored: tuple[str, Database]) -> None:
    _, database = stored
    schema.upgrade(database)
    stores = Stores(database)
    stores.execute("UPDATE shards SET lease_expires_at = started FROM (SELECT MIN(at) AS started FROM events) AS first")
    assert stores.recovery.sweep().shards_requeued == 1
    lost = stores.claim()
    assert (lost.owner_id, lost.number, lost.attempt) == (3, 0, 2)
    assert stores.work.finish_shard(lost, file_of(lost), 1.0)
    assert [claim.number for claim in stores.compute_shards()] == [1]
    assert stores.work.finish_evaluation(stores.claim_finalise(), scores(11.0), None)
    assert [row["evaluation"] for row in stores.reads.leaderboard()] == [3, 1]


@pytest.fixture
def empty_database_like(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[Database], Database]]:
    """A new database of the same kind, with the tables of this revision."""
    opened: list[Database] = []

    def make(other: Database) -> Database:
        url = f"sqlite:///{tmp_path / 'new.db'}" if other.is_sqlite else request.getfixturevalue("postgresql_url")
        opened.append(Database(url))
        schema.upgrade(opened[0])
        return opened[0]

    yield make
    for database in opened:
        database.dispose()
