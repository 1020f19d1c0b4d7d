"""Time, as the database sees it: UTC, and one clock for all workers.

`database_now()` and `database_now_plus(seconds)` are SQL expressions for both databases. Leases are set and compared with
them inside one statement, so the clock of a worker is never asked. SQLite keeps times as text; its times all have six
fractional digits, because then the order of the texts is the order of the times.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, DateTime, Dialect, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """A moment. Python sees aware datetimes in UTC; a naive one is refused, because nobody knows what it means."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC; without the zone where the database has no type for it."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(
                f"A stored time needs a time zone. Received: {value!r}. Expected: datetime.now(UTC) or the like."
            )
        in_utc = value.astimezone(UTC)
        return in_utc.replace(tzinfo=None) if dialect.name == "sqlite" else in_utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Aware, in UTC, whatever zone the server's session has."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class _Now(FunctionElement[datetime]):
    type = UtcDateTime()
    inherit_cache = True
    name = "database_now"


class _NowPlus(FunctionElement[datetime]):
    type = UtcDateTime()
    inherit_cache = True
    name = "database_now_plus"


def database_now() -> ColumnElement[datetime]:
    """The time of the database at the start of the statement."""
    return _Now()


def database_now_plus(seconds: float) -> ColumnElement[datetime]:
    """That time plus some seconds; negative seconds give the past."""
    return _NowPlus(literal(float(seconds)))


@compiles(_Now, "sqlite")
def _now_on_sqlite(_element: _Now, _compiler: SQLCompiler, **_options: Any) -> str:
    # %f gives milliseconds; the zeros make the text as long as those that SQLAlchemy writes.
    return "(strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')"


@compiles(_NowPlus, "sqlite")
def _now_plus_on_sqlite(element: _NowPlus, compiler: SQLCompiler, **options: Any) -> str:
    seconds = compiler.process(element.clauses, **options)
    return f"(strftime('%Y-%m-%d %H:%M:%f', 'now', printf('%+.3f seconds', {seconds})) || '000')"


@compiles(_Now, "postgresql")
def _now_on_postgresql(_element: _Now, _compiler: SQLCompiler, **_options: Any) -> str:
    # now() would be the start of the transaction, which may have waited for a lock since.
    return "statement_timestamp()"


@compiles(_NowPlus, "postgresql")
def _now_plus_on_postgresql(element: _NowPlus, compiler: SQLCompiler, **options: Any) -> str:
    seconds = compiler.process(element.clauses, **options)
    return f"(statement_timestamp() + make_interval(secs => {seconds}))"
