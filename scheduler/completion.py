"""Completion: what the worker that finished last does with the shard files of an evaluation or reference.

    reference    shard files ─► merge_reference ─► merged file                 its shard files stay
                 imported statistics ─────────► merged file
    evaluation   shard files ─► merge_shards ─► score(…, merged reference) ─► rows of scores, a file of pictures and one
                     └───────── read again by metrics that look at each image ─┘    of influences: what each image does
                                (and the shard files of the reference with them)

Files are read one by one in shard order, so that any number of images fits in memory and sums are taken in one order
whatever the order of arrival. Everything is keyed by the claim's fencing token: a finaliser that lost its lease records
nothing and removes what it wrote.

    a file is gone or altered                         its shard is computed again
    storage, or another release of vaeval here        somebody tries again, here later or elsewhere at once
    anything else that may pass: memory, time         somebody tries again; after the last attempt it fails
    an error of vaeval about the numbers or settings  it fails at once: it would fail everywhere
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from numpy.typing import NDArray

from scheduler.faults import Fault, fault_of
from scheduler.store.artifact_keys import influence_key, merged_key, pictures_key
from scheduler.store.artifacts import ArtifactStore
from scheduler.store.base import FinaliseClaim, StoredFile, WorkStore
from vaeval_core.checkpoints.base import is_noise_floor
from vaeval_core.errors import FileLost, InvalidInput, MustStop, ServiceUnreachable, StorageFailed, VaevalError
from vaeval_core.evaluate import merge_reference, merge_shards, score
from vaeval_core.streams.noise_floor import NOISE_FLOOR_STREAMS

_LOG = logging.getLogger(__name__)


class FinaliseOutcome(StrEnum):
    """What became of a claim."""

    FINISHED = "finished"
    FAILED = "failed"
    QUEUED_AGAIN = "queued_again"
    RELEASED = "released"
    CLAIM_LOST = "claim_lost"


class _FileLost(Exception):
    """A file is missing or altered; carries which and why through the merge that was reading it."""

    def __init__(self, file: StoredFile, reason: str) -> None:
        super().__init__(reason)
        self.file = file
        self.reason = reason


def finalise(
    claim: FinaliseClaim,
    *,
    work: WorkStore,
    artifacts: ArtifactStore,
    on_life: Callable[[], None] = lambda: None,
    recorded: Callable[[Callable[[], bool]], bool] = lambda action: action(),
) -> FinaliseOutcome:
    """Merge the shards and record the result.

    Whoever calls renews the claim's lease meanwhile.

    Args:
        claim: From `WorkStore.claim_finalise`.
        work: The database, as a worker sees it.
        artifacts: Where shard files, references and pictures are.
        on_life: Called before each file that is read and before each metric; may raise `MustStop`.
        recorded: Makes a call that records how it ended, again if the database does not answer.

    Returns:
        What became of the claim; every outcome is recorded in the database.

    Raises:
        ServiceUnreachable: The database does not answer. The claim's lease ends and somebody finalises again.
        MustStop: What `on_life` raised. The claim is still held.
    """
    finalisation = _Finalisation(claim, work, artifacts, on_life, recorded)
    try:
        is_recorded = finalisation.run()
    except _FileLost as error:
        lost = error
        _LOG.warning("file_lost", extra={"key": lost.file.key, "reason": lost.reason})
        is_recorded = recorded(lambda: work.recompute_shard(claim, lost.file, lost.reason))
        return FinaliseOutcome.QUEUED_AGAIN if is_recorded else FinaliseOutcome.CLAIM_LOST
    except (MustStop, ServiceUnreachable):
        raise
    except VaevalError as error:
        fault = fault_of(error)
        if fault.is_put_off:
            return finalisation.release(str(error), fault)
        _LOG.exception("finalise_failed")
        reason = str(error)
        is_recorded = recorded(lambda: work.fail_finalise(claim, reason))
        return FinaliseOutcome.FAILED if is_recorded else FinaliseOutcome.CLAIM_LOST
    except Exception as error:  # noqa: BLE001 - out of memory or of time, a storage's own errors: another may succeed
        _LOG.exception("finalise_raised")
        return finalisation.release(f"{type(error).__name__}: {error}", fault_of(error))
    return FinaliseOutcome.FINISHED if is_recorded else FinaliseOutcome.CLAIM_LOST


@dataclass(frozen=True)
class _Finalisation:
    """One call of `finalise`; see there."""

    claim: FinaliseClaim
    work: WorkStore
    artifacts: ArtifactStore
    on_life: Callable[[], None]
    recorded: Callable[[Callable[[], bool]], bool]

    def run(self) -> bool:
        """True if the result is recorded, False if the claim is lost."""
        return self._finish_reference() if self.claim.owner == "reference" else self._finish_evaluation()

    def release(self, reason: str, fault: Fault) -> FinaliseOutcome:
        """Let somebody try again."""
        _LOG.warning("finalise_released", extra={"reason": reason, "fault": fault})
        is_recorded = self.recorded(lambda: self.work.release_finalise(self.claim, reason, fault=fault))
        return FinaliseOutcome.RELEASED if is_recorded else FinaliseOutcome.CLAIM_LOST

    def _finish_reference(self) -> bool:
        claim, artifacts = self.claim, self.artifacts
        if claim.protocol.imported_reference is not None:
            merged = _imported(claim, artifacts)
        else:
            merged = merge_reference(self._shards(claim.shards), claim.protocol)
        file = artifacts.write_arrays(merged_key(claim.owner_id, claim.token), merged)
        is_recorded = self.recorded(lambda: self.work.finish_reference(claim, file))
        if not is_recorded:
            artifacts.delete([file.key])
        return is_recorded

    def _finish_evaluation(self) -> bool:
        claim, artifacts = self.claim, self.artifacts
        if claim.reference is None:
            raise ValueError(f"Evaluation {claim.owner_id} was given to be finalised without a reference.")
        self.on_life()
        reference = _read(artifacts, claim.reference)
        streams = NOISE_FLOOR_STREAMS if is_noise_floor(claim.description or {}) else None
        summary = merge_shards(self._shards(claim.shards), claim.protocol, streams=streams)
        # If one of these is lost, so is the reference: it is merged again, and that computes the shard again.
        reference_shards = self._shards(claim.reference_shards, stands_for=claim.reference)
        scores = score(summary, reference, claim.protocol, reference_shards=reference_shards, on_life=self.on_life)
        influences = {each.metric: each.value.influence for each in scores if each.value.influence is not None}
        files: dict[str, Mapping[str, NDArray[Any]]] = {
            pictures_key(claim.owner_id, claim.token): summary.pictures,
            influence_key(claim.owner_id, claim.token): influences,
        }
        pictures, influence = _write_all(files, artifacts)
        is_recorded = self.recorded(lambda: self.work.finish_evaluation(claim, scores, pictures, influence))
        if is_recorded:
            # The scores stand; features of one checkpoint are of no further use and are most of the disk space.
            _delete_quietly(artifacts, [file.key for file in claim.shards])
        else:
            artifacts.delete([file.key for file in (pictures, influence) if file is not None])
        return is_recorded

    def _shards(self, files: Sequence[StoredFile], *, stands_for: StoredFile | None = None) -> _Shards:
        return _Shards(files, self.artifacts, self.on_life, stands_for=stands_for)


def _imported(claim: FinaliseClaim, artifacts: ArtifactStore) -> dict[str, NDArray[Any]]:
    """The statistics, which nobody can compute again if they are lost."""
    try:
        if claim.imported is not None:
            return artifacts.read_arrays(claim.imported)
        reason = "nothing with this digest was imported"
    except FileLost as error:
        reason = str(error)
    raise InvalidInput(
        "The imported statistics that this is to be compared with are gone.",
        received=f"{claim.protocol.imported_reference} ({reason})",
        expected="the file that `vaeval reference import` stored",
        next_step="import the same file again, then vaeval retry",
    )


def _write_all(files: Mapping[str, Mapping[str, NDArray[Any]]], artifacts: ArtifactStore) -> list[StoredFile | None]:
    """Files that belong together: all of them, or none if one cannot be written. None for one without arrays."""
    written: list[StoredFile | None] = []
    try:
        for key, arrays in files.items():
            written.append(artifacts.write_arrays(key, arrays) if arrays else None)
    except VaevalError:
        _delete_quietly(artifacts, [file.key for file in written if file is not None])
        raise
    return written


def _delete_quietly(artifacts: ArtifactStore, keys: list[str]) -> None:
    try:
        artifacts.delete(keys)
    except StorageFailed as error:
        _LOG.warning("files_kept", extra={"reason": str(error)})


class _Shards:
    """Arrays of one shard file after the other, read anew each time.

    Args:
        files: In shard order.
        artifacts: Where they are.
        on_life: Called before each file.
        stands_for: What is lost if one of them is; None for itself.
    """

    def __init__(
        self,
        files: Sequence[StoredFile],
        artifacts: ArtifactStore,
        on_life: Callable[[], None],
        *,
        stands_for: StoredFile | None = None,
    ) -> None:
        self._files = files
        self._artifacts = artifacts
        self._on_life = on_life
        self._stands_for = stands_for

    def __iter__(self) -> Iterator[dict[str, NDArray[Any]]]:
        for file in self._files:
            self._on_life()
            yield _read(self._artifacts, file, lost=self._stands_for)


def _read(artifacts: ArtifactStore, file: StoredFile, *, lost: StoredFile | None = None) -> dict[str, NDArray[Any]]:
    try:
        return artifacts.read_arrays(file)
    except FileLost as error:
        raise _FileLost(lost or file, str(error)) from error
