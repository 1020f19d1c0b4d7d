"""The best of each leaderboard without ranking all of it: the order of `evaluations` by FID is an index, and its first entries
are the answer. What a row holds is read for those alone. Functions on a connection inside a reading transaction.

The rows are those of the view `leaderboard`, which is for people who ask in SQL and ranks everything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, desc, exists, func, select

from scheduler.store.boards import first_of_boards, is_finished
from scheduler.store.owners import among
from scheduler.store.tables import checkpoints, datasets, evaluations, protocols, scores
from scheduler.store.views import leaderboard

_FACTS: dict[str, ColumnElement[Any]] = {
    "evaluation": evaluations.c.id,
    "checkpoint": checkpoints.c.name,
    "step": checkpoints.c.step,
    "protocol": protocols.c.name,
    "num_samples": protocols.c.num_samples,
    "num_reconstructions": protocols.c.num_reconstructions,
    "seed": protocols.c.seed,
    "extractor": protocols.c.extractor,
    "dataset": datasets.c.name,
    "tags": checkpoints.c.tags,
    "fingerprint": protocols.c.fingerprint,
    "finished_at": evaluations.c.finished_at,
    "noise_floor": checkpoints.c.is_noise_floor,
}
"""Columns of the view that are no metrics; all others but `rank` are the name of one, alone or with `_std_error` or `_bias`."""

MOST_FLOORS = 20
"""Noise floors of a board that are shown: each is of another set of images."""

ALIKE_BUT_FOR_SEED = ("dataset", "protocol", "extractor", "num_samples", "num_reconstructions")
"""Columns of the view `leaderboard` that are the same for protocols which differ in nothing but their seed."""


def best_rows(connection: Connection, prefix: str | None, top: int) -> tuple[Mapping[str, Any], ...]:
    """The best of each protocol, protocols in the order of `ReadStore.leaderboard`.

    Args:
        connection: Inside a transaction.
        prefix: Of the fingerprints that are wanted, or None for all.
        top: Rows of each, ranked ones first.
    """
    boards = _protocols(connection, prefix)
    return tuple(_rows(connection, dict(_ranked(connection, boards, top))))


def _protocols(connection: Connection, prefix: str | None) -> Sequence[int]:
    latest = (
        select(evaluations.c.finished_at)
        .where(is_finished, evaluations.c.protocol_id == protocols.c.id)
        .order_by(evaluations.c.finished_at.desc())
        .limit(1)
        .scalar_subquery()
    )
    facts = {
        "dataset": datasets.c.name,
        "protocol": protocols.c.name,
        **{name: protocols.c[name] for name in ("extractor", "num_samples", "num_reconstructions")},
    }
    boards = (
        select(
            protocols.c.id,
            protocols.c.fingerprint,
            protocols.c.seed,
            latest.label("latest"),
            *(facts[name].label(name) for name in ALIKE_BUT_FOR_SEED),
        )
        .join(datasets, datasets.c.id == protocols.c.dataset_id)
        .subquery()
    )
    alike = [boards.c[name] for name in ALIKE_BUT_FOR_SEED]
    statement = (
        select(boards.c.id)
        .where(boards.c.latest.is_not(None))
        .order_by(
            desc(func.max(boards.c.latest).over(partition_by=alike)),
            *alike,
            boards.c.seed,
            desc(boards.c.latest),
            boards.c.fingerprint,
        )
    )
    if prefix is not None:
        statement = statement.where(boards.c.fingerprint.startswith(prefix))
    return connection.scalars(statement).all()


def _ranked(connection: Connection, boards: Sequence[int], top: int) -> Iterator[tuple[int, int | None]]:
    """Number and rank of the best of each board; equal values share a rank, and what has none comes last.

    Then its noise floors, which do not count: they are what the others are read against.
    """
    with_value = first_of_boards(
        connection, boards, evaluations.c.fid.is_not(None), evaluations.c.fid, evaluations.c.id, limit=top
    )
    short = [board for board in boards if len(with_value[board]) < top]
    # Asked of each row without a FID, which are few; a list of all noise floors would be made anew for every board.
    is_floor = exists().where(checkpoints.c.id == evaluations.c.checkpoint_id, checkpoints.c.is_noise_floor)
    has_none = evaluations.c.fid.is_(None)
    without = first_of_boards(connection, short, has_none & ~is_floor, evaluations.c.id, limit=top)
    floors = first_of_boards(connection, boards, has_none & is_floor, evaluations.c.id, limit=MOST_FLOORS)
    for board in boards:
        rank, value = 0, None
        for place, row in enumerate(with_value[board], start=1):
            if row.fid != value:
                rank, value = place, row.fid
            yield row.id, rank
        for row in (*without[board][: top - len(with_value[board])], *floors[board]):
            yield row.id, None


def _rows(connection: Connection, ranks: Mapping[int, int | None]) -> Iterator[dict[str, Any]]:
    """In the order of the ranks' keys."""
    ids = list(ranks)
    facts = connection.execute(
        select(*(column.label(name) for name, column in _FACTS.items()))
        .select_from(evaluations)
        .join(checkpoints, checkpoints.c.id == evaluations.c.checkpoint_id)
        .join(protocols, protocols.c.id == evaluations.c.protocol_id)
        .join(datasets, datasets.c.id == protocols.c.dataset_id)
        .where(among(evaluations.c.id, ids))
    ).mappings()
    known: dict[int, dict[str, Any]] = {row["evaluation"]: dict(row) for row in facts}
    numbers: dict[int, dict[str, float | None]] = defaultdict(dict)
    for row in connection.execute(select(scores).where(among(scores.c.evaluation_id, ids))):
        numbers[row.evaluation_id] |= {
            row.metric: row.value,
            f"{row.metric}_std_error": row.std_error,
            f"{row.metric}_bias": row.bias,
        }
    for evaluation_id, rank in ranks.items():
        found = {**numbers[evaluation_id], **known[evaluation_id], "rank": rank}
        yield {column.name: found.get(column.name) for column in leaderboard.c}
