"""Recovery: puts right what a crash, a lost message or a wiped broker left behind.

Every supervisor runs one, and `vaeval scheduler` is nothing else. Whoever gets the maintenance lease sweeps:

    leases that ended  ─► queued again, or failed after the last attempt     (in SQL, by its clock)
    claimable work     ─► is the bell still going to ring that often? if not, ring for the difference

Nothing else in vaeval retries or resends: whatever goes wrong anywhere, this loop is how it heals, within one lease and
one pause of the loop.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from dataclasses import dataclass, field

from scheduler.queue.base import MOST_ANNOUNCED, WorkQueue
from scheduler.settings import Settings
from scheduler.store.base import RecoveryStore, SweepReport
from vaeval_core.errors import SchemaMismatch, ServiceUnreachable

_LOG = logging.getLogger(__name__)

LEASE_SWEEPS = 2.0
"""Length of the maintenance lease in pauses between sweeps: renewed in time, and soon free if its holder dies."""


@dataclass
class SweepTotals:
    """What recovery did in this process since it began.

    Attributes:
        sweeps: How often it swept.
        lost: How many pieces of work it found lost: shards queued again, shards failed, finalisations released.
        last_at: Monotonic time of the last sweep after which the broker was told too; NaN before the first.
    """

    sweeps: int = 0
    lost: dict[str, int] = field(
        default_factory=lambda: {"shard_requeued": 0, "shard_failed": 0, "finalise_released": 0}
    )
    last_at: float = math.nan

    @property
    def seconds_since_last(self) -> float:
        """Since the last sweep that went well; NaN before the first, and where another process does the sweeping."""
        return time.monotonic() - self.last_at

    def add(self, report: SweepReport) -> None:
        """Count a sweep."""
        self.sweeps += 1
        self.lost["shard_requeued"] += report.shards_requeued
        self.lost["shard_failed"] += report.shards_failed
        self.lost["finalise_released"] += report.finalises_released


def sweep_once(store: RecoveryStore) -> SweepReport:
    """Put right what ended leases left behind, and log what was found; harmless where another process does the same."""
    report = store.sweep()
    for lost in report.lost:
        facts = {lost.owner: lost.owner_id, "shard": lost.shard, "worker": lost.worker, "attempt": lost.attempt}
        _LOG.warning("lease_ended", extra={**facts, "is_failed": lost.is_failed})
    if report != SweepReport():
        _LOG.info(
            "lost_work_found",
            extra={
                "shards_requeued": report.shards_requeued,
                "shards_failed": report.shards_failed,
                "finalises_released": report.finalises_released,
            },
        )
    return report


class Recovery:
    """Sweeps while it holds the maintenance lease.

    Args:
        store: The database, as who watches over the work sees it.
        queue: The bell.
        owner: Name that no other process has, such as host and process number.
        settings: For the pause between two sweeps.
    """

    def __init__(self, store: RecoveryStore, queue: WorkQueue, *, owner: str, settings: Settings) -> None:
        self._store = store
        self._queue = queue
        self._owner = owner
        self._sweep_seconds = settings.sweep_seconds
        self._is_holder = False
        self._was_database_away = False
        self.totals = SweepTotals()

    def step(self) -> SweepReport | None:
        """One sweep.

        Returns:
            What was found and done; None if another process holds the maintenance lease.

        Raises:
            ServiceUnreachable: Database or broker does not answer. What the sweep did before stays done.
        """
        try:
            self._is_holder = self._store.hold_maintenance(self._owner, LEASE_SWEEPS * self._sweep_seconds)
            if not self._is_holder:
                self.totals.last_at = math.nan
                return None
            report = self._sweep()
        except ServiceUnreachable:
            self._was_database_away = True
            raise
        self.totals.add(report)
        unannounced = min(self._store.claimable(), MOST_ANNOUNCED) - self._queue.waiting()
        if unannounced > 0:
            self._queue.ring(unannounced)
            _LOG.debug("bell_rung", extra={"times": unannounced})
        self.totals.last_at = time.monotonic()
        return report

    def _sweep(self) -> SweepReport:
        if not self._was_database_away:
            return sweep_once(self._store)
        # While it was away nobody could renew a lease. Whoever lives does so with its next beat; until then, all look dead.
        self._was_database_away = False
        _LOG.info(
            "sweep_left_out", extra={"reason": "the database was away: workers have one pause to renew their leases"}
        )
        return SweepReport()

    def run(self, stop: threading.Event) -> None:
        """Sweep until `stop` is set; then leave the lease to the next.

        A service that does not answer is logged and tried again: it may come back, and then there is work to do.

        Raises:
            SchemaMismatch: The database was upgraded: this program must not work on it any more.
        """
        while not stop.is_set():
            try:
                self.step()
            except ServiceUnreachable as error:
                _LOG.warning("recovery_waits", extra={"reason": str(error)})
            except SchemaMismatch:
                raise
            except Exception:  # noqa: BLE001 - the loop that heals all else must outlive any failure of its own
                _LOG.exception("recovery_failed")
            stop.wait(self._sweep_seconds)
        self._leave()

    def _leave(self) -> None:
        if not self._is_holder:
            return
        try:
            self._store.hold_maintenance(self._owner, 0.0)
        except ServiceUnreachable:
            _LOG.debug("maintenance_lease_kept", extra={"reason": "the database does not answer; the lease will end"})
