"""`python -m tests.chaos.clock_entry URL [own]`: all that sets a time in the database, by a process whose clock is off.

With `own` the process takes its own clock for the database's, as no process of vaeval does: what is then in the database is
what the test must find fault with.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

from sqlalchemy import literal

from scheduler.store import clock

if sys.argv[2:] == ["own"]:
    # Before the stores are imported, which build some of their statements then.
    clock.database_now = lambda: literal(datetime.now(UTC), clock.UtcDateTime())
    clock.database_now_plus = lambda seconds: literal(
        datetime.now(UTC) + timedelta(seconds=seconds), clock.UtcDateTime()
    )

from scheduler.faults import Fault
from scheduler.store.database import Database
from tests.factories import stored_file
from tests.laws.stores import Stores, file_of


def main() -> None:
    """Leave rows behind in which every kind of time is set."""
    stores = Stores(Database(sys.argv[1]))
    for worker in ("worker-1", "worker-2", "leaving"):
        stores.work.report_worker(worker, host=f"host of {worker}", pid=1, device="cpu", threads=1, versions={})
    stores.work.retire_worker("leaving")
    stores.submit("done", "merging", "waiting", "failing", "refused", "cancelled")
    stores.make_reference()
    for name in ("done", "merging", "waiting"):
        for _ in range(2):
            claim = stores.claim()
            assert claim.checkpoint is not None
            assert claim.checkpoint.uri.endswith(name)
            assert stores.work.finish_shard(claim, file_of(claim), 1.0)
        finalise = stores.claim_finalise()
        assert stores.work.renew_finalise(finalise)
        if name == "done":
            assert stores.work.finish_evaluation(finalise, [], stored_file("pictures"))
        if name == "waiting":
            assert stores.work.release_finalise(finalise, "The disk is full.", fault=Fault.SURROUNDINGS)
    for fault in (Fault.WORK, Fault.SURROUNDINGS, Fault.MACHINE):
        assert stores.work.fail_shard(stores.claim(), "Why not.", fault=fault)
    stores.submissions.cancel([6])
    stores.submissions.retry([6])
    stores.submissions.cancel([6])
    held = stores.claim("worker-2")
    assert stores.work.renew_shard(held, 1)
    assert stores.recovery.hold_maintenance("here", 30.0)
    stores.recovery.sweep()


if __name__ == "__main__":
    main()
