"""Rows of evaluations as `EvaluationRecord`s, and how far their shards are. Functions on a connection inside a reading
transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, case, func, or_, select

from scheduler.lifecycle import EvaluationState, ShardState
from scheduler.store.base import EvaluationRecord, Progress, StateCounts, StoredFile
from scheduler.store.owners import among
from scheduler.store.tables import checkpoints, datasets, evaluations, protocols, reference_sets, scores, shards
from vaeval_core.evaluation_result import MetricValue, Score
from vaeval_core.protocol import Protocol


def select_records() -> Select[Any]:
    """Everything that a record needs but the scores; the caller adds WHERE, ORDER BY and LIMIT."""
    # Counted for each row that comes out, not joined: with a LIMIT only those few are counted.
    of_evaluation = select(func.count()).where(shards.c.evaluation_id == evaluations.c.id)
    return (
        select(
            evaluations,
            checkpoints.c.name.label("checkpoint_name"),
            checkpoints.c.uri.label("checkpoint_uri"),
            checkpoints.c.digest.label("checkpoint_digest"),
            checkpoints.c.step,
            checkpoints.c.tags,
            checkpoints.c.description,
            protocols.c.name.label("protocol_name"),
            protocols.c.fingerprint,
            protocols.c.spec,
            datasets.c.name.label("dataset_name"),
            of_evaluation.where(shards.c.state == ShardState.FINISHED).scalar_subquery().label("shards_finished"),
            of_evaluation.scalar_subquery().label("shards_total"),
        )
        .select_from(evaluations)
        .join(checkpoints, checkpoints.c.id == evaluations.c.checkpoint_id)
        .join(protocols, protocols.c.id == evaluations.c.protocol_id)
        .join(datasets, datasets.c.id == protocols.c.dataset_id)
    )


def record(row: Row[Any], results: tuple[Score, ...] = ()) -> EvaluationRecord:
    """A row of `select_records`, with its scores if they were asked for."""
    return EvaluationRecord(
        evaluation_id=row.id,
        checkpoint_name=row.checkpoint_name,
        checkpoint_uri=row.checkpoint_uri,
        checkpoint_digest=row.checkpoint_digest,
        step=row.step,
        tags=row.tags,
        description=row.description,
        protocol_name=row.protocol_name,
        fingerprint=row.fingerprint,
        protocol=Protocol.model_validate(row.spec),
        dataset_name=row.dataset_name,
        state=EvaluationState(row.state),
        # Before its end it is what a finalisation waits for: see `waiting`.
        error=row.error if EvaluationState(row.state).is_terminal else None,
        shards_finished=row.shards_finished,
        shards_total=row.shards_total,
        submitted_at=row.submitted_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        pictures=_file(row.pictures_key, row.pictures_digest),
        influence=_file(row.influence_key, row.influence_digest),
        scores=results,
    )


def _file(key: str | None, digest: str) -> StoredFile | None:
    return None if key is None else StoredFile(key=key, digest=digest)


def scores_of(connection: Connection, evaluation_id: int) -> tuple[Score, ...]:
    """Scores in the order of their names."""
    rows = connection.execute(
        select(scores).where(scores.c.evaluation_id == evaluation_id).order_by(scores.c.metric)
    ).all()
    return tuple(
        Score(
            metric=row.metric,
            version=row.version,
            value=MetricValue(
                value=row.value,
                num_images=row.num_images,
                std_error=row.std_error,
                bias=row.bias,
                kind=row.kind,
                reason=row.reason,
                components=tuple(float("nan") if part is None else part for part in row.components),
                warnings=tuple(row.warnings),
            ),
        )
        for row in rows
    )


def progress(connection: Connection, evaluation_ids: Sequence[int] | None) -> Progress:
    """See `ReadStore.progress`.

    A reference counts if it was not finished when an evaluation asked for it: so it stays in the sum after it is.
    """
    asked = [] if evaluation_ids is None else [among(evaluations.c.id, evaluation_ids)]
    states = connection.execute(
        select(evaluations.c.state, func.count()).where(*asked).group_by(evaluations.c.state)
    ).all()
    waited_for = (
        select(reference_sets.c.id)
        .join(evaluations, evaluations.c.reference_id == reference_sets.c.id)
        .where(
            or_(reference_sets.c.finished_at.is_(None), reference_sets.c.finished_at >= evaluations.c.submitted_at),
            *asked,
        )
    )
    own = shards.c.evaluation_id > 0 if evaluation_ids is None else among(shards.c.evaluation_id, evaluation_ids)
    done = case((shards.c.state == ShardState.FINISHED, shards.c.forward_passes), else_=shards.c.images_done)
    counts: dict[ShardState, int] = {}
    images_done, images_total = 0, 0
    for which in (own, shards.c.reference_id.in_(waited_for)):
        rows = connection.execute(
            select(shards.c.state, func.count(), func.sum(done), func.sum(shards.c.forward_passes))
            .where(which)
            .group_by(shards.c.state)
        )
        for name, count, passes_done, passes in rows:
            state = ShardState(name)
            counts[state] = counts.get(state, 0) + count
            if state not in {ShardState.FAILED, ShardState.CANCELLED}:
                images_done += int(passes_done)
                images_total += int(passes)
    return Progress(
        evaluations={EvaluationState(name): count for name, count in states},
        shards=counts,
        images_done=images_done,
        images_total=images_total,
    )


def state_counts(connection: Connection) -> StateCounts:
    """See `ReadStore.state_counts`. Indices of both tables begin with the state."""
    of_evaluations = connection.execute(select(evaluations.c.state, func.count()).group_by(evaluations.c.state))
    of_shards = connection.execute(select(shards.c.state, func.count()).group_by(shards.c.state))
    return StateCounts(
        evaluations={EvaluationState(state): count for state, count in of_evaluations},
        shards={ShardState(state): count for state, count in of_shards},
    )
