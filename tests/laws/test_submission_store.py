"""`SubmissionStore`: what submitting promises, on both databases."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy.exc import DBAPIError

from scheduler.faults import Fault
from scheduler.lifecycle import EvaluationState
from scheduler.store.base import SubmissionReceipt
from tests.factories import (
    checkpoint_entry,
    dataset_entry,
    digest,
    evaluation_request,
    extractor_spec,
    protocol,
    scores,
    stored_file,
)
from tests.laws.stores import Stores
from vaeval_core.shard_plan import plan_shards


class TestSubmitting:
    def test_a_request_becomes_a_queued_evaluation_with_its_shards_and_its_reference(self, stores: Stores) -> None:
        receipt = stores.submit("vae/step-1")
        (entry,) = receipt.evaluations
        assert (entry.checkpoint_name, entry.created, entry.state) == ("vae/step-1", True, EvaluationState.QUEUED)
        assert receipt.new_shards == 4
        record = stores.reads.evaluation(entry.evaluation_id)
        assert (record.shards_finished, record.shards_total) == (0, 2)
        assert stores.query("SELECT number, start, stop FROM shards WHERE reference_id IS NULL ORDER BY number") == [
            (0, 0, 32),
            (1, 32, 64),
        ]

    def test_nothing_submitted_is_nothing_done(self, stores: Stores) -> None:
        assert stores.submit() == SubmissionReceipt(evaluations=(), new_shards=0)

    def test_the_same_request_gives_the_same_row_and_no_new_work(self, stores: Stores) -> None:
        first = stores.submit("vae/step-1").evaluations[0]
        again = stores.submit("vae/step-1")
        assert again.evaluations[0].evaluation_id == first.evaluation_id
        assert not again.evaluations[0].created
        assert again.new_shards == 0
        assert [stores.count(table) for table in ("evaluations", "checkpoints", "protocols", "shards")] == [1, 1, 1, 4]

    def test_equal_requests_in_one_submission_are_one_evaluation(self, stores: Stores) -> None:
        receipt = stores.submit("a", "b", "a")
        ids = [entry.evaluation_id for entry in receipt.evaluations]
        assert ids[0] == ids[2] != ids[1]
        assert [entry.created for entry in receipt.evaluations] == [True, True, False]
        assert receipt.new_shards == 2 + 2 + 2

    def test_another_seed_is_another_evaluation_with_the_same_reference(self, stores: Stores) -> None:
        stores.submit("vae/step-1")
        receipt = stores.submit(evaluation_request(protocol=protocol(seed=1)))
        assert receipt.evaluations[0].created
        assert receipt.new_shards == 2
        assert stores.count("reference_sets") == 1

    def test_other_real_images_need_another_reference(self, stores: Stores) -> None:
        stores.submit("vae/step-1")
        other = protocol(dataset_digest=digest("photos"))
        assert stores.submit(evaluation_request(protocol=other)).new_shards == 4
        assert [stores.count("reference_sets"), stores.count("datasets")] == [2, 2]

    def test_the_receipt_keeps_the_order_of_the_requests(self, stores: Stores) -> None:
        stores.submit("m", "c")
        names = ["z", "c", "a", "m", "b"]
        receipt = stores.submit(*names)
        assert [entry.checkpoint_name for entry in receipt.evaluations] == names
        assert [entry.created for entry in receipt.evaluations] == [True, False, True, False, True]

    def test_an_exception_leaves_nothing_behind(self, stores: Stores) -> None:
        stores.submit("before")
        nameless = checkpoint_entry("nameless", name=None)
        with pytest.raises(DBAPIError):
            stores.submit("good", evaluation_request(nameless))
        tables = ("checkpoints", "evaluations", "shards", "events")
        assert [stores.count(table) for table in tables] == [1, 1, 4, 2]

    def test_forward_passes_are_counted_per_stream(self, stores: Stores) -> None:
        longer = protocol(num_samples=64, num_reconstructions=40, num_reference=50)
        stores.submit(evaluation_request(protocol=longer))
        passes = stores.query("SELECT forward_passes FROM shards WHERE evaluation_id IS NOT NULL ORDER BY number")
        assert passes == [(64,), (32 + 8,)]
        passes = stores.query("SELECT forward_passes FROM shards WHERE reference_id IS NOT NULL ORDER BY number")
        assert passes == [(32,), (18,)]

    def test_many_checkpoints_get_the_shards_of_their_plan_in_one_submission(self, stores: Stores) -> None:
        large = protocol(num_samples=1280)
        plan = plan_shards(1280, 32)
        receipt = stores.submit(
            *(evaluation_request(f"sweep/{number}", protocol=large, shards=plan) for number in range(300))
        )
        assert receipt.new_shards == 300 * 40 + 2
        counted = "SELECT number, start, stop, COUNT(*) FROM shards WHERE evaluation_id IS NOT NULL"
        assert stores.query(f"{counted} GROUP BY number, start, stop ORDER BY number") == [
            (number, part.start, part.stop, 300) for number, part in enumerate(plan)
        ]


class TestIdentity:
    def test_two_submissions_of_the_same_things_at_the_same_moment_make_one_row_each(self, stores: Stores) -> None:
        names = [f"sweep/{number}" for number in range(20)]
        together = threading.Barrier(2)

        def submit(order: list[str]) -> SubmissionReceipt:
            together.wait()
            return stores.submit(*order)

        with ThreadPoolExecutor(2) as threads:
            first, second = threads.map(submit, [names, names[::-1]])
        assert [entry.evaluation_id for entry in first.evaluations] == [
            entry.evaluation_id for entry in second.evaluations[::-1]
        ]
        assert sum(entry.created for entry in (*first.evaluations, *second.evaluations)) == 20
        assert first.new_shards + second.new_shards == 20 * 2 + 2
        assert [stores.count(table) for table in ("checkpoints", "evaluations", "reference_sets")] == [20, 20, 1]
        assert stores.count("shards") == 20 * 2 + 2

    def test_tags_of_a_checkpoint_are_merged_and_the_latest_value_counts(self, stores: Stores) -> None:
        stores.submit(evaluation_request(checkpoint_entry("a", tags={"beta": "1", "owner": "kim"})))
        evaluation_id = stores.submit_one(evaluation_request(checkpoint_entry("a", tags={"beta": "4", "arch": "conv"})))
        assert stores.reads.evaluation(evaluation_id).tags == {"beta": "4", "owner": "kim", "arch": "conv"}

    def test_a_checkpoint_that_moved_is_found_at_its_new_place_under_its_old_name(self, stores: Stores) -> None:
        stores.submit(evaluation_request(checkpoint_entry("runs/step-300", step=300, uri="/old/step-300")))
        best = checkpoint_entry("runs/step-300", name="best", step=None, uri="/best")
        receipt = stores.submit(evaluation_request(best))
        assert receipt.evaluations[0].checkpoint_name == "runs/step-300"
        record = stores.reads.evaluation(receipt.evaluations[0].evaluation_id)
        assert (record.checkpoint_name, record.step, record.checkpoint_uri) == ("runs/step-300", 300, "/best")

    def test_a_data_set_that_moved_is_found_at_its_new_place(self, stores: Stores) -> None:
        stores.submit("a")
        stores.submit(evaluation_request("b", dataset=dataset_entry(uri="/data/digits")))
        assert stores.claim().dataset_uri == "/data/digits"

    def test_a_protocol_comes_back_as_it_was_submitted(self, stores: Stores) -> None:
        submitted = protocol(seed=2**63 - 1, extractor=extractor_spec(dimension=64))
        record = stores.reads.evaluation(stores.submit_one(evaluation_request(protocol=submitted)))
        assert record.protocol == submitted
        assert record.fingerprint == submitted.fingerprint


class TestSubmittingAgain:
    def fail_second_shard(self, stores: Stores) -> int:
        evaluation_id = stores.submit_one()
        stores.make_reference()
        stores.work.finish_shard(stores.claim(), stored_file("first"), 1.0)
        assert stores.work.fail_shard(stores.claim(), "The images are gone.", fault=Fault.INPUT)
        assert stores.state_of(evaluation_id) is EvaluationState.FAILED
        return evaluation_id

    def test_a_failed_evaluation_is_queued_with_only_its_unfinished_shards(self, stores: Stores) -> None:
        evaluation_id = self.fail_second_shard(stores)
        receipt = stores.submit("vae/step-1")
        (entry,) = receipt.evaluations
        assert (entry.evaluation_id, entry.created, entry.state) == (evaluation_id, False, EvaluationState.QUEUED)
        assert receipt.new_shards == 1
        claim = stores.claim()
        assert (claim.number, claim.attempt) == (1, 1)
        assert stores.work.claim_shard("worker-2") is None
        assert stores.reads.evaluation(evaluation_id).error is None

    def test_the_token_rises_over_a_failure(self, stores: Stores) -> None:
        self.fail_second_shard(stores)
        stores.submit("vae/step-1")
        assert stores.claim().token == 2

    def test_a_cancelled_evaluation_is_queued_again(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        stores.cancel(evaluation_id)
        stores.execute("UPDATE shards SET state = 'cancelled' WHERE evaluation_id IS NOT NULL")
        receipt = stores.submit("vae/step-1")
        assert (receipt.evaluations[0].state, receipt.new_shards) == (EvaluationState.QUEUED, 2)

    def test_a_failed_reference_is_queued_for_a_new_evaluation(self, stores: Stores) -> None:
        first = stores.submit_one("a")
        stores.work.finish_shard(stores.claim(), stored_file("kept"), 1.0)
        stores.work.fail_shard(stores.claim(), "The images are gone.", fault=Fault.INPUT)
        receipt = stores.submit("b")
        assert receipt.new_shards == 1 + 2
        claim = stores.claim()
        assert (claim.owner, claim.number) == ("reference", 1)
        assert stores.state_of(first) is EvaluationState.FAILED, "nobody asked for that one again"

    def test_what_failed_while_being_finalised_is_announced_once(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        stores.make_reference()
        stores.compute_shards()
        stores.work.fail_finalise(stores.claim_finalise(), "The pictures cannot be drawn.")
        receipt = stores.submit("vae/step-1")
        assert receipt.new_shards == 1, "no shard, but the bell must ring for the finalisation"
        assert stores.claim_finalise().owner_id == evaluation_id

    def test_a_finished_evaluation_stays_as_it_is(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        stores.finish_everything(fid=12.5)
        before = stores.reads.evaluation(evaluation_id)
        receipt = stores.submit("vae/step-1")
        assert (receipt.evaluations[0].state, receipt.new_shards) == (EvaluationState.FINISHED, 0)
        assert stores.reads.evaluation(evaluation_id) == before
        assert before.scores == tuple(scores(12.5))

    def test_a_higher_priority_brings_forward_what_is_not_finished(self, stores: Stores) -> None:
        stores.submit("a", "b", "c")
        stores.make_reference()
        running = stores.claim()
        receipt = stores.submit(evaluation_request("c", priority=2))
        assert (receipt.new_shards, receipt.raised) == (0, (receipt.evaluations[0].evaluation_id,))
        names = [claim.checkpoint.uri if claim.checkpoint else "" for claim in stores.compute_shards()]
        assert list(dict.fromkeys(names)) == ["/checkpoints/c", "/checkpoints/a", "/checkpoints/b"]
        assert stores.work.renew_shard(running, 1), "what is being computed goes on"

    def test_a_shard_that_is_lost_after_its_priority_was_raised_is_as_urgent(self, stores: Stores) -> None:
        stores.submit("a", "b")
        stores.make_reference()
        lost = stores.claim()
        stores.submit(evaluation_request("a", priority=2), evaluation_request("b", priority=1))
        stores.end_lease(lost)
        stores.recovery.sweep()
        assert stores.claim().shard_id == lost.shard_id

    def test_what_was_brought_forward_takes_turns_with_others_of_that_priority(self, stores: Stores) -> None:
        stores.submit("late/1", "late/2", *(evaluation_request(f"early/{number}", priority=1) for number in (1, 2, 3)))
        stores.make_reference()
        stores.compute_shards_of(2)
        stores.submit(*(evaluation_request(f"late/{number}", priority=1) for number in (1, 2)))
        names = [
            claim.checkpoint.uri.removeprefix("/checkpoints/") for claim in stores.compute_shards() if claim.checkpoint
        ]
        assert list(dict.fromkeys(names)) == ["late/1", "early/2", "late/2", "early/3"]

    def test_the_reference_is_brought_forward_too(self, stores: Stores) -> None:
        other = protocol(dataset_digest=digest("photos"))
        stores.submit("a", evaluation_request("b", protocol=other))
        stores.submit(evaluation_request("b", protocol=other, priority=1))
        assert stores.claim().dataset_digest == digest("photos")

    def test_a_lower_priority_changes_nothing(self, stores: Stores) -> None:
        stores.submit(evaluation_request("a", priority=1), evaluation_request("b", priority=1))
        stores.make_reference()
        assert stores.submit(evaluation_request("a", priority=-1)).raised == ()
        checkpoint = stores.claim().checkpoint
        assert checkpoint is not None
        assert checkpoint.uri == "/checkpoints/a"

    def test_what_is_finished_is_not_brought_forward(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one("a")
        stores.finish_everything()
        assert stores.submit(evaluation_request("a", priority=9)).raised == ()
        assert stores.query(f"SELECT priority FROM evaluations WHERE id = {evaluation_id}") == [(0,)]

    @pytest.mark.parametrize("priority", [5, -5])
    def test_the_new_priority_counts(self, stores: Stores, priority: int) -> None:
        self.fail_second_shard(stores)
        stores.submit("other", evaluation_request("vae/step-1", priority=priority))
        expected = "vae/step-1" if priority > 0 else "other"
        checkpoint = stores.claim().checkpoint
        assert checkpoint is not None
        assert checkpoint.uri == f"/checkpoints/{expected}"
