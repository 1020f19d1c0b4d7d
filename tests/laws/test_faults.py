"""Bad work and bad surroundings: what uses up attempts, what waits, what goes to another machine; on both databases."""

from __future__ import annotations

import pytest

from scheduler.faults import LONGEST_TROUBLE_SECONDS, TROUBLE_FORGOTTEN_SECONDS, Fault
from scheduler.lifecycle import EvaluationState
from tests.laws.stores import Stores, file_of, moment

AWAY = "The artifacts cannot be reached."
OLD = "This program computes other features."
LEASE_SECONDS = 600.0
"""That of `Stores`; pauses are measured in it."""


def pauses(stores: Stores, action: str = "shard.put_off") -> list[float]:
    return [detail["pause_seconds"] for detail in stores.details(action)]


class TestSurroundings:
    def test_an_outage_uses_up_no_attempt_however_long_it_is(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        stores.make_reference()
        for _ in range(10):
            assert stores.claim_and_fail("w", AWAY, Fault.SURROUNDINGS).attempt == 1
            stores.end_pauses()
        assert stores.state_of(evaluation_id) is EvaluationState.RUNNING
        stores.finish_everything()
        assert stores.state_of(evaluation_id) is EvaluationState.FINISHED

    def test_pauses_are_half_a_lease_and_then_a_whole_one(self, stores: Stores) -> None:
        stores.submit_one()
        for _ in range(3):
            stores.claim_and_fail("w", AWAY, Fault.SURROUNDINGS)
            stores.end_pauses()
        assert pauses(stores) == [LEASE_SECONDS / 2, LEASE_SECONDS, LEASE_SECONDS]

    def test_nothing_is_claimable_before_the_pause_is_over(self, stores: Stores) -> None:
        stores.submit_one()
        stores.claim_and_fail("w", AWAY, Fault.SURROUNDINGS)
        ((is_later,),) = stores.query(
            f"SELECT COUNT(*) FROM shards WHERE not_before BETWEEN {moment(stores, 290)} AND {moment(stores, 310)}"
        )
        assert is_later == 2, "the other shard of the reference, too"

    def test_after_a_day_without_success_it_fails_with_the_reason(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        stores.make_reference()
        stores.claim_and_fail("w", AWAY, Fault.SURROUNDINGS)
        stores.end_pauses()
        stores.execute(
            f"UPDATE shards SET troubled_since = {moment(stores, -LONGEST_TROUBLE_SECONDS - 1)}"
            " WHERE troubled_since IS NOT NULL"
        )
        stores.claim_and_fail("w", AWAY, Fault.SURROUNDINGS)
        assert stores.state_of(evaluation_id) is EvaluationState.FAILED
        assert stores.error_of(evaluation_id) == f"Shard 0 (images 0 to 31) could not be computed for 24 hours. {AWAY}"

    @pytest.mark.parametrize("end", ["finished", "another fault", "queued again"])
    def test_the_day_begins_anew_when_the_trouble_is_over(self, stores: Stores, end: str) -> None:
        evaluation_id = stores.submit_one()
        stores.make_reference()
        claim = stores.claim_and_fail("w", AWAY, Fault.SURROUNDINGS)
        stores.end_pauses()
        if end == "finished":
            again = stores.claim("w")
            assert stores.work.finish_shard(again, file_of(again), 1.0)
        elif end == "another fault":
            stores.claim_and_fail("w", "It raised.", Fault.WORK)
        else:
            stores.submissions.cancel([evaluation_id])
            stores.submissions.retry([evaluation_id])
        assert stores.query(f"SELECT troubled_since FROM shards WHERE id = {claim.shard_id}") == [(None,)]

    def test_work_that_may_be_bad_still_has_three_attempts_after_an_outage(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        stores.make_reference()
        stores.claim_and_fail("w", AWAY, Fault.SURROUNDINGS)
        for attempt in (1, 2, 3):
            stores.end_pauses()
            assert stores.claim_and_fail("w", "It raised.", Fault.WORK).attempt == attempt
        assert stores.error_of(evaluation_id).startswith("Shard 0 (images 0 to 31) failed after 3 attempts.")

    def test_another_machine_tries_before_the_one_where_it_failed(self, stores: Stores) -> None:
        stores.submit_one()
        stores.make_reference()
        stores.report("0@here", "1@here", "0@there")
        failed = stores.claim_and_fail("0@here", AWAY, Fault.SURROUNDINGS)
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
        assert stores.claim_and_fail("w", AWAY, Fault.SURROUNDINGS).owner_id == first
        assert stores.claim("w").owner_id == second
        stores.end_pauses()
        assert stores.claim("w").owner_id == first

    def test_a_device_that_fell_away_holds_up_its_shard_alone(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        stores.make_reference()
        stores.report("0@a", "1@a")
        failed = stores.claim_and_fail("0@a", "No GPU.", Fault.DEVICE)
        sister = stores.claim("1@a")
        assert (sister.owner_id, sister.number) == (evaluation_id, failed.number + 1)
        assert stores.count("refusals") == 0, "the machine has other slots"
        assert stores.work.finish_shard(sister, file_of(sister), 1.0)
        stores.end_pauses()
        assert stores.claim("1@a").attempt == 1

    def test_time_in_which_nobody_tried_is_no_trouble(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        stores.make_reference()
        stores.claim_and_fail("w", AWAY, Fault.SURROUNDINGS)
        stores.execute(
            f"UPDATE shards SET troubled_since = {moment(stores, -3 * LONGEST_TROUBLE_SECONDS)},"
            f" not_before = {moment(stores, -TROUBLE_FORGOTTEN_SECONDS - 1)} WHERE troubled_since IS NOT NULL"
        )
        stores.claim_and_fail("w", AWAY, Fault.SURROUNDINGS)
        assert stores.state_of(evaluation_id) is EvaluationState.RUNNING

    def test_what_one_machine_cannot_do_is_no_end_of_the_trouble_of_others(self, stores: Stores) -> None:
        stores.submit_one()
        stores.make_reference()
        stores.report("0@a", "0@b")
        stores.claim_and_fail("0@a", AWAY, Fault.SURROUNDINGS)
        stores.end_pauses()
        stores.claim_and_fail("0@b", OLD, Fault.MACHINE)
        assert stores.query("SELECT COUNT(*) FROM shards WHERE troubled_since IS NOT NULL") == [(1,)]


class TestMachinesThatCrash:
    def test_a_lost_shard_goes_to_another_machine_while_there_is_one(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        stores.make_reference()
        stores.report("0@crashing", "1@crashing", "0@sound")
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
        stores.report("0@alone")
        lost = stores.claim("0@alone")
        stores.end_lease(lost)
        stores.recovery.sweep()
        assert stores.claim("0@alone").shard_id == lost.shard_id

    def test_it_gets_it_again_when_nobody_else_has_come_for_a_while(self, stores: Stores) -> None:
        stores.submit_one()
        stores.make_reference()
        stores.report("0@crashing", "0@deaf")
        lost = stores.claim("0@crashing")
        stores.end_lease(lost)
        stores.recovery.sweep()
        stores.execute(f"UPDATE shards SET not_before = {moment(stores, -601)} WHERE id = {lost.shard_id}")
        assert stores.claim("0@crashing").shard_id == lost.shard_id

    def test_a_lost_finalisation_goes_to_another_machine_while_there_is_one(self, stores: Stores) -> None:
        stores.submit_one()
        stores.compute_shards()
        stores.report("0@crashing", "1@crashing", "0@sound")
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
        stores.claim_and_fail("w", AWAY, Fault.SURROUNDINGS)
        told = stores.reads.waiting([evaluation_id])[evaluation_id]
        assert (told.owner, told.reason, told.refused_by) == ("evaluation", AWAY, {})
        assert told.next_attempt_at is not None
        assert told.gives_up_at is not None
        began = LONGEST_TROUBLE_SECONDS - LEASE_SECONDS / 2
        assert (told.gives_up_at - told.next_attempt_at).total_seconds() == pytest.approx(began, abs=1.0)

    def test_a_pause_of_the_reference_is_told_of_all_that_wait_for_it(self, stores: Stores) -> None:
        stores.submit("a", "b")
        stores.claim_and_fail("w", AWAY, Fault.SURROUNDINGS)
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
        stores.claim_and_fail("w", AWAY, Fault.SURROUNDINGS)
        stores.end_pauses()
        assert stores.reads.waiting([evaluation_id]) == {}

    def test_machines_that_cannot_are_told_with_their_reasons(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        stores.report("0@old", "0@new")
        stores.claim_and_fail("0@old", OLD, Fault.MACHINE)
        told = stores.reads.waiting([evaluation_id])[evaluation_id]
        assert (told.refused_by, told.next_attempt_at) == ({"old": OLD}, None)

    def test_every_attempt_of_an_outage_is_in_the_story(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        stores.make_reference()
        for _ in range(2):
            stores.claim_and_fail("w", AWAY, Fault.SURROUNDINGS)
            stores.end_pauses()
        assert [each.reason for each in stores.reads.failed_attempts(evaluation_id)] == [AWAY, AWAY]
