"""The port of those who read, on SQL. Each method sees one moment of the database."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Text, and_, case, cast, desc, func, nulls_last, or_, select

from scheduler.lifecycle import EvaluationState, ShardState
from scheduler.store.answers import BoardSize, Contenders, FailedAttempt, JournalPage, OldHistory, Waiting
from scheduler.store.artifact_keys import FileOwner
from scheduler.store.attempts import failed_attempts
from scheduler.store.base import EvaluationRecord, Progress, StateCounts, StoredFile, WorkerRecord
from scheduler.store.best_rows import ALIKE_BUT_FOR_SEED, best_rows
from scheduler.store.boards import board_sizes, contenders
from scheduler.store.clock import database_now, database_now_plus
from scheduler.store.database import Database
from scheduler.store.evaluation_records import progress, record, scores_of, select_records, state_counts
from scheduler.store.history import old_history
from scheduler.store.journal import read_entries
from scheduler.store.live_files import live_files
from scheduler.store.owners import among
from scheduler.store.tables import evaluations, protocols, reference_sets, scores, shards, workers
from scheduler.store.views import leaderboard
from scheduler.store.waiting import waiting
from vaeval_core.errors import InvalidInput, NotFound

SHORTEST_PREFIX = 6
"""Digits of a fingerprint that a person must give."""

SHARDS_OF_A_RATE = 100
"""How many finished shards the measured rate looks back."""

_A_DAY = 86_400.0


class SqlReadStore:
    """`ReadStore` on a database.

    Args:
        database: Where.
        lease_seconds: A worker that was silent for longer is not alive.
    """

    def __init__(self, database: Database, *, lease_seconds: float = 60.0) -> None:
        self._database = database
        self._lease_seconds = lease_seconds

    def progress(self, evaluation_ids: Sequence[int] | None = None) -> Progress:
        """See `ReadStore.progress`."""
        return self._database.read(lambda connection: progress(connection, evaluation_ids))

    def state_counts(self) -> StateCounts:
        """See `ReadStore.state_counts`."""
        return self._database.read(state_counts)

    def evaluations(
        self,
        evaluation_ids: Sequence[int] | None = None,
        *,
        states: Sequence[EvaluationState] = (),
        limit: int | None = None,
    ) -> tuple[EvaluationRecord, ...]:
        """See `ReadStore.evaluations`."""
        statement = select_records().order_by(evaluations.c.id.desc()).limit(limit)
        if evaluation_ids is not None:
            statement = statement.where(among(evaluations.c.id, evaluation_ids))
        if states:
            statement = statement.where(evaluations.c.state.in_(states))
        return self._database.read(lambda connection: tuple(record(row) for row in connection.execute(statement)))

    def evaluation(self, evaluation_id: int) -> EvaluationRecord:
        """See `ReadStore.evaluation`."""

        def work(connection: Connection) -> EvaluationRecord | None:
            row = connection.execute(select_records().where(evaluations.c.id == evaluation_id)).one_or_none()
            return None if row is None else record(row, scores_of(connection, evaluation_id))

        found = self._database.read(work)
        if found is None:
            raise NotFound(
                "There is no evaluation with this number.",
                received=evaluation_id,
                expected="an id that `vaeval status` or `vaeval leaderboard` shows",
                next_step="vaeval status",
            )
        return found

    def best(self, top: int, *, fingerprint: str | None = None) -> tuple[Mapping[str, Any], ...]:
        """See `ReadStore.best`.

        Raises:
            InvalidInput: `fingerprint` is no beginning of one, or too short.
        """
        prefix = None if fingerprint is None else _checked_prefix(fingerprint)
        return self._database.read(lambda connection: best_rows(connection, prefix, top))

    def board_sizes(self, fingerprints: Sequence[str]) -> Mapping[str, BoardSize]:
        """See `ReadStore.board_sizes`."""
        return self._database.read(lambda connection: board_sizes(connection, fingerprints))

    def contenders(self, reaches: Mapping[str, float], *, most: int) -> Mapping[str, Contenders]:
        """See `ReadStore.contenders`."""
        return self._database.read(lambda connection: contenders(connection, reaches, most))

    def influences(self, evaluation_ids: Sequence[int]) -> Mapping[int, StoredFile]:
        """See `ReadStore.influences`."""
        statement = select(evaluations.c.id, evaluations.c.influence_key, evaluations.c.influence_digest).where(
            among(evaluations.c.id, evaluation_ids), evaluations.c.influence_key.is_not(None)
        )
        rows = self._database.read(lambda connection: connection.execute(statement).all())
        return {row.id: StoredFile(key=row.influence_key, digest=row.influence_digest) for row in rows}

    def waiting(self, evaluation_ids: Sequence[int]) -> Mapping[int, Waiting]:
        """See `ReadStore.waiting`."""
        return self._database.read(lambda connection: waiting(connection, evaluation_ids))

    def failed_attempts(self, evaluation_id: int) -> tuple[FailedAttempt, ...]:
        """See `ReadStore.failed_attempts`."""
        return self._database.read(lambda connection: failed_attempts(connection, evaluation_id))

    def leaderboard(
        self,
        *,
        fingerprint: str | None = None,
        fingerprints: Sequence[str] | None = None,
        evaluation_ids: Sequence[int] | None = None,
        limit: int | None = None,
    ) -> tuple[Mapping[str, Any], ...]:
        """See `ReadStore.leaderboard`.

        Raises:
            InvalidInput: `fingerprint` is no beginning of one, or too short.
        """
        alike_but_for_seed = [leaderboard.c[name] for name in ALIKE_BUT_FOR_SEED]
        latest = func.max(leaderboard.c.finished_at)
        statement = (
            select(leaderboard)
            .order_by(
                desc(latest.over(partition_by=alike_but_for_seed)),
                *alike_but_for_seed,
                leaderboard.c.seed,
                desc(latest.over(partition_by=leaderboard.c.fingerprint)),
                leaderboard.c.fingerprint,
                nulls_last(leaderboard.c.rank),
                leaderboard.c.noise_floor,
                leaderboard.c.evaluation,
            )
            .limit(limit)
        )
        if fingerprints is not None:
            statement = statement.where(leaderboard.c.fingerprint.in_(fingerprints))
        if fingerprint is not None:
            statement = statement.where(leaderboard.c.fingerprint.startswith(_checked_prefix(fingerprint)))
        if evaluation_ids is not None:
            statement = statement.where(among(leaderboard.c.evaluation, evaluation_ids))
        return self._database.read(
            lambda connection: tuple(dict(row) for row in connection.execute(statement).mappings())
        )

    def warnings(self, evaluation_ids: Sequence[int]) -> Mapping[int, Mapping[str, tuple[str, ...]]]:
        """See `ReadStore.warnings`."""
        statement = (
            select(scores.c.evaluation_id, scores.c.metric, scores.c.warnings, scores.c.kind, scores.c.reason)
            .where(
                among(scores.c.evaluation_id, evaluation_ids),
                or_(cast(scores.c.warnings, Text) != "[]", scores.c.kind.in_(("nan", "inf"))),
            )
            .order_by(scores.c.evaluation_id, scores.c.metric)
        )
        found: dict[int, dict[str, tuple[str, ...]]] = {}
        for row in self._database.read(lambda connection: connection.execute(statement).all()):
            missing = (row.reason,) if row.kind in {"nan", "inf"} and row.reason else ()
            found.setdefault(row.evaluation_id, {})[row.metric] = (*missing, *row.warnings)
        return found

    def scores(
        self, evaluation_ids: Sequence[int], metrics: Sequence[str]
    ) -> Mapping[int, Mapping[str, tuple[float, float | None]]]:
        """See `ReadStore.scores`."""
        statement = select(scores.c.evaluation_id, scores.c.metric, scores.c.value, scores.c.std_error).where(
            among(scores.c.evaluation_id, evaluation_ids), scores.c.metric.in_(metrics), scores.c.value.is_not(None)
        )
        found: dict[int, dict[str, tuple[float, float | None]]] = {}
        for row in self._database.read(lambda connection: connection.execute(statement).all()):
            found.setdefault(row.evaluation_id, {})[row.metric] = (row.value, row.std_error)
        return found

    def unfinished(self, *, besides: Sequence[int] = ()) -> int:
        """See `ReadStore.unfinished`."""
        open_states = [state for state in EvaluationState if not state.is_terminal]
        statement = (
            select(func.count())
            .select_from(evaluations)
            .where(evaluations.c.state.in_(open_states), ~among(evaluations.c.id, besides))
        )
        return self._database.read(lambda connection: connection.execute(statement).scalar_one())

    def journal(self, after: int | None, workers: Sequence[str]) -> JournalPage:
        """See `ReadStore.journal`."""
        return self._database.read(lambda connection: read_entries(connection, after, workers))

    def longest_wait_seconds(self) -> float | None:
        """See `ReadStore.longest_wait_seconds`."""
        statement = select(database_now(), func.min(evaluations.c.submitted_at)).where(
            evaluations.c.state == EvaluationState.QUEUED
        )
        now, oldest = self._database.read(lambda connection: connection.execute(statement).one())
        return None if oldest is None else float((now - oldest).total_seconds())

    def old_history(self, days: float) -> OldHistory:
        """See `ReadStore.old_history`."""
        return self._database.read(lambda connection: old_history(connection, days))

    def live_files(self, of: FileOwner | None = None) -> frozenset[str]:
        """See `ReadStore.live_files`."""
        return self._database.read(lambda connection: live_files(connection, of))

    def workers(self) -> tuple[WorkerRecord, ...]:
        """See `ReadStore.workers`."""
        running = (
            select(shards.c.lease_owner, func.sum(shards.c.images_done).label("images_done"))
            .where(shards.c.state == ShardState.RUNNING)
            .group_by(shards.c.lease_owner)
            .subquery()
        )
        speaks = workers.c.heartbeat_at > database_now_plus(-self._lease_seconds)
        is_alive = case((and_(workers.c.retired_at.is_(None), speaks), 1), else_=0)
        statement = (
            select(workers, is_alive.label("is_alive"), func.coalesce(running.c.images_done, 0).label("running"))
            .outerjoin(running, running.c.lease_owner == workers.c.worker)
            .where(workers.c.heartbeat_at > database_now_plus(-_A_DAY))
            .order_by(desc("is_alive"), workers.c.worker)
        )
        rows = self._database.read(lambda connection: connection.execute(statement).all())
        return tuple(
            WorkerRecord(
                worker=row.worker,
                host=row.host,
                pid=row.pid,
                device=row.device,
                memory_bytes=row.memory_bytes,
                threads=row.threads,
                versions=row.versions,
                started_at=row.started_at,
                heartbeat_at=row.heartbeat_at,
                is_alive=bool(row.is_alive),
                images_done=row.images_done + int(row.running),
                images_per_second=row.images_done / row.busy_seconds if row.busy_seconds > 0 else None,
            )
            for row in rows
        )

    def images_per_second(self, extractor: str) -> float | None:
        """See `ReadStore.images_per_second`."""
        recent = (
            select(shards.c.forward_passes, shards.c.seconds)
            .outerjoin(evaluations, evaluations.c.id == shards.c.evaluation_id)
            .outerjoin(reference_sets, reference_sets.c.id == shards.c.reference_id)
            .join(protocols, protocols.c.id == func.coalesce(evaluations.c.protocol_id, reference_sets.c.protocol_id))
            .where(shards.c.finished_at.is_not(None), shards.c.seconds > 0, protocols.c.extractor == extractor)
            .order_by(shards.c.finished_at.desc())
            .limit(SHARDS_OF_A_RATE)
            .subquery()
        )
        statement = select(func.sum(recent.c.forward_passes), func.sum(recent.c.seconds))
        passes, seconds = self._database.read(lambda connection: connection.execute(statement).one())
        return float(passes) / float(seconds) if seconds else None


def _checked_prefix(fingerprint: str) -> str:
    prefix = fingerprint.strip().lower()
    if not re.fullmatch(rf"[0-9a-f]{{{SHORTEST_PREFIX},64}}", prefix):
        raise InvalidInput(
            "This is no beginning of a fingerprint.",
            received=fingerprint,
            expected=f"at least its first {SHORTEST_PREFIX} digits, each 0 to 9 or a to f",
            next_step="vaeval leaderboard --json shows whole fingerprints",
        )
    return prefix
