"""What varies in images, where that is known: the class of each factor for each image.

A set of images that knows it has a property `factors`; `factors_of` asks any set. A file says it with an array
`latents_classes` (n, f) of integers beside its images, as dSprites does, and may name the factors in `latents_names`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from vaeval_core.errors import ImagesRejected
from vaeval_core.images.base import ImageSet
from vaeval_core.images.order import numbers_in
from vaeval_core.types import IndexRange, Int64

CLASSES_NAME = "latents_classes"
NAMES_NAME = "latents_names"
BESIDE_IMAGES = (CLASSES_NAME, NAMES_NAME, "latents_values", "metadata")
"""Arrays of a file that are never its images."""


@dataclass(frozen=True, eq=False)
class FactorLabels:
    """The factors of a set of images.

    Attributes:
        names: A name for each factor.
        classes: (n, f) int64, row i for image i in the order in which the set is read; each column has two values or more.
    """

    names: tuple[str, ...]
    classes: Int64

    def __len__(self) -> int:
        return len(self.classes)

    def rows(self, index_range: IndexRange) -> Int64:
        """The classes of the images that `ImageSet.read` gives for the range, (n, f) int64.

        Raises:
            InvalidInput: The range reaches past the last image.
        """
        return self.classes[numbers_in(np.arange(len(self)), index_range)]

    def reordered(self, order: Int64) -> FactorLabels:
        """The same labels with image `order[i]` at place i."""
        return FactorLabels(self.names, self.classes[order])

    @property
    def digest(self) -> bytes:
        """sha256 (32 bytes) of shape and classes; another name of a factor changes no score."""
        shape = json.dumps(list(self.classes.shape)).encode("ascii")
        return hashlib.sha256(shape + self.classes.astype("<i8").tobytes()).digest()


@runtime_checkable
class KnowsFactors(Protocol):
    """What a set of images may promise beside `ImageSet`."""

    @property
    def factors(self) -> FactorLabels | None:
        """The factors behind its images, or None if this one has no labels."""


def names_as_array(names: Sequence[str]) -> NDArray[np.uint8]:
    """Names of factors as an array, which is all that a shard file holds; `names_of_array` reads them."""
    return np.frombuffer(json.dumps(list(names)).encode("ascii"), dtype=np.uint8)


def names_of_array(array: NDArray[np.uint8]) -> tuple[str, ...]:
    """What `names_as_array` was given.

    >>> names_of_array(names_as_array(["x", "hue"]))
    ('x', 'hue')
    """
    return tuple(json.loads(array.tobytes()))


def factors_of(images: ImageSet) -> FactorLabels | None:
    """The factors behind a set of images; None if it knows none."""
    return images.factors if isinstance(images, KnowsFactors) else None


def factor_labels(
    classes: NDArray[Any], names: Sequence[str] | None, *, num_images: int, source: str
) -> FactorLabels | None:
    """Check what a file says about its factors.

    Columns of one value only, such as the colour of dSprites, are no factors and are left out.

    Args:
        classes: What the file holds as `latents_classes`.
        names: What it holds as `latents_names`; None for `factor 0`, `factor 1`, … by column.
        num_images: Images of the file.
        source: The file, for messages.

    Returns:
        Labels in the order of the file; None if nothing varies.

    Raises:
        ImagesRejected: They are no integers of shape (n, f), or do not have one name a column.
    """
    if classes.ndim != 2 or classes.dtype.kind not in "iu" or len(classes) != num_images:
        raise ImagesRejected(
            "The factors of the images cannot be used.",
            received=f"{source}: {CLASSES_NAME} is {classes.dtype} of shape {classes.shape}, beside {num_images} images",
            expected=f"integers of shape ({num_images}, factors): the class of each factor for each image",
            next_step="numpy.unique(values, return_inverse=True)[1] numbers the values of one factor",
        )
    if names is not None and len(names) != classes.shape[1]:
        raise ImagesRejected(
            "The factors of the images do not have one name each.",
            received=f"{source}: {len(names)} {NAMES_NAME} for {classes.shape[1]} columns of {CLASSES_NAME}",
            expected=f"{classes.shape[1]} names",
        )
    varying = [number for number, column in enumerate(classes.T) if (column != column[0]).any()]
    if not varying:
        return None
    return FactorLabels(
        names=tuple(f"factor {number}" if names is None else str(names[number]) for number in varying),
        classes=np.ascontiguousarray(classes[:, varying], dtype=np.int64),
    )
