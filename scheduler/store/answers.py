"""What the stores answer to questions about evaluations: what a command changed, and what went wrong in them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from scheduler.lifecycle import EvaluationState

OwnerKind = Literal["evaluation", "reference"]
"""What a shard is a part of."""


@dataclass(frozen=True, kw_only=True)
class ChangedEvaluation:
    """What became of one evaluation that was to be cancelled, or queued again."""

    evaluation_id: int
    checkpoint_name: str
    before: EvaluationState
    state: EvaluationState

    @property
    def is_changed(self) -> bool:
        """False if there was nothing to do in its state."""
        return self.before is not self.state


@dataclass(frozen=True, kw_only=True)
class RetryReceipt:
    """What became of evaluations that were to be queued again; `new_shards` is how often the bell must ring."""

    evaluations: tuple[ChangedEvaluation, ...]
    new_shards: int


@dataclass(frozen=True, kw_only=True)
class FailedAttempt:
    """An attempt that came to nothing, of an evaluation or of the reference that it needs.

    Attributes:
        owner: Whose.
        shard: Number of the shard; None for a finalisation.
        attempt: Which attempt it was, from 1; None where a file was lost that an earlier attempt had made.
        worker: Who made it.
        at: When that was recorded.
        reason: Why, in a sentence or in the words of a library.
    """

    owner: OwnerKind
    shard: int | None
    attempt: int | None
    worker: str | None
    at: datetime
    reason: str
