"""ln p(x|z) of an image under a decoder's mean image: the sum over pixels and channels, never a mean.

A mean over pixels beside a KL summed over latents is another model's bound: one with β = h·w·c.
"""

from __future__ import annotations

import math

import numpy as np

from vaeval_core.errors import InvalidInput
from vaeval_core.measurements.image_pairs import require_same_shape
from vaeval_core.measurements.reconstruction_error import cross_entropy
from vaeval_core.types import Float32, Float64


def bernoulli_log_likelihood(images: Float32 | Float64, means: Float32) -> Float64:
    """Σ [x ln p + (1 - x) ln(1 - p)], a probability of images whose every value is 0 or 1, and of no others.

    Args:
        images: x, (n, h, w, c) in [0, 1]; see `is_black_and_white`.
        means: p, the same shape; clipped to [1e-7, 1 - 1e-7].

    Returns:
        (n,) float64, nats per image, ≤ 0; NaN where a mean is.

    Raises:
        InvalidInput: The shapes differ, or the images are not finite floats in [0, 1].
    """
    return -cross_entropy(images, means)


def gaussian_log_likelihood(images: Float32 | Float64, means: Float32, sigma: float) -> Float64:
    """ln N(x; x̂, σ² I) = -Σ ½ ((x - x̂)/σ)² - h·w·c (ln σ + ½ ln 2π).

    A density, so it may be above 0; it has the unit of intensities, and no bound as σ goes to 0.

    Args:
        images: x, (n, h, w, c), finite.
        means: x̂, the same shape, not clamped.
        sigma: σ > 0, in the unit of the intensities.

    Returns:
        (n,) float64, nats per image; NaN or -∞ where a mean is not finite.

    Raises:
        InvalidInput: The shapes differ, an image is not finite, or σ is not positive.
    """
    require_same_shape(images, means)
    if not (np.isfinite(images).all() and 0 < sigma < math.inf):
        raise InvalidInput(
            "A Gaussian likelihood needs finite images and a positive σ.",
            received=f"sigma={sigma:g}, {int((~np.isfinite(images)).sum())} values of images that are not finite",
            expected="finite images and 0 < sigma < ∞",
        )
    num_values = math.prod(images.shape[1:])
    with np.errstate(invalid="ignore", over="ignore"):
        residual = (means.astype(np.float64) - images) / sigma
        exponent: Float64 = -0.5 * np.square(residual).reshape(len(images), -1).sum(axis=1)
    return exponent - num_values * (math.log(sigma) + 0.5 * math.log(2 * math.pi))


def is_black_and_white(images: Float32 | Float64) -> Float64:
    """1 for each image (n, …) whose every value is 0 or 1, else 0, as (n,) float64: their mean is a share."""
    values = images.reshape(len(images), -1)
    both: Float64 = ((values == 0) | (values == 1)).all(axis=1).astype(np.float64)
    return both
