"""Structural similarity: how alike two images are in local mean, contrast and structure.

    SSIM = mean over windows of   (2 μₓμᵧ + C₁) (2 σₓᵧ + C₂) / ((μₓ² + μᵧ² + C₁) (σₓ² + σᵧ² + C₂))

Windows are Gaussian, 11 × 11 with σ = 1.5, and lie inside the image; C₁ = (0.01 · 255)², C₂ = (0.03 · 255)²; moments are
those of the window's weights, without a factor n/(n - 1). Colour channels are compared one by one, and their mean is taken.
The range of the data is 255 and no option: images are uint8, so nobody can state another range than they have.

Source: Wang, Bovik, Sheikh and Simoncelli 2004, «Image quality assessment: from error visibility to structural similarity».
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from vaeval_core.errors import InvalidInput
from vaeval_core.measurements.image_pairs import require_levels
from vaeval_core.types import Float64, Uint8

WINDOW = 11
"""Pixels on a side of a window, and of the smallest image that has one."""

_SIGMA = 1.5
_C1 = (0.01 * 255.0) ** 2
_C2 = (0.03 * 255.0) ** 2

# Rows of a filtered image that are made at once: a dense product of this size is quicker than 11 passes over the image.
_TILE = 32


def structural_similarity(images: Uint8, reconstructions: Uint8) -> Float64:
    """SSIM of each image with its reconstruction.

    Args:
        images: (n, h, w, c) uint8, h and w ≥ 11.
        reconstructions: The same shape.

    Returns:
        (n,) float64 in [-1, 1]; 1 if and only if the two are equal. Higher is better. Colour channels count alike.

    Raises:
        InvalidInput: The shapes differ, the arrays are not uint8, or the images are smaller than a window.
    """
    require_levels(images, reconstructions)
    require_window(images.shape[1:3], WINDOW)
    return mean_over_channels(_similarity, images, reconstructions)


def require_window(size: tuple[int, ...], smallest: int) -> None:
    """Raise unless images of (height, width) are large enough.

    Raises:
        InvalidInput: They are not.
    """
    if min(size) < smallest:
        raise InvalidInput(
            "The images are too small for the windows of structural similarity.",
            received=f"{size[0]} × {size[1]} pixels",
            expected=f"at least {smallest} × {smallest}",
        )


def mean_over_channels(
    similarity: Callable[[Float64, Float64], float], images: Uint8, reconstructions: Uint8
) -> Float64:
    """Similarity of one channel (h, w) to another, averaged over the channels of each image (n, h, w, c), as (n,).

    One channel at a time stays in the cache, and no value depends on its neighbours in the batch.
    """
    values = np.empty((len(images), images.shape[3]))
    for image, channel in np.ndindex(values.shape):
        pair = (np.ascontiguousarray(array[image, :, :, channel], np.float64) for array in (images, reconstructions))
        values[image, channel] = similarity(*pair)
    mean: Float64 = values.mean(axis=1)
    return mean


def similarity_maps(one: Float64, other: Float64) -> tuple[Float64, Float64]:
    """The two factors of SSIM for every window.

    Args:
        one: (h, w), levels.
        other: The same shape.

    Returns:
        Luminance (2 μₓμᵧ + C₁)/(μₓ² + μᵧ² + C₁) and contrast with structure (2 σₓᵧ + C₂)/(σₓ² + σᵧ² + C₂), each
        (h - 10, w - 10).
    """
    mean_one, mean_other = _window_means(one), _window_means(other)
    product = mean_one * mean_other
    squares = np.square(mean_one) + np.square(mean_other)
    # Only the sum of the two variances is ever needed, so one pass serves both.
    variances = _window_means(np.square(one) + np.square(other)) - squares
    covariance = _window_means(one * other) - product
    return (2 * product + _C1) / (squares + _C1), (2 * covariance + _C2) / (variances + _C2)


def _similarity(one: Float64, other: Float64) -> float:
    luminance, contrast = similarity_maps(one, other)
    return float((luminance * contrast).mean())


def _window_means(values: Float64) -> Float64:
    """Weighted mean of every whole window, first down, then across: the window is a product."""
    height, width = values.shape
    rows = np.empty((height - WINDOW + 1, width))
    for start, stop in _tiles(height):
        np.matmul(_filter(stop - start), values[start : stop + WINDOW - 1], out=rows[start:stop])
    means = np.empty((len(rows), width - WINDOW + 1))
    for start, stop in _tiles(width):
        np.matmul(rows[:, start : stop + WINDOW - 1], _filter(stop - start).T, out=means[:, start:stop])
    return means


def _tiles(length: int) -> list[tuple[int, int]]:
    windows = length - WINDOW + 1
    return [(start, min(start + _TILE, windows)) for start in range(0, windows, _TILE)]


@lru_cache(maxsize=_TILE)
def _filter(windows: int) -> Float64:
    """Matrix (windows, windows + 10): row i weighs the pixels of window i."""
    offsets = np.arange(WINDOW) - WINDOW // 2
    weights = np.exp(-0.5 * np.square(offsets / _SIGMA))
    weights /= weights.sum()
    matrix = np.zeros((windows, windows + WINDOW - 1))
    for window in range(windows):
        matrix[window, window : window + WINDOW] = weights
    return matrix
