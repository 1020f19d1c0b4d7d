"""`WorkStore`, shards: claims, leases, fences, attempts; on both databases."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import select

from scheduler.faults import Fault
from scheduler.lifecycle import EvaluationState
from scheduler.store.base import CheckpointLocation, ShardClaim
from scheduler.store.tables import events
from tests.factories import checkpoint_entry, dataset_entry, digest, evaluation_request, protocol, stored_file
from tests.laws.stores import Stores, file_of
from vaeval_core.shard_plan import plan_shards
from vaeval_core.types import IndexRange


class TestClaiming:
    def test_nothing_to_do_gives_no_claim(self, stores: Stores) -> None:
        assert stores.work.claim_shard("worker-1") is None

    def test_a_claim_says_all_that_a_worker_needs(self, stores: Stores) -> None:
        checkpoint = checkpoint_entry("a", description={"format": "keras-pair", "image_range": [-1.0, 1.0]})
        request = evaluation_request(checkpoint, dataset=dataset_entry(uri="/data/digits"))
        evaluation_id = stores.submit_one(request)
        stores.make_reference()
        claim = stores.claim()
        assert claim == ShardClaim(
            shard_id=claim.shard_id,
            owner="evaluation",
            owner_id=evaluation_id,
            number=0,
            index_range=IndexRange(0, 32),
            token=2,
            attempt=1,
            protocol=request.protocol,
            checkpoint=CheckpointLocation(
                uri=checkpoint.uri, digest=checkpoint.digest, description=checkpoint.description
            ),
            dataset_uri="/data/digits",
            dataset_digest=digest("digits"),
        )

    def test_a_shard_of_a_reference_has_no_checkpoint(self, stores: Stores) -> None:
        stores.submit_one()
        claim = stores.claim()
        assert (claim.owner, claim.checkpoint, claim.index_range) == ("reference", None, IndexRange(0, 32))

    def test_priority_goes_first_then_references_then_age_then_number(self, stores: Stores) -> None:
        stores.submit(evaluation_request("low", priority=-1))
        stores.submit(evaluation_request("normal"), evaluation_request("high", priority=7))
        other = protocol(dataset_digest=digest("photos"))
        stores.submit(evaluation_request("other", protocol=other, priority=-9))
        order = [
            (claim.checkpoint.uri.rpartition("/")[2] if claim.checkpoint else claim.dataset_digest[:4], claim.number)
            for claim in stores.compute_shards()
        ]
        names = [digest("digits")[:4], "high", "normal", "low", digest("photos")[:4], "other"]
        assert order == [(name, number) for name in names for number in (0, 1)]

    def test_a_reference_is_as_urgent_as_the_most_urgent_evaluation_that_waits_for_it(self, stores: Stores) -> None:
        stores.submit(evaluation_request("a", priority=1))
        stores.submit(evaluation_request("b", protocol=protocol(dataset_digest=digest("photos"))))
        stores.submit(evaluation_request("c", protocol=protocol(dataset_digest=digest("photos")), priority=5))
        assert stores.claim().dataset_digest == digest("photos")

    def test_the_reference_of_an_urgent_evaluation_goes_before_what_was_under_way(self, stores: Stores) -> None:
        stores.submit("sweep/1", "sweep/2")
        stores.make_reference()
        stores.claim()
        stores.submit(
            evaluation_request("urgent", protocol=protocol(dataset_digest=digest("photos")), priority=5),
            evaluation_request("whenever", protocol=protocol(dataset_digest=digest("paintings")), priority=-5),
        )
        order = [
            claim.checkpoint.uri.removeprefix("/checkpoints/") if claim.checkpoint else claim.dataset_digest
            for claim in stores.compute_shards()
        ]
        expected = [digest("photos"), "urgent", "sweep/1", "sweep/2", digest("paintings"), "whenever"]
        assert list(dict.fromkeys(order)) == expected

    def test_for_whom_an_urgent_shard_is_not_it_holds_up_no_reference(self, stores: Stores) -> None:
        """It failed on this machine, and is left to the other."""
        for worker, host in (("worker-1", "here"), ("worker-2", "there")):
            stores.work.report_worker(worker, host=host, pid=1, device="cpu", threads=1, versions={})
        stores.submit(evaluation_request("urgent", priority=5))
        stores.make_reference()
        assert stores.work.fail_shard(stores.claim(), "Out of memory.", fault=Fault.WORK)
        stores.compute_shards()
        stores.execute("UPDATE shards SET not_before = NULL")
        stores.submit(evaluation_request("other", protocol=protocol(dataset_digest=digest("photos"))))
        assert stores.claim("worker-1").dataset_digest == digest("photos")
        checkpoint = stores.claim("worker-2").checkpoint
        assert checkpoint is not None
        assert checkpoint.uri == "/checkpoints/urgent"

    def test_the_first_claim_starts_the_evaluation(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        stores.make_reference()
        assert stores.reads.evaluation(evaluation_id).started_at is not None
        stores.claim()
        record = stores.reads.evaluation(evaluation_id)
        assert record.state is EvaluationState.RUNNING
        assert record.started_at is not None
        assert record.started_at >= record.submitted_at

    def test_a_claim_for_some_evaluations_takes_theirs_though_others_are_older_and_more_urgent(
        self, stores: Stores
    ) -> None:
        other = protocol(dataset_digest=digest("photos"))
        stores.submit(evaluation_request("older", priority=9), evaluation_request("elsewhere", protocol=other))
        own = stores.submit_one("own")
        claims = []
        while claim := stores.work.claim_shard("worker-1", [own]):
            claims.append((claim.owner, claim.owner_id, claim.number))
        # The reference of the digits is that of «own» too; the one of the photos is not.
        assert claims == [("reference", 1, 0), ("reference", 1, 1), ("evaluation", own, 0), ("evaluation", own, 1)]
        everybody = [claim.protocol for claim in stores.compute_shards()]
        assert other in everybody, "the others are still there for everybody else"

    def test_a_claim_for_no_evaluation_takes_nothing(self, stores: Stores) -> None:
        stores.submit_one()
        assert stores.work.claim_shard("worker-1", []) is None

    def test_a_claim_may_be_for_very_many_evaluations(self, stores: Stores) -> None:
        stores.submit_one()
        assert stores.work.claim_shard("worker-1", range(1, 70_000)) is not None

    def test_many_workers_at_once_get_each_shard_once(self, stores: Stores) -> None:
        plan = plan_shards(1600, 32)
        stores.submit(evaluation_request(protocol=protocol(num_samples=1600), shards=plan))

        def work(number: int) -> list[int]:
            claims = []
            while claim := stores.work.claim_shard(f"worker-{number}"):
                claims.append(claim.shard_id)
            return claims

        with ThreadPoolExecutor(8) as threads:
            taken = [shard for claims in threads.map(work, range(8)) for shard in claims]
        assert len(taken) == len(set(taken)) == 50 + 2

    @pytest.mark.parametrize("state", ["cancelled", "failed"])
    def test_shards_of_an_evaluation_that_was_stopped_are_never_claimed(self, stores: Stores, state: str) -> None:
        stores.submit("stopped", "going")
        stores.make_reference()
        stores.execute(f"UPDATE evaluations SET state = '{state}' WHERE id = 1")
        assert {claim.owner_id for claim in stores.compute_shards()} == {2}


class TestLeases:
    def test_a_lease_that_holds_is_left_alone(self, stores: Stores) -> None:
        stores.submit_one()
        claim = stores.claim()
        assert stores.recovery.sweep().shards_requeued == 0
        assert stores.work.finish_shard(claim, file_of(claim), 1.0)

    def test_renewing_a_lease_saves_it(self, stores: Stores) -> None:
        stores.submit_one()
        claim = stores.claim()
        stores.end_lease(claim)
        assert stores.work.renew_shard(claim, images_done=3)
        assert stores.recovery.sweep().shards_requeued == 0

    def test_progress_is_never_more_than_the_shard_has(self, stores: Stores) -> None:
        stores.submit_one()
        claim = stores.claim()
        stores.work.renew_shard(claim, images_done=20)
        assert stores.reads.progress().images_done == 20
        stores.work.renew_shard(claim, images_done=10_000)
        assert stores.reads.progress().images_done == 32

    def test_the_clock_of_the_database_counts(self, stores: Stores) -> None:
        """The lease ends ten minutes after the claim, by a clock that no worker can set."""
        stores.submit_one()
        stores.claim()
        seconds = (
            "(julianday(lease_expires_at) - julianday('now')) * 86400"
            if stores.database.is_sqlite
            else "EXTRACT(EPOCH FROM lease_expires_at - now())"
        )
        ((left,),) = stores.query(f"SELECT {seconds} FROM shards WHERE state = 'running'")
        assert 500 < float(left) <= 600


class TestFencing:
    """A worker slept through its lease; the shard was queued again and claimed by its successor."""

    def overtake(self, stores: Stores) -> tuple[ShardClaim, ShardClaim]:
        stores.submit_one()
        late = stores.claim("sleeper")
        stores.end_lease(late)
        assert stores.recovery.sweep().shards_requeued == 1
        successor = stores.claim("successor")
        assert successor.shard_id == late.shard_id
        return late, successor

    def test_each_claim_has_a_higher_token_and_counts_as_an_attempt(self, stores: Stores) -> None:
        late, successor = self.overtake(stores)
        assert successor.token > late.token
        assert (late.attempt, successor.attempt) == (1, 2)

    def test_a_late_finish_changes_nothing(self, stores: Stores) -> None:
        late, successor = self.overtake(stores)
        assert not stores.work.finish_shard(late, stored_file("late"), 1.0)
        assert stores.work.finish_shard(successor, stored_file("right"), 1.0)
        assert not stores.work.finish_shard(late, stored_file("late"), 1.0)
        assert stores.query("SELECT file_key FROM shards WHERE state = 'finished'") == [("right",)]

    def test_a_late_renewal_failure_or_release_changes_nothing(self, stores: Stores) -> None:
        late, successor = self.overtake(stores)
        before = stores.query("SELECT * FROM shards ORDER BY id")
        assert not stores.work.renew_shard(late, images_done=5)
        assert not stores.work.fail_shard(late, "too late", fault=Fault.WORK)
        assert not stores.work.fail_shard(late, "too late", fault=Fault.INPUT)
        assert not stores.work.release_shard(late)
        assert stores.query("SELECT * FROM shards ORDER BY id") == before
        assert stores.work.renew_shard(successor, images_done=5)

    def test_a_made_up_token_opens_nothing(self, stores: Stores) -> None:
        _, successor = self.overtake(stores)
        assert not stores.work.finish_shard(replace(successor, token=99), stored_file("wrong"), 1.0)

    def test_finishing_twice_with_the_same_file_is_finishing_once(self, stores: Stores) -> None:
        """The first COMMIT succeeded but its answer was lost: the file is still the shard's own, and must be kept."""
        stores.submit_one()
        claim = stores.claim()
        stores.work.report_worker("worker-1", host="h", pid=1, device="cpu", threads=1, versions={})
        assert stores.work.finish_shard(claim, file_of(claim), 1.0)
        assert stores.work.finish_shard(claim, file_of(claim), 1.0)
        assert not stores.work.finish_shard(claim, stored_file("another"), 1.0)
        assert stores.reads.workers()[0].images_done == 32, "counted once"


class TestAttempts:
    def test_a_failed_attempt_pauses_and_is_made_again(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        stores.make_reference()
        first = stores.claim()
        assert stores.work.fail_shard(first, "The device ran out of memory.", fault=Fault.WORK)
        assert stores.claim().number == 1, "the other shard; this one pauses"
        assert stores.work.claim_shard("worker-1") is None
        stores.end_pauses()
        again = stores.claim()
        assert (again.shard_id, again.attempt) == (first.shard_id, 2)
        assert stores.state_of(evaluation_id) is EvaluationState.RUNNING
        assert stores.query(f"SELECT error FROM shards WHERE id = {first.shard_id}") == [
            ("The device ran out of memory.",)
        ]

    def test_the_pause_doubles(self, stores: Stores) -> None:
        stores.submit_one()
        for _ in range(2):
            claim = stores.claim()
            assert claim.number == 0
            stores.work.fail_shard(claim, "No.", fault=Fault.WORK)
            stores.end_pauses()
        failures = select(events.c.detail).where(events.c.action == "shard.attempt_failed").order_by(events.c.id)
        details = stores.database.read(lambda connection: connection.scalars(failures).all())
        assert [detail["pause_seconds"] for detail in details] == [2, 4]

    def test_after_the_last_attempt_the_shard_fails_and_its_evaluation_with_it(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        stores.make_reference()
        for attempt in (1, 2, 3):
            claim = stores.claim()
            assert (claim.number, claim.attempt) == (0, attempt)
            assert stores.work.fail_shard(claim, f"Reason {attempt}.", fault=Fault.WORK)
            stores.end_pauses()
        assert stores.state_of(evaluation_id) is EvaluationState.FAILED
        assert stores.error_of(evaluation_id) == "Shard 0 (images 0 to 31) failed after 3 attempts. Reason 3."
        assert stores.work.claim_shard("worker-1") is None

    def test_without_retry_it_fails_at_once(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        stores.make_reference()
        stores.work.fail_shard(stores.claim(), "The file is no model.", fault=Fault.INPUT)
        assert (
            stores.error_of(evaluation_id) == "Shard 0 (images 0 to 31) failed after 1 attempt. The file is no model."
        )

    @pytest.mark.parametrize("odd", ["\0", "\udcff"], ids=["NUL", "half a character"])
    def test_a_reason_may_hold_what_no_database_stores(self, stores: Stores, odd: str) -> None:
        stores.submit_one()
        stores.work.fail_shard(stores.claim(), f"The file photo{odd}.png is damaged.", fault=Fault.INPUT)
        assert "photo" in stores.error_of(1)
        assert ".png is damaged." in stores.error_of(1)

    def test_only_its_own_evaluation_fails(self, stores: Stores) -> None:
        stores.submit("poisoned", "healthy")
        stores.make_reference()
        stores.work.fail_shard(stores.claim(), "No.", fault=Fault.INPUT)
        stores.finish_everything()
        assert [stores.state_of(number) for number in (1, 2)] == [EvaluationState.FAILED, EvaluationState.FINISHED]

    def test_the_other_shards_of_a_failed_evaluation_stop(self, stores: Stores) -> None:
        stores.submit_one()
        stores.make_reference()
        running, failing = stores.claim("worker-1"), stores.claim("worker-2")
        stores.work.fail_shard(failing, "No.", fault=Fault.INPUT)
        assert not stores.work.renew_shard(running, images_done=1), "the worker is told to stop"
        assert not stores.work.finish_shard(running, file_of(running), 1.0)
        states = stores.query("SELECT state FROM shards WHERE evaluation_id IS NOT NULL ORDER BY number")
        assert states == [("cancelled",), ("failed",)]

    def test_a_failed_reference_takes_what_waits_for_it_along(self, stores: Stores) -> None:
        stores.submit("a", "b")
        other = stores.submit_one(evaluation_request("c", protocol=protocol(dataset_digest=digest("photos"))))
        stores.work.fail_shard(stores.claim(), "An image changed.", fault=Fault.INPUT)
        for number in (1, 2):
            assert stores.state_of(number) is EvaluationState.FAILED
            assert stores.error_of(number) == (
                "The reference failed: Shard 0 (images 0 to 31) failed after 1 attempt. An image changed."
            )
        assert stores.state_of(other) is EvaluationState.QUEUED
        assert {claim.dataset_digest for claim in stores.compute_shards()} == {digest("photos")}

    def test_two_shards_that_fail_at_the_same_moment_fail_their_evaluation_once(self, stores: Stores) -> None:
        stores.submit(*(f"sweep/{number}" for number in range(10)))
        stores.make_reference()
        claims = [stores.claim() for _ in range(20)]
        with ThreadPoolExecutor(8) as threads:
            told = list(threads.map(lambda claim: stores.work.fail_shard(claim, "No.", fault=Fault.INPUT), claims))
        assert sum(told) == 10, "of each pair one fails the evaluation, which takes the other shard away"
        states = Counter(stores.query("SELECT state FROM shards WHERE evaluation_id IS NOT NULL"))
        assert states == {("failed",): 10, ("cancelled",): 10}

    def test_a_released_shard_is_free_at_once_and_its_attempt_does_not_count(self, stores: Stores) -> None:
        stores.submit_one()
        for _ in range(5):
            claim = stores.claim()
            assert (claim.number, claim.attempt) == (0, 1)
            assert stores.work.release_shard(claim)
        assert not stores.work.release_shard(claim), "it is not his any more"


class TestLeavingToOthers:
    """A worker whose machine is broken is soon free again: it must not use up all attempts of a shard alone."""

    def fail_on(self, stores: Stores, worker: str) -> ShardClaim:
        """The first shard of two, failed and past its pause."""
        claim = stores.claim(worker)
        assert claim.number == 0
        assert stores.work.fail_shard(claim, "No such folder.", fault=Fault.WORK)
        stores.execute(f"UPDATE shards SET not_before = {_ago(stores, '-1 seconds')} WHERE id = {claim.shard_id}")
        return claim

    def report(self, stores: Stores, *names: str) -> None:
        for name in names:
            stores.work.report_worker(name, host="node", pid=7, device="cpu", threads=1, versions={})

    def test_a_shard_goes_to_another_worker_after_it_failed_on_one(self, stores: Stores) -> None:
        stores.submit_one()
        stores.make_reference()
        self.report(stores, "broken", "sound")
        failed = self.fail_on(stores, "broken")
        assert stores.claim("broken").number == 1
        assert stores.work.claim_shard("broken") is None
        assert stores.recovery.claimable() == 1, "there is work for somebody"
        assert stores.claim("sound").shard_id == failed.shard_id

    def test_a_worker_that_is_alone_tries_again(self, stores: Stores) -> None:
        stores.submit_one()
        self.report(stores, "alone")
        failed = self.fail_on(stores, "alone")
        assert stores.claim("alone").shard_id == failed.shard_id

    def test_of_a_shared_reference_a_run_leaves_to_others_what_failed_on_it(self, stores: Stores) -> None:
        stores.submit("theirs", "own")
        self.report(stores, "own-run", "sound")
        claim = stores.work.claim_shard("own-run", [2])
        assert claim is not None
        assert claim.owner == "reference"
        assert stores.work.fail_shard(claim, "no such folder here", fault=Fault.WORK)
        stores.execute(f"UPDATE shards SET not_before = {_ago(stores, '-1 seconds')} WHERE id = {claim.shard_id}")
        again = stores.work.claim_shard("own-run", [2])
        assert again is None or again.shard_id != claim.shard_id
        assert stores.claim("sound").shard_id == claim.shard_id

    @pytest.mark.parametrize("fate", ["retired", "silent"])
    def test_a_worker_that_is_gone_is_not_waited_for(self, stores: Stores, fate: str) -> None:
        stores.submit_one()
        self.report(stores, "broken", "gone")
        failed = self.fail_on(stores, "broken")
        if fate == "retired":
            stores.work.retire_worker("gone")
        else:  # a lease is ten minutes here
            stores.execute(f"UPDATE workers SET heartbeat_at = {_ago(stores, '-21 minutes')} WHERE worker = 'gone'")
        assert stores.claim("broken").shard_id == failed.shard_id

    def test_what_nobody_else_wants_comes_back_in_the_end(self, stores: Stores) -> None:
        stores.submit_one()
        self.report(stores, "broken", "deaf")
        failed = self.fail_on(stores, "broken")
        stores.execute(f"UPDATE shards SET not_before = {_ago(stores, '-11 minutes')} WHERE id = {failed.shard_id}")
        assert stores.claim("broken").shard_id == failed.shard_id

    def test_only_the_last_failure_counts(self, stores: Stores) -> None:
        stores.submit_one()
        self.report(stores, "first", "second")
        self.fail_on(stores, "first")
        failed = self.fail_on(stores, "second")
        assert stores.claim("first").shard_id == failed.shard_id

    def test_a_shard_that_was_given_back_since_is_free_for_all(self, stores: Stores) -> None:
        stores.submit_one()
        self.report(stores, "broken", "sound")
        failed = self.fail_on(stores, "broken")
        assert stores.work.release_shard(stores.claim("sound"))
        assert stores.claim("broken").shard_id == failed.shard_id


class TestWorkers:
    def test_a_slot_that_reports_is_listed_until_it_retires(self, stores: Stores) -> None:
        stores.work.report_worker("gpu-1", host="node", pid=7, device="gpu:0", threads=4, versions={"keras": "3.15.1"})
        (worker,) = stores.reads.workers()
        assert (worker.worker, worker.host, worker.pid, worker.device, worker.threads) == (
            "gpu-1",
            "node",
            7,
            "gpu:0",
            4,
        )
        assert worker.is_alive
        stores.work.retire_worker("gpu-1")
        assert [worker.is_alive for worker in stores.reads.workers()] == [False]

    def test_reporting_again_is_a_heartbeat(self, stores: Stores) -> None:
        for _ in range(2):
            stores.work.report_worker("gpu-1", host="node", pid=7, device="gpu:0", threads=4, versions={})
        (worker,) = stores.reads.workers()
        assert worker.heartbeat_at >= worker.started_at

    def test_finished_images_are_counted_for_the_slot_that_computed_them(self, stores: Stores) -> None:
        stores.work.report_worker("fast", host="node", pid=7, device="gpu:0", threads=4, versions={})
        stores.submit_one()
        claim = stores.claim("fast")
        stores.work.finish_shard(claim, file_of(claim), seconds=4.0)
        stores.work.renew_shard(stores.claim("fast"), images_done=5)
        (worker,) = stores.reads.workers()
        assert worker.images_done == 32 + 5, "with what it is doing now"
        assert worker.images_per_second == pytest.approx(32 / 4.0)

    def test_another_process_under_the_same_name_starts_at_zero(self, stores: Stores) -> None:
        stores.work.report_worker("gpu-1", host="node", pid=7, device="gpu:0", threads=4, versions={})
        stores.submit_one()
        claim = stores.claim("gpu-1")
        stores.work.finish_shard(claim, file_of(claim), seconds=4.0)
        stores.work.report_worker("gpu-1", host="node", pid=8, device="gpu:0", threads=4, versions={})
        (worker,) = stores.reads.workers()
        assert (worker.pid, worker.images_done, worker.images_per_second) == (8, 0, None)

    def test_a_silent_slot_is_not_alive_and_forgotten_after_a_day(self, stores: Stores) -> None:
        for name in ("silent", "gone", "here"):
            stores.work.report_worker(name, host="node", pid=7, device="cpu", threads=1, versions={})
        minutes, days = _ago(stores, "-5 minutes"), _ago(stores, "-2 days")
        stores.execute(f"UPDATE workers SET heartbeat_at = {minutes} WHERE worker = 'silent'")
        stores.execute(f"UPDATE workers SET heartbeat_at = {days} WHERE worker = 'gone'")
        listed = [(worker.worker, worker.is_alive) for worker in stores.reads.workers()]
        assert listed == [("here", True), ("silent", False)]


def _ago(stores: Stores, shift: str) -> str:
    if stores.database.is_sqlite:
        return f"strftime('%Y-%m-%d %H:%M:%f', 'now', '{shift}') || '000'"
    return f"now() + interval '{shift}'"
