"""What a process does about finalisations: takes those that are ready, one by one, and keeps each claim alive.

A finalisation ends as a shard does: recorded, given back, or lost to somebody else. It shows signs of life with each file that
it reads and each metric; one that is silent for too long is given up, and one that is to stop is handed back.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import structlog

from scheduler.completion import FinaliseOutcome, finalise
from scheduler.faults import Fault
from scheduler.store.artifacts import ArtifactStore
from scheduler.store.base import FinaliseClaim, WorkStore
from vaeval_core.errors import ServiceUnreachable
from workers.heartbeat import ClaimLost, Heartbeat, Interrupted
from workers.recording import recorded

_LOG = logging.getLogger(__name__)

LATEST_BEGIN_SECONDS = 300.0
"""So long after a bell was heard no finalisation is begun for it: one time limit counts for all that a bell leads to, and so
each has most of it to itself."""

FINALISE_STALL_SHARE = 4.0
"""A finalisation may be silent for so many stall times: what looks at many images at once, such as the Vendi score, computes in
memory for minutes."""


def has_time(began: float) -> bool:
    """True if a finalisation may begin for a bell that was heard at this monotonic time."""
    return time.monotonic() - began < LATEST_BEGIN_SECONDS


class Finaliser:
    """Does finalisations on behalf of a named worker.

    Args:
        work: The database, as a worker sees it.
        artifacts: Where the files are.
        worker: Name under which claims are made.
        evaluation_ids: The evaluations to finalise, with the references that they wait for; None for any.
        beat_seconds: How often a claim is renewed.
        stall_seconds: That of shards; see `FINALISE_STALL_SHARE`.
        is_interrupted: True once the process is to stop.
        on_hang: As of `ShardRunner`.
    """

    def __init__(
        self,
        work: WorkStore,
        artifacts: ArtifactStore,
        *,
        worker: str,
        evaluation_ids: Sequence[int] | None,
        beat_seconds: float,
        stall_seconds: float,
        is_interrupted: Callable[[], bool],
        on_hang: Callable[[], None] | None,
    ) -> None:
        self._work = work
        self._artifacts = artifacts
        self._worker = worker
        self._evaluation_ids = evaluation_ids
        self._beat_seconds = beat_seconds
        self._stall_seconds = stall_seconds
        self._is_interrupted = is_interrupted
        self._on_hang = on_hang
        self.owes = False

    def finalise_what_is_ready(self, began: float) -> None:
        """Finalise until nothing is ready, or until it is late for this bell; then the rest is owed."""
        self.owes = False
        while not self._is_interrupted():
            if not has_time(began):
                self.owes = True  # first thing with the next bell: recovery rings for what is ready
                return
            claim = self._work.claim_finalise(self._worker, self._evaluation_ids)
            if claim is None:
                return
            with log_context(claim.owner, claim.owner_id):
                outcome = self._finalise(claim)
                _LOG.info("finalised", extra={"outcome": str(outcome)})
            if outcome is FinaliseOutcome.RELEASED:
                return  # what stood in the way may stand in the way of the next too, and needs time to pass

    def _finalise(self, claim: FinaliseClaim) -> FinaliseOutcome:
        stall_seconds = FINALISE_STALL_SHARE * self._stall_seconds
        reason = f"Nothing was read or scored for {stall_seconds:g} s; its worker was taken for stuck."

        def on_life() -> None:
            heartbeat.check()
            if self._is_interrupted():
                raise Interrupted

        with Heartbeat(
            lambda: self._work.renew_finalise(claim),
            every=self._beat_seconds,
            stall_seconds=stall_seconds,
            on_stall=lambda: self._work.release_finalise(claim, reason, fault=Fault.WORK),
            on_hang=self._on_hang,
        ) as heartbeat:
            try:
                return finalise(
                    claim,
                    work=self._work,
                    artifacts=self._artifacts,
                    on_life=on_life,
                    recorded=lambda action: recorded(action, heartbeat),
                )
            except ClaimLost:
                return FinaliseOutcome.CLAIM_LOST
            except Interrupted:
                is_recorded = recorded(lambda: self._work.hand_finalise_back(claim), heartbeat)
                return FinaliseOutcome.RELEASED if is_recorded else FinaliseOutcome.CLAIM_LOST
            except ServiceUnreachable:
                raise
            except BaseException:  # Ctrl-C, or a process that is told to exit
                self._work.hand_finalise_back(claim)
                raise


@contextmanager
def log_context(owner: str, owner_id: int, **more: int) -> Iterator[None]:
    """Name what is at hand in every line of the log."""
    with structlog.contextvars.bound_contextvars(**{owner: owner_id}, **more):
        yield
