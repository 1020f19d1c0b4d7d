"""What happened long ago: lines of the journal about work that is over, and workers that are gone. Nothing is decided by
either, but they grow with every claim; `vaeval gc` takes them out.

Scores, evaluations and shards stay for ever, and so does the reason why an evaluation failed: what goes is the story of each
attempt. Functions on a connection inside a transaction.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, and_, delete, func, or_, select

from scheduler.lifecycle import EvaluationState
from scheduler.store.answers import OldHistory
from scheduler.store.clock import database_now_plus
from scheduler.store.owners import OWNERS
from scheduler.store.tables import events, workers

LINES_AT_ONCE = 10_000
"""Lines that one transaction removes: nobody waits for it for long."""

_SECONDS_PER_DAY = 86_400.0


def old_history(connection: Connection, days: float) -> OldHistory:
    """How much there is that is older."""
    lines = select(func.count()).select_from(events).where(_is_old_line(connection, days))
    gone = select(func.count()).select_from(workers).where(_is_gone(days))
    return OldHistory(lines=connection.scalar(lines) or 0, workers=connection.scalar(gone) or 0)


def forget_lines(connection: Connection, days: float) -> int:
    """Remove some of the lines that are older; 0 if there are none left."""
    some: Sequence[int] = connection.scalars(
        select(events.c.id).where(_is_old_line(connection, days)).order_by(events.c.id).limit(LINES_AT_ONCE)
    ).all()
    if not some:
        return 0
    # By a range of numbers, since a statement takes only so many of them; within it, only what is old.
    within = events.c.id.between(some[0], some[-1])
    return connection.execute(delete(events).where(within, _is_old_line(connection, days))).rowcount


def forget_workers(connection: Connection, days: float) -> int:
    """Remove the workers that have said nothing for longer."""
    return connection.execute(delete(workers).where(_is_gone(days))).rowcount


def _is_old_line(connection: Connection, days: float) -> ColumnElement[bool]:
    over = []
    for owner in OWNERS.values():
        column = events.c[owner.of_shard.name]
        ended = select(owner.table.c.id).where(
            owner.table.c.state.in_([state for state in EvaluationState if state.is_terminal])
        )
        over.append(or_(column.is_(None), column.in_(ended)))
    # The last line stays: numbers go on from it, and whoever follows the journal goes by them.
    last = connection.scalar(select(func.max(events.c.id))) or 0
    return and_(events.c.at < database_now_plus(-days * _SECONDS_PER_DAY), events.c.id < last, *over)


def _is_gone(days: float) -> ColumnElement[bool]:
    return workers.c.heartbeat_at < database_now_plus(-days * _SECONDS_PER_DAY)
