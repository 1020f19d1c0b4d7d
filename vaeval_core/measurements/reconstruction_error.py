"""How far a reconstruction is from its image: three numbers per image."""

from __future__ import annotations

import numpy as np

from vaeval_core.types import Float32, Float64, Uint8

PROBABILITY_FLOOR = 1e-7
"""Probabilities are clipped to [floor, 1 - floor] before the logarithm, as Keras does: at most 16.118 nats a pixel."""

PSNR_CAP = 100.0
"""Highest value in decibels: an identical image has an infinite ratio, and one such image would make the mean useless."""


def squared_error(images: Float32, reconstructions: Float32) -> Float64:
    """Mean over pixels and channels of (reconstruction - image)².

    Args:
        images: (n, h, w, c) in [0, 1].
        reconstructions: The same shape, decoder means, not clamped.

    Returns:
        (n,) float64, squared intensity, ≥ 0; NaN or infinite where a reconstruction is.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        difference = reconstructions.astype(np.float64) - images
        error: Float64 = np.square(difference).reshape(len(images), -1).mean(axis=1)
    return error


def cross_entropy(images: Float32, reconstructions: Float32) -> Float64:
    """Binary cross-entropy -Σ [x ln p + (1 - x) ln(1 - p)], summed over pixels and channels.

    For images that are not binary its least value is not 0 but their own entropy, and it is no likelihood.

    Args:
        images: x, (n, h, w, c) in [0, 1].
        reconstructions: p, the same shape; clipped to [1e-7, 1 - 1e-7].

    Returns:
        (n,) float64, nats per image, ≥ 0; NaN where a reconstruction holds NaN.
    """
    target = images.astype(np.float64)
    probability = np.clip(reconstructions.astype(np.float64), PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    nats = -(target * np.log(probability) + (1 - target) * np.log1p(-probability))
    total: Float64 = nats.reshape(len(images), -1).sum(axis=1)
    return total


def peak_signal_to_noise(images: Uint8, reconstructions: Uint8) -> Float64:
    """Peak signal-to-noise ratio 10 log₁₀(255² / mean squared difference) of quantised images.

    The mean of it over images is not the ratio of the mean error: take it per image, as here.

    Args:
        images: (n, h, w, c) uint8.
        reconstructions: The same shape.

    Returns:
        (n,) float64, decibels, ≥ 0, at most 100.
    """
    difference = images.astype(np.float64) - reconstructions
    error = np.square(difference).reshape(len(images), -1).mean(axis=1)
    least_error = 255.0**2 * 10 ** (-PSNR_CAP / 10)
    decibels: Float64 = 10 * np.log10(255.0**2 / np.maximum(error, least_error))
    return decibels
