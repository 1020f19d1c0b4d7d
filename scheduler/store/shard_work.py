"""Claims of shards: taken, renewed and lost. Functions on a connection inside a writing transaction.

A claim is a row that is `running` with a certain token. Every statement after the claim names both, so it changes nothing
once the shard was taken away: that is the fence.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Executable,
    Row,
    ScalarSelect,
    Select,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    update,
)

from scheduler.lifecycle import EvaluationEvent, EvaluationState, ShardEvent, ShardState
from scheduler.store.base import CheckpointLocation, ShardClaim
from scheduler.store.clock import database_now, database_now_plus
from scheduler.store.database import RunAgain
from scheduler.store.journal import write_entries
from scheduler.store.owners import EVALUATION, OWNERS, REFERENCE, Owner, becomes, part_of, shard_becomes, shard_can
from scheduler.store.refusals import LEFT_TO_OTHERS_SECONDS, host_of, is_living, may_try
from scheduler.store.tables import checkpoints, datasets, protocols, shards, workers
from vaeval_core.protocol import Protocol
from vaeval_core.types import IndexRange


def is_claimable(owner: Owner) -> ColumnElement[bool]:
    """Shards, joined with their owner, that may be claimed now."""
    return and_(
        shard_can(ShardEvent.CLAIMED),
        owner.of_shard > 0,  # true for every shard of this kind; it tells SQLite which index to walk
        or_(shards.c.not_before.is_(None), shards.c.not_before <= database_now()),
        owner.can(EvaluationEvent.SHARD_CLAIMED),
    )


def is_for(owner: Owner, worker: str, lease_seconds: float) -> ColumnElement[bool]:
    """Shards that this machine did not just fail at or lose, or that nobody else is there to try.

    A worker whose machine lacks a folder, or whose device is broken, fails a shard in no time and is free again first, and so
    are its other slots: alone they would use up all attempts. `lease_owner` of a queued shard is who failed at it or lost it
    last.
    """
    own_host = host_of(literal(worker))
    living = is_living(lease_seconds)
    is_other_worker_there = exists().where(workers.c.worker != worker, living)
    is_other_host_there = exists().where(workers.c.host != own_host, living)
    return and_(
        or_(
            shards.c.lease_owner.is_(None),
            shards.c.not_before <= database_now_plus(-LEFT_TO_OTHERS_SECONDS),
            host_of(shards.c.lease_owner) != own_host,
            and_(~is_other_host_there, or_(shards.c.lease_owner != worker, ~is_other_worker_there)),
        ),
        may_try(owner, owner.of_shard, own_host, lease_seconds),
    )


def claim(
    connection: Connection, worker: str, lease_seconds: float, evaluation_ids: Sequence[int] | None = None
) -> ShardClaim | None:
    """Take the best shard: by priority, of references before evaluations, then by turn, age of the owner, and number.

    With `evaluation_ids` only shards of these evaluations and of the references that they wait for.
    """
    only = None if evaluation_ids is None else tuple(evaluation_ids)
    taken = connection.execute(take_best(worker, lease_seconds, only)).one_or_none()
    if taken is None:
        return None
    owner = next(owner for owner in OWNERS.values() if taken._mapping[owner.of_shard] is not None)
    return _claim_of(connection, owner, taken, worker)


@lru_cache(maxsize=64)
def take_best(worker: str, lease_seconds: float, evaluation_ids: tuple[int, ...] | None = None) -> Executable:
    """The statement of a claim: takes the best shard of the references, unless one of an evaluation is more urgent.

    Kept, because to build it takes longer than to run it.
    """
    asker = (worker, lease_seconds, evaluation_ids)
    urgency = _for_grabs(EVALUATION, *asker).with_only_columns(shards.c.priority).order_by(shards.c.priority.desc())
    most_urgent = urgency.limit(1).scalar_subquery()
    best = func.coalesce(
        # Evaluations wait for references, so of equals a reference goes first.
        best_of(REFERENCE, *asker, at_least=func.coalesce(most_urgent, shards.c.priority)),
        best_of(EVALUATION, *asker),
        best_of(REFERENCE, *asker),  # on PostgreSQL, where others are just taking the last shards of the urgent ones
    )
    return (
        update(shards)
        .where(shards.c.id == best, shard_can(ShardEvent.CLAIMED))
        .values(
            state=shard_becomes(ShardEvent.CLAIMED),
            lease_owner=worker,
            lease_token=shards.c.lease_token + 1,
            lease_expires_at=database_now_plus(lease_seconds),
            attempts=shards.c.attempts + 1,
            images_done=0,
        )
        .returning(*shards.c)
    )


def best_of(
    owner: Owner,
    worker: str,
    lease_seconds: float,
    evaluation_ids: tuple[int, ...] | None = None,
    *,
    at_least: ColumnElement[int] | None = None,
) -> ScalarSelect[int]:
    """The best claimable shard of this kind of owner, locked; shards of evaluations are walked to along an index.

    Args:
        owner: Kind of the owner.
        worker: Who asks.
        lease_seconds: As in the settings; tells who is alive.
        evaluation_ids: Only shards of these, and of the references that they wait for.
        at_least: Only shards of this priority and above.
    """
    urgent = () if at_least is None else (shards.c.priority >= at_least,)
    return (
        _for_grabs(owner, worker, lease_seconds, evaluation_ids)
        .where(*urgent)
        .order_by(shards.c.priority.desc(), shards.c.turn, owner.of_shard, shards.c.number)
        .limit(1)
        # PostgreSQL: pass over what another worker is taking at this moment. SQLite has one writer at a time.
        .with_for_update(key_share=True, skip_locked=True, of=shards)
        .scalar_subquery()
    )


def _for_grabs(
    owner: Owner, worker: str, lease_seconds: float, evaluation_ids: tuple[int, ...] | None
) -> Select[tuple[int]]:
    """Shards of this kind of owner that this worker may claim."""
    return (
        select(shards.c.id)
        .join(owner.table, owner.table.c.id == owner.of_shard)
        .where(
            is_claimable(owner),
            # Who works on some evaluations alone may be the only one who ever looks at them, whoever else is alive: only what
            # this machine cannot do is left to others. Not so of references: others wait for them, too, and fail with them.
            is_for(owner, worker, lease_seconds)
            if evaluation_ids is None or owner is not EVALUATION
            else may_try(owner, owner.of_shard, host_of(literal(worker)), lease_seconds),
            *part_of(owner, owner.of_shard, evaluation_ids),
        )
    )


def _claim_of(connection: Connection, owner: Owner, shard: Row[Any], worker: str) -> ShardClaim:
    owner_id: int = shard._mapping[owner.of_shard]
    state, spec, dataset_uri, dataset_digest, *checkpoint = connection.execute(
        _facts_of(owner), {"owner": owner_id}
    ).one()
    if state == EvaluationState.QUEUED:
        connection.execute(
            update(owner.table)
            .where(owner.table.c.id == owner_id, owner.can(EvaluationEvent.SHARD_CLAIMED))
            .values(state=becomes(EvaluationEvent.SHARD_CLAIMED), started_at=database_now())
        )
    elif state != EvaluationState.RUNNING:
        raise RunAgain  # the owner was stopped between our two statements
    detail = {"attempt": shard.attempts, "number": shard.number}
    write_entries(connection, [owner.shard_entry(ShardEvent.CLAIMED, owner_id, shard.id, worker=worker, detail=detail)])
    return ShardClaim(
        shard_id=shard.id,
        owner=owner.kind,
        owner_id=owner_id,
        number=shard.number,
        index_range=IndexRange(shard.start, shard.stop),
        token=shard.lease_token,
        attempt=shard.attempts,
        protocol=Protocol.model_validate(spec),
        checkpoint=CheckpointLocation(uri=checkpoint[0], digest=checkpoint[1], description=checkpoint[2])
        if checkpoint
        else None,
        dataset_uri=dataset_uri,
        dataset_digest=dataset_digest,
    )


@lru_cache(maxsize=2)
def _facts_of(owner: Owner) -> Executable:
    """State, protocol, images and, of an evaluation, checkpoint."""
    columns = [owner.table.c.state, protocols.c.spec, datasets.c.uri, datasets.c.digest]
    source = owner.table.join(protocols, protocols.c.id == owner.table.c.protocol_id).join(datasets)
    if owner is EVALUATION:
        columns += [checkpoints.c.uri, checkpoints.c.digest, checkpoints.c.description]
        source = source.join(checkpoints, checkpoints.c.id == owner.table.c.checkpoint_id)
    return select(*columns).select_from(source).where(owner.table.c.id == bindparam("owner"))


def renew(connection: Connection, claim: ShardClaim, images_done: int, lease_seconds: float) -> bool:
    """Extend the lease; see `WorkStore.renew_shard`."""
    done = literal(images_done)
    renewed = connection.execute(
        update(shards)
        .where(held_by(claim))
        .values(
            lease_expires_at=database_now_plus(lease_seconds),
            images_done=case((done > shards.c.forward_passes, shards.c.forward_passes), else_=done),
        )
    )
    return renewed.rowcount == 1


def release(connection: Connection, claim: ShardClaim) -> bool:
    """Give the shard back; see `WorkStore.release_shard`."""
    released = connection.execute(
        update(shards)
        .where(held_by(claim))
        .values(
            state=shard_becomes(ShardEvent.RELEASED),
            lease_owner=null(),
            lease_expires_at=null(),
            attempts=shards.c.attempts - 1,
            images_done=0,
        )
    )
    if released.rowcount == 0:
        return False
    _write_entry(connection, claim, ShardEvent.RELEASED, None)
    return True


def held_by(claim: ShardClaim) -> ColumnElement[bool]:
    """The shard's row, as long as nobody else was given it."""
    return and_(
        shards.c.id == claim.shard_id, shards.c.lease_token == claim.token, shards.c.state == ShardState.RUNNING
    )


def _write_entry(
    connection: Connection, claim: ShardClaim, event: ShardEvent, worker: str | None, **detail: object
) -> None:
    owner = OWNERS[claim.owner]
    entry = owner.shard_entry(event, claim.owner_id, claim.shard_id, worker=worker, detail=detail)
    write_entries(connection, [entry])
