"""The port of those who submit, on SQL: any number of requests become rows in one transaction and a few statements.

What somebody submitted, somebody may also cancel and queue again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, exists, null, select, update

from scheduler.lifecycle import EvaluationEvent, EvaluationState
from scheduler.store.answers import ChangedEvaluation, RetryReceipt
from scheduler.store.base import EvaluationRequest, SubmissionReceipt, SubmittedEvaluation
from scheduler.store.cancellation import cancel, changes, locked
from scheduler.store.clock import database_now
from scheduler.store.conflicts import insert_into
from scheduler.store.database import Database
from scheduler.store.journal import write_entries
from scheduler.store.owners import EVALUATION, REFERENCE, Owner, among, becomes
from scheduler.store.shard_rows import PlannedShards, insert_shards, queue_again, raise_priorities, raise_reference
from scheduler.store.submitted_inputs import (
    insert_missing,
    register_checkpoints,
    register_datasets,
    register_protocols,
    select_by,
)
from scheduler.store.tables import evaluations, reference_sets
from scheduler.store.turns import next_turns

SUBMITTED = "submitted"
"""Action of the first line that the journal has of an evaluation or reference."""

_NEW = {"state": EvaluationState.QUEUED, "lease_token": 0, "attempts": 0}

_Key = tuple[int, int]
"""Row ids of checkpoint and protocol: what makes an evaluation the same."""


class SqlSubmissionStore:
    """`SubmissionStore` on a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def submit(self, requests: Sequence[EvaluationRequest]) -> SubmissionReceipt:
        """See `SubmissionStore.submit`."""
        if not requests:
            return SubmissionReceipt(evaluations=(), new_shards=0)
        return self._database.write(lambda connection: _submit(connection, requests))

    def cancel(self, evaluation_ids: Sequence[int]) -> tuple[ChangedEvaluation, ...]:
        """See `SubmissionStore.cancel`."""
        return self._database.write(lambda connection: cancel(connection, evaluation_ids))

    def retry(self, evaluation_ids: Sequence[int]) -> RetryReceipt:
        """See `SubmissionStore.retry`."""
        return self._database.write(lambda connection: _retry(connection, evaluation_ids))


def _retry(connection: Connection, evaluation_ids: Sequence[int]) -> RetryReceipt:
    # Their references first, as a submission does, and locked as there: see `_register_references`.
    needed = (
        select(reference_sets.c.id)
        .where(
            exists().where(
                evaluations.c.reference_id == reference_sets.c.id,
                among(evaluations.c.id, evaluation_ids),
                EVALUATION.can(EvaluationEvent.SUBMITTED_AGAIN),
            )
        )
        .order_by(reference_sets.c.key)
        .with_for_update(key_share=True)
    )
    references = connection.scalars(needed).all()
    rows = locked(connection, evaluation_ids)
    own = select(evaluations.c.id, evaluations.c.priority).where(among(evaluations.c.id, evaluation_ids))
    priorities = {row.id: row.priority for row in connection.execute(own)}
    urgent = max(priorities.values(), default=0)
    work = _submit_again(connection, REFERENCE, dict.fromkeys(references, urgent))
    work += _submit_again(connection, EVALUATION, priorities)
    return RetryReceipt(evaluations=changes(connection, rows), new_shards=work)


def _submit(connection: Connection, requests: Sequence[EvaluationRequest]) -> SubmissionReceipt:
    # Many requests share one protocol object, and a fingerprint is a digest of JSON: take it once for each.
    sharing = {id(request.protocol): request.protocol for request in requests}
    fingerprints = {key: protocol.fingerprint for key, protocol in sharing.items()}
    reference_keys = {key: protocol.reference_key for key, protocol in sharing.items()}

    dataset_ids = register_datasets(connection, requests)
    checkpoints = register_checkpoints(connection, [request.checkpoint for request in requests])
    of_protocol = {fingerprints[id(request.protocol)]: request for request in reversed(requests)}
    protocol_ids = register_protocols(connection, of_protocol, dataset_ids)
    of_reference: dict[str, list[EvaluationRequest]] = defaultdict(list)
    for request in requests:
        of_reference[reference_keys[id(request.protocol)]].append(request)
    reference_ids, reference_work = _register_references(connection, of_reference, protocol_ids)

    keys: list[_Key] = [
        (checkpoints[request.checkpoint.digest][0], protocol_ids[fingerprints[id(request.protocol)]])
        for request in requests
    ]
    wanted = dict(zip(reversed(keys), reversed(requests), strict=True))  # of equal requests the first counts
    wanted = {key: wanted[key] for key in dict.fromkeys(keys)}  # rows are numbered in the order of the requests
    waits_for = {key: reference_ids[reference_keys[id(request.protocol)]] for key, request in wanted.items()}
    new, raised, evaluation_work = _register_evaluations(connection, wanted, waits_for)
    states = _states(connection, wanted)

    entries = []
    for key, request in zip(keys, requests, strict=True):
        evaluation_id, state = states[key]
        entries.append(
            SubmittedEvaluation(
                evaluation_id=evaluation_id,
                checkpoint_name=checkpoints[request.checkpoint.digest][1],
                created=key in new,
                state=state,
            )
        )
        new.discard(key)
    work = reference_work + evaluation_work
    return SubmissionReceipt(evaluations=tuple(entries), new_shards=work, raised=tuple(raised))


def _register_references(
    connection: Connection, requests: Mapping[str, Sequence[EvaluationRequest]], protocol_ids: Mapping[str, int]
) -> tuple[dict[str, int], int]:
    """Key → row id, and how much work there is to claim.

    The rows stay locked: a reference that fails at this moment either fails before, and is queued again here, or after,
    and takes the new evaluations along. None is left waiting for it.
    """
    rows = [
        {"key": key, "protocol_id": protocol_ids[sharing[0].protocol.fingerprint], **_NEW}
        for key, sharing in requests.items()
    ]
    new = insert_missing(connection, reference_sets.c.key, rows, submitted_at=database_now())
    found = select_by(connection, reference_sets.c.key, requests, lock=True)
    priorities = {row.id: max(request.priority for request in requests[row.key]) for row in found}
    plans = {
        row.id: PlannedShards.of_reference(requests[row.key][0], priorities[row.id]) for row in found if row.key in new
    }
    without_shards = sum(not plan.ranges for plan in plans.values())  # imported ones: there is only to finalise
    work = insert_shards(connection, REFERENCE, plans) + without_shards
    work += _submit_again(connection, REFERENCE, priorities)
    write_entries(connection, [REFERENCE.entry(SUBMITTED, reference_id) for reference_id in plans])
    for reference_id, priority in priorities.items():
        raise_reference(connection, reference_id, priority)
    return {row.key: row.id for row in found}, work


def _register_evaluations(
    connection: Connection, wanted: Mapping[_Key, EvaluationRequest], waits_for: Mapping[_Key, int]
) -> tuple[set[_Key], list[int], int]:
    """Which are new, which of the others became more urgent, and how much work there is to claim."""
    missing = (
        insert_into(connection, evaluations)
        .values(submitted_at=database_now())
        .on_conflict_do_nothing(index_elements=[evaluations.c.checkpoint_id, evaluations.c.protocol_id])
        .returning(evaluations.c.id, evaluations.c.checkpoint_id, evaluations.c.protocol_id)
    )
    known = _states(connection, wanted)
    turns = _turns(connection, {key: request for key, request in wanted.items() if key not in known})
    rows = [
        {
            "checkpoint_id": key[0],
            "protocol_id": key[1],
            "reference_id": waits_for[key],
            "priority": wanted[key].priority,
            "turn": turn,
            **_NEW,
        }
        for key, turn in turns.items()
    ]
    inserted = connection.execute(missing, rows) if rows else ()
    new = {(row.checkpoint_id, row.protocol_id): row.id for row in inserted}
    plans = {evaluation_id: PlannedShards.of_evaluation(wanted[key]) for key, evaluation_id in new.items()}
    work = insert_shards(connection, EVALUATION, plans)
    write_entries(connection, [EVALUATION.entry(SUBMITTED, evaluation_id) for evaluation_id in plans])
    if rows:
        known = _states(connection, [key for key in wanted if key not in new])
    priorities = {evaluation_id: wanted[key].priority for key, (evaluation_id, _) in known.items()}
    work += _submit_again(connection, EVALUATION, priorities)
    return set(new), raise_priorities(connection, priorities), work


def _turns(connection: Connection, requests: Mapping[_Key, EvaluationRequest]) -> dict[_Key, int]:
    """The turns of new evaluations, in the order of the requests."""
    alike: dict[int, list[_Key]] = defaultdict(list)
    for key, request in requests.items():
        alike[request.priority].append(key)
    turns = dict.fromkeys(requests, 0)
    for priority, keys in alike.items():
        work = (requests[key].forward_passes for key in keys)
        turns |= zip(keys, next_turns(connection, priority, work), strict=True)
    return turns


def _submit_again(connection: Connection, owner: Owner, priorities: Mapping[int, int]) -> int:
    """Queue again those that had failed or were cancelled; returns how much work there is to claim."""
    event = EvaluationEvent.SUBMITTED_AGAIN
    alike: dict[int, list[int]] = defaultdict(list)
    for owner_id, priority in priorities.items():
        alike[priority].append(owner_id)
    work = 0
    for priority, ids in alike.items():
        values = {"priority": priority} if owner is EVALUATION else {}
        queued = connection.scalars(
            update(owner.table)
            .where(among(owner.table.c.id, ids), owner.can(event))
            .values(
                state=becomes(event),
                error=null(),
                attempts=0,
                lease_owner=null(),
                troubled_since=null(),
                submitted_at=database_now(),
                started_at=null(),
                finished_at=null(),
                **values,
            )
            .returning(owner.table.c.id)
        ).all()
        work += queue_again(connection, owner, queued, priority)
        write_entries(connection, [owner.entry(event, owner_id) for owner_id in queued])
    return work


def _states(connection: Connection, keys: Collection[_Key]) -> dict[_Key, tuple[int, EvaluationState]]:
    """Row id and state of evaluations."""
    of_checkpoint: dict[int, set[int]] = defaultdict(set)
    for checkpoint_id, protocol_id in keys:
        of_checkpoint[checkpoint_id].add(protocol_id)
    rows = connection.execute(
        select(evaluations.c.id, evaluations.c.checkpoint_id, evaluations.c.protocol_id, evaluations.c.state).where(
            among(evaluations.c.checkpoint_id, list(of_checkpoint)),
            among(evaluations.c.protocol_id, list({protocol_id for _, protocol_id in keys})),
        )
    )
    return {
        (row.checkpoint_id, row.protocol_id): (row.id, EvaluationState(row.state))
        for row in rows
        if row.protocol_id in of_checkpoint[row.checkpoint_id]
    }
