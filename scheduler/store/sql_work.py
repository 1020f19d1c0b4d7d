"""The port of the workers on SQL: one transaction per method; `shard_*` and `finalise_*` say what is in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from sqlalchemy import Connection, case, null, or_, update

from scheduler.faults import Fault
from scheduler.settings import MAX_ATTEMPTS
from scheduler.store import finalise_failures, finalise_work, schema, shard_failures, shard_results, shard_work
from scheduler.store.base import FinaliseClaim, ShardClaim, StoredFile
from scheduler.store.clock import database_now
from scheduler.store.conflicts import insert_into
from scheduler.store.database import Database
from scheduler.store.journal import storable
from scheduler.store.tables import workers
from vaeval_core.evaluation_result import Score

_Claim = TypeVar("_Claim")


class SqlWorkStore:
    """`WorkStore` on a database.

    Args:
        database: Where.
        lease_seconds: How long a claim holds without being renewed.
        max_attempts: Claims of one shard, or of one finalisation, before it fails.
    """

    def __init__(self, database: Database, *, lease_seconds: float, max_attempts: int = MAX_ATTEMPTS) -> None:
        self._database = database
        self._lease_seconds = lease_seconds
        self._max_attempts = max_attempts
        # Of this program as it runs: what lies on the disk may be the next version by the time that somebody asks.
        self._revision = schema.head_revision()

    def claim_shard(self, worker: str, evaluation_ids: Sequence[int] | None = None) -> ShardClaim | None:
        """See `WorkStore.claim_shard`."""
        return self._claimed(
            lambda connection: shard_work.claim(connection, worker, self._lease_seconds, evaluation_ids)
        )

    def _claimed(self, claim: Callable[[Connection], _Claim | None]) -> _Claim | None:
        """What the claim gives, unless the database belongs to another version of the program by now."""

        def work(connection: Connection) -> _Claim | None:
            claimed = claim(connection)
            schema.require_unchanged(connection, self._revision)
            return claimed

        return self._database.write(work)

    def renew_shard(self, claim: ShardClaim, images_done: int) -> bool:
        """See `WorkStore.renew_shard`."""
        return self._database.write(
            lambda connection: shard_work.renew(connection, claim, images_done, self._lease_seconds)
        )

    def finish_shard(self, claim: ShardClaim, file: StoredFile, seconds: float) -> bool:
        """See `WorkStore.finish_shard`."""
        return self._database.write(lambda connection: shard_results.finish(connection, claim, file, seconds))

    def fail_shard(self, claim: ShardClaim, reason: str, *, fault: Fault) -> bool:
        """See `WorkStore.fail_shard`."""
        return self._database.write(
            lambda connection: shard_failures.fail_attempt(
                connection,
                claim,
                storable(reason),
                fault=fault,
                max_attempts=self._max_attempts,
                lease_seconds=self._lease_seconds,
            )
        )

    def release_shard(self, claim: ShardClaim) -> bool:
        """See `WorkStore.release_shard`."""
        return self._database.write(lambda connection: shard_work.release(connection, claim))

    def claim_finalise(self, worker: str, evaluation_ids: Sequence[int] | None = None) -> FinaliseClaim | None:
        """See `WorkStore.claim_finalise`.

        Whoever finishes a shard asks after it is committed, so that of several who finish the last ones at least the last to
        commit is told that something is ready; the claim itself then lets one through.
        """
        if not self._database.read(
            lambda connection: finalise_work.is_any_ready(connection, self._max_attempts, evaluation_ids)
        ):
            return None
        return self._claimed(
            lambda connection: finalise_work.claim(
                connection,
                worker,
                lease_seconds=self._lease_seconds,
                max_attempts=self._max_attempts,
                evaluation_ids=evaluation_ids,
            )
        )

    def renew_finalise(self, claim: FinaliseClaim) -> bool:
        """See `WorkStore.renew_finalise`."""
        return self._database.write(lambda connection: finalise_work.renew(connection, claim, self._lease_seconds))

    def finish_reference(self, claim: FinaliseClaim, file: StoredFile) -> bool:
        """See `WorkStore.finish_reference`."""
        return self._database.write(lambda connection: finalise_work.finish_reference(connection, claim, file))

    def finish_evaluation(
        self,
        claim: FinaliseClaim,
        scores: Sequence[Score],
        pictures: StoredFile | None,
        influence: StoredFile | None = None,
    ) -> bool:
        """See `WorkStore.finish_evaluation`."""
        return self._database.write(
            lambda connection: finalise_work.finish_evaluation(connection, claim, scores, pictures, influence)
        )

    def fail_finalise(self, claim: FinaliseClaim, reason: str) -> bool:
        """See `WorkStore.fail_finalise`."""
        return self._database.write(
            lambda connection: finalise_failures.fail_claim(connection, claim, storable(reason))
        )

    def release_finalise(self, claim: FinaliseClaim, reason: str, *, fault: Fault) -> bool:
        """See `WorkStore.release_finalise`."""
        return self._database.write(
            lambda connection: finalise_failures.release_claim(
                connection,
                claim,
                storable(reason),
                fault=fault,
                max_attempts=self._max_attempts,
                lease_seconds=self._lease_seconds,
            )
        )

    def hand_finalise_back(self, claim: FinaliseClaim) -> bool:
        """See `WorkStore.hand_finalise_back`."""
        return self._database.write(lambda connection: finalise_failures.hand_back(connection, claim))

    def recompute_shard(self, claim: FinaliseClaim, file: StoredFile, reason: str) -> bool:
        """See `WorkStore.recompute_shard`."""
        return self._database.write(
            lambda connection: finalise_failures.recompute(
                connection, claim, file, storable(reason), max_attempts=self._max_attempts
            )
        )

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
        """See `WorkStore.report_worker`."""

        def work(connection: Connection) -> None:
            entry = insert_into(connection, workers).values(
                worker=worker,
                host=host,
                pid=pid,
                device=device,
                threads=threads,
                versions=dict(versions),
                memory_bytes=memory_bytes,
                started_at=database_now(),
                heartbeat_at=database_now(),
                images_done=0,
                busy_seconds=0.0,
            )
            new = entry.excluded
            # Another process under an old name, or one that had said goodbye: its counters start again.
            restarted = or_(workers.c.pid != new.pid, workers.c.host != new.host, workers.c.retired_at.is_not(None))
            connection.execute(
                entry.on_conflict_do_update(
                    index_elements=["worker"],
                    set_={
                        "host": new.host,
                        "pid": new.pid,
                        "device": new.device,
                        "threads": new.threads,
                        "versions": new.versions,
                        "memory_bytes": new.memory_bytes,
                        "heartbeat_at": new.heartbeat_at,
                        "retired_at": null(),
                        "started_at": case((restarted, new.started_at), else_=workers.c.started_at),
                        "images_done": case((restarted, 0), else_=workers.c.images_done),
                        "busy_seconds": case((restarted, 0.0), else_=workers.c.busy_seconds),
                    },
                )
            )

            schema.require_unchanged(connection, self._revision)

        self._database.write(work)

    def retire_worker(self, worker: str) -> None:
        """See `WorkStore.retire_worker`."""
        self._database.write(
            lambda connection: connection.execute(
                update(workers).where(workers.c.worker == worker).values(retired_at=database_now())
            )
        )
