"""Real images as a model sees them: float32 in [0, 1].

Most sets hold 256 levels, and an intensity is a level over 255. A set of floats has intensities of its own, which were never
levels: they reach the encoder, and are what reconstructions are compared with, as they are. The feature network sees levels
of either kind of set.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from vaeval_core.images.base import ImageSet
from vaeval_core.protocol import ImageFit
from vaeval_core.quantisation import to_float
from vaeval_core.types import Float32, ImageShape, IndexRange


@runtime_checkable
class FloatImageSet(Protocol):
    """An `ImageSet` of floats; its `read` gives them clamped and rounded to levels."""

    def read_floats(self, index_range: IndexRange, shape: ImageShape, fit: ImageFit) -> Float32:
        """Images of the range in the set's order, as (n, *shape) float32 in [0, 1]; raises as `ImageSet.read`."""


def has_levels(images: ImageSet) -> bool:
    """True if the images have 256 levels, which a density must be spread over (`measurements.dequantisation`)."""
    return not isinstance(images, FloatImageSet)


def read_intensities(images: ImageSet, index_range: IndexRange, shape: ImageShape, fit: ImageFit) -> Float32:
    """Images of the range as (n, *shape) float32 in [0, 1].

    Raises:
        ImagesRejected: As `ImageSet.read`.
        StorageFailed: As `ImageSet.read`.
    """
    if isinstance(images, FloatImageSet):
        return images.read_floats(index_range, shape, fit)
    return to_float(images.read(index_range, shape, fit))
