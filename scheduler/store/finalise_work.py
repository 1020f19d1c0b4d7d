"""Claims of finalisations: the fan-in of all shards of an evaluation or reference into one worker.

The claim is one UPDATE whose WHERE says everything: all shards finished, the reference merged, nobody else at it. Of two
workers that finish the last two shards at the same moment, the database lets one through. Functions on a connection inside
a writing transaction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Executable,
    and_,
    exists,
    insert,
    literal,
    null,
    or_,
    select,
    update,
)

from scheduler.lifecycle import EvaluationEvent, EvaluationState, ShardState
from scheduler.store.base import FinaliseClaim, StoredFile
from scheduler.store.clock import database_now, database_now_plus
from scheduler.store.database import RunAgain
from scheduler.store.journal import write_entries
from scheduler.store.owners import EVALUATION, OWNERS, REFERENCE, Owner, becomes, part_of
from scheduler.store.refusals import LEFT_TO_OTHERS_SECONDS, host_of, is_living, may_try
from scheduler.store.sql_references import file_of_imported
from scheduler.store.tables import checkpoints, evaluations, protocols, reference_sets, scores, shards, workers
from vaeval_core.checkpoints.base import is_noise_floor
from vaeval_core.evaluation_result import MetricValue, Score
from vaeval_core.protocol import Protocol


def is_ready(owner: Owner, max_attempts: int) -> ColumnElement[bool]:
    """Owners whose finalisation may be claimed now."""
    unfinished_shard = (
        exists().where(owner.of_shard == owner.table.c.id, shards.c.state != ShardState.FINISHED).correlate(owner.table)
    )
    conditions = [
        owner.can(EvaluationEvent.FINALISE_CLAIMED),
        owner.table.c.attempts < max_attempts,
        # Nobody holds these rows; after an attempt that failed, the lease stands for the pause.
        or_(owner.table.c.lease_expires_at.is_(None), owner.table.c.lease_expires_at <= database_now()),
        ~unfinished_shard,
    ]
    if owner is EVALUATION:
        conditions.append(
            exists().where(
                reference_sets.c.id == evaluations.c.reference_id, reference_sets.c.state == EvaluationState.FINISHED
            )
        )
    return and_(*conditions)


def _is_for(owner: Owner, worker: str, lease_seconds: float) -> ColumnElement[bool]:
    """Finalisations that this machine did not just fail at or lose, or that no other machine is there to try."""
    own_host, table = host_of(literal(worker)), owner.table
    is_other_host_there = exists().where(workers.c.host != own_host, is_living(lease_seconds))
    return and_(
        or_(
            table.c.lease_owner.is_(None),
            table.c.lease_expires_at.is_(None),
            table.c.lease_expires_at <= database_now_plus(-LEFT_TO_OTHERS_SECONDS),
            host_of(table.c.lease_owner) != own_host,
            ~is_other_host_there,
        ),
        may_try(owner, table.c.id, own_host, lease_seconds),
    )


def is_any_ready(connection: Connection, max_attempts: int, evaluation_ids: Sequence[int] | None) -> bool:
    """True if a claim would have succeeded just now. After most shards it would not, and this is one question instead of two
    that want to write."""
    only = None if evaluation_ids is None else tuple(evaluation_ids)
    return bool(connection.scalar(_any_ready(max_attempts, only)))


@lru_cache(maxsize=64)
def _any_ready(max_attempts: int, evaluation_ids: tuple[int, ...] | None) -> Executable:
    ready = (
        select(owner.table.c.id).where(is_ready(owner, max_attempts), *part_of(owner, owner.table.c.id, evaluation_ids))
        for owner in OWNERS.values()
    )
    return select(or_(*(each.exists() for each in ready)))


def claim(
    connection: Connection,
    worker: str,
    *,
    lease_seconds: float,
    max_attempts: int,
    evaluation_ids: Sequence[int] | None = None,
) -> FinaliseClaim | None:
    """Take a finalisation: of references first, then by priority and age; see `WorkStore.claim_finalise`."""
    only = None if evaluation_ids is None else tuple(evaluation_ids)
    for owner in OWNERS.values():
        taken = connection.execute(_take_ready(owner, worker, lease_seconds, max_attempts, only)).one_or_none()
        if taken is not None:
            detail = {"attempt": taken.attempts}
            entry = owner.entry(EvaluationEvent.FINALISE_CLAIMED, taken.id, worker=worker, detail=detail)
            write_entries(connection, [entry])
            return _claim_of(connection, owner, taken.id, taken.lease_token)
    return None


@lru_cache(maxsize=64)
def _take_ready(
    owner: Owner, worker: str, lease_seconds: float, max_attempts: int, evaluation_ids: tuple[int, ...] | None
) -> Executable:
    """The statement of a claim; kept, because to build it takes longer than to run it."""
    order = [evaluations.c.priority.desc()] if owner is EVALUATION else []
    best = (
        select(owner.table.c.id)
        .where(
            is_ready(owner, max_attempts),
            # As with shards: who works on some evaluations alone may be the only one who ever looks at them.
            _is_for(owner, worker, lease_seconds)
            if evaluation_ids is None or owner is not EVALUATION
            else may_try(owner, owner.table.c.id, host_of(literal(worker)), lease_seconds),
            *part_of(owner, owner.table.c.id, evaluation_ids),
        )
        .order_by(*order, owner.table.c.id)
        .limit(1)
        # PostgreSQL: pass over what another worker is taking at this moment.
        .with_for_update(key_share=True, skip_locked=True, of=owner.table)
        .scalar_subquery()
    )
    return (
        update(owner.table)
        .where(owner.table.c.id == best, owner.can(EvaluationEvent.FINALISE_CLAIMED))
        .values(
            state=becomes(EvaluationEvent.FINALISE_CLAIMED),
            lease_owner=worker,
            lease_token=owner.table.c.lease_token + 1,
            lease_expires_at=database_now_plus(lease_seconds),
            attempts=owner.table.c.attempts + 1,
        )
        .returning(owner.table.c.id, owner.table.c.lease_token, owner.table.c.attempts)
    )


def _claim_of(connection: Connection, owner: Owner, owner_id: int, token: int) -> FinaliseClaim:
    own_shards = _shard_files(connection, owner, owner_id)
    reference, description = None, None
    reference_shards: tuple[StoredFile, ...] = ()
    imported = None
    if owner is EVALUATION:
        row = connection.execute(
            select(
                protocols.c.spec,
                evaluations.c.reference_id,
                reference_sets.c.file_key,
                reference_sets.c.file_digest,
                checkpoints.c.description,
            )
            .select_from(evaluations)
            .join(protocols, protocols.c.id == evaluations.c.protocol_id)
            .join(reference_sets, reference_sets.c.id == evaluations.c.reference_id)
            .join(checkpoints)
            .where(evaluations.c.id == owner_id)
        ).one()
        spec, description = row.spec, row.description
        if row.file_key is None:
            raise RunAgain  # the same, for the reference
        reference = StoredFile(key=row.file_key, digest=row.file_digest)
        reference_shards = _shard_files(connection, REFERENCE, row.reference_id)
    else:
        spec = connection.execute(
            select(protocols.c.spec).join(reference_sets).where(reference_sets.c.id == owner_id)
        ).scalar_one()
    protocol = Protocol.model_validate(spec)
    if owner is REFERENCE and protocol.imported_reference is not None:
        imported = file_of_imported(connection, protocol.imported_reference)
    return FinaliseClaim(
        owner=owner.kind,
        owner_id=owner_id,
        token=token,
        protocol=protocol,
        shards=own_shards,
        reference=reference,
        description=description,
        reference_shards=reference_shards,
        imported=imported,
    )


def _shard_files(connection: Connection, owner: Owner, owner_id: int) -> tuple[StoredFile, ...]:
    parts = connection.execute(
        select(shards.c.state, shards.c.file_key, shards.c.file_digest)
        .where(owner.of_shard == owner_id)
        .order_by(shards.c.number)
    ).all()
    if any(part.state != ShardState.FINISHED for part in parts):
        # PostgreSQL looks at the shards as they were when the UPDATE began; one was queued again since.
        raise RunAgain
    return tuple(StoredFile(key=part.file_key, digest=part.file_digest) for part in parts)


def renew(connection: Connection, claim: FinaliseClaim, lease_seconds: float) -> bool:
    """Extend the lease; see `WorkStore.renew_finalise`."""
    table = OWNERS[claim.owner].table
    renewed = connection.execute(
        update(table).where(held_by(claim)).values(lease_expires_at=database_now_plus(lease_seconds))
    )
    return renewed.rowcount == 1


def finish_reference(connection: Connection, claim: FinaliseClaim, file: StoredFile) -> bool:
    """Record the merged reference; see `WorkStore.finish_reference`."""
    return _finish(connection, claim, {"file_key": file.key, "file_digest": file.digest})


def finish_evaluation(
    connection: Connection,
    claim: FinaliseClaim,
    results: Sequence[Score],
    pictures: StoredFile | None,
    influence: StoredFile | None,
) -> bool:
    """Record all scores and finish; see `WorkStore.finish_evaluation`."""
    values = {
        f"{name}_{part}": getattr(file, part) if file else None
        for name, file in (("pictures", pictures), ("influence", influence))
        for part in ("key", "digest")
    }
    rows = [_score_row(claim.owner_id, score) for score in results]
    nothing = {"value": None, "std_error": None}
    has_rank = not is_noise_floor(claim.description or {})
    fid = next((row for row in rows if row["metric"] == "fid" and has_rank), nothing)
    if not _finish(connection, claim, values, fid=fid["value"], fid_std_error=fid["std_error"]):
        return False
    known = select(scores.c.metric).where(scores.c.evaluation_id == claim.owner_id)
    if rows and connection.execute(known).first() is None:
        connection.execute(insert(scores), rows)
    return True


def _finish(connection: Connection, claim: FinaliseClaim, values: dict[str, Any], **more: Any) -> bool:
    owner = OWNERS[claim.owner]
    finished = connection.execute(
        update(owner.table)
        .where(held_by(claim))
        .values(
            state=becomes(EvaluationEvent.SCORED),
            lease_expires_at=null(),
            troubled_since=null(),
            error=null(),
            finished_at=database_now(),
            **values,
            **more,
        )
        .returning(owner.table.c.lease_owner)
    ).one_or_none()
    if finished is not None:
        entry = owner.entry(EvaluationEvent.SCORED, claim.owner_id, worker=finished.lease_owner)
        write_entries(connection, [entry])
        return True
    # This very claim may have finished before: its first COMMIT succeeded and the answer was lost.
    before = select(owner.table.c.id).where(
        owner.table.c.id == claim.owner_id,
        owner.table.c.lease_token == claim.token,
        owner.table.c.state == EvaluationState.FINISHED,
        *(owner.table.c[name].is_not_distinct_from(value) for name, value in values.items()),
    )
    return connection.execute(before).one_or_none() is not None


def _score_row(evaluation_id: int, score: Score) -> dict[str, Any]:
    value = score.value
    if value.value is not None and not math.isfinite(value.value):
        # Whoever built this did not ask MetricValue.of; the table takes no NaN and no infinity.
        value = MetricValue.of(value.value, num_images=value.num_images, warnings=value.warnings)
    return {
        "evaluation_id": evaluation_id,
        "metric": score.metric,
        "version": score.version,
        "value": value.value,
        "std_error": _finite(value.std_error),
        "bias": _finite(value.bias),
        "num_images": value.num_images,
        "kind": value.kind,
        "reason": value.reason,
        # JSON knows no NaN either.
        "components": [part if math.isfinite(part) else None for part in value.components],
        "warnings": list(value.warnings),
    }


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None


def held_by(claim: FinaliseClaim) -> ColumnElement[bool]:
    """The owner's row, as long as nobody else was given its finalisation."""
    table = OWNERS[claim.owner].table
    return and_(
        table.c.id == claim.owner_id,
        table.c.lease_token == claim.token,
        table.c.state == EvaluationState.FINALISING,
    )
