"""What every comparison of an image with its reconstruction asks of the two arrays before it looks at a number.

Wrong input here gives plausible scores, not crashes: images in [-1, 1], a missing axis that broadcasts, floats where levels
are meant. The real images must be right; a reconstruction may hold anything, which is then in the number.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaeval_core.errors import InvalidInput
from vaeval_core.types import Float32, Float64, Uint8


def require_intensities(images: Float32 | Float64, reconstructions: Float32 | Float64) -> None:
    """Raise unless both are floats of one shape (n, h, w, c) and the images are finite and in [0, 1].

    Raises:
        InvalidInput: They are not.
    """
    require_same_shape(images, reconstructions)
    kinds = {images.dtype, reconstructions.dtype}
    if not kinds <= {np.dtype(np.float32), np.dtype(np.float64)}:
        raise InvalidInput(
            "Images and reconstructions are compared as float32 or float64.",
            received=f"images {images.dtype}, reconstructions {reconstructions.dtype}",
            expected="float32 or float64, intensities in [0, 1]",
            next_step="map uint8 levels with vaeval_core.quantisation.to_float",
        )
    if not images.size:
        return
    low, high = float(images.min()), float(images.max())
    if not (low >= 0 and high <= 1):  # also false for NaN
        raise InvalidInput(
            "The real images are not in [0, 1].",
            received=f"values from {low:g} to {high:g}",
            expected="finite intensities in [0, 1]",
            next_step="map images in [-1, 1] with (images + 1) / 2, and those of 255 levels with images / 255",
        )


def require_levels(images: Uint8, reconstructions: Uint8) -> None:
    """Raise unless both are uint8 of one shape (n, h, w, c).

    Raises:
        InvalidInput: They are not.
    """
    require_same_shape(images, reconstructions)
    if images.dtype != np.uint8 or reconstructions.dtype != np.uint8:
        raise InvalidInput(
            "Levels are compared as uint8: the range of the data is then 255, and not a guess.",
            received=f"images {images.dtype}, reconstructions {reconstructions.dtype}",
            expected="uint8",
            next_step="quantise intensities in [0, 1] with vaeval_core.quantisation.to_uint8",
        )


def require_same_shape(images: NDArray[Any], reconstructions: NDArray[Any]) -> None:
    """Raise unless both have one shape (n, h, w, c).

    Raises:
        InvalidInput: They have not: NumPy would broadcast the one to the other.
    """
    if images.ndim != 4 or images.shape != reconstructions.shape:
        raise InvalidInput(
            "Images and reconstructions do not have one shape.",
            received=f"images {images.shape}, reconstructions {reconstructions.shape}",
            expected="both (n, h, w, c)",
        )
