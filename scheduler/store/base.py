"""The stores, as promises. `sql_*` keeps them on SQLite and PostgreSQL, with the same statements.

Guarantees of every implementation:

- **Atomic.** Each method is one transaction; after an exception nothing has changed. A transaction that loses to a
  concurrent one is run again, so callers never see a lock.
- **Leases by the database's clock.** A claim holds until its lease ends. Worker clocks are never compared.
- **Fencing.** Each claim of a row has a higher token. A write under an old token changes nothing and says so by
  returning False, so a worker that slept through its lease cannot overwrite its successor.
- **One finaliser.** Of any number of workers that finish the last shards of an evaluation at the same moment, exactly
  one is given its finalisation.
- **Finished is final.** Scores of a finished evaluation never change; submitting it again returns the same row.
- **Identity.** One row per checkpoint digest, dataset digest, fingerprint, reference key, and (checkpoint, protocol).

Four narrow ports instead of one wide one: who submits, who works, who watches over it, who reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from scheduler.lifecycle import EvaluationState, ShardState
from scheduler.store.answers import (
    BoardSize,
    ChangedEvaluation,
    Contenders,
    FailedAttempt,
    JournalPage,
    LostWork,
    RetryReceipt,
)
from scheduler.store.answers import OwnerKind as OwnerKind
from vaeval_core.evaluation_result import Score
from vaeval_core.protocol import Protocol as EvaluationProtocol
from vaeval_core.types import IndexRange

# --- what goes in -----------------------------------------------------------------------------------------------------


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
    protocol: EvaluationProtocol
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


@dataclass(frozen=True, kw_only=True)
class CheckpointLocation:
    """Where a worker finds a checkpoint and how it knows that it is the right one."""

    uri: str
    digest: str
    description: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class ShardClaim:
    """The right to compute one shard until the lease ends.

    Attributes:
        shard_id: Row id.
        owner: Whether it is a part of an evaluation or of a reference.
        owner_id: Row id of that.
        number: Position in the plan, from 0.
        index_range: Image numbers.
        token: Fencing token; rises with each claim.
        attempt: 1 for the first claim.
        protocol: How to compute.
        checkpoint: What to evaluate; None for a shard of a reference.
        dataset_uri: Opens the real images.
        dataset_digest: What they must be.
    """

    shard_id: int
    owner: OwnerKind
    owner_id: int
    number: int
    index_range: IndexRange
    token: int
    attempt: int
    protocol: EvaluationProtocol
    checkpoint: CheckpointLocation | None
    dataset_uri: str
    dataset_digest: str


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """A file in the artifact store: its key and the sha256 of its bytes."""

    key: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class FinaliseClaim:
    """The right to merge the shards of an evaluation or reference until the lease ends.

    Attributes:
        owner: What is finalised.
        owner_id: Row id.
        token: Fencing token.
        protocol: How it was computed.
        shards: The shard files in shard order.
        reference: The merged reference file; None when a reference itself is finalised.
        description: The checkpoint's stored description; None when a reference is finalised.
        reference_shards: The shard files of that reference in shard order; none when a reference itself is finalised.
    """

    owner: OwnerKind
    owner_id: int
    token: int
    protocol: EvaluationProtocol
    shards: tuple[StoredFile, ...]
    reference: StoredFile | None
    description: Mapping[str, Any] | None
    reference_shards: tuple[StoredFile, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SweepReport:
    """What a sweep of recovery found and did."""

    shards_requeued: int = 0
    shards_failed: int = 0
    finalises_released: int = 0
    lost: tuple[LostWork, ...] = field(default=(), compare=False)


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
    protocol: EvaluationProtocol
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


# --- the ports --------------------------------------------------------------------------------------------------------


class SubmissionStore(Protocol):
    """Who submits."""

    def submit(self, requests: Sequence[EvaluationRequest]) -> SubmissionReceipt:
        """Register all requests in one transaction; an evaluation that exists is returned as it is.

        A failed or cancelled evaluation that is submitted again is queued again, with only its unfinished shards.
        Receipt entries keep the order of the requests.
        """

    def cancel(self, evaluation_ids: Sequence[int]) -> tuple[ChangedEvaluation, ...]:
        """Stop evaluations that are not over; those that are stay as they are. All or none.

        Workers at their shards stop with the next renewal; from now on nothing is recorded for them.

        Raises:
            NotFound: No evaluation has one of these ids.
        """

    def retry(self, evaluation_ids: Sequence[int]) -> RetryReceipt:
        """Queue failed and cancelled evaluations again, with only their unfinished shards; others stay. All or none.

        Raises:
            NotFound: No evaluation has one of these ids.
        """


class WorkStore(Protocol):
    """Who works."""

    def claim_shard(self, worker: str, evaluation_ids: Sequence[int] | None = None) -> ShardClaim | None:
        """Take the next shard: reference shards first, then by priority and turn. None if nothing is claimable.

        Turns give all submissions of one priority equal shares; see `scheduler.store.turns`.

        With `evaluation_ids` only a shard of these evaluations, or of a reference that they wait for. A shard whose last
        attempt failed on this worker is left to others for a while, if any of them are alive.
        """

    def renew_shard(self, claim: ShardClaim, images_done: int) -> bool:
        """Extend the lease and report progress. False: the claim is lost or the work was cancelled, stop."""

    def finish_shard(self, claim: ShardClaim, file: StoredFile, seconds: float) -> bool:
        """Record the shard's file. False: the claim is lost, the file is nobody's."""

    def fail_shard(self, claim: ShardClaim, reason: str, *, retry: bool) -> bool:
        """Queue the shard again, or fail it and its owner: at once if `retry` is False, else after the last attempt.

        A reference that fails takes the evaluations that wait for it along, each with the reason.
        """

    def release_shard(self, claim: ShardClaim) -> bool:
        """Give an unfinished shard back at once; the attempt does not count."""

    def claim_finalise(self, worker: str, evaluation_ids: Sequence[int] | None = None) -> FinaliseClaim | None:
        """Take an evaluation or reference whose shards are all finished, and whose reference is. None if there is none.

        With `evaluation_ids` only one of these evaluations, or a reference that they wait for.
        """

    def renew_finalise(self, claim: FinaliseClaim) -> bool:
        """Extend the lease. False: the claim is lost, stop."""

    def finish_reference(self, claim: FinaliseClaim, file: StoredFile) -> bool:
        """Record the merged reference. False: the claim is lost."""

    def finish_evaluation(
        self,
        claim: FinaliseClaim,
        scores: Sequence[Score],
        pictures: StoredFile | None,
        influence: StoredFile | None = None,
    ) -> bool:
        """Record all scores and finish, in one transaction. False: the claim is lost."""

    def fail_finalise(self, claim: FinaliseClaim, reason: str) -> bool:
        """Fail the evaluation, or the reference and what waits for it. False: the claim is lost."""

    def release_finalise(self, claim: FinaliseClaim, reason: str) -> bool:
        """Give the finalisation back for another attempt after a pause; fail after the last. False: the claim is lost."""

    def recompute_shard(self, claim: FinaliseClaim, file: StoredFile, reason: str) -> bool:
        """A shard file is missing or altered: queue that shard again and give the finalisation back.

        If the file is the claim's merged reference, that is merged again from its shard files. False: the claim is lost.
        """

    def report_worker(
        self,
        worker: str,
        *,
        host: str,
        pid: int,
        device: str,
        threads: int,
        versions: Mapping[str, str],
        memory_bytes: int | None = None,
    ) -> None:
        """Register a slot, or say that it is alive."""

    def retire_worker(self, worker: str) -> None:
        """The slot has stopped in good order."""


class RecoveryStore(Protocol):
    """Who watches over the work."""

    def hold_maintenance(self, owner: str, seconds: float) -> bool:
        """Take or renew the one maintenance lease; False while another process holds it."""

    def sweep(self) -> SweepReport:
        """Queue shards and finalisations whose lease ended; fail shards that used up their attempts."""

    def claimable(self) -> int:
        """How many claims would succeed now: queued shards plus finalisations that are ready."""


class ReadStore(Protocol):
    """Who reads."""

    def progress(self, evaluation_ids: Sequence[int] | None = None) -> Progress:
        """Progress of the given evaluations, or of all."""

    def evaluations(
        self,
        evaluation_ids: Sequence[int] | None = None,
        *,
        states: Sequence[EvaluationState] = (),
        limit: int | None = None,
    ) -> tuple[EvaluationRecord, ...]:
        """Evaluations without scores, newest first."""

    def evaluation(self, evaluation_id: int) -> EvaluationRecord:
        """One evaluation with its scores.

        Raises:
            NotFound: No evaluation has this id.
        """

    def failed_attempts(self, evaluation_id: int) -> tuple[FailedAttempt, ...]:
        """What came to nothing in an evaluation and in its reference, the oldest first."""

    def leaderboard(
        self,
        *,
        fingerprint: str | None = None,
        fingerprints: Sequence[str] | None = None,
        evaluation_ids: Sequence[int] | None = None,
        limit: int | None = None,
    ) -> tuple[Mapping[str, Any], ...]:
        """Rows of the view `leaderboard` as they are, protocols one after another, in each the best rank first.

        Protocols that differ in nothing but their seed stand together, the lowest seed first; of such groups, the one
        where an evaluation finished last comes first. `fingerprint` may be a prefix of at least 6 characters;
        `fingerprints` are whole.
        """

    def warnings(self, evaluation_ids: Sequence[int]) -> Mapping[int, Mapping[str, tuple[str, ...]]]:
        """What a reader of scores must know: evaluation → metric → sentences; nothing for scores without any."""

    def scores(
        self, evaluation_ids: Sequence[int], metrics: Sequence[str]
    ) -> Mapping[int, Mapping[str, tuple[float, float | None]]]:
        """Evaluation → metric → value and standard error, of these metrics; nothing where there is no number."""

    def unfinished(self, *, besides: Sequence[int] = ()) -> int:
        """How many evaluations are not over yet, those named in `besides` left out."""

    def best(self, top: int, *, fingerprint: str | None = None) -> tuple[Mapping[str, Any], ...]:
        """The first `top` rows of each protocol, as `leaderboard` has them, without ranking all others."""

    def board_sizes(self, fingerprints: Sequence[str]) -> Mapping[str, BoardSize]:
        """How many rows the leaderboards of these protocols have; nothing for a protocol without any."""

    def contenders(self, reaches: Mapping[str, float], *, most: int) -> Mapping[str, Contenders]:
        """Who may be tied with the best of a leaderboard.

        Args:
            reaches: Fingerprint → how far behind a row may be, in the sum of its standard error and that of the best.
            most: Rows of each board to give; all are counted.
        """

    def influences(self, evaluation_ids: Sequence[int]) -> Mapping[int, StoredFile]:
        """Evaluation → the file of what each image does to its scores, where it was kept."""

    def journal(self, after: int | None, workers: Sequence[str]) -> JournalPage:
        """Lines of these workers with a higher number, none if `after` is None; and the number of the last line of all."""

    def longest_wait_seconds(self) -> float | None:
        """Age of the oldest evaluation that nobody has begun; None if there is none."""

    def live_files(self) -> frozenset[str]:
        """Keys of the artifacts that a row points to, or that a claim under way may be writing."""

    def workers(self) -> tuple[WorkerRecord, ...]:
        """Slots that reported within the last day, the living first."""

    def images_per_second(self, extractor: str) -> float | None:
        """Measured rate per slot of recent finished shards with this feature network, None before any."""
