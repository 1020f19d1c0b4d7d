"""Everything that is measured on a reconstruction and its image, by the names under which shards carry it.

images, reconstructions ─► measure_reconstruction ─► one array (n,) for each name ─► `EvaluationSummary.values`

Only what is asked for is computed; what several names share, such as logarithms of every pixel, once.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from functools import cached_property

import numpy as np

from vaeval_core.measurements.image_pairs import require_intensities
from vaeval_core.measurements.multiscale_similarity import SMALLEST_SIDE, multiscale_similarity
from vaeval_core.measurements.reconstruction_error import (
    absolute_error,
    cross_entropy_per_value,
    entropy_per_value,
    is_capped,
    peak_signal_to_noise,
    squared_error,
    sum_per_image,
    summed_squared_error,
)
from vaeval_core.measurements.structural_similarity import WINDOW, structural_similarity
from vaeval_core.quantisation import is_finite, to_float, to_uint8
from vaeval_core.types import Float32, Float64, Uint8


def measure_reconstruction(
    images: Float32, reconstructions: Float32, wanted: Container[str] | None = None
) -> dict[str, Float64]:
    """Measurements of reconstructions from posterior means.

    Args:
        images: (n, h, w, c) in [0, 1].
        reconstructions: The same shape, decoder means, not clamped.
        wanted: Names of measurements; all of them if None.

    Returns:
        One float64 per image for each name. `structural_similarity` is missing for images below 11 pixels on a side,
        `multiscale_similarity` below 176. With `peak_signal_to_noise` comes `peak_signal_to_noise/capped`.

    Raises:
        InvalidInput: The shapes differ, or the images are not finite floats in [0, 1].
    """
    require_intensities(images, reconstructions)
    pair = _Pair(images, reconstructions)
    names = [
        name
        for name in MEASUREMENTS
        if (wanted is None or name in wanted) and min(images.shape[1:3]) >= _SMALLEST.get(name, 1)
    ]
    measured = {name: MEASUREMENTS[name](pair) for name in names}
    if "peak_signal_to_noise" in measured:
        measured["peak_signal_to_noise/capped"] = is_capped(measured["peak_signal_to_noise"])
    return measured


def measure_drawn_reconstruction(
    images: Float32, reconstructions: Float32, wanted: Container[str] | None = None
) -> dict[str, Float64]:
    """The same of a reconstruction from one posterior draw: `drawn/…`, to stand beside the mean's.

    Args:
        images: (n, h, w, c) in [0, 1].
        reconstructions: The same shape, decoder means of one draw each, not clamped.
        wanted: Names of measurements, `drawn/…`; all of them if None.

    Returns:
        One float64 per image for each name; `drawn/finite` is always there, 0 where a value is not finite.

    Raises:
        InvalidInput: The shapes differ, or the images are not finite floats in [0, 1].
    """
    names = {name for name in OF_DRAWS if wanted is None or f"drawn/{name}" in wanted}
    errors = {
        **measure_reconstruction(images, reconstructions, names),
        "finite": is_finite(reconstructions).astype("float64"),
    }
    return {f"drawn/{name}": values for name, values in errors.items()}


class _Pair:
    """Images and reconstructions, with what several measurements need of both."""

    def __init__(self, images: Float32, reconstructions: Float32) -> None:
        self.images = images
        self.reconstructions = reconstructions
        self.values_per_image = images[:1].size

    @cached_property
    def levels(self) -> tuple[Uint8, Uint8]:
        """Both clamped and rounded, so that neither is compared with what it was not."""
        return to_uint8(self.images), to_uint8(self.reconstructions)

    @cached_property
    def cross_entropy(self) -> Float64:
        return cross_entropy_per_value(self.images, self.reconstructions)

    @cached_property
    def entropy(self) -> Float64:
        levels = self.levels[0]
        if np.array_equal(to_float(levels), self.images):
            # Images of levels have 256 logarithms, not millions.
            each: Float64 = entropy_per_value(to_float(_EVERY_LEVEL))[levels]
            return each
        return entropy_per_value(self.images)


MEASUREMENTS: dict[str, Callable[[_Pair], Float64]] = {
    "squared_error": lambda pair: squared_error(pair.images, pair.reconstructions),
    "summed_squared_error": lambda pair: summed_squared_error(pair.images, pair.reconstructions),
    "absolute_error": lambda pair: absolute_error(pair.images, pair.reconstructions),
    "cross_entropy": lambda pair: sum_per_image(pair.cross_entropy),
    "mean_cross_entropy": lambda pair: sum_per_image(pair.cross_entropy) / pair.values_per_image,
    "cross_entropy_floor": lambda pair: sum_per_image(pair.entropy),
    "cross_entropy_excess": lambda pair: sum_per_image(pair.cross_entropy - pair.entropy),
    "peak_signal_to_noise": lambda pair: peak_signal_to_noise(*pair.levels),
    "structural_similarity": lambda pair: structural_similarity(*pair.levels),
    "multiscale_similarity": lambda pair: multiscale_similarity(*pair.levels),
}
"""Name → what is measured on each pair."""

OF_DRAWS = MEASUREMENTS.keys() - {"cross_entropy_floor"}
"""What is measured on a draw as well: the floor is the images' own."""

_EVERY_LEVEL = np.arange(256, dtype=np.uint8)
_SMALLEST = {"structural_similarity": WINDOW, "multiscale_similarity": SMALLEST_SIDE}
