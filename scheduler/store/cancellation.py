"""Evaluations that somebody does not want any more. Functions on a connection inside a writing transaction.

A cancelled row is what stops the work: the next renewal of a running shard finds it gone, and a finalisation that is under
way finds its claim lost when it wants to record. Finished shards stay as they are, for somebody may want the evaluation after
all. References are never cancelled: evaluations to come need them too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from scheduler.lifecycle import EvaluationEvent, EvaluationState
from scheduler.store.answers import ChangedEvaluation
from scheduler.store.owners import EVALUATION, among, stop
from scheduler.store.tables import checkpoints, evaluations
from vaeval_core.errors import NotFound


def cancel(connection: Connection, evaluation_ids: Sequence[int]) -> tuple[ChangedEvaluation, ...]:
    """See `SubmissionStore.cancel`."""
    rows = locked(connection, evaluation_ids)
    stop(connection, EVALUATION, evaluation_ids, EvaluationEvent.CANCELLED)
    return changes(connection, rows)


def locked(connection: Connection, evaluation_ids: Sequence[int]) -> list[Row[Any]]:
    """Number, name and state of evaluations, in the order of the argument; the rows are ours until the transaction ends.

    Raises:
        NotFound: There is no evaluation with one of the numbers.
    """
    statement: Select[Any] = (
        select(evaluations.c.id, checkpoints.c.name, evaluations.c.state)
        .join(checkpoints, checkpoints.c.id == evaluations.c.checkpoint_id)
        .where(among(evaluations.c.id, evaluation_ids))
        .order_by(evaluations.c.id)
        .with_for_update(key_share=True, of=evaluations)
    )
    rows = {row.id: row for row in connection.execute(statement)}
    unknown = [number for number in evaluation_ids if number not in rows]
    if unknown:
        raise NotFound(
            "There is no evaluation with this number; nothing was changed."
            if len(unknown) == 1
            else "There are no evaluations with these numbers; nothing was changed.",
            received=", ".join(map(str, unknown)),
            expected="numbers from the first column of `vaeval status`",
            next_step="vaeval status",
        )
    return [rows[number] for number in dict.fromkeys(evaluation_ids)]


def changes(connection: Connection, before: Sequence[Row[Any]]) -> tuple[ChangedEvaluation, ...]:
    """What became of rows that were locked before."""
    ids = [row.id for row in before]
    states = select(evaluations.c.id, evaluations.c.state).where(among(evaluations.c.id, ids))
    now = {row.id: row.state for row in connection.execute(states)}
    return tuple(
        ChangedEvaluation(
            evaluation_id=row.id,
            checkpoint_name=row.name,
            before=EvaluationState(row.state),
            state=EvaluationState(now[row.id]),
        )
        for row in before
    )
