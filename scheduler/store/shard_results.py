"""What a shard came to: its file is recorded under the claim's token, or nothing is. Functions on a connection inside a writing
transaction.

Statements stand here once and take parameters: to build one takes longer than to run it.
"""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, null, select, update

from scheduler.lifecycle import ShardEvent, ShardState
from scheduler.store.base import ShardClaim, StoredFile
from scheduler.store.clock import database_now
from scheduler.store.journal import write_entries
from scheduler.store.owners import OWNERS, shard_becomes
from scheduler.store.refusals import take_back
from scheduler.store.tables import shards, workers

_OF_CLAIM = (shards.c.id == bindparam("claimed"), shards.c.lease_token == bindparam("under"))

_RECORD = (
    update(shards)
    .where(*_OF_CLAIM, shards.c.state == ShardState.RUNNING)
    .values(
        state=shard_becomes(ShardEvent.COMPUTED),
        lease_expires_at=null(),
        images_done=shards.c.forward_passes,
        seconds=bindparam("took"),
        file_key=bindparam("key"),
        file_digest=bindparam("digest"),
        troubled_since=null(),
        error=null(),
        finished_at=database_now(),
    )
    .returning(shards.c.lease_owner, shards.c.forward_passes)
)

_COUNT = (
    update(workers)
    .where(workers.c.worker == bindparam("by"))
    .values(
        images_done=workers.c.images_done + bindparam("passes"), busy_seconds=workers.c.busy_seconds + bindparam("took")
    )
)

_RECORDED_BEFORE = select(shards.c.id).where(
    *_OF_CLAIM,
    shards.c.state == ShardState.FINISHED,
    shards.c.file_key == bindparam("key"),
    shards.c.file_digest == bindparam("digest"),
)


def finish(connection: Connection, claim: ShardClaim, file: StoredFile, seconds: float) -> bool:
    """Record the shard's file; see `WorkStore.finish_shard`."""
    result = {"claimed": claim.shard_id, "under": claim.token, "key": file.key, "digest": file.digest}
    finished = connection.execute(_RECORD, {**result, "took": seconds}).one_or_none()
    if finished is None:
        # This very claim may have finished the shard before: its first COMMIT succeeded and the answer was lost.
        return connection.execute(_RECORDED_BEFORE, result).one_or_none() is not None
    connection.execute(_COUNT, {"by": finished.lease_owner, "passes": finished.forward_passes, "took": seconds})
    detail = {"seconds": round(seconds, 3), "file": file.key}
    owner = OWNERS[claim.owner]
    entry = owner.shard_entry(
        ShardEvent.COMPUTED, claim.owner_id, claim.shard_id, worker=finished.lease_owner, detail=detail
    )
    write_entries(connection, [entry])
    take_back(connection, owner, claim.owner_id, finished.lease_owner)
    return True
