"""What the stores answer to questions about evaluations: what a command changed, and what went wrong in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

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


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """What an evaluation under way waits for.

    Attributes:
        owner: Whether it, or the reference that it needs.
        reason: Why the last attempt came to nothing; None if nothing pauses.
        next_attempt_at: End of the pause that ends first; None if nothing pauses.
        gives_up_at: When it fails if its surroundings stay as they are; None where something else ends it.
        refused_by: Machine → why it cannot do the work, which is left to others.
    """

    owner: OwnerKind
    reason: str | None
    next_attempt_at: datetime | None
    gives_up_at: datetime | None
    refused_by: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class OldHistory:
    """Lines of the journal about work that is over, and workers that are gone, from before a certain day."""

    lines: int
    workers: int


@dataclass(frozen=True, kw_only=True)
class LostWork:
    """A shard or a finalisation whose worker stopped answering.

    Attributes:
        owner: What it is a part of.
        owner_id: Row id of that.
        shard: Number of the shard; None for a finalisation.
        worker: Who had it.
        attempt: Which attempt that was.
        is_failed: True if it was the last.
    """

    owner: OwnerKind
    owner_id: int
    shard: int | None
    worker: str | None
    attempt: int
    is_failed: bool


@dataclass(frozen=True, kw_only=True)
class SweepReport:
    """What a sweep of recovery found and did."""

    shards_requeued: int = 0
    shards_failed: int = 0
    finalises_released: int = 0
    lost: tuple[LostWork, ...] = field(default=(), compare=False)


@dataclass(frozen=True, kw_only=True)
class JournalLine:
    """One line of the journal, as far as a worker is concerned."""

    number: int
    action: str
    worker: str | None
    detail: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class JournalPage:
    """Lines of the journal, and how far it goes."""

    last: int
    lines: tuple[JournalLine, ...]


@dataclass(frozen=True, kw_only=True)
class BoardSize:
    """How many rows a leaderboard has.

    Attributes:
        finished: All of them.
        ranked: Those that have a FID.
    """

    finished: int
    ranked: int


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A row of a leaderboard, as far as ties are concerned."""

    evaluation_id: int
    fid: float
    fid_std_error: float | None


@dataclass(frozen=True, kw_only=True)
class Contenders:
    """Rows of a leaderboard that may be as good as its best one.

    Attributes:
        rows: The best first, itself included; no more than were asked for.
        count: How many there are in all.
    """

    rows: tuple[Contender, ...]
    count: int
