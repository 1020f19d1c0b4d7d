"""Images that are one array, in memory, mapped from a file or in HDF5, as a set of images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray

from vaeval_core.images.factor_labels import FactorLabels
from vaeval_core.images.fitting import fit_arrays, require_fit
from vaeval_core.images.hdf5_rows import Hdf5Rows
from vaeval_core.images.manifest import changed_since_submission
from vaeval_core.images.order import image_order, numbers_in
from vaeval_core.protocol import ImageFit
from vaeval_core.types import ImageShape, IndexRange, Uint8


class ArrayImages:
    """The `ImageSet` of an array; a set's digest is the sha256 over its shape, the sha256 of each image, and its factors.

    Args:
        uri: What opens it again.
        name: Short name for people.
        images: (n, h, w, c) uint8, c of 1 or 3; may be mapped from a file. Of floats only `float_images` makes a set.
        factors: What varies in them, in the order of the array; None if that is not known.
        digests: sha256 (32 bytes) of each image as it is to be: an image is checked when it is read.
        manifest: What a worker needs to know these digests; None if it can work them out.
    """

    skipped: tuple[str, ...] = ()

    def __init__(
        self,
        *,
        uri: str,
        name: str,
        images: NDArray[Any] | Hdf5Rows,
        digests: Sequence[bytes],
        manifest: bytes | None = None,
        factors: FactorLabels | None = None,
    ) -> None:
        self.uri = uri
        self.name = name
        self._images = images
        self._digests = tuple(digests)
        self._manifest = manifest
        self._order = image_order(len(images))
        whole = hashlib.sha256(json.dumps(list(images.shape)).encode("ascii"))
        for digest in self._digests:
            whole.update(digest)
        if factors is not None:
            whole.update(factors.digest)  # scores of disentanglement depend on them
        self.factors = None if factors is None else factors.reordered(self._order)
        self.digest = whole.hexdigest()

    def __len__(self) -> int:
        return len(self._images)

    def manifest(self) -> bytes | None:
        """What a worker needs beside `uri` and `digest`; None if nothing."""
        return self._manifest

    def check_fit(self, shape: ImageShape, fit: ImageFit) -> None:
        """Raise ImagesRejected unless the images can be read as `shape`."""
        _, height, width, _ = self._images.shape
        require_fit(((self._name_of(number), width, height) for number in range(len(self))), shape, fit)

    def read(self, index_range: IndexRange, shape: ImageShape, fit: ImageFit) -> Uint8:
        """Images of the range in the set's order, as (n, *shape) uint8; see `ImageSet.read`."""
        chosen = numbers_in(self._order, index_range)
        pixels: Uint8 = self._images[chosen]
        for number, image in zip(chosen, pixels, strict=True):
            if hashlib.sha256(image.tobytes()).digest() != self._digests[number]:
                raise changed_since_submission(
                    f"{self.uri}, image {number}: its pixels are others",
                    f"pixels with sha256 {self._digests[number].hex()}",
                )
        return fit_arrays(pixels, shape, fit, [self._name_of(number) for number in chosen])

    def _name_of(self, number: int) -> str:
        return f"{self.name}[{number}]"


def digest_each(
    images: NDArray[Any] | Hdf5Rows, on_progress: Callable[[int, int], None] | None = None
) -> tuple[bytes, ...]:
    """sha256 of the pixels of each image (h, w, c), in order.

    `on_progress` is called with (images done, images in all) after each image; it may raise to stop.
    """
    digests = []
    for done, image in enumerate(images, start=1):
        digests.append(hashlib.sha256(image.tobytes()).digest())
        if on_progress is not None:
            on_progress(done, len(images))
    return tuple(digests)
