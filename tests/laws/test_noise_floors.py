"""Noise floors in the store: evaluations of one stream, with every score and no rank."""

from __future__ import annotations

import pytest

from scheduler.store.base import EvaluationRequest
from scheduler.store.database import Database
from tests.factories import checkpoint_entry, dataset_entry, digest, evaluation_request, protocol
from tests.laws.stores import Stores
from vaeval_core.checkpoints.base import NOISE_FLOOR
from vaeval_core.shard_plan import plan_shards

OTHER_SET = dataset_entry(digest=digest("photos"), uri="/data/photos", name="photos", num_images=900)


def noise_floor(**protocol_fields: int) -> EvaluationRequest:
    chosen = protocol(**protocol_fields)
    description = {"format": NOISE_FLOOR, "dataset_digest": OTHER_SET.digest, "notes": []}
    entry = checkpoint_entry("real", name="noise floor: photos", uri=OTHER_SET.uri, description=description)
    return evaluation_request(entry, protocol=chosen, shards=plan_shards(chosen.num_samples, 32), noise_floor=OTHER_SET)


@pytest.fixture
def stores(database: Database) -> Stores:
    return Stores(database)


def test_it_stands_last_with_its_fid_and_without_a_rank(stores: Stores) -> None:
    stores.submit(noise_floor(), "vae/step-1", "vae/step-2")
    stores.finish_with({1: 0.5, 2: 20.0, 3: 10.0})
    rows = stores.reads.leaderboard()
    assert [(row["evaluation"], row["rank"], row["fid"], row["noise_floor"]) for row in rows] == [
        (3, 1, 10.0, False),
        (2, 2, 20.0, False),
        (1, None, 0.5, True),
    ]


def test_a_checkpoint_without_a_number_stands_before_it(stores: Stores) -> None:
    stores.submit(noise_floor(), "vae/step-1")
    stores.finish_with({1: 0.5, 2: float("nan")})
    assert [row["evaluation"] for row in stores.reads.leaderboard()] == [2, 1]
    assert [row["evaluation"] for row in stores.reads.best(5)] == [2, 1]


def test_the_best_rows_are_the_same_with_it(stores: Stores) -> None:
    stores.submit(noise_floor(), "vae/step-1", "vae/step-2")
    stores.finish_with({1: 0.5, 2: 20.0, 3: 10.0})
    rows = list(stores.reads.leaderboard())
    for top in (2, 3):
        assert list(stores.reads.best(top)) == rows
    assert list(stores.reads.best(1)) == [rows[0], rows[2]], "it is what the best are read against"


def test_only_samples_go_through_the_extractor(stores: Stores) -> None:
    stores.submit("vae/step-1", noise_floor())
    per_shard = dict(stores.query("SELECT evaluation_id, SUM(forward_passes) FROM shards GROUP BY evaluation_id"))
    assert (per_shard[1], per_shard[2]) == (128, 64)


def test_its_images_are_a_data_set_of_their_own(stores: Stores) -> None:
    stores.submit(noise_floor())
    assert f"datasets/{OTHER_SET.digest}.json" in stores.reads.live_files()
    claims = [claim for claim in stores.compute_shards() if claim.checkpoint is not None]
    assert {(claim.checkpoint.uri, claim.dataset_uri) for claim in claims} == {("/data/photos", "digits:test")}


def test_a_record_says_what_it_is(stores: Stores) -> None:
    stores.submit(noise_floor(), "vae/step-1")
    assert [stores.reads.evaluation(number).is_noise_floor for number in (1, 2)] == [True, False]
