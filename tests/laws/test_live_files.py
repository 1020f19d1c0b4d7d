"""`ReadStore.live_files`: a file is needed from the moment it may be written until nobody will read it; on both databases."""

from __future__ import annotations

from scheduler.faults import Fault
from scheduler.store.artifact_keys import influence_key, manifest_key, merged_key, pictures_key, shard_key
from scheduler.store.base import StoredFile
from tests.factories import digest, evaluation_request, scores, stored_file
from tests.laws.stores import Stores, file_of

MANIFEST = manifest_key(digest("digits"))


def test_an_empty_database_needs_nothing(stores: Stores) -> None:
    assert stores.reads.live_files() == frozenset()


def test_the_list_of_a_data_set_is_needed_from_its_submission_on(stores: Stores) -> None:
    stores.submit_one()
    assert stores.reads.live_files() == {MANIFEST}


def test_what_a_running_shard_may_be_writing_is_needed(stores: Stores) -> None:
    stores.submit_one()
    claim = stores.claim()
    assert stores.reads.live_files() == {MANIFEST, shard_key("reference", 1, 0, 1)}
    stores.end_lease(claim)
    stores.recovery.sweep()
    assert stores.reads.live_files() == {MANIFEST}, "whoever comes next writes under another key"
    stores.claim()
    assert stores.reads.live_files() == {MANIFEST, shard_key("reference", 1, 0, 2)}


def test_shards_of_an_evaluation_are_needed_until_it_is_finished_and_those_of_a_reference_for_ever(
    stores: Stores,
) -> None:
    stores.submit_one()
    claims = stores.compute_shards()
    files = {file_of(claim).key for claim in claims}
    assert stores.reads.live_files() == {MANIFEST, *files}
    merge = stores.claim_finalise()
    merging = merged_key(1, merge.token)
    assert stores.reads.live_files() == {MANIFEST, *files, merging}
    assert stores.work.finish_reference(merge, stored_file(merging))
    finalise = stores.claim_finalise()
    drawing, weighing = pictures_key(1, finalise.token), influence_key(1, finalise.token)
    assert stores.reads.live_files() == {MANIFEST, *files, merging, drawing, weighing}
    assert stores.work.finish_evaluation(finalise, scores(1.0), stored_file(drawing), stored_file(weighing))
    of_reference = {key for key in files if key.startswith("references/")}
    assert len(of_reference) == 2
    assert stores.reads.live_files() == {MANIFEST, *of_reference, merging, drawing, weighing}


def test_pictures_that_were_not_drawn_are_not_needed(stores: Stores) -> None:
    stores.submit_one()
    stores.finish_everything()
    assert not [key for key in stores.reads.live_files() if "pictures" in key]


def test_finished_shards_of_what_failed_or_was_cancelled_are_kept_for_a_retry(stores: Stores) -> None:
    stores.submit("cancelled", "failed")
    stores.make_reference()
    kept = set()
    for number in (1, 2):
        claim = stores.claim()
        assert claim.owner_id == number
        stores.work.finish_shard(claim, file_of(claim), 1.0)
        kept.add(file_of(claim).key)
        if number == 1:
            stores.submissions.cancel([1])
        else:
            stores.work.fail_shard(stores.claim(), "No.", fault=Fault.INPUT)
    assert kept < stores.reads.live_files()


def test_a_file_that_was_lost_is_not_needed_any_more(stores: Stores) -> None:
    stores.submit(evaluation_request("a"))
    stores.compute_shards()
    merge = stores.claim_finalise()
    lost: StoredFile = merge.shards[0]
    stores.work.recompute_shard(merge, lost, "The file is altered.")
    assert lost.key not in stores.reads.live_files()
