"""Imported statistics in the store: named once, found by name and by digest, and a reference without shards goes through."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler.lifecycle import EvaluationState
from scheduler.store.base import StoredFile
from scheduler.store.database import Database
from scheduler.store.references import ImportedReferenceEntry
from tests.factories import digest, evaluation_request, extractor_spec, protocol, scores, stored_file
from tests.laws.stores import Stores
from vaeval_core.errors import InvalidInput, NotFound

ENTRY = ImportedReferenceEntry(
    name="cifar10-train",
    digest=digest("statistics"),
    extractor=extractor_spec(),
    num_images=50_000,
    has_spatial=False,
    source="/data/cifar10.npz",
    file=stored_file(f"imported/{digest('statistics')}.safetensors"),
)
AGAINST_IT = protocol(imported_reference=ENTRY.digest, num_reference=50_000)


def request(name: str = "vae/step-1"):
    return evaluation_request(name, protocol=AGAINST_IT, reference_shards=())


@pytest.fixture
def stores(database: Database) -> Stores:
    return Stores(database)


def test_it_is_found_by_its_name_as_it_was_registered(stores: Stores) -> None:
    assert stores.references.add(ENTRY)
    found = stores.references.imported("cifar10-train")
    assert {name: getattr(found, name) for name in vars(ENTRY)} == vars(ENTRY)
    assert stores.references.all_imported() == (found,)


def test_the_same_again_changes_nothing(stores: Stores) -> None:
    assert stores.references.add(ENTRY)
    before = stores.references.all_imported()
    assert not stores.references.add(replace(ENTRY, source="/elsewhere.npz"))
    assert stores.references.all_imported() == before


def test_a_file_that_was_written_anew_is_that_of_every_name_of_its_numbers(stores: Stores) -> None:
    stores.references.add(ENTRY)
    anew = StoredFile(key=ENTRY.file.key, digest=digest("the same numbers, another last digit"))
    assert stores.references.add(replace(ENTRY, name="team", file=anew))
    assert [found.file for found in stores.references.all_imported()] == [anew, anew]
    again = StoredFile(key=ENTRY.file.key, digest=digest("and another"))
    assert not stores.references.add(replace(ENTRY, file=again))
    assert [found.file for found in stores.references.all_imported()] == [again, again]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"digest": digest("others")}, "with other numbers"),
        ({"extractor": extractor_spec(resize="clean")}, "with the same numbers as of another extractor"),
    ],
)
def test_a_name_never_changes_its_meaning(stores: Stores, changed: dict, words: str) -> None:
    stores.references.add(ENTRY)
    with pytest.raises(InvalidInput, match=rf"Received: cifar10-train, .*/data/cifar10\.npz {words}"):
        stores.references.add(replace(ENTRY, **changed))
    assert stores.references.imported("cifar10-train").digest == ENTRY.digest


def test_a_name_that_nobody_gave_is_not_found_with_those_there_are(stores: Stores) -> None:
    with pytest.raises(NotFound, match=r"Received: celeba .* there is none yet Next: vaeval reference import"):
        stores.references.imported("celeba")
    stores.references.add(ENTRY)
    with pytest.raises(NotFound, match=r"Received: celeba Expected: one of cifar10-train"):
        stores.references.imported("celeba")


def test_a_reference_without_shards_is_announced_and_finalised(stores: Stores) -> None:
    stores.references.add(ENTRY)
    receipt = stores.submit(request())
    assert receipt.new_shards == 1 + 2, "the reference to finalise, and two shards"
    assert stores.recovery.claimable() == 3
    claim = stores.claim_finalise()
    assert (claim.owner, claim.shards, claim.imported) == ("reference", (), ENTRY.file)
    assert stores.work.finish_reference(claim, stored_file("references/1/merged"))
    stores.compute_shards()
    claim = stores.claim_finalise()
    assert (claim.owner, claim.reference, claim.reference_shards) == (
        "evaluation",
        stored_file("references/1/merged"),
        (),
    )
    assert stores.work.finish_evaluation(claim, scores(12.0), None)
    assert stores.state_of(1) is EvaluationState.FINISHED
    assert stores.references.computed() == (), "it was not computed here"


def test_a_second_evaluation_shares_it(stores: Stores) -> None:
    stores.references.add(ENTRY)
    stores.submit(request())
    assert stores.submit(request("vae/step-2")).new_shards == 2
    assert stores.count("reference_sets") == 1


def test_a_lost_merged_file_is_made_again_from_the_statistics(stores: Stores) -> None:
    stores.references.add(ENTRY)
    stores.submit(request())
    stores.work.finish_reference(stores.claim_finalise(), stored_file("references/1/merged"))
    stores.compute_shards()
    claim = stores.claim_finalise()
    assert claim.reference is not None
    assert stores.work.recompute_shard(claim, claim.reference, "gone")
    again = stores.claim_finalise()
    assert (again.owner, again.imported) == ("reference", ENTRY.file)


def test_its_file_is_needed_whether_or_not_anybody_was_scored_against_it(stores: Stores) -> None:
    stores.references.add(ENTRY)
    assert ENTRY.file.key in stores.reads.live_files()


def test_computed_references_are_listed_once_they_are_finished(stores: Stores) -> None:
    stores.submit_one()
    assert stores.references.computed() == ()
    merged = stores.make_reference()
    (found,) = stores.references.computed()
    assert (found.reference_id, found.dataset_name, found.file) == (1, "digits:test", merged)
    assert found.protocol == protocol()
