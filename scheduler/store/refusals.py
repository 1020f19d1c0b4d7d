"""Machines that cannot do a piece of work, because of what they have or lack: another version of a package, an old copy of the
data, no weights file. Functions on a connection inside a writing transaction, and the clauses of a claim.

A refusal is of one machine for a whole evaluation or reference: what keeps it from one shard keeps it from all, and its slots
are alike in it. The machine is passed over for a while; the work fails only when nobody is left who could do it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    ScalarSelect,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
)

from scheduler.lifecycle import EvaluationState, ShardState
from scheduler.store.clock import database_now, database_now_plus
from scheduler.store.conflicts import insert_into
from scheduler.store.owners import OWNERS, Owner, among
from scheduler.store.tables import refusals, shards, workers

LEFT_TO_OTHERS_SECONDS = 600
"""How long work is left to other machines or workers than those that failed at it. Not for ever: they may report that they are
alive and yet never ask for work."""

_LEASES_OF_SILENCE = 2
"""A worker that has not reported for so many leases is not counted on."""


def is_living(lease_seconds: float) -> ColumnElement[bool]:
    """Rows of `workers` that are counted on."""
    return and_(
        workers.c.retired_at.is_(None),
        workers.c.heartbeat_at > database_now_plus(-_LEASES_OF_SILENCE * lease_seconds),
    )


def host_of(worker: ColumnElement[str]) -> ColumnElement[str]:
    """The machine of a worker; one that never reported is a machine of its own."""
    known = workers.alias("known")
    host: ScalarSelect[str] = select(known.c.host).where(known.c.worker == worker).scalar_subquery()
    return func.coalesce(host, worker)


def may_try(
    owner: Owner, owner_id: ColumnElement[int], own_host: ColumnElement[str], lease_seconds: float
) -> ColumnElement[bool]:
    """Work that this machine has not refused of late, or that no other machine is there to do."""
    refused = exists().where(
        _of(owner) == owner_id,
        refusals.c.host == own_host,
        refusals.c.at > database_now_plus(-LEFT_TO_OTHERS_SECONDS),
    )
    return or_(~refused, ~exists().where(is_living(lease_seconds), ~_has_refused(owner, owner_id)))


def refuse(
    connection: Connection, owner: Owner, owner_id: int, worker: str, reason: str, *, lease_seconds: float
) -> str | None:
    """Note that the machine of a worker cannot do it.

    Returns:
        None if somebody else may be able to; else who refused and why, for the end of the story.
    """
    host = connection.scalar(select(host_of(literal(worker))))
    own = and_(_of(owner) == owner_id, refusals.c.host == host)
    is_over = refusals.c.at <= database_now_plus(-LEFT_TO_OTHERS_SECONDS)
    earlier = connection.execute(select(refusals.c.at, is_over.label("is_over")).where(own)).one_or_none()
    entry = insert_into(connection, refusals).values(
        **{_of(owner).name: owner_id}, host=host, reason=reason, at=database_now()
    )
    connection.execute(
        entry.on_conflict_do_update(
            index_elements=[_of(owner).name, "host"],
            # A sister shard that was at hand, too, is no second answer: the others have their time from the first one.
            set_={"reason": entry.excluded.reason, "at": case((is_over, entry.excluded.at), else_=refusals.c.at)},
        )
    )
    is_anybody_left: ColumnElement[bool] = exists().where(is_living(lease_seconds), ~_has_refused(owner, owner_id))
    if earlier is not None and earlier.is_over:
        # Asked once more, after a while: then only machines are counted on that work, be it on something else.
        is_anybody_left = exists().where(
            is_living(lease_seconds), ~_has_refused(owner, owner_id), _has_worked_since(earlier.at)
        )
    if connection.scalar(select(is_anybody_left)):
        return None
    told = connection.execute(
        select(refusals.c.host, refusals.c.reason).where(_of(owner) == owner_id).order_by(refusals.c.host)
    ).all()
    hosts: dict[str, list[str]] = {}
    for each in told:
        hosts.setdefault(each.reason, []).append(each.host)
    return " ".join(f"{', '.join(names)}: {words}" for words, names in hosts.items())


def take_back(connection: Connection, owner: Owner, owner_id: int, worker: str) -> None:
    """The machine of a worker has done a part of it: whatever it lacked before, somebody has put it there."""
    connection.execute(_TAKE_BACK[owner.of_shard.name], {"of": owner_id, "by": worker})


def forget_refusals(connection: Connection, owner: Owner, ids: Sequence[int]) -> None:
    """All machines may try again: the work was submitted again."""
    connection.execute(delete(refusals).where(among(_of(owner), ids)))


# Asked after every shard, and to build a statement takes longer than to run it.
_TAKE_BACK = {
    column.name: delete(refusals).where(
        column == bindparam("of"),
        refusals.c.host == select(workers.c.host).where(workers.c.worker == bindparam("by")).scalar_subquery(),
    )
    for column in (refusals.c.evaluation_id, refusals.c.reference_id)
}


def _of(owner: Owner) -> Column[Any]:
    return refusals.c[owner.of_shard.name]


def _has_refused(owner: Owner, owner_id: ColumnElement[int] | int) -> ColumnElement[bool]:
    """Rows of `workers` whose machine has refused."""
    again = refusals.alias("again")
    # Two levels below the shards of a claim, SQLAlchemy would ask of all shards and not of the one that is claimed.
    return (
        exists().where(again.c[owner.of_shard.name] == owner_id, again.c.host == workers.c.host).correlate_except(again)
    )


def _has_worked_since(moment: Any) -> ColumnElement[bool]:
    """Rows of `workers` that have something at hand, or had a shard since: who never asks for work will not ask for this."""
    held = shards.alias("held")
    computes = exists().where(
        held.c.lease_owner == workers.c.worker,
        or_(held.c.state == ShardState.RUNNING, held.c.finished_at > moment, held.c.not_before > moment),
    )
    merges = (
        exists().where(table.c.lease_owner == workers.c.worker, table.c.state == EvaluationState.FINALISING)
        for table in (each.table.alias("merged") for each in OWNERS.values())
    )
    return or_(*(each.correlate(workers) for each in (computes, *merges)))
