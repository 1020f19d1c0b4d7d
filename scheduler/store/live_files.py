"""Which files of the artifact store are needed: those that a row points to, and those that a claim may be writing now.

A function on a connection inside a reading transaction.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, and_, or_, select

from scheduler.lifecycle import EvaluationState, ShardState
from scheduler.store.artifact_keys import influence_key, manifest_key, merged_key, pictures_key, shard_key
from scheduler.store.owners import OWNERS
from scheduler.store.tables import datasets, evaluations, imported_references, reference_sets, shards


def live_files(connection: Connection) -> frozenset[str]:
    """See `ReadStore.live_files`."""
    return frozenset(
        [
            *_of_shards(connection),
            *_of_references(connection),
            *_of_evaluations(connection),
            *(manifest_key(digest) for digest in connection.scalars(select(datasets.c.digest))),
            *connection.scalars(select(imported_references.c.file_key)),
        ]
    )


def _of_shards(connection: Connection) -> Iterator[str]:
    """Those of a finished evaluation are dropped when its scores are recorded: rows still name them, nobody reads them."""
    is_read = or_(shards.c.evaluation_id.is_(None), evaluations.c.state != EvaluationState.FINISHED)
    rows = connection.execute(
        select(shards)
        .outerjoin(evaluations, evaluations.c.id == shards.c.evaluation_id)
        .where(or_(and_(shards.c.file_key.is_not(None), is_read), shards.c.state == ShardState.RUNNING))
    )
    for row in rows:
        if row.file_key is not None:
            yield row.file_key
        if row.state == ShardState.RUNNING:
            for owner in OWNERS.values():
                owner_id = row._mapping[owner.of_shard]
                if owner_id is not None:
                    yield shard_key(owner.kind, owner_id, row.number, row.lease_token)


def _of_references(connection: Connection) -> Iterator[str]:
    for row in connection.execute(select(reference_sets)):
        if row.file_key is not None:
            yield row.file_key
        if row.state == EvaluationState.FINALISING:
            yield merged_key(row.id, row.lease_token)


def _of_evaluations(connection: Connection) -> Iterator[str]:
    for column in (evaluations.c.pictures_key, evaluations.c.influence_key):
        yield from connection.scalars(select(column).where(column.is_not(None)))
    under_way = select(evaluations.c.id, evaluations.c.lease_token).where(
        evaluations.c.state == EvaluationState.FINALISING
    )
    for row in connection.execute(under_way):
        yield pictures_key(row.id, row.lease_token)
        yield influence_key(row.id, row.lease_token)
