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
    """One checkpoint × one protocol, with its shard plan and that of the reference, should that be new.

    Attributes:
        checkpoint: What is evaluated.
        dataset: The real images of the protocol.
        protocol: How.
        protocol_name: For people.
        shards: Ranges of image numbers.
        reference_shards: Likewise; none if the reference is imported.
        priority: Higher goes first.
        noise_floor: The set whose images stand for samples, if it is no checkpoint that is evaluated.
    """

    checkpoint: CheckpointEntry
    dataset: DatasetEntry
    protocol: Protocol
    protocol_name: str
    shards: Sequence[IndexRange]
    reference_shards: Sequence[IndexRange]
    priority: int = 0
    noise_floor: DatasetEntry | None = None

    @property
    def extractor_passes(self) -> tuple[int, ...]:
        """How far each pass through the extractor reaches: image i takes one for every number above i."""
        return self.protocol.extractor_passes if self.noise_floor is None else (self.protocol.num_samples,)

    @property
    def forward_passes(self) -> int:
        """Images that go through the extractor, the reference not counted: the unit of cost."""
        return sum(self.extractor_passes)


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
    """What became of a submission.

    Attributes:
        evaluations: One for each request, in their order.
        new_shards: How often the bell must ring.
        raised: Those that were unfinished, and are more urgent from now on.
    """

    evaluations: tuple[SubmittedEvaluation, ...]
    new_shards: int
    raised: tuple[int, ...] = ()
