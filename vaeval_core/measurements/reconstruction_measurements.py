"""Everything that is measured on a reconstruction and its image, by the names under which shards carry it.

images, reconstructions ─► measure_reconstruction ─► one array (n,) for each name ─► `EvaluationSummary.values`
"""

from __future__ import annotations

from vaeval_core.measurements.multiscale_similarity import SMALLEST_SIDE, multiscale_similarity
from vaeval_core.measurements.reconstruction_error import (
    absolute_error,
    cross_entropy,
    cross_entropy_excess,
    cross_entropy_floor,
    is_capped,
    mean_cross_entropy,
    peak_signal_to_noise,
    squared_error,
    summed_squared_error,
)
from vaeval_core.measurements.structural_similarity import WINDOW, structural_similarity
from vaeval_core.quantisation import is_finite, to_uint8
from vaeval_core.types import Float32, Float64


def measure_reconstruction(images: Float32, reconstructions: Float32) -> dict[str, Float64]:
    """Every measurement of reconstructions from posterior means.

    Args:
        images: (n, h, w, c) in [0, 1].
        reconstructions: The same shape, decoder means, not clamped.

    Returns:
        One float64 per image for each name. `structural_similarity` is missing for images below 11 pixels on a side,
        `multiscale_similarity` below 176.

    Raises:
        InvalidInput: The shapes differ, or the images are not finite floats in [0, 1].
    """
    errors = {
        "squared_error": squared_error(images, reconstructions),
        "summed_squared_error": summed_squared_error(images, reconstructions),
        "absolute_error": absolute_error(images, reconstructions),
        "cross_entropy": cross_entropy(images, reconstructions),
        "mean_cross_entropy": mean_cross_entropy(images, reconstructions),
        "cross_entropy_floor": cross_entropy_floor(images),
        "cross_entropy_excess": cross_entropy_excess(images, reconstructions),
        **_measure_levels(images, reconstructions),
    }
    if min(images.shape[1:3]) >= SMALLEST_SIDE:
        errors["multiscale_similarity"] = multiscale_similarity(to_uint8(images), to_uint8(reconstructions))
    return errors


def measure_drawn_reconstruction(images: Float32, reconstructions: Float32) -> dict[str, Float64]:
    """What is measured of a reconstruction from one posterior draw: `drawn/…`, to stand beside the mean's.

    Args:
        images: (n, h, w, c) in [0, 1].
        reconstructions: The same shape, decoder means of one draw each, not clamped.

    Returns:
        One float64 per image for each name; `drawn/finite` is 0 where a value is not finite.

    Raises:
        InvalidInput: The shapes differ, or the images are not finite floats in [0, 1].
    """
    errors = {
        "squared_error": squared_error(images, reconstructions),
        "absolute_error": absolute_error(images, reconstructions),
        "cross_entropy": cross_entropy(images, reconstructions),
        **_measure_levels(images, reconstructions),
        "finite": is_finite(reconstructions).astype("float64"),
    }
    return {f"drawn/{name}": values for name, values in errors.items()}


def _measure_levels(images: Float32, reconstructions: Float32) -> dict[str, Float64]:
    """What is measured on uint8: both sides are clamped and rounded, so that neither is compared with what it was not."""
    levels, reconstructed = to_uint8(images), to_uint8(reconstructions)
    decibels = peak_signal_to_noise(levels, reconstructed)
    measured = {"peak_signal_to_noise": decibels, "peak_signal_to_noise/capped": is_capped(decibels)}
    if min(images.shape[1:3]) >= WINDOW:
        measured["structural_similarity"] = structural_similarity(levels, reconstructed)
    return measured
