"""The weights folder: whole files or none, whatever happens in between."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
from pathlib import Path

import filelock
import pytest

from vaeval_core.errors import StorageFailed, WeightsUnavailable
from vaeval_core.features import verified_weights
from vaeval_core.features.verified_weights import Digests, WeightsFolder, digests_of

CONTENT = bytes(range(256)) * 9000
"""Longer than one chunk of reading."""

SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> WeightsFolder:
    return WeightsFolder(tmp_path / "home" / "weights")


def add(store: WeightsFolder, content: bytes = CONTENT) -> str:
    with store.writing():
        return store.add(io.BytesIO(content)).sha256


def names_in(store: WeightsFolder) -> set[str]:
    return {path.name for path in store.folder.iterdir()} - {".lock"}


def test_a_file_is_named_by_its_content(store: WeightsFolder) -> None:
    assert add(store) == SHA256
    assert store.path_of(SHA256) == store.folder / f"{SHA256}.h5"
    assert store.path_of(SHA256).read_bytes() == CONTENT
    assert store.holds(SHA256)
    assert names_in(store) == {f"{SHA256}.h5"}


def test_digests_are_those_of_hashlib(store: WeightsFolder) -> None:
    add(store)
    md5 = hashlib.md5(CONTENT).hexdigest()
    assert digests_of(store.path_of(SHA256)) == Digests(sha256=SHA256, md5=md5, size=len(CONTENT))


def test_an_empty_folder_holds_nothing(store: WeightsFolder) -> None:
    assert not store.holds(SHA256)
    assert store.labelled("published.h5") is None


def test_a_damaged_file_is_not_held_and_is_replaced_by_the_next(store: WeightsFolder) -> None:
    add(store)
    store.path_of(SHA256).write_bytes(CONTENT[:-1])
    assert not store.holds(SHA256)
    add(store)
    assert store.holds(SHA256)


def test_a_label_points_at_a_file(store: WeightsFolder) -> None:
    add(store)
    with store.writing():
        store.label("published.h5", store.path_of(SHA256))
    assert store.labelled("published.h5") == SHA256
    # The format of `sha256sum --check`.
    assert (store.folder / "published.h5.sha256").read_text() == f"{SHA256}  {SHA256}.h5\n"


def test_a_label_at_a_damaged_file_points_at_nothing(store: WeightsFolder) -> None:
    add(store)
    with store.writing():
        store.label("published.h5", store.path_of(SHA256))
    store.path_of(SHA256).write_bytes(b"")
    assert store.labelled("published.h5") is None


@pytest.mark.parametrize("record", ["", "nonsense\n", f"{SHA256}  ../{SHA256}.h5\n", f"{SHA256}  /etc/hostname\n"])
def test_a_label_that_leads_nowhere_or_elsewhere_points_at_nothing(store: WeightsFolder, record: str) -> None:
    add(store)
    (store.folder.parent / f"{SHA256}.h5").write_bytes(CONTENT)
    (store.folder / "published.h5.sha256").write_text(record)
    assert store.target_of("published.h5") is None
    assert store.labelled("published.h5") is None


def test_a_whole_file_is_written_under_its_name(store: WeightsFolder) -> None:
    with store.writing():
        store.write(store.converted_path_of("d" * 64), CONTENT)
    assert (store.folder / f"{'d' * 64}.safetensors").read_bytes() == CONTENT
    assert store.files("*.safetensors") == (store.converted_path_of("d" * 64),)
    assert names_in(store) == {f"{'d' * 64}.safetensors"}


def test_a_folder_that_is_not_there_has_no_files(store: WeightsFolder) -> None:
    assert store.files("*") == ()
    assert not store.folder.exists()


def test_a_download_outlives_the_next_writer_and_gets_its_name_when_it_is_kept(store: WeightsFolder) -> None:
    partial = store.partial_path_of("published.h5")
    with store.writing():
        partial.write_bytes(CONTENT)
    with store.writing():
        assert names_in(store) == {"published.h5.partial"}
        store.keep(partial, SHA256)
    assert store.holds(SHA256)
    assert names_in(store) == {f"{SHA256}.h5"}


def test_a_refused_file_leaves_nothing_behind(store: WeightsFolder) -> None:
    def refuse(digests: Digests) -> None:
        raise WeightsUnavailable("No.", received=digests.sha256)

    with store.writing(), pytest.raises(WeightsUnavailable, match=SHA256):
        store.add(io.BytesIO(CONTENT), refuse)
    assert names_in(store) == set()


def test_a_source_that_breaks_off_leaves_nothing_behind(store: WeightsFolder) -> None:
    class BreaksOff(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell():
                raise ConnectionResetError("peer went away")
            return super().read(size)

    with store.writing(), pytest.raises(ConnectionResetError):
        store.add(BreaksOff(CONTENT))
    assert names_in(store) == set()


def test_what_a_killed_process_left_is_removed_by_the_next_writer(store: WeightsFolder) -> None:
    add(store)
    (store.folder / "0123456789abcdef.unfinished").write_bytes(b"half")
    with store.writing():
        assert names_in(store) == {f"{SHA256}.h5"}


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = WeightsFolder(tmp_path / "file" / "weights")
    with pytest.raises(StorageFailed) as caught, store.writing():
        pass
    assert caught.value.received == f"{store.folder} (Not a directory)"
    assert "a folder to read and write" in str(caught.value.expected)
    assert "VAEVAL_HOME" in str(caught.value.next_step)


def test_a_file_that_cannot_be_read_is_not_taken_for_absent(store: WeightsFolder) -> None:
    add(store)
    # Longer than a name may be: the system refuses to look, for any user.
    with pytest.raises(StorageFailed, match="File name too long"):
        store.holds("f" * 300)


@pytest.mark.service
def test_a_full_disk_is_reported_and_leaves_nothing_behind(store: WeightsFolder) -> None:
    # A limit on file sizes stands for the full disk: writing fails in the middle in the same way.
    program = """
import io, pathlib, resource, sys
from vaeval_core.errors import StorageFailed
from vaeval_core.features.verified_weights import WeightsFolder
store = WeightsFolder(pathlib.Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))
with store.writing():
    try:
        store.add(io.BytesIO(bytes(2_300_000)))
    except StorageFailed as error:
        sys.exit(str(error))
"""
    ended = subprocess.run([sys.executable, "-c", program, str(store.folder)], capture_output=True, text=True)
    assert ended.returncode == 1
    assert f"The weights folder cannot be used. Received: {store.folder} (File too large)" in ended.stderr
    assert "free there: " in ended.stderr
    assert names_in(store) == set()


def test_waiting_for_another_writer_ends_with_a_message(store: WeightsFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verified_weights, "LOCK_SECONDS", 0.01)
    store.folder.mkdir(parents=True)
    with filelock.FileLock(store.folder / ".lock"), pytest.raises(WeightsUnavailable) as caught, store.writing():
        pass
    assert caught.value.received == f"{store.folder / '.lock'} held for more than 0.01 seconds"
    assert "wait for the other process" in str(caught.value.next_step)
