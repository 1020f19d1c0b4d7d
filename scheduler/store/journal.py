"""The events table: what happened, appended in the same transaction in which it happens. Nothing is decided by reading it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, func, insert, select

from scheduler.store.answers import JournalLine, JournalPage
from scheduler.store.clock import database_now
from scheduler.store.tables import events


@dataclass(frozen=True)
class Entry:
    """One line.

    Attributes:
        action: What happened to what, such as `shard.claimed`: a noun and an event of `scheduler.lifecycle`.
        evaluation_id: The evaluation it happened to, or to a part of.
        reference_id: The same for a reference.
        shard_id: The shard it happened to.
        worker: Who did it.
        detail: Whatever a person would want to know.
    """

    action: str
    evaluation_id: int | None = None
    reference_id: int | None = None
    shard_id: int | None = None
    worker: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


_APPEND = insert(events).values(at=database_now())
"""Made once: to build a statement takes longer than to run it."""


def storable(text: str) -> str:
    """The text without what a database refuses: NUL, and halves of characters from file names that are no UTF-8.

    Reasons hold whatever a library said. A reason that cannot be stored would keep a failure from being recorded.
    """
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")


def write_entries(connection: Connection, entries: Sequence[Entry]) -> None:
    """Append lines; all have the time of the statement."""
    if entries:
        connection.execute(_APPEND, [vars(entry) for entry in entries])


def read_entries(connection: Connection, after: int | None, names: Sequence[str]) -> JournalPage:
    """See `ReadStore.journal`. Walks the lines since `after`, whosever they are."""
    last = connection.scalar(select(func.max(events.c.id))) or 0
    if after is None:
        return JournalPage(last=last, lines=())
    rows = connection.execute(
        select(events.c.id, events.c.action, events.c.worker, events.c.detail)
        .where(events.c.id > after, events.c.worker.in_(names))
        .order_by(events.c.id)
    )
    lines = (JournalLine(number=row.id, action=row.action, worker=row.worker, detail=row.detail) for row in rows)
    return JournalPage(last=last, lines=tuple(lines))
