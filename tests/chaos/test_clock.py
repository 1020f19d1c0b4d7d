"""A worker whose clock is an hour off sets the same times as any other, for it never asks its own."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from scheduler.store.clock import UtcDateTime, database_now
from scheduler.store.database import Database
from scheduler.store.tables import metadata
from tests.chaos.crew import CLOCK_OFF, PROJECT

HOUR = 3600.0
LONGEST_LEASE = timedelta(seconds=600)
"""That of the stores in `tests.chaos.clock_entry`: no time that they set is further ahead."""

pytestmark = pytest.mark.service


def work_with_clock_off(url: str, *words: str) -> None:
    """Let another process, an hour ahead, do all that sets a time."""
    path = os.pathsep.join(map(str, (CLOCK_OFF, PROJECT)))
    environment = {**os.environ, "PYTHONPATH": path, "CHAOS_CLOCK": str(HOUR)}
    command = [sys.executable, "-P", "-m", "tests.chaos.clock_entry", url, *words]
    subprocess.run(command, env=environment, check=True, timeout=120)


def times(database: Database) -> dict[str, list[datetime]]:
    """Column → the times in it."""
    columns = [column for table in metadata.sorted_tables for column in table.c if isinstance(column.type, UtcDateTime)]
    return database.read(
        lambda connection: {
            str(column): list(connection.scalars(select(column).where(column.is_not(None)))) for column in columns
        }
    )


def now(database: Database) -> datetime:
    return database.read(lambda connection: connection.execute(select(database_now())).scalar_one())


def outside(found: dict[str, list[datetime]], begin: datetime, end: datetime) -> list[str]:
    """The columns with a time that nobody can have meant who looked at the clock of the database."""
    return [name for name, values in found.items() if not all(begin <= at <= end + LONGEST_LEASE for at in values)]


def test_the_clock_of_a_worker_is_in_no_row(database: Database) -> None:
    begin = now(database)
    work_with_clock_off(database.url)
    found = times(database)
    assert outside(found, begin, now(database)) == []
    # References are finalised, and wait, by the statements that are there for evaluations.
    unset = {"imported_references.created_at", "reference_sets.lease_expires_at", "reference_sets.troubled_since"}
    assert {name for name, values in found.items() if not values} == unset, "a time that this test forgets to look at"


def test_a_worker_that_asked_its_own_clock_would_be_noticed(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    try:
        begin = now(database)
        work_with_clock_off(sqlite_url, "own")
        found = times(database)
        wrong = outside(found, begin, now(database))
        assert {"shards.lease_expires_at", "evaluations.lease_expires_at", "workers.heartbeat_at"} < set(wrong)
        assert wrong == [name for name, values in found.items() if values]
    finally:
        database.dispose()
