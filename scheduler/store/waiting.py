"""What evaluations under way wait for, and until when: pauses after attempts that failed, and machines that cannot do them.
Functions on a connection inside a reading transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from scheduler.faults import LONGEST_TROUBLE_SECONDS
from scheduler.lifecycle import EvaluationState, ShardState
from scheduler.store.answers import Waiting
from scheduler.store.clock import database_now
from scheduler.store.owners import OWNERS, Owner, among
from scheduler.store.tables import evaluations, refusals, shards

_OPEN = [state for state in EvaluationState if not state.is_terminal]


def waiting(connection: Connection, evaluation_ids: Sequence[int]) -> Mapping[int, Waiting]:
    """See `ReadStore.waiting`."""
    owned = connection.execute(
        select(evaluations.c.id, evaluations.c.reference_id).where(
            among(evaluations.c.id, evaluation_ids), evaluations.c.state.in_(_OPEN)
        )
    ).all()
    of_kind: dict[Owner, Mapping[int, Waiting]] = {}
    for owner in OWNERS.values():
        ids = sorted({row.id if owner.kind == "evaluation" else row.reference_id for row in owned})
        of_kind[owner] = _of_owners(connection, owner, ids)
    reference, evaluation = of_kind.values()
    # What keeps the reference keeps the evaluation, even if some of its own shards are done before.
    found = {row.id: reference.get(row.reference_id) or evaluation.get(row.id) for row in owned}
    return {number: each for number, each in found.items() if each is not None}


def _of_owners(connection: Connection, owner: Owner, ids: Sequence[int]) -> Mapping[int, Waiting]:
    pauses: dict[int, Row[Any]] = {}
    for row in (*_paused_finalises(connection, owner, ids), *_paused_shards(connection, owner, ids)):
        if row.owner_id not in pauses or row.until < pauses[row.owner_id].until:
            pauses[row.owner_id] = row
    refused: dict[int, dict[str, str]] = {}
    for owner_id, host, reason in _refused(connection, owner, ids):
        refused.setdefault(owner_id, {})[host] = reason
    return {
        owner_id: Waiting(
            owner=owner.kind,
            reason=None if (pause := pauses.get(owner_id)) is None else pause.error,
            next_attempt_at=None if pause is None else pause.until,
            gives_up_at=None if pause is None else _gives_up_at(pause.troubled_since),
            refused_by=refused.get(owner_id, {}),
        )
        for owner_id in sorted(pauses.keys() | refused.keys())
    }


def _gives_up_at(troubled_since: datetime | None) -> datetime | None:
    return None if troubled_since is None else troubled_since + timedelta(seconds=LONGEST_TROUBLE_SECONDS)


def _paused_shards(connection: Connection, owner: Owner, ids: Sequence[int]) -> Sequence[Row[Any]]:
    statement: Select[Any] = (
        select(
            owner.of_shard.label("owner_id"),
            shards.c.not_before.label("until"),
            shards.c.error,
            shards.c.troubled_since,
        )
        .where(
            among(owner.of_shard, ids),
            shards.c.state == ShardState.QUEUED,
            shards.c.not_before > database_now(),
            shards.c.error.is_not(None),
        )
        .order_by(shards.c.id)
    )
    return connection.execute(statement).all()


def _paused_finalises(connection: Connection, owner: Owner, ids: Sequence[int]) -> Sequence[Row[Any]]:
    table = owner.table
    statement: Select[Any] = (
        select(
            table.c.id.label("owner_id"), table.c.lease_expires_at.label("until"), table.c.error, table.c.troubled_since
        )
        .where(
            among(table.c.id, ids),
            table.c.state == EvaluationState.RUNNING,
            table.c.lease_expires_at > database_now(),
            table.c.error.is_not(None),
        )
        .order_by(table.c.id)
    )
    return connection.execute(statement).all()


def _refused(connection: Connection, owner: Owner, ids: Sequence[int]) -> Iterator[tuple[int, str, str]]:
    """Of owners that still have something to do."""
    of_owner = refusals.c[owner.of_shard.name]
    rows = connection.execute(
        select(of_owner.label("owner_id"), refusals.c.host, refusals.c.reason)
        .join(owner.table, owner.table.c.id == of_owner)
        .where(among(of_owner, ids), owner.table.c.state.in_(_OPEN))
        .order_by(refusals.c.host)
    )
    yield from ((row.owner_id, row.host, row.reason) for row in rows)
