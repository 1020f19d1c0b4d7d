"""Finalisations that end without a result: they failed, their worker is gone, or a file that they need is lost.

Functions on a connection inside a writing transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, null, select, update

from scheduler.faults import LONGEST_TROUBLE_SECONDS, Fault, pause_seconds
from scheduler.lifecycle import EvaluationEvent, ShardEvent
from scheduler.store.base import FinaliseClaim, StoredFile
from scheduler.store.clock import database_now, database_now_plus
from scheduler.store.finalise_work import held_by
from scheduler.store.journal import write_entries
from scheduler.store.owners import OWNERS, REFERENCE, Owner, becomes, fail, shard_becomes, shard_can
from scheduler.store.refusals import refuse
from scheduler.store.tables import reference_sets, shards


def fail_claim(connection: Connection, claim: FinaliseClaim, reason: str) -> bool:
    """Fail the owner, and what waits for it; see `WorkStore.fail_finalise`."""
    owner = OWNERS[claim.owner]
    if not _lock(connection, claim):
        return False
    fail(connection, owner, [claim.owner_id], EvaluationEvent.FINALISE_FAILED, reason)
    return True


def release_claim(
    connection: Connection, claim: FinaliseClaim, reason: str, *, fault: Fault, max_attempts: int, lease_seconds: float
) -> bool:
    """Let somebody try again, or fail: by whose fault it was; see `WorkStore.release_finalise`."""
    owner = OWNERS[claim.owner]
    table = owner.table
    is_too_long = table.c.troubled_since <= database_now_plus(-LONGEST_TROUBLE_SECONDS)
    held = connection.execute(
        select(table.c.lease_owner, table.c.attempts, table.c.troubled_since, is_too_long.label("is_too_long"))
        .where(held_by(claim))
        .with_for_update(key_share=True)
    ).one_or_none()
    if held is None:
        return False
    if fault is Fault.INPUT:
        fail(connection, owner, [claim.owner_id], EvaluationEvent.FINALISE_FAILED, reason)
        return True
    if fault is Fault.WORK:
        event = EvaluationEvent.FINALISE_ATTEMPT_FAILED
        if give_back(connection, owner, claim.owner_id, event, reason, max_attempts=max_attempts):
            _pause(connection, claim, lease_seconds / 2)
        return True
    if fault.is_trouble and held.is_too_long:
        story = f"Merging its shards was not possible for {LONGEST_TROUBLE_SECONDS / 3600:g} hours. {reason}"
        fail(connection, owner, [claim.owner_id], EvaluationEvent.FINALISE_FAILED, story)
        return True
    if fault is Fault.MACHINE:
        told = refuse(connection, owner, claim.owner_id, held.lease_owner, reason, lease_seconds=lease_seconds)
        if told is not None:
            story = f"Merging its shards is not possible on any machine that works now. {told}"
            fail(connection, owner, [claim.owner_id], EvaluationEvent.FINALISE_FAILED, story)
            return True
    event = EvaluationEvent.FINALISE_PUT_OFF
    since = func.coalesce(table.c.troubled_since, database_now()) if fault.is_trouble else table.c.troubled_since
    connection.execute(
        update(table)
        .where(held_by(claim))
        .values(
            state=becomes(event),
            attempts=table.c.attempts - 1,
            error=reason,
            troubled_since=since,
        )
    )
    pause = pause_seconds(fault, failed_before=int(held.troubled_since is not None), lease_seconds=lease_seconds)
    _pause(connection, claim, pause)
    detail = {"attempt": held.attempts, "reason": reason, "fault": fault, "pause_seconds": pause}
    write_entries(connection, [owner.entry(event, claim.owner_id, worker=held.lease_owner, detail=detail)])
    return True


def _pause(connection: Connection, claim: FinaliseClaim, seconds: float) -> None:
    """Nobody holds the row any more: its lease stands for the pause."""
    table = OWNERS[claim.owner].table
    until = database_now_plus(seconds)
    connection.execute(update(table).where(table.c.id == claim.owner_id).values(lease_expires_at=until))


def hand_back(connection: Connection, claim: FinaliseClaim) -> bool:
    """Free at once, and the attempt does not count; see `WorkStore.hand_finalise_back`."""
    owner, event = OWNERS[claim.owner], EvaluationEvent.FINALISE_RELEASED
    handed = connection.execute(
        update(owner.table)
        .where(held_by(claim))
        .values(state=becomes(event), lease_owner=null(), lease_expires_at=null(), attempts=owner.table.c.attempts - 1)
    )
    if handed.rowcount == 0:
        return False
    write_entries(connection, [owner.entry(event, claim.owner_id)])
    return True


def recompute(
    connection: Connection, claim: FinaliseClaim, file: StoredFile, reason: str, *, max_attempts: int
) -> bool:
    """Queue again what made a lost file; see `WorkStore.recompute_shard`."""
    owner = OWNERS[claim.owner]
    if not _lock(connection, claim):
        return False
    if file == claim.reference:
        _queue_reference(connection, file, reason)
    made_it = and_(owner.of_shard == claim.owner_id, shards.c.file_key == file.key)
    lost = _queue_shards(connection, made_it, reason)
    if not lost:
        # No shard of its own limits how often this happens, so the attempts of the finalisation do.
        give_back(connection, owner, claim.owner_id, EvaluationEvent.SHARD_FILE_LOST, reason, max_attempts=max_attempts)
        return True
    for shard in lost:
        entry = owner.shard_entry(ShardEvent.FILE_LOST, claim.owner_id, shard.id, detail={"reason": reason})
        write_entries(connection, [entry])
        if shard.attempts >= max_attempts:
            story = f"Shard {shard.number} was computed {shard.attempts} times and its file was lost. {reason}"
            fail(connection, owner, [claim.owner_id], EvaluationEvent.FINALISE_FAILED, story)
            return True
    # The shard's own attempts end this, should files be lost for ever: many lost files are no reason to give up.
    connection.execute(
        update(owner.table)
        .where(held_by(claim))
        .values(
            state=becomes(EvaluationEvent.SHARD_FILE_LOST),
            lease_owner=null(),
            lease_expires_at=null(),
            attempts=owner.table.c.attempts - 1,
            troubled_since=null(),
        )
    )
    entry = owner.entry(EvaluationEvent.SHARD_FILE_LOST, claim.owner_id, detail={"reason": reason, "file": file.key})
    write_entries(connection, [entry])
    return True


def give_back(
    connection: Connection, owner: Owner, owner_id: int, event: EvaluationEvent, reason: str, *, max_attempts: int
) -> bool:
    """End a finalisation without a result: it may be claimed again, or fails if its attempts are used up.

    Returns:
        True if it may be claimed again.
    """
    returned = connection.execute(
        update(owner.table)
        .where(owner.table.c.id == owner_id, owner.can(event), owner.table.c.attempts < max_attempts)
        # It may be claimed at once, but lease_owner stays, and with this the time since when: see `finalise_work.is_for`.
        .values(state=becomes(event), lease_expires_at=database_now(), error=reason)
        .returning(owner.table.c.attempts, owner.table.c.lease_owner)
    ).one_or_none()
    if returned is not None:
        detail = {"attempt": returned.attempts, "reason": reason}
        write_entries(connection, [owner.entry(event, owner_id, worker=returned.lease_owner, detail=detail)])
        return True
    story = f"Merging its shards failed after {max_attempts} attempts. {reason}"
    fail(connection, owner, [owner_id], EvaluationEvent.FINALISE_FAILED, story)
    return False


def _queue_reference(connection: Connection, file: StoredFile, reason: str) -> None:
    """The merged file of a reference is gone: merge it again from its shard files, which are kept.

    Should one of those be lost too, the merge will notice and queue that shard.
    """
    queued = connection.execute(
        update(reference_sets)
        .where(reference_sets.c.file_key == file.key, REFERENCE.can(EvaluationEvent.REFERENCE_FILE_LOST))
        .values(
            state=becomes(EvaluationEvent.REFERENCE_FILE_LOST),
            attempts=0,
            error=reason,
            file_key=null(),
            file_digest=null(),
            finished_at=null(),
        )
        .returning(reference_sets.c.id)
    ).one_or_none()
    if queued is None:
        return  # another evaluation that missed the file was here first
    # What it once took to compute them is no reason to give up if one of their files is lost now.
    connection.execute(
        update(shards).where(shards.c.reference_id == queued.id, shard_can(ShardEvent.FILE_LOST)).values(attempts=0)
    )
    entry = REFERENCE.entry(EvaluationEvent.REFERENCE_FILE_LOST, queued.id, detail={"reason": reason})
    write_entries(connection, [entry])


def _queue_shards(connection: Connection, which: ColumnElement[bool], reason: str) -> Sequence[Row[Any]]:
    return connection.execute(
        update(shards)
        .where(which, shard_can(ShardEvent.FILE_LOST))
        .values(
            state=shard_becomes(ShardEvent.FILE_LOST),
            lease_owner=null(),
            not_before=null(),
            images_done=0,
            file_key=null(),
            file_digest=null(),
            finished_at=null(),
            error=reason,
        )
        .returning(shards.c.id, shards.c.number, shards.c.attempts)
    ).all()


def _lock(connection: Connection, claim: FinaliseClaim) -> bool:
    """Hold the owner's row until the end of the transaction; False if the claim is lost."""
    table = OWNERS[claim.owner].table
    held = connection.execute(select(table.c.id).where(held_by(claim)).with_for_update(key_share=True))
    return held.one_or_none() is not None
