"""Bytes of PNG and JPEG files: what is read, and that nothing damaged gets through."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vaeval_core.images import decoding
from vaeval_core.images.decoding import UnreadableImage, decode, read_file
from vaeval_core.types import Uint8


def _encoded(image: Image.Image, format_name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_name, **options)
    return buffer.getvalue()


def _noise(height: int = 11, width: int = 13) -> Uint8:
    return np.random.Generator(np.random.Philox(7)).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _png(width: int, height: int, bit_depth: int, colour_type: int, rows: bytes) -> bytes:
    """A PNG file written from the specification."""
    header = struct.pack(">IIBBBBB", width, height, bit_depth, colour_type, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(name, content) for name, content in chunks)


def test_a_png_has_its_pixels() -> None:
    rows = b"\x00" + bytes([1, 2, 3, 4, 5, 6])  # filter 0, two pixels
    assert np.asarray(decode(_png(2, 1, 8, 2, rows))).tolist() == [[[1, 2, 3], [4, 5, 6]]]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_png_files_of_8_bits_are_read(mode: str) -> None:
    image = Image.fromarray(_noise()).convert(mode)
    decoded = decode(_encoded(image, "PNG"))
    assert decoded.mode == mode
    assert np.array_equal(np.asarray(decoded), np.asarray(image))


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_files_are_read(mode: str, progressive: bool) -> None:
    data = _encoded(Image.new(mode, (16, 16), 0), "JPEG", progressive=progressive)
    decoded = decode(data)
    assert (decoded.mode, decoded.size) == (mode, (16, 16))


def test_a_palette_with_transparent_entries_converts_without_a_warning() -> None:
    image = Image.fromarray(_noise()).quantize(4)
    data = _encoded(image, "PNG", transparency=bytes([0, 128, 255, 255]))
    assert decode(data).convert("RGB").size == (13, 11)  # warnings are errors here


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(_encoded(Image.fromarray(_noise()), "PNG"), id="png"),
        pytest.param(_encoded(Image.fromarray(_noise()), "JPEG"), id="jpeg"),
        pytest.param(_encoded(Image.fromarray(_noise()), "JPEG", progressive=True), id="progressive jpeg"),
    ],
)
def test_a_file_cut_short_anywhere_is_refused_unless_all_pixels_are_there(data: bytes) -> None:
    whole = np.asarray(decode(data))
    for length in range(len(data) - 2):
        with pytest.raises(UnreadableImage):
            decode(data[:length])
    # A JPEG may lack its two-byte end mark alone and be complete.
    for length in (len(data) - 2, len(data) - 1):
        with suppress(UnreadableImage):
            assert np.array_equal(np.asarray(decode(data[:length])), whole)


def test_a_png_with_any_damaged_byte_is_refused_or_has_the_same_pixels() -> None:
    image = Image.fromarray(_noise()).convert("RGBA")
    data = _encoded(image, "PNG")
    refused = 0
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 0x55
        try:
            decoded = decode(bytes(damaged))
        except UnreadableImage:
            refused += 1
        else:
            assert np.array_equal(np.asarray(decoded), np.asarray(image))
    # Only a wrong first letter of a chunk name that makes the chunk skippable could go unnoticed.
    assert refused > len(data) - 10


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"hello", "the content is neither PNG nor JPEG"),
        (_encoded(Image.fromarray(_noise()), "GIF"), "the content is neither PNG nor JPEG"),
        (_encoded(Image.fromarray(_noise()), "WEBP"), "the content is neither PNG nor JPEG"),
        (_encoded(Image.fromarray(_noise()), "PNG")[:-20], "cut short"),
        (_encoded(Image.fromarray(_noise()), "JPEG")[:-20], "cut short"),
    ],
)
def test_the_reason_is_said(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableImage, match=reason):
        decode(data)


@pytest.mark.parametrize("colour_type", [0, 2], ids=["grey", "colour"])
def test_16_bits_a_channel_are_refused(colour_type: int) -> None:
    channels = 1 if colour_type == 0 else 3
    data = _png(1, 1, 16, colour_type, b"\x00" + b"\x12\x34" * channels)
    with pytest.raises(
        UnreadableImage, match="16 bits a channel, where 8 bits a channel are expected: convert it first"
    ):
        decode(data)


def test_a_small_file_that_claims_to_be_huge_is_refused_before_it_is_unpacked() -> None:
    data = _png(100_000, 100_000, 8, 0, b"")
    with pytest.raises(UnreadableImage, match=r"100000×100000 pixels are more than 89,478,485"):
        decode(data)


def test_the_digest_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"abc")
    assert read_file(path) == (b"abc", hashlib.sha256(b"abc").hexdigest())


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match="No such file or directory"):
        read_file(tmp_path / "a.png")


def test_a_file_larger_than_any_image_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MAX_FILE_BYTES", 2**20)
    path = tmp_path / "a.png"
    with path.open("wb") as file:
        file.truncate(2**20 + 1)
    with pytest.raises(UnreadableImage, match="larger than 1 MiB"):
        read_file(path)
