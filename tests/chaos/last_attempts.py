"""Work that has one attempt left: a strike would fail it, and only a schedule that is declared to may do that.

The others spare such work, and after them nothing at all may have failed. A damaged file costs its reader an attempt too, some
time later: after the first one, finalisations of evaluations are spared one attempt earlier.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, select, true

from scheduler.composition import Application
from scheduler.lifecycle import EvaluationState, ShardState
from scheduler.settings import MAX_ATTEMPTS
from scheduler.store.tables import evaluations, reference_sets, shards

_WAITING = (EvaluationState.QUEUED, EvaluationState.RUNNING)


class LastAttempts:
    """Of one application."""

    def __init__(self, application: Application) -> None:
        self._database = application.database
        self._damage = 0

    def is_held(self, by: str | None = None) -> bool:
        """True if the worker, or anybody, is at something that must not fail once more."""

        def work(connection: Connection) -> bool:
            for table, state in (
                (shards, shards.c.state == ShardState.RUNNING),
                (reference_sets, reference_sets.c.state == EvaluationState.FINALISING),
                (evaluations, evaluations.c.state == EvaluationState.FINALISING),
            ):
                most = MAX_ATTEMPTS - (self._damage if table is evaluations else 0)
                holder: ColumnElement[bool] = true() if by is None else table.c.lease_owner == by
                if connection.execute(select(table.c.id).where(state, table.c.attempts >= most, holder)).first():
                    return True
            return False

        return self._database.read(work)

    def is_next(self) -> bool:
        """True if a claim that is made now may be such a one."""

        def work(connection: Connection) -> bool:
            for table, state in (
                (shards, shards.c.state == ShardState.QUEUED),
                (reference_sets, reference_sets.c.state.in_(_WAITING)),
                (evaluations, evaluations.c.state.in_(_WAITING)),
            ):
                most = MAX_ATTEMPTS - 1 - (self._damage if table is evaluations else 0)
                if connection.execute(select(table.c.id).where(state, table.c.attempts >= most)).first():
                    return True
            return False

        return self._database.read(work)

    def allow_damage(self, key: str) -> bool:
        """True if the file may be damaged; from then on it counts as damaged."""

        def work(connection: Connection) -> bool:
            late = MAX_ATTEMPTS - 1
            shard = select(shards.c.id).where(shards.c.file_key == key, shards.c.attempts >= late)
            is_open = evaluations.c.state.in_((*_WAITING, EvaluationState.FINALISING))
            evaluation = select(evaluations.c.id).where(is_open, evaluations.c.attempts >= late)
            return not any(connection.execute(statement).first() for statement in (shard, evaluation))

        is_allowed = self._database.read(work)
        if is_allowed:
            self._damage = 1
        return is_allowed
