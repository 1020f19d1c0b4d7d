"""Files and folders that are no checkpoint, and the way out that each is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from vaeval_core.checkpoints.catalogue import describe
from vaeval_core.errors import CheckpointRejected, NotFound

HDF5 = b"\x89HDF\r\n\x1a\n" + b"\0" * 100


@pytest.mark.parametrize(
    ("name", "content", "what", "next_step"),
    [
        ("vae.keras", b"not a model, just text", "The file is no model.", "encoder.save"),
        ("vae.keras", b"", "The checkpoint file is empty.", "save it again"),
        ("vae.h5", HDF5, "A legacy HDF5 model is not opened", "load it with the program that made it"),
        ("vae.keras", HDF5, "A legacy HDF5 model is not opened", "load it with the program that made it"),
        ("vae.weights.h5", HDF5, "A file of weights alone", "build the networks, load_weights"),
        ("vae.pkl", b"\x80\x04\x95", "Pickled checkpoints are not opened", "copy the weights"),
        ("vae.ckpt", b"anything at all", "Pickled checkpoints are not opened", "copy the weights"),
    ],
)
def test_a_file_is_known_by_its_content(tmp_path: Path, name: str, content: bytes, what: str, next_step: str) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(CheckpointRejected) as caught:
        describe(file)
    assert what in caught.value.what
    assert str(file) in str(caught.value.received)
    assert "a .keras file (a zip archive)" in str(caught.value.expected)
    assert next_step in str(caught.value.next_step)


@pytest.mark.parametrize(
    ("members", "what"),
    [
        (["saved_model.pb"], "A TensorFlow SavedModel folder"),
        (["config.json", "model.weights.h5"], "An unpacked Keras model"),
        ([], "The folder holds no checkpoint"),
    ],
)
def test_a_folder_is_known_by_what_it_holds(tmp_path: Path, members: list[str], what: str) -> None:
    for member in members:
        (tmp_path / member).write_bytes(b"")
    with pytest.raises(CheckpointRejected, match=what) as caught:
        describe(tmp_path)
    assert caught.value.received == str(tmp_path)
    assert ".keras" in str(caught.value.expected)
    assert ".save(" in str(caught.value.next_step)


@pytest.mark.parametrize(("present", "missing"), [("encoder", "decoder"), ("decoder", "encoder")])
@pytest.mark.parametrize("named", ["folder", "file"])
def test_a_missing_partner_is_named(tmp_path: Path, present: str, missing: str, named: str) -> None:
    file = tmp_path / f"{present}.keras"
    file.write_bytes(b"PK\x03\x04")
    with pytest.raises(CheckpointRejected, match=rf"{missing}\.keras is missing beside it") as caught:
        describe(file if named == "file" else tmp_path)
    assert caught.value.received == str(file)
    assert caught.value.expected == "encoder.keras and decoder.keras in one folder"


def test_a_text_file_in_a_pair_is_named(write_pair: object, tmp_path: Path) -> None:
    folder = write_pair()  # type: ignore[operator]
    (folder / "decoder.keras").write_text("decoder weights to follow")
    with pytest.raises(CheckpointRejected, match=r"decoder\.keras \(25 bytes, begins with b'decoder w'\)"):
        describe(folder)


def test_a_path_that_does_not_exist_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"nothing\.keras .*an existing path"):
        describe(tmp_path / "nothing.keras")
