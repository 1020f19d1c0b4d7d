"""What one sound of the bell leads to, whoever heard it: a Celery slot, or the loop of `workers.inline`.

    claim a shard ─► measure ─► write its file ─► record it ─► finalise what is ready
      └ there is none ────────────────────────────────────────────┘

What is claimed: anything, or what a `vaeval run` asked for alone (`own_evaluations`).

A claim is kept alive by a heartbeat and always ends in exactly one of: recorded as finished, recorded as failed, given
back, or lost to somebody else, in which case nothing is recorded and what was written is removed. What follows from an error
is for `scheduler.faults` to say.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from enum import StrEnum

import structlog

from scheduler.composition import Application
from scheduler.faults import Fault, fault_of
from scheduler.settings import DEFAULT_STALL_SECONDS
from scheduler.store.artifact_keys import shard_key
from scheduler.store.artifacts import ArtifactStore
from scheduler.store.base import ShardClaim, StoredFile, WorkStore
from vaeval_core.checkpoints.base import is_noise_floor
from vaeval_core.errors import VaevalError
from vaeval_core.evaluate import measure_reference_shard, measure_shard
from vaeval_core.metrics.catalogue import require_known
from vaeval_core.streams.base import ShardArrays
from vaeval_core.streams.noise_floor import measure_noise_floor_shard
from workers.finalise_runner import Finaliser, has_time, log_context
from workers.heartbeat import BEATS_PER_LEASE, LONGEST_SILENCE_SECONDS, ClaimLost, Heartbeat, Interrupted
from workers.loaded_models import LoadedModels
from workers.recording import recorded

_LOG = logging.getLogger(__name__)


class RunOutcome(StrEnum):
    """What became of one sound of the bell."""

    NOTHING_TO_DO = "nothing_to_do"
    FINALISED = "finalised"
    FINISHED = "finished"
    FAILED = "failed"
    PUT_OFF = "put_off"
    RELEASED = "released"
    CLAIM_LOST = "claim_lost"


class ShardRunner:
    """Does one shard at a time, on behalf of a named worker.

    Args:
        work: The database, as a worker sees it.
        artifacts: Where shard files go.
        models: What is kept between shards.
        worker: Name under which claims are made and the slot reports.
        lease_seconds: Lease of a claim, as the store grants it.
        evaluation_ids: The evaluations to work on, with the references that they wait for; None for any.
        stall_seconds: A shard of which no batch is finished for so long is given up.
        on_hang: Called in another thread when work that was given up does not even end then: ends the process.
    """

    def __init__(
        self,
        work: WorkStore,
        artifacts: ArtifactStore,
        models: LoadedModels,
        *,
        worker: str,
        lease_seconds: float,
        evaluation_ids: Sequence[int] | None = None,
        stall_seconds: float = DEFAULT_STALL_SECONDS,
        on_hang: Callable[[], None] | None = None,
    ) -> None:
        self._work = work
        self._artifacts = artifacts
        self._models = models
        self._worker = worker
        self._evaluation_ids = evaluation_ids
        self._beat_seconds = lease_seconds / BEATS_PER_LEASE
        self._stall_seconds = stall_seconds
        self._on_hang = on_hang
        self._interrupted = threading.Event()
        self._is_tainted = False
        self._finaliser = Finaliser(
            work,
            artifacts,
            worker=worker,
            evaluation_ids=evaluation_ids,
            beat_seconds=self._beat_seconds,
            stall_seconds=stall_seconds,
            is_interrupted=self._interrupted.is_set,
            on_hang=on_hang,
        )

    @property
    def is_tainted(self) -> bool:
        """True once a model or library raised something unforeseen: a GPU that has failed once fails ever after, and
        the next shard deserves a fresh process."""
        return self._is_tainted

    @property
    def is_interrupted(self) -> bool:
        """True once the process is to stop."""
        return self._interrupted.is_set()

    def interrupt(self) -> None:
        """Give the work at hand back as soon as its current batch is done, and take no other. From any thread."""
        self._interrupted.set()

    def run_one(self) -> RunOutcome:
        """Do what there is to do: at most one shard, and every finalisation that is ready, as long as there is time.

        Raises:
            ServiceUnreachable: The database does not answer. What was claimed is found by recovery.
            SchemaMismatch: The database was upgraded: this program must not work on it any more.
        """
        began = time.monotonic()
        with structlog.contextvars.bound_contextvars(worker=self._worker):
            if self._finaliser.owes:
                self._finaliser.finalise_what_is_ready(began)
                if not has_time(began):
                    return RunOutcome.FINALISED
            is_stopping = self._interrupted.is_set()
            claim = None if is_stopping else self._work.claim_shard(self._worker, self._evaluation_ids)
            if claim is None:
                self._finaliser.finalise_what_is_ready(began)
                return RunOutcome.NOTHING_TO_DO
            with log_context(claim.owner, claim.owner_id, shard=claim.number, attempt=claim.attempt):
                outcome = self._run_shard(claim)
            self._finaliser.finalise_what_is_ready(began)
            return outcome

    def _run_shard(self, claim: ShardClaim) -> RunOutcome:
        images_done = 0

        def on_progress(done: int) -> None:
            nonlocal images_done
            images_done = done
            heartbeat.check()
            if self._interrupted.is_set():
                raise Interrupted

        with Heartbeat(
            lambda: self._work.renew_shard(claim, images_done),
            every=min(self._beat_seconds, LONGEST_SILENCE_SECONDS),
            stall_seconds=self._stall_seconds,
            on_stall=lambda: self._work.fail_shard(claim, self._stalled(images_done), fault=Fault.WORK),
            on_hang=self._on_hang,
        ) as heartbeat:
            try:
                _LOG.info("shard_started", extra={"images": len(claim.index_range)})
                arrays, seconds = self._measure(claim, on_progress)
                heartbeat.check()
                key = shard_key(claim.owner, claim.owner_id, claim.number, claim.token)
                file = self._artifacts.write_arrays(key, arrays)
            except ClaimLost:
                _LOG.warning("claim_lost")
                return RunOutcome.CLAIM_LOST
            except Interrupted:
                return self._release(claim, heartbeat)
            except VaevalError as error:
                return self._fail(claim, str(error), fault_of(error), heartbeat)
            except Exception as error:  # noqa: BLE001 - whatever a model or library raises belongs into the shard's story
                _LOG.exception("shard_raised")
                self._is_tainted = True
                return self._fail(claim, f"{type(error).__name__}: {error}", fault_of(error), heartbeat)
            except BaseException:  # Ctrl-C, or a process that is told to exit
                self._work.release_shard(claim)
                raise
            return self._record(claim, file, seconds, images_done, heartbeat)

    def _stalled(self, images_done: int) -> str:
        seconds = f"{self._stall_seconds:g} s"
        return f"No batch was finished for {seconds} after {images_done} images; its worker was taken for stuck."

    def _measure(self, claim: ShardClaim, on_progress: Callable[[int], None]) -> tuple[ShardArrays, float]:
        """Arrays of the shard, and the seconds that computing them took, without loading the models."""
        # Another release may know metrics that this one computes nothing for: whoever merges would miss it, hours later.
        require_known(claim.protocol.metrics)
        checkpoint, extractor = claim.checkpoint, self._models.extractor(claim.protocol.extractor)
        if checkpoint is not None and is_noise_floor(checkpoint.description):
            images = self._models.images(checkpoint.uri, checkpoint.description["dataset_digest"])
            started = time.perf_counter()
            arrays = measure_noise_floor_shard(
                images, extractor, claim.protocol, claim.index_range, on_progress=on_progress
            )
            return arrays, time.perf_counter() - started
        images = self._models.images(claim.dataset_uri, claim.dataset_digest)
        if checkpoint is None:
            started = time.perf_counter()
            arrays = measure_reference_shard(
                images, extractor, claim.protocol, claim.index_range, on_progress=on_progress
            )
        else:
            adapter = self._models.adapter(checkpoint)
            started = time.perf_counter()
            arrays = measure_shard(
                adapter,
                images,
                extractor,
                claim.protocol,
                claim.index_range,
                on_progress=on_progress,
                second_stage=lambda fit: self._models.second_stage(checkpoint, claim.protocol.fingerprint, fit),
                perceptual=self._models.perceptual(claim.protocol.lpips),
            )
        return arrays, time.perf_counter() - started

    def _record(
        self, claim: ShardClaim, file: StoredFile, seconds: float, images: int, heartbeat: Heartbeat
    ) -> RunOutcome:
        if not recorded(lambda: self._work.finish_shard(claim, file, seconds), heartbeat):
            _LOG.warning("claim_lost", extra={"file": file.key})
            self._artifacts.delete([file.key])
            return RunOutcome.CLAIM_LOST
        _LOG.info("shard_finished", extra={"images": images, "seconds": round(seconds, 3)})
        return RunOutcome.FINISHED

    def _fail(self, claim: ShardClaim, reason: str, fault: Fault, heartbeat: Heartbeat) -> RunOutcome:
        is_recorded = recorded(lambda: self._work.fail_shard(claim, reason, fault=fault), heartbeat)
        _LOG.error("shard_failed", extra={"reason": reason, "fault": fault})
        if not is_recorded:
            return RunOutcome.CLAIM_LOST
        return RunOutcome.PUT_OFF if fault.is_put_off else RunOutcome.FAILED

    def _release(self, claim: ShardClaim, heartbeat: Heartbeat) -> RunOutcome:
        is_recorded = recorded(lambda: self._work.release_shard(claim), heartbeat)
        _LOG.info("shard_released")
        return RunOutcome.RELEASED if is_recorded else RunOutcome.CLAIM_LOST


def make_runner(
    application: Application,
    worker: str,
    evaluation_ids: Sequence[int] | None = None,
    on_hang: Callable[[], None] | None = None,
) -> ShardRunner:
    """A runner on the stores of an application."""
    settings = application.settings
    models = LoadedModels(application.artifacts, settings.home / "weights")
    return ShardRunner(
        application.work,
        application.artifacts,
        models,
        worker=worker,
        lease_seconds=settings.lease_seconds,
        evaluation_ids=evaluation_ids,
        stall_seconds=settings.stall_seconds,
        on_hang=on_hang,
    )
