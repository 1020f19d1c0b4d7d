"""Scores with what each image does to them, put together from the row and its file."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vaeval_core.errors import StorageFailed

if TYPE_CHECKING:
    from scheduler.store.artifacts import ArtifactStore
    from scheduler.store.base import EvaluationRecord, ReadStore
    from vaeval_core.evaluation_result import MetricValue
    from vaeval_core.metrics.rank_groups import Standing
    from vaeval_core.types import Float64

RANKED_BY = "fid"
"""The metric of ranks, and so of ties."""


def with_influences(record: EvaluationRecord, artifacts: ArtifactStore) -> dict[str, MetricValue]:
    """Metric → its value, with influences where they were kept and can be read.

    Args:
        record: With its scores.
        artifacts: Where the file is.
    """
    influences = _influences(record, artifacts)
    return {score.metric: replace(score.value, influence=influences.get(score.metric)) for score in record.scores}


def standings_of(
    boards: Sequence[Sequence[Mapping[str, Any]]], reads: ReadStore, artifacts: ArtifactStore
) -> dict[int, Standing]:
    """Evaluation → where it stands against the best of its board; at most one question to the database, and few files.

    Args:
        boards: For each fingerprint, all its rows in the view `leaderboard`.
        reads: Where their records are.
        artifacts: Where their influences are.
    """
    ids = [row["evaluation"] for board in boards for row in board]
    records = functools.cache(lambda: {record.evaluation_id: record for record in reads.evaluations(ids)})
    return {
        evaluation_id: standing
        for board in boards
        for evaluation_id, standing in _standings_of_one(board, records, artifacts).items()
    }


def _standings_of_one(
    board: Sequence[Mapping[str, Any]], records: Callable[[], Mapping[int, EvaluationRecord]], artifacts: ArtifactStore
) -> dict[int, Standing]:
    from vaeval_core.evaluation_result import MetricValue
    from vaeval_core.metrics.rank_groups import standings

    ids = [row["evaluation"] for row in board]
    values = [
        MetricValue(
            value=row[RANKED_BY],
            std_error=row[f"{RANKED_BY}_std_error"],
            num_images=row["num_samples"],
            kind="finite" if row[RANKED_BY] is not None else "not_applicable",
        )
        for row in board
    ]

    @functools.cache
    def complete(place: int) -> MetricValue:
        return replace(values[place], influence=_influences(records()[ids[place]], artifacts).get(RANKED_BY))

    return dict(zip(ids, standings(values, complete), strict=True))


def _influences(record: EvaluationRecord, artifacts: ArtifactStore) -> Mapping[str, Float64]:
    if record.influence is None:
        return {}
    try:
        return artifacts.read_arrays(record.influence)
    except StorageFailed:  # the numbers stand without it
        return {}
