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

- **One revision.** Claims, reports of workers and the maintenance lease raise SchemaMismatch once the database was brought to
  another revision than this program's, and change nothing.

Four narrow ports instead of one wide one: who submits, who works, who watches over it, who reads. What goes through them is
defined in `requests`, `claims`, `records` and `answers`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from scheduler.faults import Fault
from scheduler.lifecycle import EvaluationState
from scheduler.store.answers import (
    BoardSize,
    ChangedEvaluation,
    Contenders,
    FailedAttempt,
    JournalPage,
    OldHistory,
    RetryReceipt,
    Waiting,
)
from scheduler.store.answers import OwnerKind as OwnerKind
from scheduler.store.answers import SweepReport as SweepReport
from scheduler.store.artifact_keys import FileOwner
from scheduler.store.claims import CheckpointLocation as CheckpointLocation
from scheduler.store.claims import FinaliseClaim as FinaliseClaim
from scheduler.store.claims import ShardClaim as ShardClaim
from scheduler.store.claims import StoredFile as StoredFile
from scheduler.store.records import EvaluationRecord as EvaluationRecord
from scheduler.store.records import Progress as Progress
from scheduler.store.records import StateCounts as StateCounts
from scheduler.store.records import WorkerRecord as WorkerRecord
from scheduler.store.requests import CheckpointEntry as CheckpointEntry
from scheduler.store.requests import DatasetEntry as DatasetEntry
from scheduler.store.requests import EvaluationRequest as EvaluationRequest
from scheduler.store.requests import SubmissionReceipt as SubmissionReceipt
from scheduler.store.requests import SubmittedEvaluation as SubmittedEvaluation
from vaeval_core.evaluation_result import Score


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
        """Take the next shard: by priority, of equals those of references first, then by turn. None if nothing is claimable.

        A reference is as urgent as the most urgent evaluation that waits for it. Turns give all submissions of one priority
        equal shares; see `scheduler.store.turns`.

        With `evaluation_ids` only a shard of these evaluations, or of a reference that they wait for. A shard whose last
        attempt failed or was lost on this machine is left to others for a while, if any of them are alive; and so is all of an
        evaluation that this machine cannot do.
        """

    def renew_shard(self, claim: ShardClaim, images_done: int) -> bool:
        """Extend the lease and report progress. False: the claim is lost or the work was cancelled, stop."""

    def finish_shard(self, claim: ShardClaim, file: StoredFile, seconds: float) -> bool:
        """Record the shard's file. False: the claim is lost, the file is nobody's."""

    def fail_shard(self, claim: ShardClaim, reason: str, *, fault: Fault) -> bool:
        """Queue the shard again, or fail it and its owner, by whose fault it was: see `scheduler.faults`.

        A reference that fails takes the evaluations that wait for it along, each with the reason. False: the claim is lost.
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

    def release_finalise(self, claim: FinaliseClaim, reason: str, *, fault: Fault) -> bool:
        """Give the finalisation back for another attempt after a pause.

        If it may be the fault of the work, it fails after the last; for its surroundings it waits as a shard does. False: the
        claim is lost.
        """

    def hand_finalise_back(self, claim: FinaliseClaim) -> bool:
        """Give an unfinished finalisation back at once; the attempt does not count. False: the claim is lost."""

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

    def forget_history(self, days: float) -> OldHistory:
        """Remove lines of the journal about work that is over, and workers that are gone, where they are older.

        Returns:
            What was removed.
        """

    def claimable(self) -> int:
        """How many claims would succeed now: queued shards plus finalisations that are ready."""


class ReadStore(Protocol):
    """Who reads."""

    def progress(self, evaluation_ids: Sequence[int] | None = None) -> Progress:
        """Progress of the given evaluations, or of all."""

    def state_counts(self) -> StateCounts:
        """How many there are in each state: for those who ask again and again, from indices alone."""

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

    def waiting(self, evaluation_ids: Sequence[int]) -> Mapping[int, Waiting]:
        """Evaluation → what it waits for: only those under way that do."""

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
        """Rows of the view `leaderboard` as they are, protocols one after another, in each the best rank first and
        noise floors last.

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
        """The first `top` rows of each protocol, as `leaderboard` has them, without ranking all others; noise floors beside."""

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

    def old_history(self, days: float) -> OldHistory:
        """What `forget_history` would remove."""

    def live_files(self, of: FileOwner | None = None) -> frozenset[str]:
        """Keys of the artifacts that a row points to, or that a claim under way may be writing; of one owner or of all."""

    def workers(self) -> tuple[WorkerRecord, ...]:
        """Slots that reported within the last day, the living first."""

    def images_per_second(self, extractor: str) -> float | None:
        """Measured rate per slot of recent finished shards with this feature network, None before any."""
