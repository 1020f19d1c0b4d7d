"""Fair shares between submissions: where in the order of claims the work of a new one begins.

Every evaluation has a turn, counted in forward passes, and of equal priority the lower turn is claimed first. The first
evaluation of a submission gets the turn that is being served now, each further one a turn later by the work before it:

    long sweep     0 ──── 1000 ──── 2000 ──── 3000 ──── …        ten hours
    served now                 ▲
    newcomer                 2000 ── 2200 ── 2400 ── …           begins at once, then alternates with the sweep

So two submissions get equal numbers of forward passes, whatever their sizes (start-time fair queueing, Goyal, Vin & Cheng,
1996, doi:10.1145/248156.248171, with evaluations as packets). Shards of one evaluation share a turn and stay together,
since a worker loads a checkpoint for them. A claim just walks an index; what is fair was decided when it was submitted.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

from sqlalchemy import ColumnElement, Connection, and_, or_, select

from scheduler.lifecycle import ShardState
from scheduler.store.clock import database_now
from scheduler.store.tables import shards


def next_turns(connection: Connection, priority: int, work: Iterable[int]) -> list[int]:
    """The turns of evaluations that are queued together.

    Args:
        connection: Inside a transaction.
        priority: Theirs; each priority has an order of its own.
        work: Forward passes of each, in their order.

    Returns:
        One turn for each.
    """
    return list(accumulate(work, initial=_served_now(connection, priority)))[:-1]


def _served_now(connection: Connection, priority: int) -> int:
    """The turn of the shard that would be claimed next; if none waits, the latest that is being computed or pauses."""
    is_due = or_(shards.c.not_before.is_(None), shards.c.not_before <= database_now())
    waiting = select(shards.c.turn).where(_in_state(ShardState.QUEUED, priority), is_due).order_by(shards.c.turn)
    first = connection.scalar(waiting.limit(1))
    if first is not None:
        return int(first)
    latest = [
        connection.scalar(
            select(shards.c.turn).where(_in_state(state, priority)).order_by(shards.c.turn.desc()).limit(1)
        )
        for state in (ShardState.QUEUED, ShardState.RUNNING)
    ]
    return max((int(turn) for turn in latest if turn is not None), default=0)


def _in_state(state: ShardState, priority: int) -> ColumnElement[bool]:
    return and_(shards.c.state == state, shards.c.priority == priority, shards.c.evaluation_id > 0)
