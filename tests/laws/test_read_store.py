"""`ReadStore`: progress, records, the leaderboard; on both databases."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from scheduler.faults import Fault
from scheduler.lifecycle import EvaluationState, ShardState
from scheduler.store.answers import BoardSize
from scheduler.store.tables import evaluations
from tests.factories import (
    checkpoint_entry,
    dataset_entry,
    digest,
    evaluation_request,
    extractor_spec,
    protocol,
    score,
    scores,
    stored_file,
)
from tests.laws.stores import Stores, file_of
from vaeval_core.errors import InvalidInput, NotFound
from vaeval_core.evaluation_result import MetricValue, Score


class TestProgress:
    def test_an_empty_database_is_over(self, stores: Stores) -> None:
        progress = stores.reads.progress()
        assert (progress.images_done, progress.images_total, progress.is_over) == (0, 0, True)

    def test_forward_passes_of_evaluations_and_of_their_reference_count(self, stores: Stores) -> None:
        stores.submit("a", "b")
        assert stores.reads.progress().images_total == 2 * (64 + 64) + 64
        claim = stores.claim()
        stores.work.finish_shard(claim, file_of(claim), 1.0)
        stores.work.renew_shard(stores.claim(), images_done=7)
        progress = stores.reads.progress()
        assert progress.images_done == 32 + 7
        assert progress.shards == {ShardState.FINISHED: 1, ShardState.RUNNING: 1, ShardState.QUEUED: 4}
        assert progress.evaluations == {EvaluationState.QUEUED: 2}
        assert not progress.is_over

    def test_only_the_evaluations_that_were_asked_for_count(self, stores: Stores) -> None:
        stores.submit("a", "b")
        progress = stores.reads.progress([2])
        assert progress.images_total == 64 + 64 + 64
        assert progress.evaluations == {EvaluationState.QUEUED: 1}
        assert stores.reads.progress([]).images_total == 0

    def test_a_reference_counts_for_those_who_waited_for_it_and_not_for_those_who_found_it(
        self, stores: Stores
    ) -> None:
        first = stores.submit_one("a")
        stores.finish_everything()
        assert stores.reads.progress([first]).images_total == 64 + 64 + 64
        second = stores.submit_one("b")
        assert stores.reads.progress([second]).images_total == 64 + 64

    def test_what_nobody_will_do_is_left_out_of_the_total(self, stores: Stores) -> None:
        stores.submit_one()
        stores.make_reference()
        stores.work.fail_shard(stores.claim(), "No.", fault=Fault.INPUT)
        progress = stores.reads.progress()
        assert (progress.images_done, progress.images_total) == (64, 64), "the reference alone"
        assert progress.is_over

    def test_in_the_end_all_is_done(self, stores: Stores) -> None:
        stores.submit("a", "b")
        stores.finish_everything()
        progress = stores.reads.progress()
        assert progress.is_over
        assert progress.images_done == progress.images_total == 2 * 128 + 64

    def test_many_evaluations_can_be_asked_for_at_once(self, stores: Stores) -> None:
        stores.submit("a")
        assert stores.reads.progress(range(1, 70_000)).evaluations == {EvaluationState.QUEUED: 1}


class TestRecords:
    def test_the_newest_comes_first_and_the_limit_holds(self, stores: Stores) -> None:
        stores.submit("a", "b", "c")
        names = [record.checkpoint_name for record in stores.reads.evaluations()]
        assert names == ["c", "b", "a"]
        assert [record.checkpoint_name for record in stores.reads.evaluations(limit=2)] == ["c", "b"]

    def test_states_and_numbers_choose(self, stores: Stores) -> None:
        stores.submit("a", "b", "c")
        stores.cancel(2)
        cancelled = stores.reads.evaluations(states=[EvaluationState.CANCELLED])
        assert [record.evaluation_id for record in cancelled] == [2]
        both = stores.reads.evaluations([1, 2], states=[EvaluationState.CANCELLED, EvaluationState.QUEUED])
        assert [record.evaluation_id for record in both] == [2, 1]
        assert stores.reads.evaluations([]) == ()

    def test_a_record_says_what_was_submitted(self, stores: Stores) -> None:
        checkpoint = checkpoint_entry("runs/step-300", step=300, tags={"beta": "4"})
        before = datetime.now(UTC)
        stores.submit(evaluation_request(checkpoint, dataset=dataset_entry(name="digits"), protocol_name="mine"))
        (record,) = stores.reads.evaluations()
        assert (record.checkpoint_name, record.step, record.tags) == ("runs/step-300", 300, {"beta": "4"})
        assert record.description == checkpoint.description
        assert (record.protocol_name, record.dataset_name) == ("mine", "digits")
        assert (record.started_at, record.finished_at, record.error, record.pictures) == (None, None, None, None)
        assert record.submitted_at.tzinfo is UTC
        assert abs((record.submitted_at - before).total_seconds()) < 60

    def test_shards_are_counted(self, stores: Stores) -> None:
        stores.submit_one()
        stores.make_reference()
        claim = stores.claim()
        stores.work.finish_shard(claim, file_of(claim), 1.0)
        (record,) = stores.reads.evaluations()
        assert (record.shards_finished, record.shards_total) == (1, 2)

    @pytest.mark.parametrize("number", [7, -1])
    def test_a_number_that_does_not_exist_is_said(self, stores: Stores, number: int) -> None:
        with pytest.raises(NotFound) as caught:
            stores.reads.evaluation(number)
        assert caught.value.received == str(number)
        assert "vaeval status" in str(caught.value)


class TestLeaderboard:
    def finish(self, stores: Stores, fids: dict[str, float], **overrides: object) -> None:
        receipt = stores.submit(*(evaluation_request(name, **overrides) for name in fids))
        numbers = [entry.evaluation_id for entry in receipt.evaluations]
        stores.finish_with(dict(zip(numbers, fids.values(), strict=True)))

    def ranks(self, stores: Stores) -> list[tuple[int | None, str]]:
        return [(row["rank"], row["checkpoint"]) for row in stores.reads.leaderboard()]

    def test_the_lowest_distance_is_first(self, stores: Stores) -> None:
        self.finish(stores, {"middle": 20.0, "best": 5.0, "worst": 300.0})
        assert self.ranks(stores) == [(1, "best"), (2, "middle"), (3, "worst")]

    def test_equal_distances_share_a_rank_and_leave_the_next_one_out(self, stores: Stores) -> None:
        self.finish(stores, {"a": 5.0, "b": 5.0, "c": 7.0})
        assert self.ranks(stores) == [(1, "a"), (1, "b"), (3, "c")]

    def test_without_a_finite_distance_there_is_no_rank_and_the_place_is_last(self, stores: Stores) -> None:
        self.finish(stores, {"broken": math.nan, "far": math.inf, "good": 5.0, "fair": 6.0})
        assert self.ranks(stores) == [(1, "good"), (2, "fair"), (None, "broken"), (None, "far")]

    def test_an_evaluation_without_a_distance_is_listed_without_a_rank(self, stores: Stores) -> None:
        stores.submit_one()
        stores.make_reference()
        stores.compute_shards()
        stores.work.finish_evaluation(stores.claim_finalise(), [score("mse", 0.25)], None)
        (row,) = stores.reads.leaderboard()
        assert (row["rank"], row["fid"], row["mse"]) == (None, None, 0.25)

    def test_only_finished_evaluations_are_listed(self, stores: Stores) -> None:
        stores.submit("a")
        stores.compute_shards()
        assert stores.reads.leaderboard() == ()

    def test_rows_of_different_protocols_are_never_ranked_together(self, stores: Stores) -> None:
        self.finish(stores, {"a": 5.0, "b": 6.0}, protocol=protocol(seed=0))
        self.finish(stores, {"a": 1.0, "b": 0.5}, protocol=protocol(seed=1))
        rows = [(row["seed"], row["rank"], row["checkpoint"]) for row in stores.reads.leaderboard()]
        assert rows == [(0, 1, "a"), (0, 2, "b"), (1, 1, "b"), (1, 2, "a")]

    def test_seeds_are_in_order_whichever_finished_last(self, stores: Stores) -> None:
        for seed in (10, 2, 0, 1):
            self.finish(stores, {"a": 5.0}, protocol=protocol(seed=seed))
        assert [row["seed"] for row in stores.reads.leaderboard()] == [0, 1, 2, 10]

    def test_of_protocols_that_differ_in_more_than_the_seed_the_latest_comes_first(self, stores: Stores) -> None:
        small, large = protocol(num_samples=32), protocol(num_samples=64)
        for chosen in (large, small, protocol(num_samples=64, seed=1), protocol(num_samples=32, seed=1)):
            self.finish(stores, {"a": 5.0}, protocol=chosen)
            self.set_clock_back(stores)
        rows = [(row["num_samples"], row["seed"]) for row in stores.reads.leaderboard()]
        assert rows == [(32, 0), (32, 1), (64, 0), (64, 1)]
        self.finish(stores, {"b": 1.0}, protocol=large)
        rows = [(row["num_samples"], row["seed"], row["checkpoint"]) for row in stores.reads.leaderboard()]
        assert rows == [(64, 0, "b"), (64, 0, "a"), (64, 1, "a"), (32, 0, "a"), (32, 1, "a")]

    def set_clock_back(self, stores: Stores) -> None:
        """As if all that is finished had been finished a minute before."""
        stores.database.write(
            lambda connection: [
                connection.execute(
                    update(evaluations)
                    .where(evaluations.c.id == row.id)
                    .values(finished_at=row.finished_at - timedelta(minutes=1))
                )
                for row in connection.execute(select(evaluations)).all()
            ]
        )

    def test_whole_fingerprints_choose_several_protocols(self, stores: Stores) -> None:
        for seed in (0, 1, 2):
            self.finish(stores, {"a": 5.0}, protocol=protocol(seed=seed))
        wanted = [protocol(seed=seed).fingerprint for seed in (2, 0)]
        assert [row["seed"] for row in stores.reads.leaderboard(fingerprints=wanted)] == [0, 2]
        assert stores.reads.leaderboard(fingerprints=[]) == ()

    def test_the_rank_is_that_of_the_whole_board_whatever_part_is_shown(self, stores: Stores) -> None:
        self.finish(stores, {"a": 3.0, "b": 2.0, "c": 1.0})
        (row,) = stores.reads.leaderboard(evaluation_ids=[1])
        assert (row["checkpoint"], row["rank"]) == ("a", 3)
        assert [row["checkpoint"] for row in stores.reads.leaderboard(limit=2)] == ["c", "b"]

    def test_a_prefix_of_a_fingerprint_is_enough(self, stores: Stores) -> None:
        first, second = protocol(seed=0), protocol(seed=1)
        self.finish(stores, {"a": 5.0}, protocol=first)
        self.finish(stores, {"a": 5.0}, protocol=second)
        for prefix in (second.fingerprint, second.fingerprint[:6], second.fingerprint[:6].upper()):
            assert [row["seed"] for row in stores.reads.leaderboard(fingerprint=prefix)] == [1]
        assert stores.reads.leaderboard(fingerprint="0" * 64) == ()

    @pytest.mark.parametrize("prefix", ["", "abcde", "%%%%%%", "zzzzzz", "a" * 65])
    def test_what_is_no_prefix_is_refused(self, stores: Stores, prefix: str) -> None:
        with pytest.raises(InvalidInput) as caught:
            stores.reads.leaderboard(fingerprint=prefix)
        assert caught.value.received == prefix
        assert "first 6 digits" in str(caught.value.expected)

    def test_every_column_has_its_value(self, stores: Stores) -> None:
        checkpoint = checkpoint_entry("runs/step-3", step=3, tags={"beta": "4"})
        chosen = protocol(num_samples=32, num_reconstructions=64, seed=9, dataset_digest=digest("photos"))
        dataset = dataset_entry(digest=digest("photos"), name="photos")
        evaluation_id = stores.submit_one(
            evaluation_request(checkpoint, protocol=chosen, protocol_name="mine", dataset=dataset)
        )
        stores.make_reference()
        stores.compute_shards()
        given = [
            score("fid", 1.0, std_error=0.1, bias=0.01),
            score("rfid", 2.0, std_error=0.2, bias=0.02),
            score("mse", 3.0, std_error=0.3),
            score("cross_entropy", 4.0, std_error=0.4),
            score("psnr", 5.0, std_error=0.5),
            score("kl", 6.0, std_error=0.6),
            score("ours", 7.0),
        ]
        stores.work.finish_evaluation(stores.claim_finalise(), given, stored_file("pictures"))
        (row,) = stores.reads.leaderboard()
        assert isinstance(row["finished_at"], datetime)
        assert {name: value for name, value in row.items() if name != "finished_at"} == {
            "evaluation": evaluation_id,
            "rank": 1,
            "checkpoint": "runs/step-3",
            "step": 3,
            "protocol": "mine",
            "fid": 1.0,
            "fid_std_error": 0.1,
            "fid_bias": 0.01,
            "rfid": 2.0,
            "rfid_std_error": 0.2,
            "rfid_bias": 0.02,
            "mse": 3.0,
            "mse_std_error": 0.3,
            "cross_entropy": 4.0,
            "cross_entropy_std_error": 0.4,
            "psnr": 5.0,
            "psnr_std_error": 0.5,
            "kl": 6.0,
            "kl_std_error": 0.6,
            "num_samples": 32,
            "num_reconstructions": 64,
            "seed": 9,
            "extractor": "inception-v3-random",
            "dataset": "photos",
            "tags": {"beta": "4"},
            "fingerprint": chosen.fingerprint,
            "noise_floor": False,
        }


class TestScores:
    def test_those_asked_for_come_with_their_error_and_what_has_no_number_does_not_come(self, stores: Stores) -> None:
        stores.submit("a", "b")
        stores.make_reference()
        stores.compute_shards()
        missing = Score(metric="kid", version=1, value=MetricValue.not_applicable("Too few."))
        given = [score("fid", 1.0, std_error=0.5), score("precision", 0.25), missing]
        stores.work.finish_evaluation(stores.claim_finalise(), given, None)
        of_first = {"fid": (1.0, 0.5), "precision": (0.25, None)}
        assert stores.reads.scores([1, 2], ["fid", "precision", "kid"]) == {1: of_first}
        assert stores.reads.scores(range(1, 70_000), ["fid"]) == {1: {"fid": (1.0, 0.5)}}
        assert stores.reads.scores([], ["fid"]) == {}


class TestWarnings:
    def test_only_scores_that_have_warnings_are_named(self, stores: Stores) -> None:
        stores.submit("a", "b", "c")
        stores.make_reference()
        stores.compute_shards()
        for few in ((), ("Too few.", "Far too few."), ("Too few.",)):
            given = [score("fid", 1.0, warnings=few), score("mse", 2.0), score("kl", 3.0, warnings=few[:1])]
            stores.work.finish_evaluation(stores.claim_finalise(), given, None)
        both = {"fid": ("Too few.", "Far too few."), "kl": ("Too few.",)}
        assert stores.reads.warnings([1, 2]) == {2: both}
        assert stores.reads.warnings(range(1, 70_000)) == {2: both, 3: {"fid": ("Too few.",), "kl": ("Too few.",)}}
        assert stores.reads.warnings([]) == {}


class TestUnfinished:
    def test_what_is_over_or_left_out_does_not_count(self, stores: Stores) -> None:
        assert stores.reads.unfinished() == 0
        stores.submit("a", "b", "c", "d")
        stores.cancel(4)
        assert stores.reads.unfinished() == 3
        assert stores.reads.unfinished(besides=[1, 4]) == 2
        stores.finish_everything()
        assert stores.reads.unfinished() == 0


class TestBest:
    """What a long leaderboard is read by: the first rows of each board, without the rest."""

    def board(self, stores: Stores, seed: int, results: dict[str, float]) -> None:
        for name, fid in results.items():
            checkpoint = checkpoint_entry(name, step=len(name), tags={"name": name})
            stores.submit(evaluation_request(checkpoint, protocol=protocol(seed=seed)))
            stores.compute_shards()
            while claim := stores.work.claim_finalise("worker-1"):
                if claim.owner == "reference":
                    assert stores.work.finish_reference(claim, stored_file("merged"))
                else:
                    given = [score("fid", fid, std_error=0.5), score("mse", 0.25), score("psnr", 5.0, std_error=0.5)]
                    assert stores.work.finish_evaluation(claim, given, None)

    @pytest.mark.parametrize("top", [1, 2, 3, 4, 5, 100])
    def test_its_rows_are_the_first_of_each_board(self, stores: Stores, top: int) -> None:
        self.board(stores, 0, {"a": 5.0, "bb": 3.0, "ccc": 5.0, "dddd": math.nan, "eeeee": 9.0, "f": 3.0})
        self.board(stores, 1, {"a": 1.0, "bb": math.inf})
        stores.submit(evaluation_request("not finished", protocol=protocol(seed=2)))
        stores.submit(evaluation_request("failed", protocol=protocol(seed=0)))
        boards: dict[str, list[Mapping[str, Any]]] = {}
        for row in stores.reads.leaderboard():
            boards.setdefault(row["fingerprint"], []).append(row)
        assert [len(rows) for rows in boards.values()] == [6, 2]
        assert list(stores.reads.best(top)) == [row for rows in boards.values() for row in rows[:top]]

    def test_one_board_may_be_asked_for(self, stores: Stores) -> None:
        self.board(stores, 0, {"a": 5.0, "b": 3.0})
        self.board(stores, 1, {"a": 1.0})
        fingerprint = protocol(seed=0).fingerprint
        (row,) = stores.reads.best(1, fingerprint=fingerprint[:8])
        assert (row["checkpoint"], row["seed"], row["fid"]) == ("b", 0, 3.0)
        assert stores.reads.best(1, fingerprint="0" * 64) == ()
        with pytest.raises(InvalidInput):
            stores.reads.best(1, fingerprint="abc")

    def test_before_anything_is_finished_there_is_none(self, stores: Stores) -> None:
        stores.submit_one()
        assert stores.reads.best(10) == ()


class TestContenders:
    """Who may be tied with the best of a board, found without reading the rest."""

    def board(self, stores: Stores, seed: int, *results: tuple[float, float | None]) -> list[int]:
        """Evaluations with these FIDs and standard errors, and their numbers."""
        names = [f"{place}" for place in range(len(results))]
        receipt = stores.submit(*(evaluation_request(name, protocol=protocol(seed=seed)) for name in names))
        numbers = [entry.evaluation_id for entry in receipt.evaluations]
        given = dict(zip(numbers, results, strict=True))
        stores.compute_shards()
        while claim := stores.work.claim_finalise("worker-1"):
            if claim.owner == "reference":
                assert stores.work.finish_reference(claim, stored_file("merged"))
            else:
                fid, std_error = given[claim.owner_id]
                influence = stored_file(f"influence-{claim.owner_id}") if std_error else None
                finished = [score("fid", fid, std_error=std_error)]
                assert stores.work.finish_evaluation(claim, finished, None, influence)
        return numbers

    def test_they_are_as_near_as_both_standard_errors_allow(self, stores: Stores) -> None:
        results = [(5.7, 0.1), (5.0, 0.1), (5.5, 0.1), (9.0, None), (math.nan, None), (9.0, 2.0), (5.25, 0.0)]
        numbers = self.board(stores, 0, *results)
        (found,) = stores.reads.contenders({protocol().fingerprint: 3.0}, most=10).values()
        # Behind by 0, 0.25, 0.5 and 4, of 0.6, 0.3, 0.6 and 6.3 at most; 5.7 is behind by 0.7 of 0.6.
        assert [row.evaluation_id for row in found.rows] == [numbers[place] for place in (1, 6, 2, 3, 5)]
        assert [(row.fid, row.fid_std_error) for row in found.rows][:2] == [(5.0, 0.1), (5.25, 0.0)]
        assert found.count == 5

    def test_all_are_counted_however_few_are_given(self, stores: Stores) -> None:
        numbers = self.board(stores, 0, *((5.0 + place / 100, 0.5) for place in range(5)), (50.0, 0.5))
        (found,) = stores.reads.contenders({protocol().fingerprint: 3.0}, most=2).values()
        assert ([row.evaluation_id for row in found.rows], found.count) == (numbers[:2], 5)

    def test_with_an_endless_reach_or_a_best_row_without_error_all_that_have_a_number_are(self, stores: Stores) -> None:
        self.board(stores, 0, (5.0, 0.1), (500.0, 0.1), (math.inf, None))
        self.board(stores, 1, (5.0, None), (500.0, 0.1))
        reaches = {protocol(seed=0).fingerprint: math.inf, protocol(seed=1).fingerprint: 1.0}
        assert [found.count for found in stores.reads.contenders(reaches, most=10).values()] == [2, 2]

    def test_each_board_has_its_own_best_and_its_own_reach(self, stores: Stores) -> None:
        first = self.board(stores, 0, (5.0, 1.0), (8.0, 1.0))
        second = self.board(stores, 1, (1.0, 1.0), (4.0, 1.0))
        reaches = {protocol(seed=1).fingerprint: 1.0, protocol(seed=0).fingerprint: 2.0, "0" * 64: 9.0}
        found = stores.reads.contenders(reaches, most=10)
        assert {key: [row.evaluation_id for row in of_board.rows] for key, of_board in found.items()} == {
            protocol(seed=1).fingerprint: second[:1],
            protocol(seed=0).fingerprint: first,
        }

    def test_more_boards_than_one_statement_takes_are_asked_for_in_several(
        self, stores: Stores, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for seed in range(5):
            self.board(stores, seed, (5.0 + seed, 1.0), (5.5 + seed, 1.0), (math.nan, None))
        reaches = {protocol(seed=seed).fingerprint: 1.0 for seed in range(5)}
        at_once = (stores.reads.best(3), stores.reads.contenders(reaches, most=10))
        monkeypatch.setattr("scheduler.store.boards.BOARDS_AT_ONCE", 2)
        assert (stores.reads.best(3), stores.reads.contenders(reaches, most=10)) == at_once
        assert [found.count for found in at_once[1].values()] == [2] * 5

    def test_sizes_count_what_is_finished_and_what_has_a_number(self, stores: Stores) -> None:
        self.board(stores, 0, (5.0, 1.0), (math.nan, None))
        self.board(stores, 1, (5.0, 1.0))
        stores.submit(evaluation_request("waits", protocol=protocol(seed=2)))
        fingerprints = [protocol(seed=seed).fingerprint for seed in (0, 1, 2)]
        assert stores.reads.board_sizes([*fingerprints, "0" * 64]) == {
            fingerprints[0]: BoardSize(finished=2, ranked=1),
            fingerprints[1]: BoardSize(finished=1, ranked=1),
        }

    def test_influences_are_those_that_were_kept(self, stores: Stores) -> None:
        numbers = self.board(stores, 0, (5.0, 1.0), (6.0, None), (7.0, 1.0))
        kept = {number: stored_file(f"influence-{number}") for number in numbers if number != numbers[1]}
        assert stores.reads.influences(numbers) == kept
        assert stores.reads.influences(numbers[:1]) == {numbers[0]: kept[numbers[0]]}


class TestLongScores:
    def test_the_long_view_has_one_row_per_metric_of_finished_evaluations(self, stores: Stores) -> None:
        stores.submit("a", "b")
        stores.make_reference()
        stores.compute_shards()
        stores.work.finish_evaluation(stores.claim_finalise(), scores(1.5, mse=0.5, extra=9.0), None)
        rows = stores.query("SELECT checkpoint, metric, value, kind FROM scores_long ORDER BY metric")
        assert rows == [("a", "extra", 9.0, "finite"), ("a", "fid", 1.5, "finite"), ("a", "mse", 0.5, "finite")]


class TestRate:
    def test_before_anything_is_finished_there_is_no_rate(self, stores: Stores) -> None:
        stores.submit_one()
        assert stores.reads.images_per_second("inception-v3-random") is None

    def test_the_rate_is_forward_passes_by_seconds_of_the_slots(self, stores: Stores) -> None:
        stores.submit_one()
        stores.make_reference()  # two shards of 32 images, a second each
        claim = stores.claim()
        stores.work.finish_shard(claim, file_of(claim), seconds=6.0)  # 32 samples and 32 reconstructions
        rate = stores.reads.images_per_second("inception-v3-random")
        assert rate == pytest.approx((32 + 32 + 64) / (1.0 + 1.0 + 6.0))

    def test_shards_of_another_feature_network_do_not_count(self, stores: Stores) -> None:
        stores.submit_one()
        stores.finish_everything()  # two shards of 64 forward passes and, of the reference, two of 32; two seconds each
        pixels = protocol(extractor=extractor_spec(name="pixels-8x8", dimension=64))
        stores.submit_one(evaluation_request(protocol=pixels))
        claim = stores.claim()
        assert claim.owner == "reference"
        stores.work.finish_shard(claim, file_of(claim), seconds=0.01)
        assert stores.reads.images_per_second("inception-v3-random") == pytest.approx(192 / 8.0)
        assert stores.reads.images_per_second("pixels-8x8") == pytest.approx(32 / 0.01)
        assert stores.reads.images_per_second("inception-v3-keras") is None

    def test_only_recent_shards_count(self, stores: Stores) -> None:
        slow = evaluation_request("slow", protocol=protocol(num_samples=32, num_reconstructions=0, num_reference=32))
        stores.submit(slow)
        for _ in range(2):
            claim = stores.claim()
            stores.work.finish_shard(claim, file_of(claim), seconds=1000.0)
        stores.submit(*(f"sweep/{number}" for number in range(50)))
        for _ in range(100):
            claim = stores.claim()
            stores.work.finish_shard(claim, file_of(claim), seconds=len(claim.index_range) * 1.0)
        rate = stores.reads.images_per_second("inception-v3-random")
        assert rate is not None
        assert rate >= 1.0, "the two slow shards are forgotten"
