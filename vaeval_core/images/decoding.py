"""From the bytes of a PNG or JPEG file to pixels, trusting nothing.

Files come from anywhere, so the bytes decide what they are, never the suffix, and only these two decoders run. Their
classes are called directly rather than through `Image.open`: that would try further formats (multi-picture JPEG) and
report oversized images as warnings, which are global to the process and so useless among threads.

Pixels are taken as stored: an EXIF orientation is not applied, as training pipelines do not apply it either.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from pathlib import Path

from PIL import Image, JpegImagePlugin, PngImagePlugin

MAX_PIXELS = 89_478_485
"""Pixels of the largest image that is decoded: Pillow's own limit, a quarter of a GiB as RGB. A file of a few kB can
claim to hold far more."""

MAX_FILE_BYTES = 2**29
"""Bytes of the largest file that is read: more than `MAX_PIXELS` can take up uncompressed."""

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_PNG_BIT_DEPTH_AT = 24  # eight bytes of signature, then the IHDR chunk: length, name, width, height, bit depth
_MODES = {"1", "L", "LA", "P", "RGB", "RGBA", "CMYK"}

_DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    LookupError,
    EOFError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
)
"""What the decoders raise on bytes that are no image; found by damaging files at random."""


class UnreadableImage(Exception):
    """The bytes are no image that can be used. Carries the reason; `ImagesRejected` will name the file."""


class UnreadableFile(UnreadableImage):
    """The operating system does not give the bytes: whether they are an image nobody knows."""


def read_file(path: Path) -> tuple[bytes, str]:
    """The bytes of a file and their sha256.

    Raises:
        UnreadableFile: The file cannot be read.
        UnreadableImage: The file is larger than `MAX_FILE_BYTES`.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UnreadableFile(error.strerror or str(error)) from error
    if len(data) > MAX_FILE_BYTES:
        raise UnreadableImage(f"larger than {MAX_FILE_BYTES >> 20} MiB")
    return data, hashlib.sha256(data).hexdigest()


def decode(data: bytes) -> Image.Image:
    """All pixels of a PNG or JPEG file; mode is one of 1, L, LA, P, RGB, RGBA, CMYK.

    Raises:
        UnreadableImage: Neither format, damaged, cut short, too large, or more than 8 bits a channel.
    """
    try:
        image = _open(data)
        if image.width * image.height > MAX_PIXELS:
            raise UnreadableImage(f"{image.width}×{image.height} pixels are more than {MAX_PIXELS:,}")
        _require_8_bits(image, data)
        if data.startswith(_PNG):
            _require_whole_png(data)
        image.load()
    except _DECODER_ERRORS as error:
        raise UnreadableImage(_sentence(error)) from error
    # A palette entry marked transparent would make later conversions warn; transparency is dropped anyway.
    image.info.pop("transparency", None)
    return image


def _open(data: bytes) -> PngImagePlugin.PngImageFile | JpegImagePlugin.JpegImageFile:
    """Read the header alone."""
    if data.startswith(_PNG):
        return PngImagePlugin.PngImageFile(io.BytesIO(data))
    if data.startswith(_JPEG):
        return JpegImagePlugin.JpegImageFile(io.BytesIO(data))
    raise UnreadableImage("the file is empty" if not data else "the content is neither PNG nor JPEG")


def _require_8_bits(image: Image.Image, data: bytes) -> None:
    # Pillow reads 16-bit colour as 8-bit without a word, so the header is asked, not the mode alone.
    is_deep_png = data.startswith(_PNG) and data[_PNG_BIT_DEPTH_AT] == 16
    if is_deep_png or image.mode not in _MODES:
        depth = "16 bits a channel" if is_deep_png else f"pixels of kind {image.mode}"
        raise UnreadableImage(f"{depth}, where 8 bits a channel are expected: convert it first")


def _require_whole_png(data: bytes) -> None:
    """Check the checksums of the chunks that make the pixels: Pillow does not, and shows damaged pixels as they come."""
    view = memoryview(data)
    place = len(_PNG)
    name = b""
    while name != b"IEND":
        header = data[place : place + 8]
        if len(header) < 8:
            raise UnreadableImage("cut short (its last chunk is missing)")
        length, name = struct.unpack(">I4s", header)
        end = place + 8 + length
        is_critical = not name[0] & 0x20  # the case of the first letter says whether a decoder may skip the chunk
        if is_critical and data[end : end + 4] != struct.pack(">I", zlib.crc32(view[place + 4 : end])):
            raise UnreadableImage(
                f"damaged or cut short (wrong checksum in chunk {name.decode('ascii', 'backslashreplace')})"
            )
        place = end + 4


def _sentence(error: BaseException) -> str:
    """The decoder's own words on one line, without the name of an in-memory file."""
    text = " ".join(str(error).split()) or type(error).__name__
    return f"damaged or cut short ({text})"
