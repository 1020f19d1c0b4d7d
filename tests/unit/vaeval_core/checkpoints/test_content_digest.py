"""The digest that knows a checkpoint again."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from vaeval_core.checkpoints.content_digest import content_digest
from vaeval_core.errors import CheckpointRejected


def written(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_it_is_the_hash_of_sorted_names_and_content_hashes(tmp_path: Path) -> None:
    files = [written(tmp_path / "encoder.keras", b"one"), written(tmp_path / "decoder.keras", b"two")]
    one, two = hashlib.sha256(b"one").hexdigest(), hashlib.sha256(b"two").hexdigest()
    expected = hashlib.sha256(f"decoder.keras\0{two}\nencoder.keras\0{one}\n".encode()).hexdigest()
    assert content_digest(files) == content_digest(files[::-1]) == expected


def test_a_copy_in_another_folder_has_the_same_digest(tmp_path: Path) -> None:
    assert content_digest([written(tmp_path / "a" / "vae.keras", b"x")]) == content_digest(
        [written(tmp_path / "b" / "vae.keras", b"x")]
    )


@pytest.mark.parametrize(("name", "data"), [("vae.keras", b"y"), ("other.keras", b"x")])
def test_another_name_or_content_has_another_digest(tmp_path: Path, name: str, data: bytes) -> None:
    first = content_digest([written(tmp_path / "a" / "vae.keras", b"x")])
    assert content_digest([written(tmp_path / "b" / name, data)]) != first


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointRejected, match=r"gone\.keras .*a readable file"):
        content_digest([tmp_path / "gone.keras"])
