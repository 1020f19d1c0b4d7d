"""The four ports on one database, with the few steps that most tests of them take."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select, text, update

from scheduler.faults import Fault
from scheduler.lifecycle import EvaluationState
from scheduler.store.base import EvaluationRequest, FinaliseClaim, ShardClaim, StoredFile, SubmissionReceipt
from scheduler.store.clock import database_now_plus
from scheduler.store.database import Database
from scheduler.store.owners import OWNERS
from scheduler.store.sql_reads import SqlReadStore
from scheduler.store.sql_recovery import SqlRecoveryStore
from scheduler.store.sql_references import SqlReferenceStore
from scheduler.store.sql_submissions import SqlSubmissionStore
from scheduler.store.sql_work import SqlWorkStore
from scheduler.store.tables import evaluations, events, shards
from tests.factories import evaluation_request, scores, stored_file


class Stores:
    """Ports as an application has them; leases are long, so that only `end_lease` ends one."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.submissions = SqlSubmissionStore(database)
        self.work = SqlWorkStore(database, lease_seconds=600, max_attempts=3)
        self.recovery = SqlRecoveryStore(database, max_attempts=3)
        self.reads = SqlReadStore(database)
        self.references = SqlReferenceStore(database)

    def submit(self, *requests: EvaluationRequest | str) -> SubmissionReceipt:
        """Submit requests; a text stands for a checkpoint of that name."""
        return self.submissions.submit(
            [evaluation_request(request) if isinstance(request, str) else request for request in requests]
        )

    def submit_one(self, request: EvaluationRequest | str = "vae/step-1") -> int:
        """Submit one request and give its evaluation's number."""
        return self.submit(request).evaluations[0].evaluation_id

    def claim(self, worker: str = "worker-1") -> ShardClaim:
        claim = self.work.claim_shard(worker)
        assert claim is not None
        return claim

    def report(self, *slots: str) -> None:
        """Each slot is called `slot@machine`, and is alive."""
        for slot in slots:
            host = slot.rpartition("@")[2]
            self.work.report_worker(slot, host=host, pid=7, device="cpu", threads=1, versions={})

    def claim_and_fail(self, worker: str, reason: str, fault: Fault) -> ShardClaim:
        claim = self.claim(worker)
        assert self.work.fail_shard(claim, reason, fault=fault)
        return claim

    def claim_finalise(self, worker: str = "worker-1") -> FinaliseClaim:
        claim = self.work.claim_finalise(worker)
        assert claim is not None
        return claim

    def compute_shards(self) -> list[ShardClaim]:
        """Claim and finish until nothing is left to claim."""
        return self.compute_shards_of(None)

    def compute_shards_of(self, most: int | None) -> list[ShardClaim]:
        """Claim and finish so many shards; all that are left to claim if None."""
        claims: list[ShardClaim] = []
        while len(claims) != most and (claim := self.work.claim_shard("worker-1")):
            assert self.work.finish_shard(claim, file_of(claim), seconds=2.0)
            claims.append(claim)
        return claims

    def make_reference(self) -> StoredFile:
        """Compute the shards of the one reference, and merge it."""
        while (claim := self.claim()).owner == "reference":
            assert self.work.finish_shard(claim, file_of(claim), seconds=1.0)
        assert self.work.release_shard(claim)
        merge = self.claim_finalise()
        assert merge.owner == "reference"
        merged = stored_file(f"references/{merge.owner_id}/merged.{merge.token}.safetensors")
        assert self.work.finish_reference(merge, merged)
        return merged

    def finish_everything(self, fid: float = 10.0) -> None:
        """Compute and finalise all that was submitted."""
        self.compute_shards()
        while claim := self.work.claim_finalise("worker-1"):
            if claim.owner == "reference":
                assert self.work.finish_reference(claim, stored_file(f"references/{claim.owner_id}/merged"))
            else:
                assert self.work.finish_evaluation(claim, scores(fid), None)

    def finish_with(self, results: dict[int, float]) -> None:
        """Compute and finalise all; evaluation number → FID."""
        self.compute_shards()
        while claim := self.work.claim_finalise("worker-1"):
            if claim.owner == "reference":
                assert self.work.finish_reference(claim, stored_file(f"references/{claim.owner_id}/merged"))
            else:
                assert self.work.finish_evaluation(claim, scores(results[claim.owner_id]), None)

    def end_lease(self, claim: ShardClaim | FinaliseClaim) -> None:
        """As if the worker had been silent for too long."""
        table = shards if isinstance(claim, ShardClaim) else OWNERS[claim.owner].table
        row = claim.shard_id if isinstance(claim, ShardClaim) else claim.owner_id
        self.database.write(
            lambda connection: connection.execute(
                update(table).where(table.c.id == row).values(lease_expires_at=database_now_plus(-1.0))
            )
        )

    def extend_pauses(self) -> None:
        """Pauses after failed attempts outlast the test, however slow the machine is."""
        self.execute("UPDATE shards SET not_before = '9000-01-01 00:00:00.000000' WHERE not_before IS NOT NULL")

    def end_pauses(self) -> None:
        """As if every pause after a failed attempt were over."""
        self.execute(f"UPDATE shards SET not_before = {moment(self, -1)} WHERE not_before IS NOT NULL")
        for table in ("reference_sets", "evaluations"):
            self.execute(f"UPDATE {table} SET lease_expires_at = NULL WHERE state = 'running'")

    def cancel(self, evaluation_id: int) -> None:
        """Only the evaluation's own row: its shards must be safe even so."""
        self.database.write(
            lambda connection: connection.execute(
                update(evaluations).where(evaluations.c.id == evaluation_id).values(state=EvaluationState.CANCELLED)
            )
        )

    def state_of(self, evaluation_id: int) -> EvaluationState:
        return self.reads.evaluation(evaluation_id).state

    def error_of(self, evaluation_id: int) -> str:
        error = self.reads.evaluation(evaluation_id).error
        assert error is not None
        return error

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        return self.database.read(lambda connection: [tuple(row) for row in connection.execute(text(statement))])

    def execute(self, statement: str) -> None:
        self.database.write(lambda connection: connection.execute(text(statement)))

    def details(self, action: str) -> list[Any]:
        """What the journal has on this, the oldest first."""
        statement = select(events.c.detail).where(events.c.action == action).order_by(events.c.id)
        return list(self.database.read(lambda connection: connection.scalars(statement).all()))

    def count(self, table: str) -> int:
        return int(self.database.read(lambda c: c.execute(select(func.count()).select_from(text(table))).scalar_one()))


def moment(stores: Stores, seconds: float) -> str:
    """SQL for the time of the database plus so many seconds."""
    if stores.database.is_sqlite:
        return f"(strftime('%Y-%m-%d %H:%M:%f', 'now', '{seconds:+} seconds') || '000')"
    return f"(statement_timestamp() + interval '{seconds} seconds')"


def file_of(claim: ShardClaim) -> StoredFile:
    """The file that a worker would have written for this claim."""
    return stored_file(f"{claim.owner}s/{claim.owner_id}/shards/{claim.number}-{claim.token}.safetensors")
