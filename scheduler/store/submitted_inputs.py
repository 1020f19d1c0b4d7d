"""What a submission talks about: data sets, checkpoints and protocols, one row for each content.

Rows that are missing are inserted (ON CONFLICT DO NOTHING), then all are selected. So it does not matter who made a row,
this submission or another at the same moment. Keys are sorted: two submissions that meet lock rows in the same order.
Functions on a connection inside a writing transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import BindParameter, Column, Connection, Row, bindparam, select, update

from scheduler.store.base import CheckpointEntry, EvaluationRequest
from scheduler.store.clock import database_now
from scheduler.store.conflicts import insert_into
from scheduler.store.tables import checkpoints, datasets, protocols
from vaeval_core.checkpoints.base import is_noise_floor

LONGEST_LIST = 5_000
"""Values in one IN (…): a statement has room for some tens of thousands of parameters."""


def insert_missing(
    connection: Connection, key: Column[Any], rows: Sequence[Mapping[str, Any]], **values: Any
) -> set[Any]:
    """Insert the rows whose key is new. Where all are known, as in a sweep that is submitted again, nothing is written.

    Args:
        connection: Inside a writing transaction.
        key: Unique column of the table to insert into.
        rows: Values of each row.
        values: SQL expressions that all rows share.

    Returns:
        The keys that were new.
    """
    known = _known(connection, key, [row[key.name] for row in rows])
    unknown = sorted((row for row in rows if row[key.name] not in known), key=lambda row: str(row[key.name]))
    if not unknown:
        return set()
    statement = insert_into(connection, key.table).values(**values)
    # Somebody else may have made one since we looked.
    missing = statement.on_conflict_do_nothing(index_elements=[key]).returning(key)
    return set(connection.scalars(missing, unknown))


def _known(connection: Connection, key: Column[Any], values: Sequence[Any]) -> set[Any]:
    return {
        found
        for first in range(0, len(values), LONGEST_LIST)
        for found in connection.scalars(select(key).where(key.in_(values[first : first + LONGEST_LIST])))
    }


def select_by(connection: Connection, key: Column[Any], values: Iterable[Any], *, lock: bool = False) -> list[Row[Any]]:
    """The rows that have these keys, in the order of their keys; locked until the end of the transaction if asked."""
    found: list[Row[Any]] = []
    in_order = sorted(values)
    for first in range(0, len(in_order), LONGEST_LIST):
        statement = select(key.table).where(key.in_(in_order[first : first + LONGEST_LIST])).order_by(key)
        found += connection.execute(statement.with_for_update(key_share=True) if lock else statement)
    return found


def register_datasets(connection: Connection, requests: Iterable[EvaluationRequest]) -> dict[str, int]:
    """Digest → row id. Workers look for a data set where it was found last."""
    named = [entry for request in requests for entry in (request.noise_floor, request.dataset) if entry is not None]
    entries = {entry.digest: entry for entry in named}
    rows = [
        {"digest": digest, "uri": entry.uri, "name": entry.name, "num_images": entry.num_images}
        for digest, entry in entries.items()
    ]
    insert_missing(connection, datasets.c.digest, rows, created_at=database_now())
    found = select_by(connection, datasets.c.digest, entries, lock=True)
    moved = [{"known": row.id, "place": entries[row.digest].uri} for row in found if row.uri != entries[row.digest].uri]
    if moved:
        statement = update(datasets).where(datasets.c.id == bindparam("known")).values(uri=bindparam("place"))
        connection.execute(statement, moved)
    return {row.digest: row.id for row in found}


def register_checkpoints(connection: Connection, entries: Sequence[CheckpointEntry]) -> dict[str, tuple[int, str]]:
    """Digest → row id and name.

    Name and step stay as they were first given, for people know the checkpoint by them. Place and description are those of
    the latest submission, because an older place may be gone. Tags are merged; of one key the latest value counts.
    """
    first: dict[str, CheckpointEntry] = {}
    for entry in entries:
        first.setdefault(entry.digest, entry)
    rows = [
        {
            "digest": digest,
            "uri": entry.uri,
            "name": entry.name,
            "step": entry.step,
            "description": dict(entry.description),
            "tags": dict(entry.tags),
            "is_noise_floor": is_noise_floor(entry.description),
        }
        for digest, entry in first.items()
    ]
    insert_missing(connection, checkpoints.c.digest, rows, created_at=database_now())
    found = select_by(connection, checkpoints.c.digest, first, lock=True)
    tags = {row.digest: dict(row.tags) for row in found}
    latest: dict[str, CheckpointEntry] = {}
    for entry in entries:
        tags[entry.digest].update(entry.tags)
        latest[entry.digest] = entry
    changed = []
    for row in found:
        now = (latest[row.digest].uri, dict(latest[row.digest].description), tags[row.digest])
        if now != (row.uri, row.description, row.tags):
            changed.append({"known": row.id, "place": now[0], "described": now[1], "merged": now[2]})
    if changed:
        values: dict[str, BindParameter[Any]] = {
            "uri": bindparam("place"),
            "description": bindparam("described"),
            "tags": bindparam("merged"),
        }
        connection.execute(update(checkpoints).where(checkpoints.c.id == bindparam("known")).values(values), changed)
    return {row.digest: (row.id, row.name) for row in found}


def register_protocols(
    connection: Connection, requests: Mapping[str, EvaluationRequest], dataset_ids: Mapping[str, int]
) -> dict[str, int]:
    """Fingerprint → row id, from fingerprint → a request. A protocol keeps the name under which it came first."""
    rows = [
        {
            "fingerprint": fingerprint,
            "name": request.protocol_name,
            "spec": request.protocol.model_dump(mode="json"),
            "dataset_id": dataset_ids[request.dataset.digest],
            "extractor": request.protocol.extractor.name,
            "seed": request.protocol.seed,
            "num_samples": request.protocol.num_samples,
            "num_reconstructions": request.protocol.num_reconstructions,
        }
        for fingerprint, request in requests.items()
    ]
    insert_missing(connection, protocols.c.fingerprint, rows, created_at=database_now())
    return {row.fingerprint: row.id for row in select_by(connection, protocols.c.fingerprint, requests)}
