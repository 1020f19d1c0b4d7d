"""A set of images whose intensities were never levels: floats in [0, 1], as a data set saved from training code holds them.

Models see them as they are, and a Gaussian likelihood scores them as they are. They are not resampled: bicubic resampling is
defined on levels here.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaeval_core.errors import ImagesRejected
from vaeval_core.images.array_images import ArrayImages
from vaeval_core.images.factor_labels import FactorLabels
from vaeval_core.protocol import ImageFit
from vaeval_core.quantisation import to_uint8
from vaeval_core.types import Float32, ImageShape, IndexRange, Uint8


class FloatImages:
    """An `ImageSet`, and a `FloatImageSet`.

    Args:
        stored: The array (n, h, w, c) of float32 or float64 in [0, 1], in order, checked as it is read.
        shape: (h, w, c).
    """

    skipped: tuple[str, ...] = ()

    def __init__(self, stored: ArrayImages, shape: ImageShape) -> None:
        self._stored = stored
        self._shape = shape

    @property
    def uri(self) -> str:
        """What opens it again."""
        return self._stored.uri

    @property
    def name(self) -> str:
        """Short name for people."""
        return self._stored.name

    @property
    def digest(self) -> str:
        """sha256 over shape, the bytes of each image, and factors."""
        return self._stored.digest

    @property
    def factors(self) -> FactorLabels | None:
        """What varies in the images, in the set's order; None if that is not known."""
        return self._stored.factors

    def __len__(self) -> int:
        return len(self._stored)

    def manifest(self) -> bytes | None:
        """What a worker needs beside `uri` and `digest`."""
        return self._stored.manifest()

    def check_fit(self, shape: ImageShape, fit: ImageFit) -> None:
        """Raise ImagesRejected unless the images have this very shape, whatever the fit."""
        if tuple(shape) != self._shape:
            raise ImagesRejected(
                "Images of floats are taken as they are, and have another shape than the model takes.",
                received=f"{self.name}: {self._shape}",
                expected=f"{tuple(shape)}",
                next_step="resample the array yourself, or save it as uint8 levels and add --resize",
            )

    def read(self, index_range: IndexRange, shape: ImageShape, fit: ImageFit) -> Uint8:
        """Images of the range, clamped and rounded to levels: what feature networks see."""
        return to_uint8(self.read_floats(index_range, shape, fit))

    def read_floats(self, index_range: IndexRange, shape: ImageShape, fit: ImageFit) -> Float32:
        """Images of the range in the set's order, as (n, *shape) float32 in [0, 1]."""
        self.check_fit(shape, fit)
        return self._stored.read(index_range, shape, "exact").astype(np.float32)


def require_unit_range(images: Iterable[NDArray[Any]], path: Path) -> None:
    """Refuse floats that are not intensities in [0, 1], and say which range they seem to have.

    Raises:
        ImagesRejected: A value is not finite, or outside.
    """
    low, high = np.inf, -np.inf
    for image in images:
        if not np.isfinite(image).all():
            low = high = np.nan
            break
        low, high = min(low, float(image.min())), max(high, float(image.max()))
    if low >= 0 and high <= 1:
        return
    next_step = "find out which numbers are black and white, map them to 0 and 1, and save the array again"
    if low >= -1 and high <= 1:
        next_step = "numpy.save('images.npy', (images + 1) / 2)"
    elif low >= 0 and high <= 255:
        next_step = "numpy.save('images.npy', images / 255)"
    raise ImagesRejected(
        "The numbers of an array of floats must be intensities in [0, 1].",
        received=f"{path}: values from {low:g} to {high:g}",
        expected="0 for black and 1 for white",
        next_step=next_step,
    )
