"""Scores with what each image does to them, put together from the row and its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from vaeval_core.errors import StorageFailed

if TYPE_CHECKING:
    from scheduler.store.artifacts import ArtifactStore
    from scheduler.store.base import EvaluationRecord, StoredFile
    from vaeval_core.evaluation_result import MetricValue
    from vaeval_core.types import Float64


OF_PATHS = "fid_interpolations"
"""The metric of paths between real images: which images follows from the protocol, and is not stored."""


def with_influences(record: EvaluationRecord, artifacts: ArtifactStore) -> dict[str, MetricValue]:
    """Metric → its value, with influences where they were kept and can be read.

    Args:
        record: With its scores.
        artifacts: Where the file is.
    """
    from vaeval_core.generation.interpolation_pairs import path_ends

    influences = influences_in(record.influence, artifacts)
    ends = path_ends(record.protocol) if OF_PATHS in influences else None
    return {
        score.metric: replace(
            score.value,
            influence=influences.get(score.metric),
            partners=ends if score.metric == OF_PATHS else None,
        )
        for score in record.scores
    }


def influences_in(file: StoredFile | None, artifacts: ArtifactStore) -> Mapping[str, Float64]:
    """Metric → what each image does to it; nothing where no file was kept, or where it cannot be read."""
    if file is None:
        return {}
    try:
        return artifacts.read_arrays(file)
    except StorageFailed:  # the numbers stand without it
        return {}
