"""Bad work and bad surroundings: what uses up attempts, what waits, what goes to another machine; on both databases."""

from __future__ import annotations

import pytest

from scheduler.faults import LONGEST_TROUBLE_SECONDS, TROUBLE_FORGOTTEN_SECONDS, Fault
from scheduler.lifecycle import EvaluationState
from scheduler.store.base import ShardClaim
from tests.laws.stores import Stores, file_of, moment, stored_file

AWAY = "The artifacts cannot be reached."
OLD = "This program computes other features."
LEASE_SECONDS = 600.0
"""That of `Stores`; pauses are measured in it."""


def report(stores: Stores, *slots: str) -> None:
    """Each slot is called `slot@machine`."""
    for slot in slots:
        host = slot.rpartition("@")[2]
        stores.work.report_worker(slot, host=host, pid=7, device="cpu", threads=1, versions={})


def pauses(stores: Stores, action: str = "shard.put_off") -> list[float]:
    return [detail["pause_seconds"] for detail in stores.details(action)]


def claim_and_fail(stores: Stores, worker: str, reason: str, fault: Fault) -> ShardClaim:
    claim = stores.claim(worker)
    assert stores.work.fail_shard(claim, reason, fault=fault)
    return claim


class TestSurroundings:
    def test_an_outage_uses_up_no_attempt_however_long_it_is(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        stores.make_reference()
        for _ in range(10):
            assert claim_and_fail(stores, "w", AWAY, Fault.SURROUNDINGS).attempt == 1
            stores.end_pauses()
        assert stores.state_of(evaluation_id) is EvaluationState.RUNNING
        stores.finish_everything()
        assert stores.state_of(evaluation_id) is EvaluationState.FINISHED

    def test_pauses_are_half_a_lease_and_then_a_whole_one(self, stores: Stores) -> None:
        stores.submit_one()
        for _ in range(3):
            claim_and_fail(stores, "w", AWAY, Fault.SURROUNDINGS)
            stores.end_pauses()
        assert pauses(stores) == [LEASE_SECONDS / 2, LEASE_SECONDS, LEASE_SECONDS]

    def test_nothing_is_claimable_before_the_pause_is_over(self, stores: Stores) -> None:
        stores.submit_one()
        claim_and_fail(stores, "w", AWAY, Fault.SURROUNDINGS)
        ((is_later,),) = stores.query(
            f"SELECT COUNT(*) FROM shards WHERE not_before BETWEEN {moment(stores, 290)} AND {moment(stores, 310)}"
        )
        assert is_later == 2, "the other shard of the reference, too"

    def test_after_a_day_without_success_it_fails_with_the_reason(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        stores.make_reference()
        claim_and_fail(stores, "w", AWAY, Fault.SURROUNDINGS)
        stores.end_pauses()
        stores.execute(
            f"UPDATE shards SET troubled_since = {moment(stores, -LONGEST_TROUBLE_SECONDS - 1)}"
            " WHERE troubled_since IS NOT NULL"
        )
        claim_and_fail(stores, "w", AWAY, Fault.SURROUNDINGS)
        assert stores.state_of(evaluation_id) is EvaluationState.FAILED
        assert stores.error_of(evaluation_id) == f"Shard 0 (images 0 to 31) could not be computed for 24 hours. {AWAY}"

    @pytest.mark.parametrize("end", ["finished", "another fault", "queued again"])
    def test_the_day_begins_anew_when_the_trouble_is_over(self, stores: Stores, end: str) -> None:
        evaluation_id = stores.submit_one()
        stores.make_reference()
        claim = claim_and_fail(stores, "w", AWAY, Fault.SURROUNDINGS)
        stores.end_pauses()
        if end == "finished":
            again = stores.claim("w")
            assert stores.work.finish_shard(again, file_of(again), 1.0)
        elif end == "another fault":
            claim_and_fail(stores, "w", "It raised.", Fault.WORK)
        else:
            stores.submissions.cancel([evaluation_id])
            stores.submissions.retry([evaluation_id])
        assert stores.query(f"SELECT troubled_since FROM shards WHERE id = {claim.shard_id}") == [(None,)]

    def test_work_that_may_be_bad_still_has_three_attempts_after_an_outage(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        stores.make_reference()
        claim_and_fail(stores, "w", AWAY, Fault.SURROUNDINGS)
        for attempt in (1, 2, 3):
            stores.end_pauses()
            assert claim_and_fail(stores, "w", "It raised.", Fault.WORK).attempt == attempt
        assert stores.error_of(evaluation_id).startswith("Shard 0 (images 0 to 31) failed after 3 attempts.")

    def test_another_machine_tries_before_the_one_where_it_failed(self, stores: Stores) -> None:
        stores.submit_one()
        stores.make_reference()
        report(stores, "0@here", "1@here", "0@there")
        failed = claim_and_fail(stores, "0@here", AWAY, Fault.SURROUNDINGS)
        stores.end_pauses()
        assert stores.claim("1@here").number == 1
        assert stores.work.claim_shard("1@here") is None
        assert stores.claim("0@there").shard_id == failed.shard_id

    def test_a_finalisation_waits_too_and_loses_no_attempt(self, stores: Stores) -> None:
        stores.submit_one()
        stores.compute_shards()
        for _ in range(5):
            assert stores.work.release_finalise(stores.claim_finalise("w"), AWAY, fault=Fault.SURROUNDINGS)
            assert stores.work.claim_finalise("w") is None, "not before the pause is over"
            stores.end_pauses()
        assert pauses(stores, "reference.finalise_put_off") == [300.0, 600.0, 600.0, 600.0, 600.0]
        stores.finish_everything()
        assert stores.state_of(1) is EvaluationState.FINISHED

    def test_a_finalisation_does_not_wait_for_ever(self, stores: Stores) -> None:
        stores.submit_one()
        stores.compute_shards()
        stores.work.release_finalise(stores.claim_finalise("w"), AWAY, fault=Fault.SURROUNDINGS)
        stores.end_pauses()
        stores.execute(f"UPDATE reference_sets SET troubled_since = {moment(stores, -LONGEST_TROUBLE_SECONDS - 1)}")
        stores.work.release_finalise(stores.claim_finalise("w"), AWAY, fault=Fault.SURROUNDINGS)
        assert stores.error_of(1) == (f"The reference failed: Merging its shards was not possible for 24 hours. {AWAY}")

    def test_other_work_goes_on_meanwhile(self, stores: Stores) -> None:
        """What keeps one shard from its images keeps all of its evaluation: they do not hold up the next one."""
        first, second = stores.submit_one(), stores.submit_one("vae/step-2")
        stores.make_reference()
        assert claim_and_fail(stores, "w", AWAY, Fault.SURROUNDINGS).owner_id == first
        assert stores.claim("w").owner_id == second
        stores.end_pauses()
        assert stores.claim("w").owner_id == first

    def test_a_device_that_fell_away_holds_up_its_shard_alone(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        stores.make_reference()
        report(stores, "0@a", "1@a")
        failed = claim_and_fail(stores, "0@a", "No GPU.", Fault.DEVICE)
        sister = stores.claim("1@a")
        assert (sister.owner_id, sister.number) == (evaluation_id, failed.number + 1)
        assert stores.count("refusals") == 0, "the machine has other slots"
        assert stores.work.finish_shard(sister, file_of(sister), 1.0)
        stores.end_pauses()
        assert stores.claim("1@a").attempt == 1

    def test_time_in_which_nobody_tried_is_no_trouble(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        stores.make_reference()
        claim_and_fail(stores, "w", AWAY, Fault.SURROUNDINGS)
        stores.execute(
            f"UPDATE shards SET troubled_since = {moment(stores, -3 * LONGEST_TROUBLE_SECONDS)},"
            f" not_before = {moment(stores, -TROUBLE_FORGOTTEN_SECONDS - 1)} WHERE troubled_since IS NOT NULL"
        )
        claim_and_fail(stores, "w", AWAY, Fault.SURROUNDINGS)
        assert stores.state_of(evaluation_id) is EvaluationState.RUNNING

    def test_what_one_machine_cannot_do_is_no_end_of_the_trouble_of_others(self, stores: Stores) -> None:
        stores.submit_one()
        stores.make_reference()
        report(stores, "0@a", "0@b")
        claim_and_fail(stores, "0@a", AWAY, Fault.SURROUNDINGS)
        stores.end_pauses()
        claim_and_fail(stores, "0@b", OLD, Fault.MACHINE)
        assert stores.query("SELECT COUNT(*) FROM shards WHERE troubled_since IS NOT NULL") == [(1,)]


class TestMachinesThatCannot:
    def test_it_is_released_to_another_machine_at_once_with_the_reason_kept(self, stores: Stores) -> None:
        stores.submit_one()
        report(stores, "0@old", "0@new")
        refused = claim_and_fail(stores, "0@old", OLD, Fault.MACHINE)
        assert stores.query("SELECT host, reason FROM refusals") == [("old", OLD)]
        again = stores.claim("0@new")
        assert (again.shard_id, again.attempt) == (refused.shard_id, 1)

    def test_a_refusal_is_of_the_whole_machine_and_of_all_shards(self, stores: Stores) -> None:
        stores.submit_one()
        stores.make_reference()
        report(stores, "0@old", "1@old", "2@old", "0@new")
        claim_and_fail(stores, "0@old", OLD, Fault.MACHINE)
        assert [stores.work.claim_shard(f"{slot}@old") for slot in range(3)] == [None, None, None]
        assert stores.claim("0@new").number == 0
        assert stores.claim("0@new").number == 1

    def test_other_work_is_still_done_there(self, stores: Stores) -> None:
        stores.submit("refused", "other")
        stores.make_reference()
        report(stores, "0@old", "0@new")
        claim_and_fail(stores, "0@old", OLD, Fault.MACHINE)
        assert stores.claim("0@old").owner_id == 2

    def test_it_fails_once_every_machine_that_works_has_refused(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        stores.make_reference()
        report(stores, "0@a", "1@a", "0@b", "0@c")
        for slot in ("0@a", "0@b"):
            claim_and_fail(stores, slot, OLD, Fault.MACHINE)
            assert stores.state_of(evaluation_id) is EvaluationState.RUNNING
        claim_and_fail(stores, "0@c", "No weights here.", Fault.MACHINE)
        assert stores.error_of(evaluation_id) == (
            "Shard 0 (images 0 to 31) cannot be computed on any machine that works now."
            f" a, b: {OLD} c: No weights here."
        )

    def test_a_machine_that_is_alone_fails_it_at_once(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        stores.make_reference()
        report(stores, "0@alone", "1@alone")
        claim_and_fail(stores, "0@alone", OLD, Fault.MACHINE)
        assert stores.state_of(evaluation_id) is EvaluationState.FAILED

    def test_a_machine_that_is_gone_is_not_waited_for(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        stores.make_reference()
        report(stores, "0@old", "0@new")
        claim_and_fail(stores, "0@old", OLD, Fault.MACHINE)
        stores.work.retire_worker("0@new")
        claim_and_fail(stores, "0@old", OLD, Fault.MACHINE)
        assert stores.state_of(evaluation_id) is EvaluationState.FAILED

    def test_nobody_waits_for_ever_for_a_machine_that_never_asks(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        stores.make_reference()
        report(stores, "0@old", "0@deaf")
        claim_and_fail(stores, "0@old", OLD, Fault.MACHINE)
        stores.execute(f"UPDATE refusals SET at = {moment(stores, -601)}")
        stores.execute(f"UPDATE shards SET not_before = {moment(stores, -601)}")
        claim_and_fail(stores, "0@old", OLD, Fault.MACHINE)
        assert stores.state_of(evaluation_id) is EvaluationState.FAILED

    def test_a_machine_that_cannot_asks_again_and_again_while_another_works_at_it(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        stores.make_reference()
        report(stores, "0@old", "0@slow")
        claim_and_fail(stores, "0@old", OLD, Fault.MACHINE)
        stores.claim("0@slow")
        stores.execute(f"UPDATE refusals SET at = {moment(stores, -601)}")
        assert claim_and_fail(stores, "0@old", OLD, Fault.MACHINE).number == 1
        assert stores.state_of(evaluation_id) is EvaluationState.RUNNING
        assert stores.work.claim_shard("0@old") is None, "for another while"

    def test_a_machine_that_works_on_something_else_is_waited_for(self, stores: Stores) -> None:
        first, second = stores.submit_one(), stores.submit_one("vae/step-2")
        stores.make_reference()
        report(stores, "0@old", "0@busy")
        for evaluation_id in (first, second):
            claim = stores.work.claim_shard("0@old", [evaluation_id])
            assert claim is not None
            stores.work.fail_shard(claim, OLD, fault=Fault.MACHINE)
        taken = stores.claim("0@busy")
        stores.execute(f"UPDATE refusals SET at = {moment(stores, -601)}")
        (waiting,) = {first, second} - {taken.owner_id}
        claim = stores.work.claim_shard("0@old", [waiting])
        assert claim is not None
        stores.work.fail_shard(claim, OLD, fault=Fault.MACHINE)
        assert stores.state_of(waiting) is EvaluationState.RUNNING

    def test_a_machine_that_merges_is_waited_for(self, stores: Stores) -> None:
        merged = stores.submit_one()
        stores.compute_shards()
        waiting = stores.submit_one("vae/step-2")
        report(stores, "0@old", "0@merges")
        assert stores.work.finish_reference(stores.claim_finalise("0@merges"), stored_file("references/1/merged"))
        assert stores.claim_finalise("0@merges").owner_id == merged
        claim_and_fail(stores, "0@old", OLD, Fault.MACHINE)
        stores.execute(f"UPDATE refusals SET at = {moment(stores, -601)}")
        stores.execute(f"UPDATE shards SET not_before = {moment(stores, -601)} WHERE not_before IS NOT NULL")
        claim_and_fail(stores, "0@old", OLD, Fault.MACHINE)
        assert stores.state_of(waiting) is EvaluationState.RUNNING

    def test_what_another_machine_refused_of_other_work_changes_nothing(self, stores: Stores) -> None:
        """Each of two machines cannot do one of two evaluations: each is left to the other machine, and to it alone."""
        first, second = stores.submit_one(), stores.submit_one("vae/step-2")
        stores.make_reference()
        report(stores, "0@a", "0@b")
        for worker, evaluation_id in (("0@a", first), ("0@b", second)):
            claim = stores.work.claim_shard(worker, [evaluation_id])
            assert claim is not None
            stores.work.fail_shard(claim, OLD, fault=Fault.MACHINE)
        assert {stores.claim("0@a").owner_id for _ in range(2)} == {second}
        assert stores.claim("0@b").owner_id == first

    def test_a_machine_that_can_by_now_has_taken_its_refusal_back(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        stores.make_reference()
        report(stores, "0@mended", "0@old")
        claim_and_fail(stores, "0@mended", OLD, Fault.MACHINE)
        stores.execute(f"UPDATE refusals SET at = {moment(stores, -601)}")
        claim = stores.claim("0@mended")
        assert stores.work.finish_shard(claim, file_of(claim), 1.0)
        claim_and_fail(stores, "0@old", OLD, Fault.MACHINE)
        assert stores.state_of(evaluation_id) is EvaluationState.RUNNING
        assert stores.query("SELECT host FROM refusals") == [("old",)]

    def test_two_shards_of_one_machine_at_once_are_one_answer(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        stores.make_reference()
        report(stores, "0@old", "1@old", "0@new")
        claims = [stores.claim("0@old"), stores.claim("1@old")]
        for claim in claims:
            assert stores.work.fail_shard(claim, OLD, fault=Fault.MACHINE)
        assert stores.state_of(evaluation_id) is EvaluationState.RUNNING
        assert stores.claim("0@new").owner_id == evaluation_id

    def test_a_run_of_its_own_leaves_what_it_cannot_do_to_another_machine(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        stores.make_reference()
        report(stores, "0@run", "0@service")
        claim = stores.work.claim_shard("0@run", [evaluation_id])
        assert claim is not None
        stores.work.fail_shard(claim, OLD, fault=Fault.MACHINE)
        assert stores.work.claim_shard("0@run", [evaluation_id]) is None
        assert stores.claim("0@service").owner_id == evaluation_id

    def test_submitting_again_asks_every_machine_again(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        stores.make_reference()
        report(stores, "0@alone")
        claim_and_fail(stores, "0@alone", OLD, Fault.MACHINE)
        stores.submissions.retry([evaluation_id])
        assert stores.count("refusals") == 0
        assert stores.claim("0@alone").attempt == 1

    def test_a_finalisation_goes_to_a_machine_that_can(self, stores: Stores) -> None:
        stores.submit_one()
        stores.compute_shards()
        report(stores, "0@old", "0@new")
        assert stores.work.release_finalise(stores.claim_finalise("0@old"), OLD, fault=Fault.MACHINE)
        assert stores.work.claim_finalise("0@old") is None
        assert stores.claim_finalise("0@new").owner == "reference"

    def test_a_finalisation_that_no_machine_can_do_fails(self, stores: Stores) -> None:
        stores.submit_one()
        stores.compute_shards()
        report(stores, "0@old")
        stores.work.release_finalise(stores.claim_finalise("0@old"), OLD, fault=Fault.MACHINE)
        assert stores.error_of(1) == (
            f"The reference failed: Merging its shards is not possible on any machine that works now. old: {OLD}"
        )


class TestMachinesThatCrash:
    def test_a_lost_shard_goes_to_another_machine_while_there_is_one(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        stores.make_reference()
        report(stores, "0@crashing", "1@crashing", "0@sound")
        lost = stores.claim("0@crashing")
        stores.end_lease(lost)
        assert stores.recovery.sweep().shards_requeued == 1
        for slot in ("0@crashing", "1@crashing"):
            claim = stores.work.claim_shard(slot)
            assert claim is None or claim.shard_id != lost.shard_id
        assert stores.claim("0@sound").shard_id == lost.shard_id
        assert stores.state_of(evaluation_id) is EvaluationState.RUNNING

    def test_a_machine_that_is_alone_gets_it_again(self, stores: Stores) -> None:
        stores.submit_one()
        report(stores, "0@alone")
        lost = stores.claim("0@alone")
        stores.end_lease(lost)
        stores.recovery.sweep()
        assert stores.claim("0@alone").shard_id == lost.shard_id

    def test_it_gets_it_again_when_nobody_else_has_come_for_a_while(self, stores: Stores) -> None:
        stores.submit_one()
        stores.make_reference()
        report(stores, "0@crashing", "0@deaf")
        lost = stores.claim("0@crashing")
        stores.end_lease(lost)
        stores.recovery.sweep()
        stores.execute(f"UPDATE shards SET not_before = {moment(stores, -601)} WHERE id = {lost.shard_id}")
        assert stores.claim("0@crashing").shard_id == lost.shard_id

    def test_a_lost_finalisation_goes_to_another_machine_while_there_is_one(self, stores: Stores) -> None:
        stores.submit_one()
        stores.compute_shards()
        report(stores, "0@crashing", "1@crashing", "0@sound")
        stores.end_lease(stores.claim_finalise("0@crashing"))
        assert stores.recovery.sweep().finalises_released == 1
        assert stores.work.claim_finalise("1@crashing") is None
        assert stores.claim_finalise("0@sound").owner == "reference"


def test_a_finalisation_that_is_handed_back_is_free_at_once_and_loses_no_attempt(stores: Stores) -> None:
    stores.submit_one()
    stores.compute_shards()
    for _ in range(5):
        assert stores.work.hand_finalise_back(stores.claim_finalise("w"))
    claim = stores.claim_finalise("w")
    assert stores.query("SELECT attempts FROM reference_sets") == [(1,)]
    assert stores.work.hand_finalise_back(claim)
    assert not stores.work.hand_finalise_back(claim), "it is not his any more"


class TestWaiting:
    """What `vaeval status` and `vaeval show` tell of work that waits."""

    def test_nothing_waits_where_all_goes_well(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        assert stores.reads.waiting([evaluation_id]) == {}

    def test_a_pause_is_told_with_its_reason_its_end_and_when_it_is_given_up(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        stores.make_reference()
        claim_and_fail(stores, "w", AWAY, Fault.SURROUNDINGS)
        told = stores.reads.waiting([evaluation_id])[evaluation_id]
        assert (told.owner, told.reason, told.refused_by) == ("evaluation", AWAY, {})
        assert told.next_attempt_at is not None
        assert told.gives_up_at is not None
        began = LONGEST_TROUBLE_SECONDS - LEASE_SECONDS / 2
        assert (told.gives_up_at - told.next_attempt_at).total_seconds() == pytest.approx(began, abs=1.0)

    def test_a_pause_of_the_reference_is_told_of_all_that_wait_for_it(self, stores: Stores) -> None:
        stores.submit("a", "b")
        claim_and_fail(stores, "w", AWAY, Fault.SURROUNDINGS)
        told = stores.reads.waiting([1, 2])
        assert [(number, each.owner, each.reason) for number, each in told.items()] == [
            (1, "reference", AWAY),
            (2, "reference", AWAY),
        ]

    def test_a_pause_of_a_finalisation_is_told_and_is_no_error_of_the_evaluation(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        stores.make_reference()
        stores.compute_shards()
        stores.work.release_finalise(stores.claim_finalise("w"), AWAY, fault=Fault.SURROUNDINGS)
        assert stores.reads.waiting([evaluation_id])[evaluation_id].reason == AWAY
        assert stores.reads.evaluation(evaluation_id).error is None

    def test_nothing_is_told_of_pauses_that_are_over(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        claim_and_fail(stores, "w", AWAY, Fault.SURROUNDINGS)
        stores.end_pauses()
        assert stores.reads.waiting([evaluation_id]) == {}

    def test_machines_that_cannot_are_told_with_their_reasons(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        report(stores, "0@old", "0@new")
        claim_and_fail(stores, "0@old", OLD, Fault.MACHINE)
        told = stores.reads.waiting([evaluation_id])[evaluation_id]
        assert (told.refused_by, told.next_attempt_at) == ({"old": OLD}, None)

    def test_every_attempt_of_an_outage_is_in_the_story(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        stores.make_reference()
        for _ in range(2):
            claim_and_fail(stores, "w", AWAY, Fault.SURROUNDINGS)
            stores.end_pauses()
        assert [each.reason for each in stores.reads.failed_attempts(evaluation_id)] == [AWAY, AWAY]
