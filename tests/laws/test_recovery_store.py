"""`RecoveryStore`, and the journal that tells afterwards what happened; on both databases."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection

from scheduler.faults import Fault
from scheduler.lifecycle import EvaluationState
from scheduler.store import shard_work
from scheduler.store.base import SweepReport
from scheduler.store.database import Database
from tests.factories import evaluation_request, protocol, stored_file
from tests.laws.stores import Stores


class TestSweeping:
    def test_nothing_lost_is_nothing_done(self, stores: Stores) -> None:
        stores.submit_one()
        stores.claim()
        assert stores.recovery.sweep() == SweepReport()

    def test_a_shard_whose_lease_ended_is_queued_at_once(self, stores: Stores) -> None:
        stores.submit_one()
        claim = stores.claim("dead")
        stores.end_lease(claim)
        assert stores.recovery.sweep() == SweepReport(shards_requeued=1)
        again = stores.claim()
        assert (again.shard_id, again.attempt) == (claim.shard_id, 2)

    def test_a_shard_that_kills_every_worker_fails_with_its_story(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        stores.make_reference()
        reports = []
        for attempt in (1, 2, 3):
            claim = stores.claim(f"victim-{attempt}")
            assert claim.number == 0
            stores.end_lease(claim)
            reports.append(stores.recovery.sweep())
        assert reports == [
            SweepReport(shards_requeued=1),
            SweepReport(shards_requeued=1),
            SweepReport(shards_failed=1),
        ]
        assert stores.state_of(evaluation_id) is EvaluationState.FAILED
        assert stores.error_of(evaluation_id) == (
            "Shard 0 (images 0 to 31) failed after 3 attempts. Its worker, victim-3, stopped answering."
        )

    def test_two_lost_shards_of_one_evaluation_fail_it_once(self, stores: Stores) -> None:
        stores.submit_one()
        stores.make_reference()
        claims = [stores.claim(), stores.claim()]
        stores.execute("UPDATE shards SET attempts = 3 WHERE evaluation_id IS NOT NULL")
        for claim in claims:
            stores.end_lease(claim)
        assert stores.recovery.sweep() == SweepReport(shards_failed=1)
        failed = stores.query("SELECT COUNT(*) FROM events WHERE action = 'evaluation.shard_failed'")
        assert failed == [(1,)]

    def test_two_sweeps_at_the_same_moment_queue_each_shard_once(self, stores: Stores) -> None:
        stores.submit(*(f"sweep/{number}" for number in range(10)))
        for _ in range(22):
            stores.end_lease(stores.claim())
        with ThreadPoolExecutor(4) as threads:
            reports = list(threads.map(lambda _: stores.recovery.sweep(), range(4)))
        assert sum(report.shards_requeued for report in reports) == 22
        assert {stores.claim().attempt for _ in range(22)} == {2}


class TestMaintenance:
    def test_one_process_holds_it_and_may_renew_it(self, stores: Stores) -> None:
        assert stores.recovery.hold_maintenance("first", 60)
        assert not stores.recovery.hold_maintenance("second", 60)
        assert stores.recovery.hold_maintenance("first", 60)

    def test_it_passes_on_when_it_ended(self, stores: Stores) -> None:
        assert stores.recovery.hold_maintenance("first", -1)
        assert stores.recovery.hold_maintenance("second", 60)
        assert not stores.recovery.hold_maintenance("first", 60)

    def test_of_many_that_ask_at_once_one_gets_it(self, stores: Stores) -> None:
        with ThreadPoolExecutor(8) as threads:
            held = list(threads.map(lambda number: stores.recovery.hold_maintenance(f"p{number}", 60), range(8)))
        assert sum(held) == 1


class TestClaimable:
    """How often the bell must ring: recovery rings for exactly so many claims."""

    def test_an_empty_database_has_nothing(self, stores: Stores) -> None:
        assert stores.recovery.claimable() == 0

    def test_queued_shards_count_and_running_ones_do_not(self, stores: Stores) -> None:
        stores.submit("a", "b")
        assert stores.recovery.claimable() == 6
        stores.claim()
        assert stores.recovery.claimable() == 5

    def test_a_pausing_shard_does_not_count_before_its_time(self, stores: Stores) -> None:
        stores.submit_one()
        stores.work.fail_shard(stores.claim(), "No.", fault=Fault.WORK)
        assert stores.recovery.claimable() == 3
        stores.end_pauses()
        assert stores.recovery.claimable() == 4

    def test_shards_of_a_cancelled_evaluation_do_not_count(self, stores: Stores) -> None:
        stores.cancel(stores.submit_one())
        assert stores.recovery.claimable() == 2

    def test_finalisations_that_are_ready_count(self, stores: Stores) -> None:
        stores.submit("a", "b")
        stores.compute_shards()
        assert stores.recovery.claimable() == 1, "the reference; the evaluations wait for it"
        reference = stores.claim_finalise()
        assert stores.recovery.claimable() == 0
        stores.work.finish_reference(reference, stored_file("merged"))
        assert stores.recovery.claimable() == 2


class TestFailedAttempts:
    def test_every_attempt_that_came_to_nothing_is_told_with_its_reason(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        stores.make_reference()
        stores.work.fail_shard(stores.claim("broken"), "Out of memory.", fault=Fault.WORK)
        stores.end_pauses()
        stores.end_lease(stores.claim("dead"))
        stores.recovery.sweep()
        stores.work.fail_shard(stores.claim("unlucky"), "The decoder gives no images.", fault=Fault.WORK)
        told = stores.reads.failed_attempts(evaluation_id)
        assert [(each.owner, each.shard, each.attempt, each.worker, each.reason) for each in told] == [
            ("evaluation", 0, 1, "broken", "Out of memory."),
            ("evaluation", 0, 2, "dead", "Its worker, dead, stopped answering."),
            ("evaluation", 0, 3, "unlucky", "The decoder gives no images."),
        ]
        assert [each.at for each in told] == sorted(each.at for each in told)

    def test_those_of_its_reference_are_told_too_and_those_of_others_are_not(self, stores: Stores) -> None:
        one, other = stores.submit("one").evaluations[0], stores.submit("other").evaluations[0]
        stores.work.fail_shard(stores.claim("w"), "The folder is away.", fault=Fault.WORK)
        stores.end_pauses()
        stores.make_reference()
        claim = stores.claim("w")
        assert claim.owner_id == one.evaluation_id
        stores.work.fail_shard(claim, "Out of memory.", fault=Fault.WORK)
        told = {
            number: [(each.owner, each.reason) for each in stores.reads.failed_attempts(number)]
            for number in (one.evaluation_id, other.evaluation_id)
        }
        reference = ("reference", "The folder is away.")
        assert told[one.evaluation_id] == [reference, ("evaluation", "Out of memory.")]
        assert told[other.evaluation_id] == [reference]

    def test_a_finalisation_that_failed_has_no_shard(self, stores: Stores) -> None:
        stores.submit_one()
        stores.compute_shards()
        stores.work.release_finalise(stores.claim_finalise("w"), "The storage is away.", fault=Fault.WORK)
        stores.end_pauses()
        stores.end_lease(stores.claim_finalise("dead"))
        stores.recovery.sweep()
        told = stores.reads.failed_attempts(1)
        assert [(each.owner, each.shard, each.attempt, each.worker) for each in told] == [
            ("reference", None, 1, "w"),
            ("reference", None, 2, "dead"),
        ]
        assert told[1].reason == "The worker that merged them, dead, stopped answering."


class TestJournal:
    def test_the_life_of_an_evaluation_can_be_read_afterwards(self, stores: Stores) -> None:
        one_shard = protocol(num_samples=32, num_reconstructions=0, num_reference=32)
        stores.submit(evaluation_request(protocol=one_shard))
        stores.finish_everything()
        assert [action for (action,) in stores.query("SELECT action FROM events ORDER BY id")] == [
            "reference.submitted",
            "evaluation.submitted",
            "shard.claimed",
            "shard.computed",
            "shard.claimed",
            "shard.computed",
            "reference.finalise_claimed",
            "reference.scored",
            "evaluation.finalise_claimed",
            "evaluation.scored",
        ]

    def test_a_line_names_what_it_is_about_and_who_did_it(self, stores: Stores) -> None:
        stores.submit_one()
        claim = stores.claim("gpu-1")
        line = "SELECT evaluation_id, reference_id, shard_id, worker FROM events WHERE action = 'shard.claimed'"
        assert stores.query(line) == [(None, claim.owner_id, claim.shard_id, "gpu-1")]


@pytest.mark.service
def test_a_transaction_that_falls_silent_holds_a_lost_shard_no_longer_than_the_server_allows(
    postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a machine that is cut off between UPDATE and COMMIT: its lock would otherwise hide the shard from every sweep."""
    monkeypatch.setattr("scheduler.store.database.LONGEST_SILENCE_SECONDS", 1)
    here, there = Stores(Database(postgresql_url)), Stores(Database(postgresql_url))
    here.submit_one()
    claim = there.claim("there")
    here.end_lease(claim)
    has_locked, is_connected_again = threading.Event(), threading.Event()
    renewed = []

    def renew(connection: Connection) -> None:
        renewed.append(shard_work.renew(connection, claim, 1, 600.0))
        if not has_locked.is_set():
            has_locked.set()
            assert is_connected_again.wait(60)

    with ThreadPoolExecutor(1) as thread:
        done = thread.submit(there.database.write, renew)
        assert has_locked.wait(60)
        assert here.recovery.sweep().shards_requeued == 0, "who holds a lock is usually alive"
        deadline = time.monotonic() + 60
        while not here.recovery.sweep().shards_requeued:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        is_connected_again.set()
        done.result(60)
    assert renewed == [True, False], "the transaction was run again, and the claim was somebody else's by then"
    for stores in (here, there):
        stores.database.dispose()
