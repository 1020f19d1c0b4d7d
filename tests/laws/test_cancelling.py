"""Cancelling and queueing again, through the port of those who submit; on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from scheduler.faults import Fault
from scheduler.lifecycle import EvaluationState
from scheduler.store.base import FinaliseClaim
from tests.factories import evaluation_request, protocol, scores, stored_file
from tests.laws.stores import Stores, file_of
from vaeval_core.errors import NotFound


def states_of_shards(stores: Stores) -> list[str]:
    found = stores.query("SELECT state FROM shards WHERE evaluation_id IS NOT NULL ORDER BY evaluation_id, number")
    return [state for (state,) in found]


class TestCancelling:
    def test_a_queued_evaluation_is_over_and_its_shards_are_never_claimed(self, stores: Stores) -> None:
        stores.submit("unwanted", "wanted")
        (change,) = stores.submissions.cancel([1])
        assert (change.checkpoint_name, change.before, change.state) == (
            "unwanted",
            EvaluationState.QUEUED,
            EvaluationState.CANCELLED,
        )
        assert change.is_changed
        assert {claim.owner_id for claim in stores.compute_shards() if claim.owner == "evaluation"} == {2}
        record = stores.reads.evaluation(1)
        assert (record.state, record.error) == (EvaluationState.CANCELLED, None)
        assert record.finished_at is not None

    def test_a_worker_at_one_of_its_shards_is_told_by_its_next_renewal(self, stores: Stores) -> None:
        stores.submit_one()
        stores.make_reference()
        claim = stores.claim()
        assert stores.work.renew_shard(claim, images_done=1)
        stores.submissions.cancel([1])
        assert not stores.work.renew_shard(claim, images_done=2)
        assert not stores.work.finish_shard(claim, file_of(claim), 1.0)
        assert not stores.work.fail_shard(claim, "Too late.", fault=Fault.WORK)
        assert not stores.work.release_shard(claim)
        assert states_of_shards(stores) == ["cancelled", "cancelled"]

    def finalising(self, stores: Stores) -> FinaliseClaim:
        stores.submit_one()
        stores.make_reference()
        stores.compute_shards()
        return stores.claim_finalise()

    def test_a_finalisation_under_way_records_nothing(self, stores: Stores) -> None:
        claim = self.finalising(stores)
        stores.submissions.cancel([1])
        assert not stores.work.renew_finalise(claim)
        assert not stores.work.finish_evaluation(claim, scores(1.0), None)
        assert not stores.work.release_finalise(claim, "Too late.", fault=Fault.WORK)
        assert not stores.work.recompute_shard(claim, claim.shards[0], "Too late.")
        assert not stores.work.fail_finalise(claim, "Too late.")
        assert stores.count("scores") == 0
        assert stores.state_of(1) is EvaluationState.CANCELLED

    def test_a_finaliser_from_before_a_cancellation_records_nothing_after_a_retry_either(self, stores: Stores) -> None:
        late = self.finalising(stores)
        stores.submissions.cancel([1])
        assert stores.submissions.retry([1]).new_shards == 1
        assert not stores.work.finish_evaluation(late, scores(1.0), None)
        again = stores.claim_finalise()
        assert again.token > late.token
        assert not stores.work.finish_evaluation(late, scores(1.0), None)
        assert stores.work.finish_evaluation(again, scores(2.0), None)

    def test_its_reference_goes_on_for_those_to_come(self, stores: Stores) -> None:
        stores.submit_one()
        stores.submissions.cancel([1])
        assert {claim.owner for claim in stores.compute_shards()} == {"reference"}

    @pytest.mark.parametrize("end", ["finished", "failed", "cancelled"])
    def test_what_is_over_stays_as_it_is(self, stores: Stores, end: str) -> None:
        stores.submit_one()
        stores.make_reference()
        if end == "finished":
            stores.finish_everything()
        elif end == "failed":
            stores.work.fail_shard(stores.claim(), "No.", fault=Fault.INPUT)
        else:
            stores.submissions.cancel([1])
        before = stores.reads.evaluation(1), stores.count("events")
        (change,) = stores.submissions.cancel([1])
        assert (change.before, change.state) == (EvaluationState(end), EvaluationState(end))
        assert not change.is_changed
        assert (stores.reads.evaluation(1), stores.count("events")) == before

    def test_an_unknown_number_is_named_and_nothing_is_cancelled(self, stores: Stores) -> None:
        stores.submit("a", "b")
        with pytest.raises(NotFound) as caught:
            stores.submissions.cancel([1, 77, 2, 78])
        assert caught.value.received == "77, 78"
        assert "nothing was changed" in caught.value.what
        assert "vaeval status" in str(caught.value.expected)
        assert stores.reads.progress().evaluations == {EvaluationState.QUEUED: 2}

    def test_the_journal_has_it(self, stores: Stores) -> None:
        stores.submit_one()
        stores.submissions.cancel([1])
        assert stores.query("SELECT evaluation_id FROM events WHERE action = 'evaluation.cancelled'") == [(1,)]

    def test_cancelled_while_everybody_works_everything_is_over_in_the_end(self, stores: Stores) -> None:
        stores.submit(*(f"sweep/{number}" for number in range(12)))
        stores.make_reference()

        def work(number: int) -> None:
            while claim := stores.work.claim_shard(f"worker-{number}"):
                stores.work.finish_shard(claim, file_of(claim), 1.0)
                while finalise := stores.work.claim_finalise(f"worker-{number}"):
                    stores.work.finish_evaluation(finalise, scores(1.0), None)

        with ThreadPoolExecutor(5) as threads:
            workers = [threads.submit(work, number) for number in range(4)]
            cancelled = [threads.submit(stores.submissions.cancel, [number]).result() for number in range(1, 13)]
            for worker in workers:
                worker.result()
        states = stores.reads.progress().evaluations
        assert sum(states.values()) == 12
        assert set(states) <= {EvaluationState.FINISHED, EvaluationState.CANCELLED}
        told = {change.evaluation_id: change.state for (change,) in cancelled}
        assert told == {number: stores.state_of(number) for number in range(1, 13)}, "nobody was told anything else"
        assert stores.count("scores") == states.get(EvaluationState.FINISHED, 0)


class TestRetrying:
    def test_a_cancelled_evaluation_goes_on_from_its_finished_shards(self, stores: Stores) -> None:
        stores.submit_one()
        stores.make_reference()
        first = stores.claim()
        stores.work.finish_shard(first, file_of(first), 1.0)
        stores.submissions.cancel([1])
        receipt = stores.submissions.retry([1])
        ((change,), new_shards) = receipt.evaluations, receipt.new_shards
        assert (change.before, change.state) == (EvaluationState.CANCELLED, EvaluationState.QUEUED)
        assert new_shards == 1
        assert [claim.number for claim in stores.compute_shards()] == [1]
        assert stores.work.finish_evaluation(stores.claim_finalise(), scores(1.0), None)
        assert stores.state_of(1) is EvaluationState.FINISHED

    def test_a_failed_evaluation_has_all_its_attempts_again(self, stores: Stores) -> None:
        stores.submit_one()
        stores.make_reference()
        stores.work.fail_shard(stores.claim(), "No.", fault=Fault.INPUT)
        assert stores.submissions.retry([1]).new_shards == 2
        record = stores.reads.evaluation(1)
        assert (record.state, record.error) == (EvaluationState.QUEUED, None)
        assert stores.claim().attempt == 1

    def test_a_reference_that_failed_is_queued_with_it(self, stores: Stores) -> None:
        stores.submit("a", "b")
        stores.work.fail_shard(stores.claim(), "The images are gone.", fault=Fault.INPUT)
        assert stores.submissions.retry([2]).new_shards == 2 + 2
        stores.finish_everything()
        assert (stores.state_of(1), stores.state_of(2)) == (EvaluationState.FAILED, EvaluationState.FINISHED)

    def test_what_did_not_fail_stays_as_it_is(self, stores: Stores) -> None:
        stores.submit("done")
        stores.finish_everything()
        stores.submit("waiting")
        receipt = stores.submissions.retry([1, 2])
        assert [change.is_changed for change in receipt.evaluations] == [False, False]
        assert receipt.new_shards == 0
        assert [stores.state_of(number) for number in (1, 2)] == [EvaluationState.FINISHED, EvaluationState.QUEUED]

    def test_it_keeps_its_priority(self, stores: Stores) -> None:
        stores.submit(evaluation_request("urgent", priority=4), "normal")
        stores.make_reference()
        stores.submissions.cancel([1])
        stores.submissions.retry([1])
        assert stores.claim().owner_id == 1

    def test_an_unknown_number_is_named_and_nothing_is_queued(self, stores: Stores) -> None:
        stores.submit_one()
        stores.submissions.cancel([1])
        with pytest.raises(NotFound) as caught:
            stores.submissions.retry([1, 99])
        assert caught.value.received == "99"
        assert stores.state_of(1) is EvaluationState.CANCELLED

    def test_of_two_at_the_same_moment_one_queues_it(self, stores: Stores) -> None:
        stores.submit(*(f"sweep/{number}" for number in range(6)))
        stores.make_reference()
        stores.submissions.cancel(range(1, 7))
        with ThreadPoolExecutor(2) as threads:
            receipts = list(threads.map(lambda _: stores.submissions.retry(range(1, 7)), range(2)))
        assert sorted(receipt.new_shards for receipt in receipts) == [0, 12]
        assert sum(change.is_changed for receipt in receipts for change in receipt.evaluations) == 6

    def test_a_lost_reference_file_and_a_retry_go_together(self, stores: Stores) -> None:
        one = protocol(num_samples=32, num_reconstructions=0)
        stores.submit(evaluation_request(protocol=one))
        stores.make_reference()
        stores.compute_shards()
        claim = stores.claim_finalise()
        assert claim.reference is not None
        stores.work.recompute_shard(claim, claim.reference, "The file is missing.")
        stores.submissions.cancel([1])
        stores.submissions.retry([1])
        merge = stores.claim_finalise()
        assert merge.owner == "reference"
        stores.work.finish_reference(merge, stored_file("merged again"))
        assert stores.work.finish_evaluation(stores.claim_finalise(), scores(1.0), None)
