"""Finding what nobody needs, and nothing else; removing it, and nothing else."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from scheduler.orphans import delete_orphans, find_orphans
from scheduler.store.artifact_keys import FileOwner
from scheduler.store.artifacts import ArtifactStore
from vaeval_core.errors import InvalidInput, StorageFailed

ORPHAN = "evaluations/7/shards/3-2.safetensors"
NEEDED = "evaluations/7/shards/3-3.safetensors"
HALF_WRITTEN = "evaluations/7/shards/.3-1.safetensors.0a1b2c3d"
DATASET = f"datasets/{'0' * 64}.json"
IMPORTED = f"imported/{'0' * 64}.safetensors"


class Database:
    """One that needs these files."""

    def __init__(self, *keys: str) -> None:
        self.keys = frozenset(keys)

    def live_files(self, of: FileOwner | None = None) -> frozenset[str]:
        return self.keys


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "artifacts"))


def put(store: ArtifactStore, *keys: str, hours_old: float = 5.0) -> None:
    """Files as workers leave them, also such as a worker never leaves on purpose."""
    for key in keys:
        path = Path(store.url, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1234")
        written_at = (datetime.now(UTC) - timedelta(hours=hours_old)).timestamp()
        os.utime(path, (written_at, written_at))


def keys(store: ArtifactStore, *needed: str, **options: timedelta) -> list[str]:
    return [file.key for file in find_orphans(Database(*needed), store, **options)]


def test_a_file_that_no_row_needs_is_an_orphan(store: ArtifactStore) -> None:
    put(store, ORPHAN, NEEDED)
    (found,) = find_orphans(Database(NEEDED), store)
    assert (found.key, found.size) == (ORPHAN, 4)
    assert datetime.now(UTC) - found.modified > timedelta(hours=4.9)


def test_so_is_one_that_a_killed_worker_never_renamed(store: ArtifactStore) -> None:
    put(store, HALF_WRITTEN)
    assert keys(store) == [HALF_WRITTEN]


def test_so_is_the_list_of_a_data_set_that_was_never_submitted(store: ArtifactStore) -> None:
    put(store, DATASET)
    assert keys(store) == [DATASET]
    assert keys(store, DATASET) == []


@pytest.mark.parametrize("key", [DATASET, IMPORTED, HALF_WRITTEN])
def test_what_no_claim_tells_of_is_not_removed_in_its_first_minutes_however_one_asks(
    store: ArtifactStore, key: str
) -> None:
    put(store, key, ORPHAN, hours_old=0.1)
    assert keys(store, older_than=timedelta(0)) == [ORPHAN]
    put(store, key, ORPHAN, hours_old=0.2)
    assert keys(store, older_than=timedelta(0)) == sorted([key, ORPHAN])


def test_what_a_claim_is_writing_is_needed_by_the_name_that_it_will_have(store: ArtifactStore) -> None:
    put(store, HALF_WRITTEN)
    assert keys(store, "evaluations/7/shards/3-1.safetensors") == []


def test_what_an_import_left_unfinished_is_an_orphan_though_the_same_was_imported_since(store: ArtifactStore) -> None:
    unfinished = f"imported/.{'0' * 64}.safetensors.0a1b2c3d"
    put(store, unfinished, IMPORTED)
    assert keys(store, IMPORTED) == [unfinished]


def test_age_goes_by_the_clock_of_the_store(store: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file server whose clock is an hour and a half behind ours dates files so."""
    put(store, ORPHAN, hours_old=2.0)
    hours_behind = datetime.now(UTC) - timedelta(hours=1.5)
    monkeypatch.setattr(store, "now", lambda: hours_behind)
    assert keys(store) == []
    assert keys(store, older_than=timedelta(minutes=20)) == [ORPHAN]


def test_the_clock_of_a_store_is_that_of_its_files_and_leaves_none_behind(store: ArtifactStore) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    now = store.now()
    assert now is not None
    assert before < now < datetime.now(UTC) + timedelta(seconds=1)
    assert list(store.files()) == []


def test_a_file_whose_age_nobody_knows_is_kept(store: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = ArtifactStore("memory://of-unknown-age")
    remote.write_bytes(ORPHAN, b"1234")

    def unknown(*_: object) -> None:
        raise NotImplementedError

    with monkeypatch.context() as patch:
        patch.setattr(MemoryFileSystem, "modified", unknown)
        (found,) = remote.files()
        assert found.modified is None
        assert find_orphans(Database(), remote, older_than=timedelta(0)) == ()
        assert not remote.remove(found)
    assert remote.exists(ORPHAN)


def test_what_is_young_may_be_on_its_way_to_a_row(store: ArtifactStore) -> None:
    put(store, ORPHAN, hours_old=0.9)
    assert keys(store) == []
    assert keys(store, older_than=timedelta(minutes=30)) == [ORPHAN]


@pytest.mark.parametrize(
    "key", ["thesis.tex", "evaluations/notes.txt", "evaluations/old/x.safetensors", "datasets/a.json"]
)
def test_what_is_not_ours_is_never_touched(store: ArtifactStore, key: str) -> None:
    put(store, key, ORPHAN)
    assert keys(store) == [ORPHAN]


def test_a_link_is_neither_followed_nor_listed(store: ArtifactStore, tmp_path: Path) -> None:
    put(store, NEEDED)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "1-1.safetensors").write_bytes(b"somebody else's")
    (Path(store.url) / "evaluations" / "8").symlink_to(elsewhere)
    (Path(store.url) / "evaluations" / "7" / "9-9.safetensors").symlink_to(elsewhere / "1-1.safetensors")
    assert keys(store, NEEDED, older_than=timedelta(0)) == []


def test_a_store_that_was_never_written_to_has_none(store: ArtifactStore) -> None:
    assert keys(store) == []


def test_the_database_is_asked_after_the_files_were_listed(store: ArtifactStore) -> None:
    """A file is written before its row: asked before, a row that comes meanwhile would be missed."""
    put(store, ORPHAN)

    class Late(Database):
        def live_files(self, of: FileOwner | None = None) -> frozenset[str]:
            return frozenset([ORPHAN])

    assert find_orphans(Late(), store) == ()


def test_only_orphans_are_removed(store: ArtifactStore) -> None:
    put(store, ORPHAN, HALF_WRITTEN, NEEDED, "thesis.tex")
    database = Database(NEEDED)
    delete_orphans(database, store, find_orphans(database, store))
    left = sorted(path.relative_to(store.url).as_posix() for path in Path(store.url).rglob("*") if path.is_file())
    assert left == [NEEDED, "thesis.tex"]


def test_an_orphan_that_is_gone_already_is_no_error(store: ArtifactStore) -> None:
    put(store, ORPHAN)
    database = Database(NEEDED)
    found = find_orphans(database, store)
    Path(store.url, ORPHAN).unlink()
    delete_orphans(database, store, found)


def test_a_database_that_knows_nothing_is_taken_for_the_wrong_one(store: ArtifactStore) -> None:
    put(store, ORPHAN)
    found = find_orphans(Database(), store)
    with pytest.raises(InvalidInput) as caught:
        delete_orphans(Database(), store, found)
    assert "1 files in" in str(caught.value.received)
    assert "VAEVAL_DATABASE_URL" in str(caught.value.next_step)
    assert Path(store.url, ORPHAN).exists()


def test_a_folder_that_cannot_be_listed_is_said(tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(StorageFailed) as caught:
        keys(ArtifactStore(str(tmp_path / "artifacts")))
    assert caught.value.what == "A file cannot be listed."


def test_an_object_store_is_looked_through_the_same_way(tmp_path: Path) -> None:
    store = ArtifactStore(f"memory://{tmp_path.name}")
    store.write_bytes(ORPHAN, b"1234")
    store.write_bytes(NEEDED, b"1234")
    database = Database(NEEDED)
    found = find_orphans(database, store, older_than=timedelta(0))
    assert [(file.key, file.size) for file in found] == [(ORPHAN, 4)]
    delete_orphans(database, store, found)
    assert store.exists(NEEDED)
    assert not store.exists(ORPHAN)
