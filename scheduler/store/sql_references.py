"""The port of references on SQL."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, select, update

from scheduler.lifecycle import EvaluationState
from scheduler.store.base import StoredFile
from scheduler.store.clock import database_now
from scheduler.store.conflicts import insert_into
from scheduler.store.database import Database
from scheduler.store.references import ImportedReferenceEntry, ImportedReferenceRecord, ReferenceRecord, require_same
from scheduler.store.tables import datasets, imported_references, protocols, reference_sets
from vaeval_core.errors import NotFound
from vaeval_core.protocol import ExtractorSpec, Protocol


class SqlReferenceStore:
    """`ReferenceStore` on a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, entry: ImportedReferenceEntry) -> bool:
        """See `ReferenceStore.add`."""
        return self._database.write(lambda connection: _add(connection, entry))

    def imported(self, name: str) -> ImportedReferenceRecord:
        """See `ReferenceStore.imported`."""
        return self._database.read(lambda connection: _imported(connection, name))

    def all_imported(self) -> tuple[ImportedReferenceRecord, ...]:
        """See `ReferenceStore.all_imported`."""
        statement = select(imported_references).order_by(imported_references.c.name)
        return self._database.read(lambda connection: tuple(_record(row) for row in connection.execute(statement)))

    def computed(self) -> tuple[ReferenceRecord, ...]:
        """See `ReferenceStore.computed`."""
        return self._database.read(_computed)


def _add(connection: Connection, entry: ImportedReferenceEntry) -> bool:
    statement = (
        insert_into(connection, imported_references)
        .values(
            name=entry.name,
            digest=entry.digest,
            extractor=entry.extractor.model_dump(mode="json"),
            num_images=entry.num_images,
            has_spatial=entry.has_spatial,
            source=entry.source,
            file_key=entry.file.key,
            file_digest=entry.file.digest,
            created_at=database_now(),
        )
        .on_conflict_do_nothing(index_elements=[imported_references.c.name])
        .returning(imported_references.c.id)
    )
    is_new = connection.execute(statement).one_or_none() is not None
    if not is_new:
        require_same(_imported(connection, entry.name), entry.digest, entry.extractor)
    # The file was written anew, and another processor may have given its factor other last digits: whoever names these
    # numbers reads what is there now.
    connection.execute(
        update(imported_references)
        .where(imported_references.c.digest == entry.digest)
        .values(file_key=entry.file.key, file_digest=entry.file.digest)
    )
    return is_new


def _imported(connection: Connection, name: str) -> ImportedReferenceRecord:
    row = connection.execute(select(imported_references).where(imported_references.c.name == name)).one_or_none()
    if row is None:
        known = connection.scalars(select(imported_references.c.name).order_by(imported_references.c.name)).all()
        raise NotFound(
            "No imported reference has this name.",
            received=name,
            expected=f"one of {', '.join(known)}" if known else "a reference that was imported; there is none yet",
            next_step="vaeval reference list" if known else "vaeval reference import STATISTICS.npz --name NAME",
        )
    return _record(row)


def _computed(connection: Connection) -> tuple[ReferenceRecord, ...]:
    statement = (
        select(reference_sets, protocols.c.spec, datasets.c.name.label("dataset_name"))
        .join(protocols, protocols.c.id == reference_sets.c.protocol_id)
        .join(datasets, datasets.c.id == protocols.c.dataset_id)
        .where(reference_sets.c.state == EvaluationState.FINISHED)
        .order_by(reference_sets.c.id)
    )
    found = [(row, Protocol.model_validate(row.spec)) for row in connection.execute(statement)]
    return tuple(
        ReferenceRecord(
            reference_id=row.id,
            dataset_name=row.dataset_name,
            protocol=protocol,
            file=StoredFile(key=row.file_key, digest=row.file_digest),
            finished_at=row.finished_at,
        )
        for row, protocol in found
        if protocol.imported_reference is None
    )


def file_of_imported(connection: Connection, digest: str) -> StoredFile | None:
    """Where statistics with this digest are kept, under whichever name they came; None if nobody imported any.

    On a connection inside a transaction: who finalises a reference asks.
    """
    statement = select(imported_references).where(imported_references.c.digest == digest)
    row = connection.execute(statement.order_by(imported_references.c.id.desc()).limit(1)).one_or_none()
    return None if row is None else StoredFile(key=row.file_key, digest=row.file_digest)


def _record(row: Row[Any]) -> ImportedReferenceRecord:
    return ImportedReferenceRecord(
        name=row.name,
        digest=row.digest,
        extractor=ExtractorSpec.model_validate(row.extractor),
        num_images=row.num_images,
        has_spatial=row.has_spatial,
        source=row.source,
        file=StoredFile(key=row.file_key, digest=row.file_digest),
        created_at=row.created_at,
    )
