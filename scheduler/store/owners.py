"""What shards are parts of: evaluations and references, seen through one pair of glasses.

Both have the same life (`scheduler.lifecycle`) and the same lease columns, so claiming, finalising, failing and recovering
are written once for both. WHERE clauses come from the lifecycle's table: `owner.can(event)`, `shard_can(event)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Table, bindparam, null, select, update

from scheduler.lifecycle import (
    EvaluationEvent,
    EvaluationState,
    ShardEvent,
    ShardState,
    evaluation_after,
    evaluation_states_before,
    shard_after,
    shard_states_before,
)
from scheduler.store.base import OwnerKind
from scheduler.store.clock import database_now
from scheduler.store.journal import Entry, write_entries
from scheduler.store.tables import evaluations, reference_sets, shards


@dataclass(frozen=True)
class Owner:
    """A kind of owner.

    Attributes:
        kind: Its name.
        table: Where its rows are.
        of_shard: The column of `shards` that names it.
    """

    kind: OwnerKind
    table: Table
    of_shard: Column[Any]

    def can(self, event: EvaluationEvent) -> ColumnElement[bool]:
        """Rows to which the event can happen."""
        return self.table.c.state.in_(evaluation_states_before(event))

    def entry(self, event: str, owner_id: int, **more: Any) -> Entry:
        """A line for the journal."""
        return self._entry(f"{self.kind}.{event}", owner_id, **more)

    def shard_entry(self, event: str, owner_id: int, shard_id: int, **more: Any) -> Entry:
        """A line for the journal about a shard of it."""
        return self._entry(f"shard.{event}", owner_id, shard_id=shard_id, **more)

    def _entry(self, action: str, owner_id: int, **more: Any) -> Entry:
        if self.kind == "reference":
            return Entry(action, reference_id=owner_id, **more)
        return Entry(action, evaluation_id=owner_id, **more)


REFERENCE = Owner("reference", reference_sets, shards.c.reference_id)
EVALUATION = Owner("evaluation", evaluations, shards.c.evaluation_id)
OWNERS: dict[OwnerKind, Owner] = {owner.kind: owner for owner in (REFERENCE, EVALUATION)}
"""References first: evaluations wait for them."""


def becomes(event: EvaluationEvent) -> EvaluationState:
    """The state after the event; the lifecycle gives each event one."""
    (state,) = {evaluation_after(before, event) for before in evaluation_states_before(event)}
    return state


def shard_can(event: ShardEvent) -> ColumnElement[bool]:
    """Shards to which the event can happen."""
    return shards.c.state.in_(shard_states_before(event))


def shard_becomes(event: ShardEvent) -> ShardState:
    """The state after the event; the lifecycle gives each event one."""
    (state,) = {shard_after(before, event) for before in shard_states_before(event)}
    return state


def among(column: ColumnElement[int], ids: Sequence[int]) -> ColumnElement[bool]:
    """`column IN (ids)` with the numbers in the text: there may be more than a statement can have parameters."""
    return column.in_(bindparam(None, list(ids), expanding=True, literal_execute=True))


def part_of(
    owner: Owner, column: ColumnElement[int], evaluation_ids: Sequence[int] | None
) -> tuple[ColumnElement[bool], ...]:
    """WHERE clauses for owners that some evaluations consist of: themselves, or the references that they wait for.

    Args:
        owner: Kind of the rows.
        column: Holds the owner's id.
        evaluation_ids: Which evaluations; None for any, which is no clause.
    """
    if evaluation_ids is None:
        return ()
    if owner is EVALUATION:
        return (among(column, evaluation_ids),)
    return (column.in_(select(evaluations.c.reference_id).where(among(evaluations.c.id, evaluation_ids))),)


def stop(
    connection: Connection, owner: Owner, ids: Sequence[int], event: EvaluationEvent, reason: str | None = None
) -> Sequence[int]:
    """End owners that this can happen to, with their unfinished shards.

    Args:
        connection: Inside a writing transaction.
        owner: Kind of the ids.
        ids: Rows to end.
        event: SHARD_FAILED, FINALISE_FAILED or CANCELLED.
        reason: A sentence for `vaeval show`, if something went wrong.

    Returns:
        Those that were ended.
    """
    stopped = connection.scalars(
        update(owner.table)
        .where(among(owner.table.c.id, ids), owner.can(event))
        .values(state=becomes(event), error=reason, lease_expires_at=null(), finished_at=database_now())
        .returning(owner.table.c.id)
    ).all()
    connection.execute(
        update(shards)
        .where(among(owner.of_shard, stopped), shard_can(ShardEvent.OWNER_STOPPED))
        .values(state=shard_becomes(ShardEvent.OWNER_STOPPED), lease_expires_at=null(), images_done=0)
    )
    detail = {} if reason is None else {"reason": reason}
    write_entries(connection, [owner.entry(event, owner_id, detail=detail) for owner_id in stopped])
    return stopped


def fail(connection: Connection, owner: Owner, ids: Sequence[int], event: EvaluationEvent, reason: str) -> None:
    """Fail owners that this can happen to, and what waits for a reference that fails; see `stop`."""
    failed = stop(connection, owner, ids, event, reason)
    if owner is REFERENCE and failed:
        waiting = connection.scalars(
            select(evaluations.c.id)
            .where(among(evaluations.c.reference_id, failed), EVALUATION.can(EvaluationEvent.SHARD_FAILED))
            .order_by(evaluations.c.id)
        ).all()
        fail(connection, EVALUATION, waiting, EvaluationEvent.SHARD_FAILED, f"The reference failed: {reason}")
