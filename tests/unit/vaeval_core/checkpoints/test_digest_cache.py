"""Digests that are remembered: never one of other bytes, and never an error because of the cache itself."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from vaeval_core import file_stamps
from vaeval_core.checkpoints import digest_cache
from vaeval_core.checkpoints.catalogue import describe
from vaeval_core.checkpoints.digest_cache import DigestCache
from vaeval_core.checkpoints.linear_gaussian import linear_gaussian_vae
from vaeval_core.errors import CheckpointRejected


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "digests"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "runs" / "step-1" / "vae.keras"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"one")
    return path


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every file were old enough: the time of change cannot be set back."""
    monkeypatch.setattr(file_stamps, "SETTLED_NANOSECONDS", -(10**15))


@pytest.fixture
def no_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> str:
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr(digest_cache, "file_digest", refuse)


def remembered(cache: Path, *files: Path) -> list[str]:
    with DigestCache(cache) as digests:
        return [digests.of(file) for file in files]


ONE, TWO = (hashlib.sha256(content).hexdigest() for content in (b"one", b"two"))


@pytest.mark.usefixtures("settled")
def test_what_did_not_change_is_not_read_again(cache: Path, file: Path, request: pytest.FixtureRequest) -> None:
    assert remembered(cache, file) == [ONE]
    request.getfixturevalue("no_reading")
    assert remembered(cache, file) == [ONE]


@pytest.mark.usefixtures("settled")
def test_other_bytes_of_the_same_length_and_time_are_noticed(cache: Path, file: Path) -> None:
    before = file.stat()
    assert remembered(cache, file) == [ONE]
    file.write_bytes(b"two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert remembered(cache, file) == [TWO]


@pytest.mark.usefixtures("settled")
def test_another_file_that_takes_the_place_of_one_is_noticed(cache: Path, file: Path) -> None:
    before = file.stat()
    assert remembered(cache, file) == [ONE]
    other = file.with_name("other")
    other.write_bytes(b"two")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(file)
    assert remembered(cache, file) == [TWO]


def test_a_file_that_may_still_be_written_is_not_remembered(cache: Path, file: Path) -> None:
    assert remembered(cache, file) == [ONE]
    assert list(cache.iterdir()) == []


@pytest.mark.usefixtures("settled")
def test_files_that_are_gone_are_forgotten(cache: Path, file: Path) -> None:
    other = file.parent.with_name("step-2") / "vae.keras"
    other.parent.mkdir()
    other.write_bytes(b"two")
    remembered(cache, file, other)
    (kept,) = cache.iterdir()
    assert str(other) in kept.read_text()
    other.unlink()
    os.utime(file)
    remembered(cache, file)
    assert str(other) not in kept.read_text()
    assert str(file) in kept.read_text()


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("content", ["", "{", '{"version": 2}', '{"version": 2, "files": [[1]]}', '{"version": 99}'])
def test_a_damaged_cache_costs_time_only(cache: Path, file: Path, content: str) -> None:
    remembered(cache, file)
    (kept,) = cache.iterdir()
    kept.write_text(content)
    assert remembered(cache, file) == [ONE]
    assert ONE in kept.read_text()


@pytest.mark.usefixtures("settled")
def test_a_place_that_cannot_be_written_costs_time_only(tmp_path: Path, file: Path) -> None:
    (tmp_path / "a file").write_text("where a folder should be")
    assert remembered(tmp_path / "a file", file) == [ONE]


def test_a_file_that_cannot_be_read_is_named(cache: Path, file: Path) -> None:
    file.unlink()
    with pytest.raises(CheckpointRejected, match=r"vae\.keras .*a readable file"):
        remembered(cache, file)


@pytest.mark.usefixtures("settled")
def test_a_description_is_the_same_with_and_without(cache: Path, tmp_path: Path) -> None:
    model = linear_gaussian_vae(np.eye(64, 2), np.full(64, 0.4), 0.01, (8, 8, 1))
    path = model.save(tmp_path / "runs" / "step-3")
    for _ in range(2):
        with DigestCache(cache) as digests:
            assert describe(path, file_digest=digests.of) == describe(path)
