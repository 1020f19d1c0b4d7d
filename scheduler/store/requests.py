"""What is asked of the store when something is submitted, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scheduler.lifecycle import EvaluationState
from vaeval_core.protocol import Protocol
from vaeval_core.types import IndexRange


@dataclass(frozen=True, kw_only=True)
class CheckpointEntry:
    """A checkpoint as it is registered; `description` is `CheckpointDescription.as_json()`."""

    digest: str
    uri: str
    name: str
    step: int | None
    description: Mapping[str, Any]
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class DatasetEntry:
    """A data set as it is registered."""

    digest: str
    uri: str
    name: str
    num_images: int


@dataclass(frozen=True, kw_only=True)
class EvaluationRequest:
    """One checkpoint × one protocol, with its shard plan and that of the reference, should that be new."""

    checkpoint: CheckpointEntry
    dataset: DatasetEntry
    protocol: Protocol
    protocol_name: str
    shards: Sequence[IndexRange]
    reference_shards: Sequence[IndexRange]
    priority: int = 0


# --- what comes out ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class SubmittedEvaluation:
    """What became of one request."""

    evaluation_id: int
    checkpoint_name: str
    created: bool
    state: EvaluationState


@dataclass(frozen=True, kw_only=True)
class SubmissionReceipt:
    """What became of a submission; `new_shards` is how often the bell must ring."""

    evaluations: tuple[SubmittedEvaluation, ...]
    new_shards: int
