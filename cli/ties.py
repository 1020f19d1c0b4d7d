"""Who shares the first rank of a leaderboard: of its rows only those that may, and of their files only what tells.

    sizes of the boards ─► how far behind a tied row may be ─► rows within ─► what each image does to them ─► best, tied, worse

So the work depends on how many checkpoints are about as good as the best, not on how long a board is or how much is shown.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from cli.influences import influences_in
from cli.number_formats import count

if TYPE_CHECKING:
    from scheduler.store.answers import BoardSize, Contenders
    from scheduler.store.artifacts import ArtifactStore
    from scheduler.store.base import ReadStore, StoredFile
    from vaeval_core.evaluation_result import MetricValue
    from vaeval_core.metrics.rank_groups import Standing

Row = Mapping[str, Any]
"""A row of the view `leaderboard`."""

RANKED_BY = "fid"
"""The metric of ranks, and so of ties."""

MOST_COMPARED = 200
"""Rows of a board that are compared with its best one, unless more are shown: each costs a file."""


@dataclass(frozen=True)
class Ties:
    """Where rows stand against the best of their boards.

    Attributes:
        standings: Evaluation → where it stands; of every row that was shown and is no noise floor.
        shared: Evaluations that share the first rank of their board; none where the best stands alone.
        sizes: Fingerprint → how many rows its board has.
        not_compared: Rows that may be tied with the best and were not compared with it.
    """

    standings: Mapping[int, Standing] = field(default_factory=dict)
    shared: frozenset[int] = frozenset()
    sizes: Mapping[str, BoardSize] = field(default_factory=dict)
    not_compared: int = 0


def ties_among(rows: Sequence[Row], reads: ReadStore, artifacts: ArtifactStore) -> Ties:
    """Compare the best of each board with all that come near it; a few questions to the database.

    Args:
        rows: What is shown: of each board all rows, or its first.
        reads: Where the other rows are.
        artifacts: Where it is kept what each image does to a score.
    """
    from vaeval_core.metrics.rank_groups import reach_of_ties

    boards: dict[str, list[Row]] = {}
    for row in rows:
        boards.setdefault(row["fingerprint"], []).append(row)
    if not boards:
        return Ties()
    sizes = reads.board_sizes(list(boards))
    reaches = {
        fingerprint: reach_of_ties(sizes[fingerprint].ranked - 1, board[0]["num_samples"])
        for fingerprint, board in boards.items()
        if fingerprint in sizes and sizes[fingerprint].ranked
    }
    near = reads.contenders(reaches, most=max(MOST_COMPARED, *(len(board) for board in boards.values())))
    ids = [row.evaluation_id for found in near.values() if found.count > 1 for row in found.rows]
    files = reads.influences(ids) if ids else {}
    known: dict[int, Standing] = {}
    shared: set[int] = set()
    for fingerprint, found in near.items():
        num_images = boards[fingerprint][0]["num_samples"]
        of_board = _standings_of(found, sizes[fingerprint].ranked - 1, num_images, files, artifacts)
        first = {evaluation_id for evaluation_id, standing in of_board.items() if standing in {"best", "tied"}}
        if len(first) > 1 or found.count > len(found.rows):
            shared |= first
        known |= of_board
    shown: dict[int, Standing] = {
        row["evaluation"]: known.get(row["evaluation"], "unknown" if row[RANKED_BY] is None else "worse")
        for row in rows
        if not row["noise_floor"]
    }
    not_compared = sum(found.count - len(found.rows) for found in near.values())
    return Ties(shown, frozenset(shared), sizes, not_compared)


def about_ties(rows: Sequence[Row], ties: Ties) -> list[str]:
    """What a reader of the ranks must know, a sentence each."""
    sentences = []
    if any(row["evaluation"] in ties.shared for row in rows):
        sentences.append(
            "=1 marks ties: on common noise such a row's FID is not above the best one's by more than chance."
        )
    if any(ties.standings.get(row["evaluation"]) == "unknown" and row[RANKED_BY] is not None for row in rows):
        sentences.append(
            "? marks rows that cannot be told from the best: it is not kept what each image does to their FID, or its error"
            " would be unreliable."
        )
    if ties.not_compared:
        sentences.append(
            f"Beyond those that were compared with the best, {count(ties.not_compared, 'more row')} may be as good; ties are"
            " counted as if all of these were."
        )
    return sentences


def _standings_of(
    found: Contenders, others: int, num_images: int, files: Mapping[int, StoredFile], artifacts: ArtifactStore
) -> dict[int, Standing]:
    from vaeval_core.evaluation_result import MetricValue
    from vaeval_core.metrics.rank_groups import standings

    values = [MetricValue(value=row.fid, std_error=row.fid_std_error, num_images=num_images) for row in found.rows]
    complete = _reader(values, [files.get(row.evaluation_id) for row in found.rows], artifacts)
    not_given = found.count - len(found.rows)
    results = standings(values, complete, others=others, not_given=not_given)
    return {row.evaluation_id: standing for row, standing in zip(found.rows, results, strict=True)}


def _reader(
    values: Sequence[MetricValue], files: Sequence[StoredFile | None], artifacts: ArtifactStore
) -> Callable[[int], MetricValue]:
    """Place of a row → its value with influences, read once."""

    @functools.cache
    def complete(place: int) -> MetricValue:
        return replace(values[place], influence=influences_in(files[place], artifacts).get(RANKED_BY))

    return complete
