"""Files of arrays: written whole, checked when read, refused where they cannot be right."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fsspec.implementations.local import LocalFileSystem
from numpy.typing import NDArray

from scheduler.store.artifacts import ArtifactStore
from scheduler.store.base import StoredFile
from tests.factories import digest
from vaeval_core.errors import FileLost, InvalidInput, StorageFailed

KEY = "evaluations/7/shards/0-1.safetensors"


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "artifacts"))


@pytest.fixture(params=["folder", "file URL", "memory"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    urls = {"folder": str(tmp_path), "file URL": tmp_path.as_uri(), "memory": f"memory://{tmp_path.name}"}
    return ArtifactStore(urls[request.param])


class TestArrays:
    @pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8"])
    def test_arrays_come_back_as_they_were(self, any_store: ArtifactStore, dtype: str) -> None:
        given: dict[str, NDArray[Any]] = {
            "rows": np.arange(12).reshape(3, 4).astype(dtype),
            "one": np.array(5, dtype=dtype),
            "none": np.zeros((0, 3), dtype=dtype),
        }
        read = any_store.read_arrays(any_store.write_arrays(KEY, given))
        assert read.keys() == given.keys()
        for name, array in given.items():
            assert read[name].dtype == array.dtype
            assert read[name].shape == array.shape
            np.testing.assert_array_equal(read[name], array)

    def test_what_is_not_finite_comes_back_too(self, store: ArtifactStore) -> None:
        given = np.array([np.nan, np.inf, -np.inf, -0.0])
        read = store.read_arrays(store.write_arrays(KEY, {"odd": given}))["odd"]
        assert read.tobytes() == given.tobytes()

    @pytest.mark.parametrize("order", ["transposed", "strided", "reversed"])
    def test_the_layout_in_memory_does_not_matter(self, store: ArtifactStore, order: str) -> None:
        plain = np.arange(24, dtype=np.float32).reshape(4, 6)
        views = {"transposed": plain.T, "strided": plain[::2, 1::3], "reversed": plain[::-1]}
        read = store.read_arrays(store.write_arrays(KEY, {"view": views[order]}))
        np.testing.assert_array_equal(read["view"], views[order])

    def test_equal_arrays_give_equal_files(self, store: ArtifactStore) -> None:
        first = {"b": np.ones(3), "a": np.zeros((2, 2), dtype=np.uint8)}
        files = [
            store.write_arrays(key, arrays) for key, arrays in [("x", first), ("y", dict(reversed(first.items())))]
        ]
        assert files[0].digest == files[1].digest

    @pytest.mark.parametrize("dtype", ["float16", "complex128", "object", "int32"])
    def test_another_type_is_refused(self, store: ArtifactStore, dtype: str) -> None:
        with pytest.raises(InvalidInput) as caught:
            store.write_arrays(KEY, {"fine": np.zeros(2), "odd": np.zeros(2, dtype=dtype)})
        assert caught.value.received == f"odd: {dtype} in {KEY}"
        assert "float32" in str(caught.value.expected)
        assert not store.exists(KEY)


class TestReading:
    def test_a_missing_file_is_lost_and_named(self, any_store: ArtifactStore) -> None:
        any_store.write_bytes("another/file", b"data")
        with pytest.raises(FileLost) as caught:
            any_store.read_arrays(StoredFile(key=KEY, digest=digest("anything")))
        assert KEY in str(caught.value.received)
        assert caught.value.expected == "the file that was written there"

    def test_where_the_whole_store_is_missing_no_file_is_lost(self, store: ArtifactStore, tmp_path: Path) -> None:
        file = store.write_arrays(KEY, {"rows": np.zeros(3)})
        (tmp_path / "artifacts").rename(tmp_path / "not mounted")
        with pytest.raises(StorageFailed) as caught:
            store.read_arrays(file)
        assert not isinstance(caught.value, FileLost)
        assert KEY in str(caught.value.received)
        assert "VAEVAL_ARTIFACTS" in str(caught.value.expected)
        assert "mount it" in str(caught.value.next_step)

    def test_a_file_that_may_not_be_read_is_not_lost(
        self, store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = store.write_arrays(KEY, {"rows": np.zeros(3)})

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

        monkeypatch.setattr(LocalFileSystem, "cat_file", refuse)
        with pytest.raises(StorageFailed) as caught:
            store.read_arrays(file)
        assert not isinstance(caught.value, FileLost)
        assert "Permission denied" in str(caught.value.received)
        assert caught.value.expected

    @pytest.mark.parametrize("change", ["flip a bit", "cut the end", "empty it"])
    def test_an_altered_file_is_refused(self, store: ArtifactStore, tmp_path: Path, change: str) -> None:
        file = store.write_arrays(KEY, {"rows": np.arange(100.0)})
        path = tmp_path / "artifacts" / KEY
        data = bytearray(path.read_bytes())
        data[-3] ^= 1
        path.write_bytes({"flip a bit": bytes(data), "cut the end": bytes(data[:-8]), "empty it": b""}[change])
        with pytest.raises(FileLost) as caught:
            store.read_arrays(file)
        assert KEY in str(caught.value.received)
        assert caught.value.expected == f"sha256 {file.digest}"

    def test_a_file_without_arrays_is_refused(self, store: ArtifactStore) -> None:
        file = store.write_bytes("datasets/list.json", b'{"images": []}')
        with pytest.raises(StorageFailed) as caught:
            store.read_arrays(file)
        assert caught.value.what == "A stored file holds no arrays."
        assert "list.json" in str(caught.value.received)


class TestFiles:
    def test_bytes_come_back_as_they_were(self, any_store: ArtifactStore) -> None:
        any_store.write_bytes("datasets/abc.json", b"\x00list\xff")
        assert any_store.read_bytes("datasets/abc.json") == b"\x00list\xff"

    def test_the_digest_is_sha256(self, any_store: ArtifactStore) -> None:
        """The first example of FIPS 180-2."""
        expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        assert any_store.write_bytes(KEY, b"abc") == StoredFile(key=KEY, digest=expected)

    def test_writing_again_replaces(self, any_store: ArtifactStore) -> None:
        any_store.write_bytes(KEY, b"old and longer")
        any_store.write_bytes(KEY, b"new")
        assert any_store.read_bytes(KEY) == b"new"

    def test_what_is_deleted_is_gone_and_may_be_deleted_again(self, any_store: ArtifactStore) -> None:
        any_store.write_bytes(KEY, b"data")
        assert any_store.exists(KEY)
        any_store.delete([KEY, "never/was/there"])
        assert not any_store.exists(KEY)
        any_store.delete([KEY])

    def test_a_folder_is_no_file(self, any_store: ArtifactStore) -> None:
        any_store.write_bytes(KEY, b"data")
        assert not any_store.exists("evaluations/7")

    def test_nothing_lies_beside_a_written_file(self, store: ArtifactStore, tmp_path: Path) -> None:
        store.write_bytes(KEY, b"data")
        assert [path.name for path in (tmp_path / "artifacts" / KEY).parent.iterdir()] == ["0-1.safetensors"]

    def test_others_may_read_what_the_umask_allows(self, store: ArtifactStore, tmp_path: Path) -> None:
        before = os.umask(0o027)
        try:
            store.write_bytes(KEY, b"data")
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "artifacts" / KEY).stat().st_mode) == 0o640

    @pytest.mark.parametrize(
        "key",
        ["", "/etc/passwd", "../up", "a/../../up", "a//b", "a/", ".hidden", "a/.b", "a\\b", "a b", "~x", "a\n", "ä"],
    )
    def test_a_key_that_leads_elsewhere_is_refused(self, store: ArtifactStore, key: str) -> None:
        for use in (store.read_bytes, store.exists, lambda k: store.write_bytes(k, b""), lambda k: store.delete([k])):
            with pytest.raises(InvalidInput) as caught:
                use(key)
            assert caught.value.received == repr(key)


class TestTroubles:
    def test_a_full_disk_leaves_the_old_file_and_says_what_to_do(
        self, store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.write_bytes(KEY, b"old")

        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(StorageFailed) as caught:
            store.write_arrays(KEY, {"rows": np.zeros(1000)})
        assert caught.value.what == "No space is left for the artifacts."
        assert KEY in str(caught.value.received)
        assert "free some space" in str(caught.value.next_step)
        assert store.read_bytes(KEY) == b"old"
        assert len(list((tmp_path / "artifacts" / KEY).parent.iterdir())) == 1

    def test_a_place_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "artifacts").write_text("a file where the folder should be", encoding="utf-8")
        store = ArtifactStore(str(tmp_path / "artifacts"))
        with pytest.raises(StorageFailed) as caught:
            store.write_bytes(KEY, b"data")
        assert caught.value.what == "A file cannot be written."
        assert KEY in str(caught.value.received)
        assert "VAEVAL_ARTIFACTS" in str(caught.value.next_step)

    def test_a_kind_of_store_that_does_not_exist_is_refused_without_its_password(self) -> None:
        with pytest.raises(InvalidInput) as caught:
            ArtifactStore("nosuch://kim:S3CRET@host/folder")
        assert "nosuch" in str(caught.value.received)
        assert "S3CRET" not in str(caught.value)
        assert "s3://" in str(caught.value.expected)
