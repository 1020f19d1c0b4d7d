"""Evaluations, workers, and how far the work is, as those see it who read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scheduler.lifecycle import EvaluationState, ShardState
from scheduler.store.claims import StoredFile
from vaeval_core.checkpoints.base import is_noise_floor
from vaeval_core.evaluation_result import Score
from vaeval_core.protocol import Protocol


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far some evaluations are, references that they wait for included.

    Attributes:
        evaluations: State → number of evaluations.
        shards: State → number of shards.
        images_done: Forward passes finished, running shards counted by their last heartbeat.
        images_total: Forward passes in all; those of failed and cancelled shards, which nobody will do, left out.
    """

    evaluations: Mapping[EvaluationState, int]
    shards: Mapping[ShardState, int]
    images_done: int
    images_total: int

    @property
    def is_over(self) -> bool:
        """True once every evaluation is finished, failed or cancelled."""
        return all(state.is_terminal or not count for state, count in self.evaluations.items())


@dataclass(frozen=True, kw_only=True)
class StateCounts:
    """How many evaluations and shards, those of references included, are in which state."""

    evaluations: Mapping[EvaluationState, int]
    shards: Mapping[ShardState, int]


@dataclass(frozen=True, kw_only=True)
class EvaluationRecord:
    """One evaluation as `status` and `show` present it; scores only if finished, without influences: these are in a file."""

    evaluation_id: int
    checkpoint_name: str
    checkpoint_uri: str
    checkpoint_digest: str
    step: int | None
    tags: Mapping[str, str]
    description: Mapping[str, Any]
    protocol_name: str
    fingerprint: str
    protocol: Protocol
    dataset_name: str
    state: EvaluationState
    error: str | None
    shards_finished: int
    shards_total: int
    submitted_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    pictures: StoredFile | None
    influence: StoredFile | None = None
    scores: tuple[Score, ...] = ()

    @property
    def is_noise_floor(self) -> bool:
        """True for real images that were scored as if they were samples."""
        return is_noise_floor(self.description)


@dataclass(frozen=True, kw_only=True)
class WorkerRecord:
    """One slot of one supervisor, as it last reported."""

    worker: str
    host: str
    pid: int
    device: str
    memory_bytes: int | None
    threads: int
    versions: Mapping[str, str]
    started_at: datetime
    heartbeat_at: datetime
    is_alive: bool
    images_done: int
    images_per_second: float | None
