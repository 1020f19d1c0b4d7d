"""Attempts that came to nothing, read back from the journal: why an evaluation took longer, or failed.

A shard keeps the reason of its last failed attempt only; the journal keeps them all. Functions on a connection inside a
reading transaction.
"""

from __future__ import annotations

from sqlalchemy import Connection, or_, select

from scheduler.lifecycle import EvaluationEvent, ShardEvent
from scheduler.store.answers import FailedAttempt
from scheduler.store.owners import EVALUATION, OWNERS
from scheduler.store.tables import evaluations, events, shards

_SHARD_EVENTS = (
    ShardEvent.ATTEMPT_FAILED,
    ShardEvent.PUT_OFF,
    ShardEvent.LEASE_ENDED,
    ShardEvent.GAVE_UP,
    ShardEvent.FILE_LOST,
)
_FINALISE_EVENTS = (
    EvaluationEvent.FINALISE_ATTEMPT_FAILED,
    EvaluationEvent.FINALISE_PUT_OFF,
    EvaluationEvent.FINALISE_LEASE_ENDED,
    EvaluationEvent.FINALISE_FAILED,
)
_ACTIONS = (
    *(f"shard.{event}" for event in _SHARD_EVENTS),
    *(f"{owner.kind}.{event}" for owner in OWNERS.values() for event in _FINALISE_EVENTS),
)


def failed_attempts(connection: Connection, evaluation_id: int) -> tuple[FailedAttempt, ...]:
    """Those of the evaluation and of its reference, in the order in which they happened."""
    reference_id = select(evaluations.c.reference_id).where(evaluations.c.id == evaluation_id).scalar_subquery()
    rows = connection.execute(
        select(events, shards.c.number)
        .outerjoin(shards, shards.c.id == events.c.shard_id)
        .where(
            or_(events.c.evaluation_id == evaluation_id, events.c.reference_id == reference_id),
            events.c.action.in_(_ACTIONS),
        )
        .order_by(events.c.id)
    )
    return tuple(
        FailedAttempt(
            owner="reference" if row.evaluation_id is None else EVALUATION.kind,
            shard=row.number,
            attempt=row.detail.get("attempt"),
            worker=row.worker,
            at=row.at,
            reason=row.detail["reason"],
        )
        for row in rows
    )
