"""`.keras` archives that are damaged, hostile or of another kind."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.vaeval_core.checkpoints.keras_files import a_decoder, an_encoder, archive
from vaeval_core.checkpoints.keras_archive import extract_weights, read_keras_archive
from vaeval_core.checkpoints.keras_parts import parts_of_pair
from vaeval_core.errors import CheckpointRejected

MODEL = {"class_name": "Functional", "module": "keras.src.models.functional", "config": {"name": "vae"}}


def zipped(*members: tuple[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as file:
        for name, data in members:
            file.writestr(name, data)
    return stream.getvalue()


def model_file(*more: tuple[str, bytes], config: bytes | None = None) -> bytes:
    return zipped(("config.json", config or json.dumps(MODEL).encode()), ("model.weights.h5", b"weights"), *more)


@pytest.fixture
def refused(tmp_path: Path) -> Callable[[bytes], CheckpointRejected]:
    def read(content: bytes) -> CheckpointRejected:
        file = tmp_path / "vae.keras"
        file.write_bytes(content)
        with pytest.raises(CheckpointRejected) as caught:
            read_keras_archive(file)
        assert str(file) in str(caught.value.received)
        assert caught.value.expected
        return caught.value

    return read


Refused = Callable[[bytes], CheckpointRejected]


def test_a_complete_archive_is_read(tmp_path: Path) -> None:
    file = tmp_path / "vae.keras"
    file.write_bytes(model_file(("metadata.json", b'{"keras_version": "3.15.1"}'), ("assets/vocabulary.txt", b"a")))
    assert read_keras_archive(file).model == MODEL
    extract_weights(file, tmp_path / "weights.h5")
    assert (tmp_path / "weights.h5").read_bytes() == b"weights"


def test_checkpoints_of_one_architecture_share_what_was_read_and_nothing_that_is_built(tmp_path: Path) -> None:
    for name in ("step-1", "step-2"):
        folder = tmp_path / name
        folder.mkdir()
        for role, model in (("encoder", an_encoder()), ("decoder", a_decoder())):
            (folder / f"{role}.keras").write_bytes(archive(model, model__weights__h5=name.encode()))
    first, second = (parts_of_pair(tmp_path / name).encoder for name in ("step-1", "step-2"))
    assert first.graph is second.graph
    assert first.archive != second.archive
    kept = first.graph.outputs[:1]
    built = first.graph.reduced(kept)
    built["config"]["layers"].clear()  # Keras may do as it likes with what it is given
    assert len(second.graph.reduced(kept)["config"]["layers"]) == 3


def test_a_truncated_archive_is_named(refused: Refused) -> None:
    error = refused(model_file()[:-40])
    assert "no complete zip archive" in error.what
    assert "not a zip file" in str(error.received)


def test_damaged_weights_are_found_by_their_checksum(tmp_path: Path) -> None:
    file = tmp_path / "vae.keras"
    content = bytearray(model_file())
    place = content.index(b"h5weights") + 2
    content[place] ^= 0xFF
    file.write_bytes(content)
    with pytest.raises(CheckpointRejected, match=r"Bad CRC-32 for file 'model\.weights\.h5'"):
        extract_weights(file, tmp_path / "weights.h5")


def test_a_zip_without_config_is_no_model(refused: Refused) -> None:
    error = refused(zipped(("notes.txt", b"hello")))
    assert error.what == "The zip archive is no Keras model: it holds no config.json."
    assert "notes.txt" in str(error.received)


def test_a_model_without_weights_is_refused(refused: Refused) -> None:
    error = refused(zipped(("config.json", json.dumps(MODEL).encode())))
    assert error.what == "The archive holds no weights."
    assert error.expected == "model.weights.h5"


@pytest.mark.parametrize("config", [b"{", b"\xff\xfe\x00", b"[" * 100_000])
def test_config_that_is_not_json_is_refused(refused: Refused, config: bytes) -> None:
    assert refused(model_file(config=config)).what == "config.json in the archive is not JSON."


@pytest.mark.parametrize("config", [b"[1, 2]", b"3", b'{"a":' * 400 + b"1" + b"}" * 400])
def test_config_that_is_no_plain_object_is_refused(refused: Refused, config: bytes) -> None:
    assert "no plain JSON object" in refused(model_file(config=config)).what


@pytest.mark.parametrize("config", [{}, {"class_name": "Functional"}, {"class_name": 3, "config": {}}])
def test_config_of_something_else_is_refused(refused: Refused, config: Any) -> None:
    error = refused(model_file(config=json.dumps(config).encode()))
    assert error.what == "The archive describes no model."
    assert str(sorted(config)) in str(error.received)


@pytest.mark.parametrize("name", ["../evil.txt", "/etc/passwd", "a/../../b", "C:\\evil.txt", "..\\evil.txt"])
def test_a_member_outside_the_archive_is_refused(refused: Refused, name: str) -> None:
    error = refused(model_file((name, b"x")))
    assert "not safe to unpack" in error.what
    assert "names inside the archive's own folder" in str(error.expected)


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")  # Python's own, while the test writes such a file
def test_a_member_that_comes_twice_is_refused(refused: Refused) -> None:
    assert "'config.json' twice" in str(refused(model_file(("config.json", b"{}"))).received)


def test_a_member_that_unpacks_to_a_hundredfold_is_refused(refused: Refused) -> None:
    bomb = zipped(
        ("config.json", json.dumps(MODEL).encode()),
        ("model.weights.h5", bytes(70 << 20)),
        compression=zipfile.ZIP_DEFLATED,
    )
    assert len(bomb) < 1 << 20
    assert "unpacks to 73400320" in str(refused(bomb).received)


def test_a_huge_config_is_not_read(refused: Refused) -> None:
    content = model_file(config=b'{"a": "' + b"x" * (17 << 20) + b'"}')
    assert "at most 16777216 bytes" in str(refused(content).expected)


def test_too_many_members_are_refused(refused: Refused) -> None:
    assert "10001 members" in str(refused(zipped(*((str(number), b"") for number in range(10_001)))).received)


def test_a_file_of_keras_two_is_refused(refused: Refused) -> None:
    error = refused(model_file(("metadata.json", b'{"keras_version": "2.15.0"}')))
    assert "keras_version 2.15.0" in str(error.received)
    assert error.expected == "a file saved by Keras 3"
