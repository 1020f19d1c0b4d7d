"""A .npy, .npz or HDF5 file of many images, (n, h, w, c) or (n, h, w), as a set of images: uint8, or floats in [0, 1].

    images           the array of this name, or the only one that can be meant
    latents_classes  (n, f) integers, if the factors behind the images are known; see `factor_labels`

A .npy file is mapped into memory and HDF5 is read in pieces, so only the images that are used are read from disk. Nothing is
ever unpickled.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

from vaeval_core.errors import ImagesRejected, NotFound, StorageFailed, unreadable_here
from vaeval_core.images.array_contents import ArrayContents, read_array_file
from vaeval_core.images.array_images import ArrayImages, digest_each
from vaeval_core.images.float_images import FloatImages, require_unit_range
from vaeval_core.images.manifest import changed_since_submission, read_manifest, unusable_manifest, write_manifest

ARRAY_SUFFIXES = (".npy", ".npz", ".h5", ".hdf5")
"""Compared without regard to case."""

_MANIFEST = "vaeval-array-1"
_DIGEST_BYTES = 32


def survey_array_file(
    path: Path, *, on_progress: Callable[[int, int], None] | None = None
) -> ArrayImages | FloatImages:
    """Check the file and read every image once, for its digest.

    Raises:
        NotFound: There is no such file.
        ImagesRejected: It holds no array of images, floats outside [0, 1], or factors that do not fit them.
    """
    path = path.expanduser().resolve()
    contents = read_array_file(path)
    try:
        if contents.is_float:
            require_unit_range(contents.images, path)
        else:
            _require_visible(path, contents)
        digests = digest_each(contents.images, on_progress)
    except StorageFailed as error:
        # Found on the user's own machine, so it says something about the file.
        raise ImagesRejected(
            "The array file cannot be read.",
            received=error.received,
            expected="a file that is whole",
            next_step="write the file again and see that it opens in Python: numpy.load or h5py.File",
        ) from error
    return _image_set(path, contents, digests)


def open_array_file(path: Path, digest: str, manifest: bytes | None) -> ArrayImages | FloatImages:
    """The set that `survey_array_file` described; images are checked as they are read.

    Raises:
        ImagesRejected: It holds no array of images, one of another shape than before, or other factors.
        StorageFailed: This machine cannot read the file, or the manifest is missing, damaged or that of another set.
    """
    try:
        contents = read_array_file(path)
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
        shape, factors = tuple(content["shape"]), content.get("factors")
    except (ValueError, TypeError, KeyError) as error:
        raise unusable_manifest(str(path), f"a list without {error}") from error
    if shape != contents.images.shape:
        raise changed_since_submission(f"{path}: shape {contents.images.shape}", f"shape {shape}")
    if factors != contents.factors_digest:
        raise changed_since_submission(
            f"{path}: factors with sha256 {contents.factors_digest}", f"factors with sha256 {factors}"
        )
    digests = tuple(packed[start : start + _DIGEST_BYTES] for start in range(0, len(packed), _DIGEST_BYTES))
    image_set = _image_set(path, contents, digests)
    if image_set.digest != digest:
        raise unusable_manifest(str(path), f"a list with digest {image_set.digest}", f"digest {digest}")
    return image_set


def _image_set(path: Path, contents: ArrayContents, digests: tuple[bytes, ...]) -> ArrayImages | FloatImages:
    images = contents.images
    packed = base64.b64encode(b"".join(digests)).decode("ascii")
    known = {"shape": list(images.shape), "digests": packed, "factors": contents.factors_digest}
    stored = ArrayImages(
        uri=str(path),
        name=path.name,
        images=images,
        digests=digests,
        manifest=write_manifest(_MANIFEST, known),
        factors=contents.factors,
    )
    _, height, width, channels = images.shape
    return FloatImages(stored, (height, width, channels)) if contents.is_float else stored


def _require_visible(path: Path, contents: ArrayContents) -> None:
    """Refuse masks: images of 0 and 1, as dSprites stores them, would all be black on a scale of 0 to 255."""
    brightest = 0
    for image in contents.images:
        brightest = max(brightest, int(image.max()))
        if brightest > 1:
            return
    if brightest == 1:
        raise ImagesRejected(
            "The images are all but black: no pixel is brighter than 1 on a scale of 0 to 255.",
            received=f"{path}: {len(contents.images)} images of pixels 0 and 1",
            expected="black as 0 and white as 255",
            next_step="multiply the array by 255 and save it again",
        )
