"""Leaderboards as walks along one index, however many rows they have and however many boards are asked for at once.

    evaluations   (state, protocol, FID, number, standard error of the FID)

A board is the finished evaluations of one protocol, known by the protocol's row id. Functions on a connection inside a reading
transaction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Row, Select, func, or_, select, union_all

from scheduler.lifecycle import EvaluationState
from scheduler.store.answers import BoardSize, Contender, Contenders
from scheduler.store.owners import among
from scheduler.store.tables import evaluations, protocols

BOARDS_AT_ONCE = 100
"""SELECTs in one statement: SQLite takes at most 500."""

is_finished = evaluations.c.state == EvaluationState.FINISHED

_COLUMNS = (evaluations.c.protocol_id, evaluations.c.id, evaluations.c.fid, evaluations.c.fid_std_error)
"""All in the index: what is asked of a row beyond them costs a look at the row itself."""


def first_of_boards(
    connection: Connection,
    boards: Sequence[int],
    condition: ColumnElement[bool] | Mapping[int, ColumnElement[bool]],
    *order: Column[Any],
    limit: int,
) -> Mapping[int, Sequence[Row[Any]]]:
    """The first rows of each board, in one statement per hundred boards.

    Args:
        connection: Inside a transaction.
        boards: Row ids of protocols.
        condition: Which rows count; one for all boards, or one for each.
        order: Columns.
        limit: Rows of each board.

    Returns:
        Board → its rows, none where it has none.
    """
    names = [column.name for column in order]
    found: dict[int, list[Row[Any]]] = defaultdict(list)
    for first in range(0, len(boards), BOARDS_AT_ONCE):
        parts: list[Select[Any]] = []
        for board in boards[first : first + BOARDS_AT_ONCE]:
            of_board = condition[board] if isinstance(condition, Mapping) else condition
            rows = select(*_COLUMNS).where(is_finished, evaluations.c.protocol_id == board, of_board)
            parts.append(select(rows.order_by(*order).limit(limit).subquery()))
        for row in connection.execute(union_all(*parts)):
            found[row.protocol_id].append(row)
    for of_board_found in found.values():  # UNION ALL promises no order
        of_board_found.sort(key=lambda row: tuple(row._mapping[name] for name in names))
    return found


def board_sizes(connection: Connection, fingerprints: Sequence[str]) -> Mapping[str, BoardSize]:
    """See `ReadStore.board_sizes`."""
    numbers = _numbers_of(connection, fingerprints)
    statement = (
        select(evaluations.c.protocol_id, func.count(), func.count(evaluations.c.fid))
        .where(is_finished, among(evaluations.c.protocol_id, list(numbers.values())))
        .group_by(evaluations.c.protocol_id)
    )
    sizes = {board: BoardSize(finished=all_, ranked=ranked) for board, all_, ranked in connection.execute(statement)}
    return {fingerprint: sizes[board] for fingerprint, board in numbers.items() if board in sizes}


def contenders(connection: Connection, reaches: Mapping[str, float], most: int) -> Mapping[str, Contenders]:
    """See `ReadStore.contenders`."""
    numbers = _numbers_of(connection, list(reaches))
    near = {board: _is_within(reaches[fingerprint], board) for fingerprint, board in numbers.items()}
    boards = list(near)
    rows = first_of_boards(connection, boards, near, evaluations.c.fid, evaluations.c.id, limit=most + 1)
    counts = {board: len(rows[board]) for board in boards}
    for board in boards:
        if counts[board] > most:
            all_near = select(func.count()).where(is_finished, evaluations.c.protocol_id == board, near[board])
            counts[board] = connection.scalars(all_near).one()
    return {
        fingerprint: Contenders(
            rows=tuple(
                Contender(evaluation_id=row.id, fid=row.fid, fid_std_error=row.fid_std_error)
                for row in rows[board][:most]
            ),
            count=counts[board],
        )
        for fingerprint, board in numbers.items()
    }


def _is_within(reach: float, board: int) -> ColumnElement[bool]:
    """Rows whose FID is within so many standard errors, its own and the best one's together, of the board's best.

    What has no standard error is within: nothing can be told of it.
    """
    ranked = evaluations.c.fid.is_not(None)
    if reach == float("inf"):
        return ranked
    alias = evaluations.alias("best")
    best = (
        select(alias.c.fid)
        .where(alias.c.state == EvaluationState.FINISHED, alias.c.protocol_id == board, alias.c.fid.is_not(None))
        .order_by(alias.c.fid, alias.c.id)
        .limit(1)
    )
    best_fid = best.scalar_subquery()
    best_error = best.with_only_columns(alias.c.fid_std_error).scalar_subquery()
    behind = evaluations.c.fid - best_fid
    return ranked & or_(
        evaluations.c.fid_std_error.is_(None),
        best_error.is_(None),
        behind <= reach * (evaluations.c.fid_std_error + best_error),
    )


def _numbers_of(connection: Connection, fingerprints: Sequence[str]) -> dict[str, int]:
    """Fingerprint → row id of its protocol, in the order given."""
    statement = select(protocols.c.fingerprint, protocols.c.id).where(protocols.c.fingerprint.in_(fingerprints))
    found = {row.fingerprint: row.id for row in connection.execute(statement)}
    return {fingerprint: found[fingerprint] for fingerprint in fingerprints if fingerprint in found}
