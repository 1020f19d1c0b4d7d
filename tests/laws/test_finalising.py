"""`WorkStore`, finalisations: one finaliser, finished is final, lost files; on both databases."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy.exc import IntegrityError

from scheduler.faults import Fault
from scheduler.lifecycle import EvaluationState
from scheduler.store.base import FinaliseClaim, ShardClaim, StoredFile
from tests.factories import digest, evaluation_request, protocol, score, scores, stored_file
from tests.laws.stores import Stores, file_of
from vaeval_core.evaluation_result import MetricValue, Score
from vaeval_core.shard_plan import plan_shards


class TestClaiming:
    def test_nothing_is_ready_before_the_last_shard(self, stores: Stores) -> None:
        stores.submit_one()
        stores.make_reference()
        first, second = stores.claim(), stores.claim()
        assert stores.work.finish_shard(first, file_of(first), 1.0)
        assert stores.work.claim_finalise("worker-1") is None
        assert stores.work.finish_shard(second, file_of(second), 1.0)
        assert stores.claim_finalise().owner == "evaluation"

    def test_an_evaluation_waits_for_its_reference(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        stores.compute_shards()
        reference = stores.claim_finalise()
        assert reference.owner == "reference"
        assert stores.work.claim_finalise("worker-2") is None, "the reference is not merged yet"
        assert stores.work.finish_reference(reference, stored_file("merged"))
        claim = stores.claim_finalise()
        assert (claim.owner, claim.owner_id) == ("evaluation", evaluation_id)

    def test_a_claim_has_the_files_in_shard_order(self, stores: Stores) -> None:
        request = evaluation_request(protocol=protocol(num_samples=96))
        stores.submit_one(request)
        of_reference = [stores.claim() for _ in range(len(request.reference_shards))]
        for claim in reversed(of_reference):
            assert stores.work.finish_shard(claim, file_of(claim), 1.0)
        merged = stored_file("merged")
        assert stores.work.finish_reference(stores.claim_finalise(), merged)
        claims = [stores.claim() for _ in range(3)]
        for claim in reversed(claims):
            assert stores.work.finish_shard(claim, file_of(claim), 1.0)
        finalise = stores.claim_finalise()
        assert finalise.shards == tuple(file_of(claim) for claim in claims)
        assert finalise.reference == merged
        assert finalise.reference_shards == tuple(file_of(claim) for claim in of_reference)
        assert finalise.protocol == request.protocol
        assert finalise.description == request.checkpoint.description

    def test_a_claim_of_a_reference_has_its_own_shards_alone(self, stores: Stores) -> None:
        stores.submit_one()
        claims = [stores.claim(), stores.claim()]
        for claim in claims:
            stores.work.finish_shard(claim, file_of(claim), 1.0)
        finalise = stores.claim_finalise()
        assert finalise.shards == tuple(file_of(claim) for claim in claims)
        assert (finalise.owner, finalise.reference, finalise.description) == ("reference", None, None)
        assert finalise.reference_shards == ()

    def test_of_many_workers_exactly_one_finalises_each_evaluation(self, stores: Stores) -> None:
        """Every worker asks after each shard it finished, as workers do; in the end nothing is left over."""
        stores.submit(*(f"sweep/{number}" for number in range(24)))
        stores.make_reference()

        def work(number: int) -> list[int]:
            finalised = []
            while claim := stores.work.claim_shard(f"worker-{number}"):
                assert stores.work.finish_shard(claim, file_of(claim), 1.0)
                while finalise := stores.work.claim_finalise(f"worker-{number}"):
                    finalised.append(finalise.owner_id)
                    assert stores.work.finish_evaluation(finalise, scores(float(number)), None)
            return finalised

        with ThreadPoolExecutor(8) as threads:
            finalised = Counter(number for numbers in threads.map(work, range(8)) for number in numbers)
        assert finalised == dict.fromkeys(range(1, 25), 1)
        assert stores.reads.progress().evaluations == {EvaluationState.FINISHED: 24}

    def test_shards_that_finish_at_the_same_moment_lead_to_one_finalisation_each(self, stores: Stores) -> None:
        """Eight threads finish the eight shards of an evaluation in the same instant and ask at once; 200 times."""
        evaluations, shards = (200, 8) if not stores.database.is_sqlite else (40, 8)
        eight = protocol(num_samples=32 * shards, num_reconstructions=0)
        plan = plan_shards(32 * shards, 32)
        stores.submit(
            *(evaluation_request(f"sweep/{number}", protocol=eight, shards=plan) for number in range(evaluations))
        )
        stores.make_reference()
        claims: dict[int, list[ShardClaim]] = defaultdict(list)
        while claim := stores.work.claim_shard("worker-1"):
            claims[claim.owner_id].append(claim)
        together = Barrier(shards)

        def finish(number: int) -> list[int]:
            won = []
            for mine in claims.values():
                together.wait(60)
                assert stores.work.finish_shard(mine[number], file_of(mine[number]), 1.0)
                while finalise := stores.work.claim_finalise(f"worker-{number}"):
                    won.append(finalise.owner_id)
            return won

        with ThreadPoolExecutor(shards) as threads:
            finalised = Counter(number for numbers in threads.map(finish, range(shards)) for number in numbers)
        assert finalised == dict.fromkeys(claims, 1)
        assert len(finalised) == evaluations

    def test_the_more_urgent_evaluation_is_finalised_first(self, stores: Stores) -> None:
        stores.submit(evaluation_request("a"), evaluation_request("b", priority=3))
        stores.make_reference()
        stores.compute_shards()
        assert [stores.claim_finalise().owner_id, stores.claim_finalise().owner_id] == [2, 1]

    def test_a_claim_for_some_evaluations_takes_theirs_and_their_reference(self, stores: Stores) -> None:
        other = protocol(dataset_digest=digest("photos"))
        stores.submit(evaluation_request("older", priority=9), evaluation_request("elsewhere", protocol=other))
        own = stores.submit_one("own")
        stores.compute_shards()
        reference = stores.work.claim_finalise("worker-1", [own])
        assert reference is not None
        assert (reference.owner, reference.protocol.dataset_digest) == ("reference", digest("digits"))
        assert stores.work.claim_finalise("worker-1", [own]) is None, "the other reference is not its own"
        assert stores.work.finish_reference(reference, stored_file("merged"))
        claim = stores.work.claim_finalise("worker-1", [own])
        assert claim is not None
        assert (claim.owner, claim.owner_id) == ("evaluation", own)
        assert stores.work.claim_finalise("worker-1", [own]) is None

    def test_a_cancelled_evaluation_is_not_finalised(self, stores: Stores) -> None:
        evaluation_id = stores.submit_one()
        stores.make_reference()
        stores.compute_shards()
        stores.cancel(evaluation_id)
        assert stores.work.claim_finalise("worker-1") is None


class TestFinishing:
    def ready(self, stores: Stores) -> FinaliseClaim:
        stores.submit_one()
        stores.make_reference()
        stores.compute_shards()
        return stores.claim_finalise()

    def test_scores_come_back_as_they_were_given(self, stores: Stores) -> None:
        claim = self.ready(stores)
        given = (
            score("fid", 12.25, std_error=0.5, bias=1.5, warnings=("Few images.",)),
            score("kl", 3.0, components=(1.0, 2.0)),
            Score(metric="psnr", version=2, value=MetricValue.not_applicable("There is no decoder.")),
        )
        pictures, influence = stored_file("pictures"), stored_file("influence")
        assert stores.work.finish_evaluation(claim, given, pictures, influence)
        record = stores.reads.evaluation(claim.owner_id)
        assert record.state is EvaluationState.FINISHED
        assert record.scores == given
        assert record.pictures == pictures
        assert record.influence == influence
        assert record.finished_at is not None

    @pytest.mark.parametrize(("value", "kind"), [(math.nan, "nan"), (math.inf, "inf"), (-math.inf, "inf")])
    def test_what_is_not_finite_is_stored_as_a_kind_without_a_value(
        self, stores: Stores, value: float, kind: str
    ) -> None:
        claim = self.ready(stores)
        careless = MetricValue(
            value=value, num_images=64, std_error=math.nan, bias=math.inf, components=(1.0, math.nan)
        )
        assert stores.work.finish_evaluation(claim, [Score(metric="fid", version=1, value=careless)], None)
        assert stores.query("SELECT kind, value, std_error, bias FROM scores") == [(kind, None, None, None)]
        (stored,) = stores.reads.evaluation(claim.owner_id).scores
        assert stored.value.reason is not None
        assert str(value) in stored.value.reason

    def test_a_finite_value_may_have_a_component_that_is_not(self, stores: Stores) -> None:
        claim = self.ready(stores)
        value = MetricValue(value=1.0, num_images=64, std_error=math.inf, components=(1.0, math.nan))
        assert stores.work.finish_evaluation(claim, [Score(metric="kl", version=1, value=value)], None)
        (stored,) = stores.reads.evaluation(claim.owner_id).scores
        assert stored.value.std_error is None
        assert stored.value.components[0] == 1.0
        assert math.isnan(stored.value.components[1])

    @pytest.mark.parametrize(
        ("on_sqlite", "on_postgresql"),
        [("NULL", "NULL"), ("NULL", "'NaN'"), ("9e999", "'Infinity'"), ("-9e999", "'-Infinity'")],
    )
    def test_the_table_itself_refuses_a_finite_score_without_a_finite_value(
        self, stores: Stores, on_sqlite: str, on_postgresql: str
    ) -> None:
        claim = self.ready(stores)
        value = on_sqlite if stores.database.is_sqlite else on_postgresql
        with pytest.raises(IntegrityError):
            stores.execute(
                "INSERT INTO scores (evaluation_id, metric, version, value, num_images, kind, components, warnings) "
                f"VALUES ({claim.owner_id}, 'fid', 1, {value}, 1, 'finite', '[]', '[]')"
            )

    def test_finished_is_final(self, stores: Stores) -> None:
        claim = self.ready(stores)
        assert stores.work.finish_evaluation(claim, scores(1.0), None)
        before = stores.reads.evaluation(claim.owner_id)
        assert stores.work.finish_evaluation(claim, scores(2.0), None), "the answer to the first may have been lost"
        assert not stores.work.finish_evaluation(claim, scores(2.0), stored_file("other pictures"))
        assert not stores.work.fail_finalise(claim, "too late")
        assert not stores.work.recompute_shard(claim, claim.shards[0], "too late")
        assert stores.reads.evaluation(claim.owner_id) == before

    def test_a_late_finaliser_changes_nothing(self, stores: Stores) -> None:
        late = self.ready(stores)
        stores.end_lease(late)
        assert stores.recovery.sweep().finalises_released == 1
        successor = stores.claim_finalise("successor")
        assert successor.token > late.token
        assert not stores.work.renew_finalise(late)
        assert not stores.work.finish_evaluation(late, scores(1.0), None)
        assert not stores.work.fail_finalise(late, "too late")
        assert not stores.work.recompute_shard(late, late.shards[0], "too late")
        assert stores.work.finish_evaluation(successor, scores(2.0), None)
        assert stores.reads.evaluation(late.owner_id).scores == tuple(scores(2.0))

    def test_a_late_finaliser_of_a_reference_changes_nothing(self, stores: Stores) -> None:
        stores.submit_one()
        stores.compute_shards()
        late = stores.claim_finalise()
        stores.end_lease(late)
        stores.recovery.sweep()
        successor = stores.claim_finalise("successor")
        assert not stores.work.finish_reference(late, stored_file("late"))
        assert stores.work.finish_reference(successor, stored_file("right"))
        assert stores.work.finish_reference(successor, stored_file("right")), "the answer may have been lost"
        assert stores.claim_finalise().reference == stored_file("right")

    def test_renewing_saves_the_lease(self, stores: Stores) -> None:
        claim = self.ready(stores)
        stores.end_lease(claim)
        assert stores.work.renew_finalise(claim)
        assert stores.recovery.sweep().finalises_released == 0

    def test_a_finalisation_that_fails_fails_its_evaluation(self, stores: Stores) -> None:
        claim = self.ready(stores)
        assert stores.work.fail_finalise(claim, "The scores cannot be computed.")
        assert stores.state_of(claim.owner_id) is EvaluationState.FAILED
        assert stores.error_of(claim.owner_id) == "The scores cannot be computed."

    def test_a_reference_that_cannot_be_merged_fails_what_waits_for_it(self, stores: Stores) -> None:
        stores.submit("a", "b")
        stores.compute_shards()
        assert stores.work.fail_finalise(stores.claim_finalise(), "No moments.")
        for number in (1, 2):
            assert stores.error_of(number) == "The reference failed: No moments."

    def test_a_finaliser_that_dies_three_times_fails_its_evaluation(self, stores: Stores) -> None:
        stores.end_lease(self.ready(stores))
        for _ in range(2):
            assert stores.recovery.sweep().finalises_released == 1
            stores.end_lease(stores.claim_finalise("doomed"))
        assert stores.recovery.sweep().finalises_released == 0
        assert stores.state_of(1) is EvaluationState.FAILED
        assert "after 3 attempts" in stores.error_of(1)
        assert "doomed" in stores.error_of(1)


class TestFailedAttempts:
    """What may pass, such as a storage that does not answer, costs an attempt and no more."""

    def ready(self, stores: Stores) -> FinaliseClaim:
        stores.submit_one()
        stores.make_reference()
        stores.compute_shards()
        return stores.claim_finalise()

    def test_it_is_tried_again_after_a_pause(self, stores: Stores) -> None:
        claim = self.ready(stores)
        assert stores.work.release_finalise(claim, "The storage is away.", fault=Fault.WORK)
        assert stores.state_of(claim.owner_id) is EvaluationState.RUNNING
        assert stores.work.claim_finalise("worker-1") is None
        assert stores.recovery.claimable() == 0, "the bell is not rung in vain"
        stores.end_pauses()
        assert stores.recovery.claimable() == 1
        again = stores.claim_finalise()
        assert again.shards == claim.shards
        assert stores.work.finish_evaluation(again, scores(1.0), None)

    def test_the_third_failure_is_the_last(self, stores: Stores) -> None:
        claim = self.ready(stores)
        for _ in range(2):
            assert stores.work.release_finalise(claim, "The storage is away.", fault=Fault.WORK)
            stores.end_pauses()
            claim = stores.claim_finalise()
        assert stores.work.release_finalise(claim, "The storage is away.", fault=Fault.WORK)
        assert stores.state_of(claim.owner_id) is EvaluationState.FAILED
        assert stores.error_of(claim.owner_id) == "Merging its shards failed after 3 attempts. The storage is away."

    def test_a_reference_takes_nothing_along_before_its_last_attempt(self, stores: Stores) -> None:
        stores.submit("a", "b")
        stores.compute_shards()
        for _ in range(2):
            assert stores.work.release_finalise(stores.claim_finalise(), "The storage is away.", fault=Fault.WORK)
            assert stores.state_of(1) is not EvaluationState.FAILED
            stores.end_pauses()
        assert stores.work.release_finalise(stores.claim_finalise(), "The storage is away.", fault=Fault.WORK)
        for number in (1, 2):
            assert stores.error_of(number).endswith("failed after 3 attempts. The storage is away.")

    def test_the_journal_has_the_reason(self, stores: Stores) -> None:
        stores.work.release_finalise(self.ready(stores), "The storage is away.", fault=Fault.WORK)
        ((detail,),) = stores.query("SELECT detail FROM events WHERE action = 'evaluation.finalise_attempt_failed'")
        assert "The storage is away." in str(detail)

    def test_a_lost_claim_changes_nothing(self, stores: Stores) -> None:
        late = self.ready(stores)
        stores.end_lease(late)
        stores.recovery.sweep()
        successor = stores.claim_finalise("successor")
        assert not stores.work.release_finalise(late, "Too late.", fault=Fault.WORK)
        assert stores.work.finish_evaluation(successor, scores(1.0), None)


class TestLostFiles:
    def ready(self, stores: Stores, num_shards: int = 2) -> FinaliseClaim:
        large = protocol(num_samples=32 * num_shards)
        stores.submit(evaluation_request(protocol=large, shards=plan_shards(32 * num_shards, 32)))
        stores.make_reference()
        stores.compute_shards()
        return stores.claim_finalise()

    def test_the_shard_of_a_lost_file_is_computed_again(self, stores: Stores) -> None:
        claim = self.ready(stores)
        assert stores.work.recompute_shard(claim, claim.shards[1], "The file is missing.")
        assert stores.state_of(claim.owner_id) is EvaluationState.RUNNING
        assert stores.work.claim_finalise("worker-1") is None
        (shard,) = stores.compute_shards()
        assert (shard.number, shard.attempt) == (1, 2)
        again = stores.claim_finalise()
        assert again.shards == (claim.shards[0], file_of(shard))

    def test_many_lost_files_are_no_reason_to_give_up(self, stores: Stores) -> None:
        claim = self.ready(stores, num_shards=6)
        for number in range(6):
            assert stores.work.recompute_shard(claim, claim.shards[number], "The disk was changed.")
            assert len(stores.compute_shards()) == 1
            claim = stores.claim_finalise()
        assert stores.work.finish_evaluation(claim, scores(1.0), None)

    def test_a_file_that_is_lost_every_time_fails_the_evaluation(self, stores: Stores) -> None:
        claim = self.ready(stores)
        for _ in range(2):
            assert stores.work.recompute_shard(claim, claim.shards[0], "Altered.")
            stores.compute_shards()
            claim = stores.claim_finalise()
        assert stores.work.recompute_shard(claim, claim.shards[0], "Altered.")
        assert stores.state_of(claim.owner_id) is EvaluationState.FAILED
        assert stores.error_of(claim.owner_id) == "Shard 0 was computed 3 times and its file was lost. Altered."

    def test_after_such_a_failure_submitting_again_computes_that_shard_again(self, stores: Stores) -> None:
        self.test_a_file_that_is_lost_every_time_fails_the_evaluation(stores)
        request = evaluation_request(protocol=protocol(num_samples=64))
        assert stores.submit(request).new_shards == 1
        assert [claim.number for claim in stores.compute_shards()] == [0]

    def test_a_lost_reference_is_merged_again_from_its_shards(self, stores: Stores) -> None:
        claim = self.ready(stores)
        assert claim.reference is not None
        assert stores.work.recompute_shard(claim, claim.reference, "The file is missing.")
        assert stores.work.claim_shard("worker-1") is None, "its shard files are kept"
        merge = stores.claim_finalise()
        assert merge.owner == "reference"
        assert stores.work.finish_reference(merge, StoredFile(key="new", digest=merge.shards[0].digest))
        again = stores.claim_finalise()
        assert (again.owner_id, again.shards) == (claim.owner_id, claim.shards)
        assert again.reference is not None
        assert again.reference.key == "new"

    def test_a_lost_reference_whose_shard_files_are_lost_too_is_computed_again(self, stores: Stores) -> None:
        claim = self.ready(stores)
        assert claim.reference is not None
        stores.execute("UPDATE shards SET attempts = 3 WHERE reference_id IS NOT NULL")  # a hard birth, long ago
        assert stores.work.recompute_shard(claim, claim.reference, "The file is missing.")
        for number in (0, 1):
            merge = stores.claim_finalise()
            assert stores.work.recompute_shard(merge, merge.shards[number], "The file is missing.")
            (shard,) = stores.compute_shards()
            assert (shard.owner, shard.number) == ("reference", number)
        assert stores.work.finish_reference(stores.claim_finalise(), stored_file("new"))
        assert stores.claim_finalise().reference == stored_file("new")

    def test_a_lost_file_that_no_shard_made_cannot_be_lost_for_ever(self, stores: Stores) -> None:
        claim = self.ready(stores)
        for _ in range(2):
            assert stores.work.recompute_shard(claim, stored_file("nobody's"), "Missing.")
            claim = stores.claim_finalise()
        assert stores.work.recompute_shard(claim, stored_file("nobody's"), "Missing.")
        assert stores.error_of(claim.owner_id) == "Merging its shards failed after 3 attempts. Missing."

    def test_two_evaluations_that_miss_the_same_reference_queue_it_once(self, stores: Stores) -> None:
        stores.submit("a", "b")
        merged = stores.make_reference()
        stores.compute_shards()
        first, second = stores.claim_finalise(), stores.claim_finalise()
        assert stores.work.recompute_shard(first, merged, "Missing.")
        merge = stores.claim_finalise()
        assert stores.work.recompute_shard(second, merged, "Missing.")
        assert stores.work.finish_reference(merge, stored_file("new")), "the merge that began in between is kept"
        assert {stores.claim_finalise().reference, stores.claim_finalise().reference} == {stored_file("new")}

    def test_an_evaluation_that_comes_back_to_a_failed_reference_fails_too(self, stores: Stores) -> None:
        stores.submit("a", "b")
        merged = stores.make_reference()
        stores.compute_shards()
        first, second = stores.claim_finalise(), stores.claim_finalise()
        assert stores.work.recompute_shard(first, merged, "Missing.")
        assert stores.work.fail_finalise(stores.claim_finalise(), "The images are gone.")
        assert stores.work.recompute_shard(second, merged, "Missing.")
        stores.recovery.sweep()
        for number in (1, 2):
            assert stores.state_of(number) is EvaluationState.FAILED
            assert stores.error_of(number).endswith("The images are gone.")
