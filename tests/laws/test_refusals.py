"""Machines that cannot do a piece of work: it goes to others, and fails only when nobody is left; on both databases."""

from __future__ import annotations

from scheduler.faults import Fault
from scheduler.lifecycle import EvaluationState
from tests.laws.stores import Stores, file_of, moment, stored_file

OLD = "This program computes other features."


def refuse(stores: Stores, worker: str, evaluation_id: int) -> None:
    """A worker of a run of its own takes a shard of that evaluation, and cannot do it."""
    claim = stores.work.claim_shard(worker, [evaluation_id])
    assert claim is not None
    assert stores.work.fail_shard(claim, OLD, fault=Fault.MACHINE)


def after_ten_minutes(stores: Stores) -> None:
    """As if all refusals were as old."""
    stores.execute(f"UPDATE refusals SET at = {moment(stores, -601)}")


def test_it_is_released_to_another_machine_at_once_with_the_reason_kept(stores: Stores) -> None:
    stores.submit_one()
    stores.report("0@old", "0@new")
    refused = stores.claim_and_fail("0@old", OLD, Fault.MACHINE)
    assert stores.query("SELECT host, reason FROM refusals") == [("old", OLD)]
    again = stores.claim("0@new")
    assert (again.shard_id, again.attempt) == (refused.shard_id, 1)


def test_a_refusal_is_of_the_whole_machine_and_of_all_shards(stores: Stores) -> None:
    stores.submit_one()
    stores.make_reference()
    stores.report("0@old", "1@old", "2@old", "0@new")
    stores.claim_and_fail("0@old", OLD, Fault.MACHINE)
    assert [stores.work.claim_shard(f"{slot}@old") for slot in range(3)] == [None, None, None]
    assert stores.claim("0@new").number == 0
    assert stores.claim("0@new").number == 1


def test_other_work_is_still_done_there(stores: Stores) -> None:
    stores.submit("refused", "other")
    stores.make_reference()
    stores.report("0@old", "0@new")
    stores.claim_and_fail("0@old", OLD, Fault.MACHINE)
    assert stores.claim("0@old").owner_id == 2


def test_it_fails_once_every_machine_that_works_has_refused(stores: Stores) -> None:
    evaluation_id = stores.submit_one()
    stores.make_reference()
    stores.report("0@a", "1@a", "0@b", "0@c")
    for slot in ("0@a", "0@b"):
        stores.claim_and_fail(slot, OLD, Fault.MACHINE)
        assert stores.state_of(evaluation_id) is EvaluationState.RUNNING
    stores.claim_and_fail("0@c", "No weights here.", Fault.MACHINE)
    assert stores.error_of(evaluation_id) == (
        f"Shard 0 (images 0 to 31) cannot be computed on any machine that works now. a, b: {OLD} c: No weights here."
    )


def test_a_machine_that_is_alone_fails_it_at_once(stores: Stores) -> None:
    evaluation_id = stores.submit_one()
    stores.make_reference()
    stores.report("0@alone", "1@alone")
    stores.claim_and_fail("0@alone", OLD, Fault.MACHINE)
    assert stores.state_of(evaluation_id) is EvaluationState.FAILED


def test_a_machine_that_is_gone_is_not_waited_for(stores: Stores) -> None:
    evaluation_id = stores.submit_one()
    stores.make_reference()
    stores.report("0@old", "0@new")
    stores.claim_and_fail("0@old", OLD, Fault.MACHINE)
    stores.work.retire_worker("0@new")
    stores.claim_and_fail("0@old", OLD, Fault.MACHINE)
    assert stores.state_of(evaluation_id) is EvaluationState.FAILED


def test_nobody_waits_for_ever_for_a_machine_that_never_asks(stores: Stores) -> None:
    evaluation_id = stores.submit_one()
    stores.make_reference()
    stores.report("0@old", "0@deaf")
    stores.claim_and_fail("0@old", OLD, Fault.MACHINE)
    after_ten_minutes(stores)
    stores.execute(f"UPDATE shards SET not_before = {moment(stores, -601)}")
    stores.claim_and_fail("0@old", OLD, Fault.MACHINE)
    assert stores.state_of(evaluation_id) is EvaluationState.FAILED


def test_a_machine_that_cannot_asks_again_and_again_while_another_works_at_it(stores: Stores) -> None:
    evaluation_id = stores.submit_one()
    stores.make_reference()
    stores.report("0@old", "0@slow")
    stores.claim_and_fail("0@old", OLD, Fault.MACHINE)
    stores.claim("0@slow")
    after_ten_minutes(stores)
    assert stores.claim_and_fail("0@old", OLD, Fault.MACHINE).number == 1
    assert stores.state_of(evaluation_id) is EvaluationState.RUNNING
    assert stores.work.claim_shard("0@old") is None, "for another while"


def test_a_machine_that_works_on_something_else_is_waited_for(stores: Stores) -> None:
    first, second = stores.submit_one(), stores.submit_one("vae/step-2")
    stores.make_reference()
    stores.report("0@old", "0@busy")
    for evaluation_id in (first, second):
        refuse(stores, "0@old", evaluation_id)
    taken = stores.claim("0@busy")
    after_ten_minutes(stores)
    (waiting,) = {first, second} - {taken.owner_id}
    refuse(stores, "0@old", waiting)
    assert stores.state_of(waiting) is EvaluationState.RUNNING


def test_a_machine_that_merges_is_waited_for(stores: Stores) -> None:
    merged = stores.submit_one()
    stores.compute_shards()
    waiting = stores.submit_one("vae/step-2")
    stores.report("0@old", "0@merges")
    assert stores.work.finish_reference(stores.claim_finalise("0@merges"), stored_file("references/1/merged"))
    assert stores.claim_finalise("0@merges").owner_id == merged
    stores.claim_and_fail("0@old", OLD, Fault.MACHINE)
    after_ten_minutes(stores)
    stores.execute(f"UPDATE shards SET not_before = {moment(stores, -601)} WHERE not_before IS NOT NULL")
    stores.claim_and_fail("0@old", OLD, Fault.MACHINE)
    assert stores.state_of(waiting) is EvaluationState.RUNNING


def test_what_another_machine_refused_of_other_work_changes_nothing(stores: Stores) -> None:
    """Each of two machines cannot do one of two evaluations: each is left to the other machine, and to it alone."""
    first, second = stores.submit_one(), stores.submit_one("vae/step-2")
    stores.make_reference()
    stores.report("0@a", "0@b")
    for worker, evaluation_id in (("0@a", first), ("0@b", second)):
        refuse(stores, worker, evaluation_id)
    assert {stores.claim("0@a").owner_id for _ in range(2)} == {second}
    assert stores.claim("0@b").owner_id == first


def test_a_machine_that_can_by_now_has_taken_its_refusal_back(stores: Stores) -> None:
    evaluation_id = stores.submit_one()
    stores.make_reference()
    stores.report("0@mended", "0@old")
    stores.claim_and_fail("0@mended", OLD, Fault.MACHINE)
    after_ten_minutes(stores)
    claim = stores.claim("0@mended")
    assert stores.work.finish_shard(claim, file_of(claim), 1.0)
    stores.claim_and_fail("0@old", OLD, Fault.MACHINE)
    assert stores.state_of(evaluation_id) is EvaluationState.RUNNING
    assert stores.query("SELECT host FROM refusals") == [("old",)]


def test_two_shards_of_one_machine_at_once_are_one_answer(stores: Stores) -> None:
    evaluation_id = stores.submit_one()
    stores.make_reference()
    stores.report("0@old", "1@old", "0@new")
    claims = [stores.claim("0@old"), stores.claim("1@old")]
    for claim in claims:
        assert stores.work.fail_shard(claim, OLD, fault=Fault.MACHINE)
    assert stores.state_of(evaluation_id) is EvaluationState.RUNNING
    assert stores.claim("0@new").owner_id == evaluation_id


def test_a_run_of_its_own_leaves_what_it_cannot_do_to_another_machine(stores: Stores) -> None:
    evaluation_id = stores.submit_one()
    stores.make_reference()
    stores.report("0@run", "0@service")
    refuse(stores, "0@run", evaluation_id)
    assert stores.work.claim_shard("0@run", [evaluation_id]) is None
    assert stores.claim("0@service").owner_id == evaluation_id


def test_submitting_again_asks_every_machine_again(stores: Stores) -> None:
    evaluation_id = stores.submit_one()
    stores.make_reference()
    stores.report("0@alone")
    stores.claim_and_fail("0@alone", OLD, Fault.MACHINE)
    stores.submissions.retry([evaluation_id])
    assert stores.count("refusals") == 0
    assert stores.claim("0@alone").attempt == 1


def test_a_finalisation_goes_to_a_machine_that_can(stores: Stores) -> None:
    stores.submit_one()
    stores.compute_shards()
    stores.report("0@old", "0@new")
    assert stores.work.release_finalise(stores.claim_finalise("0@old"), OLD, fault=Fault.MACHINE)
    assert stores.work.claim_finalise("0@old") is None
    assert stores.claim_finalise("0@new").owner == "reference"


def test_a_finalisation_that_no_machine_can_do_fails(stores: Stores) -> None:
    stores.submit_one()
    stores.compute_shards()
    stores.report("0@old")
    stores.work.release_finalise(stores.claim_finalise("0@old"), OLD, fault=Fault.MACHINE)
    assert stores.error_of(1) == (
        f"The reference failed: Merging its shards is not possible on any machine that works now. old: {OLD}"
    )
