"""Shard plans as rows: written for new owners, queued again for owners that are submitted again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, bindparam, func, insert, null, select, update

from scheduler.lifecycle import EvaluationState, ShardEvent, ShardState
from scheduler.store.base import EvaluationRequest
from scheduler.store.journal import write_entries
from scheduler.store.owners import EVALUATION, Owner, among, shard_becomes, shard_can
from scheduler.store.refusals import forget_refusals
from scheduler.store.tables import evaluations, shards
from scheduler.store.turns import next_turns
from vaeval_core.types import IndexRange

MANY_SHARDS = 1_000
"""From here on PostgreSQL is told about new rows at once. By itself it looks within a minute or so; until then it believes
that the tables are small, and each claim sorts all of the shards."""

PRIORITY_RAISED = "priority_raised"
"""Action of the line that the journal has of an evaluation that was submitted again as more urgent."""

_TURN_OF_ITS_EVALUATION = select(evaluations.c.turn).where(evaluations.c.id == shards.c.evaluation_id).scalar_subquery()


@dataclass(frozen=True)
class PlannedShards:
    """The shards of one owner before it has an id; equal plans are written together.

    Attributes:
        ranges: Image numbers of each, in order.
        limits: How far each pass through the extractor reaches: image i takes one for each limit above i.
        priority: Higher goes first.
    """

    ranges: tuple[IndexRange, ...]
    limits: tuple[int, ...]
    priority: int

    @classmethod
    def of_evaluation(cls, request: EvaluationRequest) -> PlannedShards:
        """The plan of the evaluation itself."""
        return cls(tuple(request.shards), request.extractor_passes, request.priority)

    @classmethod
    def of_reference(cls, request: EvaluationRequest, priority: int) -> PlannedShards:
        """The plan of the reference that the evaluation needs; without shards if it is imported."""
        return cls(tuple(request.reference_shards), (request.protocol.num_reference,), priority)

    def forward_passes(self, index_range: IndexRange) -> int:
        """Images of the range that go through the extractor."""
        parts = (index_range.up_to(limit) for limit in self.limits)
        return sum(len(part) for part in parts if part is not None)


def insert_shards(connection: Connection, owner: Owner, plans: Mapping[int, PlannedShards]) -> int:
    """Write the shards of new owners.

    Owners with equal plans get theirs in two statements, however many they are: the rows of the first, and copies of
    them for all others. A thousand checkpoints are 80,000 rows; sent one by one they would take longer than all the rest.

    Args:
        connection: Inside a writing transaction.
        owner: Kind of the ids.
        plans: Owner id → its plan.

    Returns:
        How many rows were written.
    """
    alike: dict[PlannedShards, list[int]] = defaultdict(list)
    for owner_id, plan in plans.items():
        alike[plan].append(owner_id)
    for plan, (first, *others) in alike.items():
        if not plan.ranges:
            continue
        turn = _turn_of(connection, first) if owner is EVALUATION else 0
        rows = [_row(owner, first, plan, number, turn) for number in range(len(plan.ranges))]
        connection.execute(insert(shards), rows)
        if others:
            own = {owner.of_shard.name: owner.table.c.id}
            if owner is EVALUATION:
                own["turn"] = evaluations.c.turn
            copied = [column for column in shards.c if column.name != "id" and column.name not in own]
            source = (
                select(*own.values(), *copied)
                .select_from(shards.join(owner.table, among(owner.table.c.id, others)))
                .where(owner.of_shard == first)
                .order_by(owner.table.c.id, shards.c.number)
            )
            connection.execute(insert(shards).from_select([*own, *(column.name for column in copied)], source))
    written = sum(len(plan.ranges) * len(ids) for plan, ids in alike.items())
    if written >= MANY_SHARDS and connection.dialect.name == "postgresql":
        connection.exec_driver_sql("ANALYZE evaluations, shards")
    return written


def _turn_of(connection: Connection, evaluation_id: int) -> int:
    return int(connection.scalars(select(evaluations.c.turn).where(evaluations.c.id == evaluation_id)).one())


def _row(owner: Owner, owner_id: int, plan: PlannedShards, number: int, turn: int) -> dict[str, object]:
    index_range = plan.ranges[number]
    return {
        owner.of_shard.name: owner_id,
        "number": number,
        "start": index_range.start,
        "stop": index_range.stop,
        "forward_passes": plan.forward_passes(index_range),
        "priority": plan.priority,
        "turn": turn,
        "state": ShardState.QUEUED,
        "lease_token": 0,
        "attempts": 0,
        "images_done": 0,
    }


def queue_again(connection: Connection, owner: Owner, ids: Sequence[int], priority: int) -> int:
    """Queue the unfinished shards of owners that were submitted again; the finished ones stay.

    Evaluations get a new turn, by the work that is left: they are the latest comers now.

    Returns:
        Pieces of work that can now be claimed: the shards, and one finalisation for each owner that has none to do.
    """
    turn: dict[str, object] = {}
    if owner is EVALUATION and ids:
        _renew_turns(connection, ids, priority, shard_can(ShardEvent.SUBMITTED_AGAIN))
        turn["turn"] = _TURN_OF_ITS_EVALUATION
    queued = connection.scalars(
        update(shards)
        .where(among(owner.of_shard, ids), shard_can(ShardEvent.SUBMITTED_AGAIN))
        .values(
            state=shard_becomes(ShardEvent.SUBMITTED_AGAIN),
            priority=priority,
            **turn,
            lease_owner=null(),
            attempts=0,
            not_before=null(),
            troubled_since=null(),
            error=null(),
        )
        .returning(owner.of_shard)
    ).all()
    forget_refusals(connection, owner, ids)
    return len(queued) + len(set(ids) - set(queued))


def raise_priorities(connection: Connection, wanted: Mapping[int, int]) -> list[int]:
    """Make unfinished evaluations, with their unfinished shards, as urgent as somebody wants them now; never less urgent.

    They are the latest comers of their new priority, and get a turn there by the work that is left.

    Args:
        connection: Inside a writing transaction.
        wanted: Evaluation id → priority.

    Returns:
        The evaluations that became more urgent.
    """
    alike: dict[int, list[int]] = defaultdict(list)
    for evaluation_id, priority in wanted.items():
        alike[priority].append(evaluation_id)
    raised: list[int] = []
    for priority, ids in alike.items():
        of_these = connection.scalars(
            update(evaluations)
            .where(
                among(evaluations.c.id, ids),
                evaluations.c.priority < priority,
                evaluations.c.state.not_in([state for state in EvaluationState if state.is_terminal]),
            )
            .values(priority=priority)
            .returning(evaluations.c.id)
        ).all()
        if not of_these:
            continue
        is_unfinished = shards.c.state.not_in([state for state in ShardState if state.is_terminal])
        _renew_turns(connection, of_these, priority, is_unfinished)
        connection.execute(
            update(shards)
            .where(among(shards.c.evaluation_id, of_these), is_unfinished)
            .values(priority=priority, turn=_TURN_OF_ITS_EVALUATION)
        )
        detail = {"priority": priority}
        write_entries(connection, [EVALUATION.entry(PRIORITY_RAISED, each, detail=detail) for each in of_these])
        raised += of_these
    return sorted(raised)


def _renew_turns(connection: Connection, ids: Sequence[int], priority: int, is_left: ColumnElement[bool]) -> None:
    left = dict.fromkeys(sorted(ids), 0)
    for evaluation_id, passes in connection.execute(
        select(shards.c.evaluation_id, func.sum(shards.c.forward_passes))
        .where(among(shards.c.evaluation_id, ids), is_left)
        .group_by(shards.c.evaluation_id)
    ):
        left[evaluation_id] = int(passes)
    turns = zip(left, next_turns(connection, priority, left.values()), strict=True)
    connection.execute(
        update(evaluations).where(evaluations.c.id == bindparam("known")).values(turn=bindparam("next")),
        [{"known": evaluation_id, "next": turn} for evaluation_id, turn in turns],
    )


def raise_reference(connection: Connection, reference_id: int, priority: int) -> None:
    """What an important evaluation waits for is as important; never lowers a priority."""
    connection.execute(
        update(shards)
        .where(shards.c.reference_id == reference_id, shards.c.priority < priority)
        .values(priority=priority)
    )
