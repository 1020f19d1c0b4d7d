"""How far a reconstruction is from its image: numbers per image.

A sum over pixels and a mean over pixels have names of their own here. Code that calls both a reconstruction error and adds
a KL to either has trained many a model with another β than its authors thought.
"""

from __future__ import annotations

import numpy as np

from vaeval_core.measurements.image_pairs import require_intensities, require_levels
from vaeval_core.types import Float32, Float64, Uint8

PROBABILITY_FLOOR = 1e-7
"""Probabilities are clipped to [floor, 1 - floor] before the logarithm, as Keras does: at most 16.118 nats a pixel."""

PSNR_CAP = 100.0
"""Highest value in decibels: an identical image has an infinite ratio, and one such image would make the mean useless."""


def squared_error(images: Float32 | Float64, reconstructions: Float32) -> Float64:
    """Mean over pixels and channels of (reconstruction - image)².

    Args:
        images: (n, h, w, c) in [0, 1].
        reconstructions: The same shape, decoder means, not clamped.

    Returns:
        (n,) float64, squared intensity, ≥ 0; NaN or infinite where a reconstruction is.

    Raises:
        InvalidInput: The shapes differ, or the images are not finite floats in [0, 1]. So for all functions here.
    """
    require_intensities(images, reconstructions)
    with np.errstate(invalid="ignore", over="ignore"):
        difference = reconstructions.astype(np.float64) - images
        error: Float64 = np.square(difference).reshape(len(images), -1).mean(axis=1)
    return error


def summed_squared_error(images: Float32 | Float64, reconstructions: Float32) -> Float64:
    """Sum over pixels and channels of (reconstruction - image)²: h·w·c times `squared_error`.

    Args:
        images: (n, h, w, c) in [0, 1].
        reconstructions: The same shape, decoder means, not clamped.

    Returns:
        (n,) float64, squared intensity, ≥ 0; NaN or infinite where a reconstruction is.
    """
    error: Float64 = squared_error(images, reconstructions) * _values_per_image(images)
    return error


def absolute_error(images: Float32 | Float64, reconstructions: Float32) -> Float64:
    """Mean over pixels and channels of |reconstruction - image|.

    Args:
        images: (n, h, w, c) in [0, 1].
        reconstructions: The same shape, decoder means, not clamped.

    Returns:
        (n,) float64, intensity, ≥ 0; NaN or infinite where a reconstruction is.
    """
    require_intensities(images, reconstructions)
    with np.errstate(invalid="ignore", over="ignore"):
        difference = reconstructions.astype(np.float64) - images
        error: Float64 = np.abs(difference).reshape(len(images), -1).mean(axis=1)
    return error


def cross_entropy(images: Float32 | Float64, reconstructions: Float32) -> Float64:
    """Binary cross-entropy -Σ [x ln p + (1 - x) ln(1 - p)], summed over pixels and channels.

    For images that are not binary its least value is not 0 but their own entropy, and it is no likelihood.

    Args:
        images: x, (n, h, w, c) in [0, 1].
        reconstructions: p, the same shape; clipped to [1e-7, 1 - 1e-7].

    Returns:
        (n,) float64, nats per image, ≥ 0; NaN where a reconstruction holds NaN.
    """
    require_intensities(images, reconstructions)
    return sum_per_image(cross_entropy_per_value(images, reconstructions))


def mean_cross_entropy(images: Float32 | Float64, reconstructions: Float32) -> Float64:
    """`cross_entropy` over h·w·c: nats per pixel and channel, (n,) float64."""
    nats: Float64 = cross_entropy(images, reconstructions) / _values_per_image(images)
    return nats


def cross_entropy_floor(images: Float32 | Float64) -> Float64:
    """Entropy -Σ [x ln x + (1 - x) ln(1 - x)] of the images: the cross-entropy of a reconstruction without any error.

    Args:
        images: x, (n, h, w, c) in [0, 1].

    Returns:
        (n,) float64, nats per image, ≥ 0; 0 if and only if every value is 0 or 1.
    """
    require_intensities(images, images)
    return sum_per_image(entropy_per_value(images))


def cross_entropy_excess(images: Float32 | Float64, reconstructions: Float32) -> Float64:
    """What the cross-entropy has above its floor: Σ KL(Bernoulli(x) ‖ Bernoulli(p)), ≥ 0 up to rounding.

    Args:
        images: x, (n, h, w, c) in [0, 1].
        reconstructions: p, the same shape; clipped to [1e-7, 1 - 1e-7].

    Returns:
        (n,) float64, nats per image; NaN where a reconstruction holds NaN.
    """
    require_intensities(images, reconstructions)
    excess = cross_entropy_per_value(images, reconstructions) - entropy_per_value(images)
    return sum_per_image(excess)


def peak_signal_to_noise(images: Uint8, reconstructions: Uint8) -> Float64:
    """Peak signal-to-noise ratio 10 log₁₀(255² / mean squared difference) of quantised images.

    The mean of it over images is not the ratio of the mean error: take it per image, as here.

    Args:
        images: (n, h, w, c) uint8.
        reconstructions: The same shape.

    Returns:
        (n,) float64, decibels, ≥ 0, at most 100: see `is_capped`.

    Raises:
        InvalidInput: The shapes differ, or the arrays are not uint8.
    """
    require_levels(images, reconstructions)
    difference = images.astype(np.float64) - reconstructions
    error = np.square(difference).reshape(len(images), -1).mean(axis=1)
    least_error = 255.0**2 * 10 ** (-PSNR_CAP / 10)
    decibels: Float64 = np.where(
        error > least_error, 10 * np.log10(255.0**2 / np.maximum(error, least_error)), PSNR_CAP
    )
    return decibels


def is_capped(decibels: Float64) -> Float64:
    """1 for each image whose ratio stands at the cap, else 0, as (n,) float64: their mean is a share."""
    capped: Float64 = (decibels >= PSNR_CAP).astype(np.float64)
    return capped


def cross_entropy_per_value(images: Float32 | Float64, reconstructions: Float32) -> Float64:
    """-[x ln p + (1 - x) ln(1 - p)] of each value, in the shape of both; what `cross_entropy` sums."""
    target = images.astype(np.float64)
    probability = np.clip(reconstructions.astype(np.float64), PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    nats: Float64 = -(target * np.log(probability) + (1 - target) * np.log1p(-probability))
    return nats


def entropy_per_value(images: Float32 | Float64) -> Float64:
    """-[x ln x + (1 - x) ln(1 - x)] of each value; what `cross_entropy_floor` sums."""
    target = images.astype(np.float64)
    # x ln x goes to 0 with x; the other value of the logarithm never counts.
    logarithm = np.log(np.where(target > 0, target, 1.0))
    complement = np.log1p(-np.where(target < 1, target, 0.0))
    nats: Float64 = -(target * logarithm + (1 - target) * complement)
    return nats


def sum_per_image(values: Float64) -> Float64:
    """The sum over each image (n, …), as (n,)."""
    total: Float64 = values.reshape(len(values), -1).sum(axis=1)
    return total


def _values_per_image(images: Float32 | Float64) -> int:
    return int(np.prod(images.shape[1:]))
