"""The port of those who watch over the work, on SQL.

Everything here may run at any time in any number of processes: each row is taken under a lock and moved by the lifecycle's
table. The maintenance lease only saves the trouble of sweeping twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, func, null, or_, select, update

from scheduler.lifecycle import EvaluationEvent, EvaluationState, ShardEvent
from scheduler.settings import MAX_ATTEMPTS
from scheduler.store import schema
from scheduler.store.answers import LostWork, OldHistory
from scheduler.store.base import SweepReport
from scheduler.store.clock import database_now, database_now_plus
from scheduler.store.conflicts import insert_into
from scheduler.store.database import Database
from scheduler.store.finalise_failures import give_back
from scheduler.store.finalise_work import is_ready
from scheduler.store.history import forget_lines, forget_workers
from scheduler.store.journal import write_entries
from scheduler.store.owners import EVALUATION, OWNERS, Owner, fail, shard_becomes, shard_can
from scheduler.store.shard_failures import give_up
from scheduler.store.shard_work import is_claimable
from scheduler.store.tables import evaluations, leases, reference_sets, shards

MAINTENANCE = "maintenance"


class SqlRecoveryStore:
    """`RecoveryStore` on a database.

    Args:
        database: Where.
        max_attempts: Claims of one shard, or of one finalisation, before it fails.
    """

    def __init__(self, database: Database, *, max_attempts: int = MAX_ATTEMPTS) -> None:
        self._database = database
        self._max_attempts = max_attempts
        self._revision = schema.head_revision()

    def hold_maintenance(self, owner: str, seconds: float) -> bool:
        """See `RecoveryStore.hold_maintenance`."""

        def work(connection: Connection) -> bool:
            entry = insert_into(connection, leases).values(
                name=MAINTENANCE, owner=owner, expires_at=database_now_plus(seconds)
            )
            held = connection.execute(
                entry.on_conflict_do_update(
                    index_elements=["name"],
                    set_={"owner": entry.excluded.owner, "expires_at": entry.excluded.expires_at},
                    where=or_(leases.c.owner == owner, leases.c.expires_at <= database_now()),
                ).returning(leases.c.name)
            )
            is_held = held.one_or_none() is not None
            schema.require_unchanged(connection, self._revision)
            return is_held

        return self._database.write(work)

    def sweep(self) -> SweepReport:
        """See `RecoveryStore.sweep`."""
        return self._database.write(self._sweep)

    def forget_history(self, days: float) -> OldHistory:
        """See `RecoveryStore.forget_history`. Many short transactions: workers go on meanwhile."""
        lines = 0
        while some := self._database.write(lambda connection: forget_lines(connection, days)):
            lines += some
        return OldHistory(
            lines=lines, workers=self._database.write(lambda connection: forget_workers(connection, days))
        )

    def claimable(self) -> int:
        """See `RecoveryStore.claimable`."""

        def work(connection: Connection) -> int:
            total = 0
            for owner in OWNERS.values():
                queued = select(func.count()).select_from(shards.join(owner.table, owner.table.c.id == owner.of_shard))
                total += connection.execute(queued.where(is_claimable(owner))).scalar_one()
                ready = select(func.count()).select_from(owner.table)
                total += connection.execute(ready.where(is_ready(owner, self._max_attempts))).scalar_one()
            return total

        return self._database.read(work)

    def _sweep(self, connection: Connection) -> SweepReport:
        lost = []
        for owner in OWNERS.values():
            for shard in _with_ended_lease(connection, owner):
                reason = f"Its worker, {shard.lease_owner}, stopped answering."
                is_last = shard.attempts >= self._max_attempts
                end = give_up if is_last else _queue_again
                if end(connection, owner, shard, reason):
                    lost.append(_lost(owner, shard._mapping[owner.of_shard], shard, shard.number, is_failed=is_last))
            for row in _with_ended_finalise(connection, owner):
                reason = f"The worker that merged them, {row.lease_owner}, stopped answering."
                event = EvaluationEvent.FINALISE_LEASE_ENDED
                is_again = give_back(connection, owner, row.id, event, reason, max_attempts=self._max_attempts)
                lost.append(_lost(owner, row.id, row, None, is_failed=not is_again))
        _fail_what_waits_in_vain(connection)
        return SweepReport(
            shards_requeued=sum(each.shard is not None and not each.is_failed for each in lost),
            shards_failed=sum(each.shard is not None and each.is_failed for each in lost),
            finalises_released=sum(each.shard is None and not each.is_failed for each in lost),
            lost=tuple(lost),
        )


def _lost(owner: Owner, owner_id: int, row: Row[Any], shard: int | None, *, is_failed: bool) -> LostWork:
    return LostWork(
        owner=owner.kind,
        owner_id=owner_id,
        shard=shard,
        worker=row.lease_owner,
        attempt=row.attempts,
        is_failed=is_failed,
    )


def _with_ended_lease(connection: Connection, owner: Owner) -> Sequence[Row[Any]]:
    return connection.execute(
        select(shards)
        .where(shard_can(ShardEvent.LEASE_ENDED), owner.of_shard > 0, shards.c.lease_expires_at <= database_now())
        .order_by(shards.c.id)
        # PostgreSQL: a row that is locked is being finished or renewed at this moment, so its worker lives.
        .with_for_update(key_share=True, skip_locked=True)
    ).all()


def _queue_again(connection: Connection, owner: Owner, shard: Row[Any], reason: str) -> bool:
    queued = connection.execute(
        update(shards)
        .where(shards.c.id == shard.id, shard_can(ShardEvent.LEASE_ENDED))
        .values(
            state=shard_becomes(ShardEvent.LEASE_ENDED),  # lease_owner stays: see `shard_work.is_for`
            lease_expires_at=null(),
            not_before=database_now(),
            troubled_since=null(),  # its worker was at it until it went
            images_done=0,
            error=reason,
        )
    )
    if queued.rowcount == 0:
        return False  # cancelled a moment ago, when this sweep failed its owner
    owner_id = shard._mapping[owner.of_shard]
    detail = {"attempt": shard.attempts, "reason": reason}
    entry = owner.shard_entry(ShardEvent.LEASE_ENDED, owner_id, shard.id, worker=shard.lease_owner, detail=detail)
    write_entries(connection, [entry])
    return True


def _with_ended_finalise(connection: Connection, owner: Owner) -> Sequence[Row[Any]]:
    statement: Select[Any] = (
        select(owner.table.c.id, owner.table.c.lease_owner, owner.table.c.attempts)
        .where(owner.can(EvaluationEvent.FINALISE_LEASE_ENDED), owner.table.c.lease_expires_at <= database_now())
        .order_by(owner.table.c.id)
        .with_for_update(key_share=True, skip_locked=True)
    )
    return connection.execute(statement).all()


def _fail_what_waits_in_vain(connection: Connection) -> None:
    """Evaluations that came back from finalising, after the reference that they need had failed."""
    waiting = connection.execute(
        select(evaluations.c.id, reference_sets.c.error)
        .join(reference_sets)
        .where(EVALUATION.can(EvaluationEvent.SHARD_FAILED), reference_sets.c.state == EvaluationState.FAILED)
        .order_by(evaluations.c.id)
    ).all()
    for evaluation_id, error in waiting:
        reason = f"The reference failed: {error}"
        fail(connection, EVALUATION, [evaluation_id], EvaluationEvent.SHARD_FAILED, reason)
