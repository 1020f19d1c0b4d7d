"""Which files of the artifact store are needed: those that a row points to, and those that a claim may be writing now.

A function on a connection inside a reading transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, and_, or_, select, true

from scheduler.lifecycle import EvaluationState, ShardState
from scheduler.store.artifact_keys import (
    FileOwner,
    influence_key,
    manifest_key,
    merged_key,
    pictures_key,
    shard_key,
)
from scheduler.store.owners import OWNERS
from scheduler.store.tables import datasets, evaluations, imported_references, reference_sets, shards


def live_files(connection: Connection, of: FileOwner | None = None) -> frozenset[str]:
    """See `ReadStore.live_files`."""
    keys: list[str] = []
    if of is None or of.folder in {"evaluations", "references"}:
        keys += _of_shards(connection, of)
    if of is None or of.folder == "references":
        keys += _of_references(connection, of)
    if of is None or of.folder == "evaluations":
        keys += _of_evaluations(connection, of)
    if of is None or of.folder == "datasets":
        digests = select(datasets.c.digest).where(_is(datasets.c.digest, of))
        keys += (manifest_key(digest) for digest in connection.scalars(digests))
    if of is None or of.folder == "imported":
        imported = select(imported_references.c.file_key).where(_is(imported_references.c.digest, of))
        keys += connection.scalars(imported)
    return frozenset(keys)


def _is(column: Column[Any], of: FileOwner | None) -> ColumnElement[bool]:
    """Rows of that owner, or all."""
    if of is None:
        return true()
    return column == (int(of.name) if of.folder in {"evaluations", "references"} else of.name)


def _of_shards(connection: Connection, of: FileOwner | None) -> Iterator[str]:
    """Those of a finished evaluation are dropped when its scores are recorded: rows still name them, nobody reads them."""
    is_read = or_(shards.c.evaluation_id.is_(None), evaluations.c.state != EvaluationState.FINISHED)
    column = shards.c.reference_id if of is not None and of.folder == "references" else shards.c.evaluation_id
    rows = connection.execute(
        select(shards)
        .outerjoin(evaluations, evaluations.c.id == shards.c.evaluation_id)
        .where(_is(column, of))
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


def _of_references(connection: Connection, of: FileOwner | None) -> Iterator[str]:
    for row in connection.execute(select(reference_sets).where(_is(reference_sets.c.id, of))):
        if row.file_key is not None:
            yield row.file_key
        if row.state == EvaluationState.FINALISING:
            yield merged_key(row.id, row.lease_token)


def _of_evaluations(connection: Connection, of: FileOwner | None) -> Iterator[str]:
    is_wanted = _is(evaluations.c.id, of)
    for column in (evaluations.c.pictures_key, evaluations.c.influence_key):
        yield from connection.scalars(select(column).where(is_wanted, column.is_not(None)))
    under_way = select(evaluations.c.id, evaluations.c.lease_token).where(
        is_wanted, evaluations.c.state == EvaluationState.FINALISING
    )
    for row in connection.execute(under_way):
        yield pictures_key(row.id, row.lease_token)
        yield influence_key(row.id, row.lease_token)
