"""A .npy or .npz file of many images, uint8 (n, h, w, c) or (n, h, w), as a set of images.

A .npy file is mapped into memory, so only the images that are used are read from disk. Nothing is ever unpickled.
"""

from __future__ import annotations

import base64
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from vaeval_core.errors import ImagesRejected, NotFound, unreadable_here
from vaeval_core.images.array_images import ArrayImages, digest_each
from vaeval_core.images.manifest import changed_since_submission, read_manifest, unusable_manifest, write_manifest
from vaeval_core.types import Uint8

ARRAY_SUFFIXES = (".npy", ".npz")
"""Compared without regard to case."""

_EXPECTED = "uint8 images, 0 to 255, of shape (n, h, w), (n, h, w, 1) or (n, h, w, 3)"
_ARCHIVE = b"PK"  # an .npz file is a zip archive, an .npy file is not
_MEMBER = "images"
_MANIFEST = "vaeval-array-1"
_DIGEST_BYTES = 32


def survey_array_file(path: Path, *, on_progress: Callable[[int, int], None] | None = None) -> ArrayImages:
    """Check the file and read every image once, for its digest.

    Raises:
        NotFound: There is no such file.
        ImagesRejected: It holds no array of images.
    """
    path = path.expanduser().resolve()
    images = _open(path)
    return _image_set(path, images, digest_each(images, on_progress))


def open_array_file(path: Path, digest: str, manifest: bytes | None) -> ArrayImages:
    """The set that `survey_array_file` described; images are checked as they are read.

    Raises:
        ImagesRejected: It holds no array of images, or one of another shape than before.
        StorageFailed: This machine cannot read the file, or the manifest is missing, damaged or that of another set.
    """
    try:
        images = _open(path)
    except NotFound as error:
        raise unreadable_here(path, "no such file") from error
    except ImagesRejected as error:
        # NumPy raises OSErrors of its own about damaged content; those of the operating system have a number.
        if isinstance(error.__cause__, OSError) and error.__cause__.errno is not None:
            raise unreadable_here(path, error.__cause__) from error
        raise
    content = read_manifest(manifest, _MANIFEST, str(path))
    try:
        packed = base64.b64decode(content["digests"], validate=True)
        shape = tuple(content["shape"])
    except (ValueError, TypeError, KeyError) as error:
        raise unusable_manifest(str(path), f"a list without {error}") from error
    if shape != images.shape:
        raise changed_since_submission(f"{path}: shape {images.shape}", f"shape {shape}")
    digests = tuple(packed[start : start + _DIGEST_BYTES] for start in range(0, len(packed), _DIGEST_BYTES))
    image_set = _image_set(path, images, digests)
    if image_set.digest != digest:
        raise unusable_manifest(str(path), f"a list with digest {image_set.digest}", f"digest {digest}")
    return image_set


def _image_set(path: Path, images: Uint8, digests: tuple[bytes, ...]) -> ArrayImages:
    packed = base64.b64encode(b"".join(digests)).decode("ascii")
    manifest = write_manifest(_MANIFEST, {"shape": list(images.shape), "digests": packed})
    return ArrayImages(uri=str(path), name=path.name, images=images, digests=digests, manifest=manifest)


def _open(path: Path) -> Uint8:
    """The array of the file, as (n, h, w, c)."""
    if not path.exists():
        raise NotFound(
            "There is no such file of images.",
            received=path,
            expected="a .npy or .npz file, or a folder of PNG or JPEG files",
            next_step="check the path given as --data",
        )
    try:
        # Opened here, because NumPy leaves the file of a damaged archive open.
        with path.open("rb") as file:
            is_archive = file.read(len(_ARCHIVE)) == _ARCHIVE
            file.seek(0)
            array = _member(path, file) if is_archive else np.lib.format.open_memmap(path, mode="r")
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ImagesRejected(
            "The array file cannot be read.",
            received=f"{path}: {' '.join(str(error).split())}",
            expected=f"a file written by numpy.save or numpy.savez that holds {_EXPECTED}",
        ) from error
    return _as_images(path, array)


def _member(path: Path, file: BinaryIO) -> NDArray[Any]:
    """The array called `images` of an .npz file, or its only one."""
    with np.load(file, allow_pickle=False) as archive:
        names = list(archive.files)
        if _MEMBER not in names and len(names) != 1:
            raise ImagesRejected(
                "It is not clear which array of the file holds the images.",
                received=f"{path} with arrays {', '.join(names) or '(none)'}",
                expected=f"one array, or one that is called {_MEMBER}",
                next_step="numpy.savez('images.npz', images=…)",
            )
        array: NDArray[Any] = archive[_MEMBER if _MEMBER in names else names[0]]
        return array


def _as_images(path: Path, array: NDArray[Any]) -> Uint8:
    images = array[..., np.newaxis] if array.ndim == 3 else array
    reason = None
    if array.dtype != np.uint8:
        reason = "The numbers of an array of images must be uint8."
    elif images.ndim != 4 or images.shape[3] not in {1, 3} or 0 in images.shape:
        reason = "The array has no shape of images."
    if reason is None:
        return images
    is_scaled = array.dtype.kind == "f"
    raise ImagesRejected(
        reason,
        received=f"{path}: {array.dtype} of shape {array.shape}",
        expected=_EXPECTED,
        next_step="numpy.save('images.npy', (images.clip(0, 1) * 255).round().astype('uint8'))" if is_scaled else None,
    )
