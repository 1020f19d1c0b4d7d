"""Attempts at shards that came to nothing: queued again, put off, left to other machines, or given up. Which of these follows
from whose fault it was (`scheduler.faults`). Functions on a connection inside a writing transaction.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, case, func, null, or_, select, update

from scheduler.faults import LONGEST_TROUBLE_SECONDS, TROUBLE_FORGOTTEN_SECONDS, Fault, pause_seconds
from scheduler.lifecycle import EvaluationEvent, ShardEvent
from scheduler.store.base import ShardClaim
from scheduler.store.clock import database_now, database_now_plus
from scheduler.store.journal import write_entries
from scheduler.store.owners import OWNERS, Owner, fail, shard_becomes, shard_can
from scheduler.store.refusals import refuse
from scheduler.store.shard_work import held_by
from scheduler.store.tables import shards


def fail_attempt(
    connection: Connection, claim: ShardClaim, reason: str, *, fault: Fault, max_attempts: int, lease_seconds: float
) -> bool:
    """What follows from an attempt that failed; see `WorkStore.fail_shard`."""
    owner = OWNERS[claim.owner]
    # The owner's row first, as whoever stops this owner does. A claim or a sweep takes a shard first: should two wait for
    # each other, PostgreSQL ends one of the transactions and `Database` runs it again.
    connection.execute(
        select(owner.table.c.id).where(owner.table.c.id == claim.owner_id).with_for_update(key_share=True)
    )
    is_too_long = and_(shards.c.troubled_since <= database_now_plus(-LONGEST_TROUBLE_SECONDS), _was_tried_lately())
    shard = connection.execute(
        select(shards, is_too_long.label("is_too_long")).where(held_by(claim)).with_for_update(key_share=True)
    ).one_or_none()
    if shard is None:
        return False
    if fault is Fault.INPUT or (fault is Fault.WORK and shard.attempts >= max_attempts):
        give_up(connection, owner, shard, reason)
    elif fault.is_trouble and shard.is_too_long:
        hours = f"{LONGEST_TROUBLE_SECONDS / 3600:g} hours"
        give_up(connection, owner, shard, reason, story=f"could not be computed for {hours}. {reason}")
    elif fault is Fault.MACHINE and (
        nobody := refuse(connection, owner, claim.owner_id, shard.lease_owner, reason, lease_seconds=lease_seconds)
    ):
        give_up(connection, owner, shard, reason, story=f"cannot be computed on any machine that works now. {nobody}")
    else:
        _queue(connection, owner, shard, reason, fault, lease_seconds)
    return True


def _queue(
    connection: Connection, owner: Owner, shard: Row[Any], reason: str, fault: Fault, lease_seconds: float
) -> None:
    failed_before = shard.attempts - 1 if fault is Fault.WORK else int(shard.troubled_since is not None)
    pause = pause_seconds(fault, failed_before=failed_before, lease_seconds=lease_seconds)
    event = ShardEvent.ATTEMPT_FAILED if fault is Fault.WORK else ShardEvent.PUT_OFF
    since: ColumnElement[Any] = null()
    if fault.is_put_off:  # what a machine cannot do says nothing of the trouble that others have with it
        since = case((_was_tried_lately(), shards.c.troubled_since))
    if fault.is_trouble:
        since = func.coalesce(since, database_now())
    connection.execute(
        update(shards)
        .where(shards.c.id == shard.id)
        .values(
            state=shard_becomes(event),  # lease_owner stays: see `shard_work.is_for`
            lease_expires_at=null(),
            attempts=shard.attempts if fault is Fault.WORK else shard.attempts - 1,
            not_before=database_now_plus(pause),
            troubled_since=since,
            images_done=0,
            error=reason,
        )
    )
    owner_id = shard._mapping[owner.of_shard]
    if fault is Fault.SURROUNDINGS:
        _pause_sisters(connection, owner, owner_id, pause)
    detail = {"attempt": shard.attempts, "reason": reason, "fault": fault, "pause_seconds": pause}
    write_entries(connection, [owner.shard_entry(event, owner_id, shard.id, worker=shard.lease_owner, detail=detail)])


def _pause_sisters(connection: Connection, owner: Owner, owner_id: int, pause: float) -> None:
    """What keeps one shard from its images or its checkpoint keeps all: tried one after the other, they would hold up whatever
    stands behind them."""
    until = database_now_plus(pause)
    connection.execute(
        update(shards)
        .where(
            owner.of_shard == owner_id,
            shard_can(ShardEvent.CLAIMED),
            or_(shards.c.not_before.is_(None), shards.c.not_before < until),
        )
        .values(not_before=until)
    )


def _was_tried_lately() -> ColumnElement[bool]:
    return shards.c.not_before > database_now_plus(-TROUBLE_FORGOTTEN_SECONDS)


def give_up(connection: Connection, owner: Owner, shard: Row[Any], reason: str, *, story: str | None = None) -> bool:
    """Fail a running shard for good, and its owner with it; False if it does not run any more.

    Args:
        connection: Inside a writing transaction.
        owner: What it is a part of.
        shard: The row.
        reason: Of the last attempt.
        story: How it came to an end, after «Shard 3 …»; by default after how many attempts.
    """
    failed = connection.execute(
        update(shards)
        .where(shards.c.id == shard.id, shard_can(ShardEvent.GAVE_UP))
        .values(state=shard_becomes(ShardEvent.GAVE_UP), lease_expires_at=null(), images_done=0, error=reason)
    )
    if failed.rowcount == 0:
        return False
    owner_id: int = shard._mapping[owner.of_shard]
    detail = {"attempt": shard.attempts, "reason": reason}
    entry = owner.shard_entry(ShardEvent.GAVE_UP, owner_id, shard.id, worker=shard.lease_owner, detail=detail)
    write_entries(connection, [entry])
    times = "1 attempt" if shard.attempts == 1 else f"{shard.attempts} attempts"
    story = story or f"failed after {times}. {reason}"
    story = f"Shard {shard.number} (images {shard.start} to {shard.stop - 1}) {story}"
    fail(connection, owner, [owner_id], EvaluationEvent.SHARD_FAILED, story)
    return True
