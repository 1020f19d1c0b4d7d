"""Time in SQL: one clock, one format, one zone; on both databases."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import Connection, cast, insert, literal, select, text, update
from sqlalchemy.exc import StatementError

from scheduler.store.clock import database_now, database_now_plus
from scheduler.store.database import Database
from scheduler.store.tables import leases

MOMENT = datetime(2026, 11, 22, 13, 4, 5, 678901, tzinfo=UTC)


def store(database: Database, value: object) -> None:
    database.write(lambda c: c.execute(insert(leases).values(name="lease", owner="me", expires_at=value)))


def stored(database: Database) -> datetime:
    return database.read(lambda c: c.execute(select(leases.c.expires_at)).scalar_one())


def test_a_moment_comes_back_to_the_microsecond(database: Database) -> None:
    store(database, MOMENT)
    assert stored(database) == MOMENT
    assert stored(database).tzinfo is UTC


def test_a_moment_of_another_zone_comes_back_in_utc(database: Database) -> None:
    store(database, MOMENT.astimezone(timezone(timedelta(hours=-8))))
    assert stored(database) == MOMENT
    assert stored(database).utcoffset() == timedelta(0)


def test_a_moment_without_a_zone_is_refused(database: Database) -> None:
    with pytest.raises(StatementError, match=r"needs a time zone. Received: datetime.datetime\(2026, 11, 22"):
        store(database, MOMENT.replace(tzinfo=None))


def test_the_clock_of_the_database_is_about_ours(database: Database) -> None:
    store(database, database_now())
    assert abs((stored(database) - datetime.now(UTC)).total_seconds()) < 60


@pytest.mark.parametrize("seconds", [60.0, 0.25, -3600.0, 86_400.0 * 400])
def test_a_shifted_time_is_so_many_seconds_away(database: Database, seconds: float) -> None:
    store(database, database_now_plus(seconds))
    away = (stored(database) - datetime.now(UTC)).total_seconds()
    assert away == pytest.approx(seconds, abs=30)


def test_two_shifts_in_a_row_are_not_mixed_up(database: Database) -> None:
    """Statements are cached by their shape; the seconds must stay a parameter."""
    store(database, database_now_plus(10.0))
    shifts = []
    for seconds in (1000.0, 5000.0):
        database.write(lambda c, s=seconds: c.execute(update(leases).values(expires_at=database_now_plus(s))))
        shifts.append((stored(database) - datetime.now(UTC)).total_seconds())
    assert shifts == pytest.approx([1000.0, 5000.0], abs=30)


def test_stored_moments_compare_with_the_clock(database: Database) -> None:
    store(database, database_now_plus(5.0))
    later = select(leases.c.name).where(leases.c.expires_at > database_now())
    sooner = select(leases.c.name).where(leases.c.expires_at <= database_now())
    assert database.read(lambda c: (len(c.execute(later).all()), len(c.execute(sooner).all()))) == (1, 0)


def test_on_sqlite_every_time_has_six_digits_so_that_texts_sort_like_times(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    store(database, database_now())
    store_two = insert(leases).values(name="another", owner="me", expires_at=MOMENT.replace(microsecond=0))
    database.write(lambda c: c.execute(store_two))
    texts = database.read(lambda c: c.execute(text("SELECT expires_at FROM leases")).scalars().all())
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}", each) for each in texts)
    database.dispose()


@pytest.mark.service
def test_on_postgresql_the_zone_of_the_session_does_not_matter(postgresql_url: str) -> None:
    database = Database(postgresql_url)

    def work_in_tokyo(connection: Connection) -> datetime:
        connection.execute(text("SET LOCAL TIME ZONE 'Asia/Tokyo'"))
        return connection.execute(select(cast(literal(MOMENT), leases.c.expires_at.type))).scalar_one()

    assert database.write(work_in_tokyo) == MOMENT
    database.dispose()
