"""Structural similarity at five scales, so that a blur too wide for one window counts as well.

    MS-SSIM = cs₁^w₁ · cs₂^w₂ · cs₃^w₃ · cs₄^w₄ · ssim₅^w₅

cs is the mean over windows of contrast with structure at a scale, ssim that of its product with luminance. A scale is the
one before it, averaged over 2 × 2 pixels; an odd last row or column is left out. Channels are compared one by one, and
their mean is taken.

The window must fit into the coarsest of the scales, 1/16 of the image: 176 pixels at least.

Source: Wang, Simoncelli and Bovik 2003, «Multiscale structural similarity for image quality assessment».
"""

from __future__ import annotations

from vaeval_core.measurements.image_pairs import require_levels
from vaeval_core.measurements.structural_similarity import WINDOW, mean_over_channels, require_window, similarity_maps
from vaeval_core.types import Float64, Uint8

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the scales, finest first, as published; their sum is 1.0001."""

SMALLEST_SIDE = WINDOW * 2 ** (len(SCALE_WEIGHTS) - 1)
"""Pixels on the shorter side of an image that has a window at every scale: 176."""


def multiscale_similarity(images: Uint8, reconstructions: Uint8) -> Float64:
    """MS-SSIM of each image with its reconstruction.

    A mean contrast below 0, which has no such power, counts as 0.

    Args:
        images: (n, h, w, c) uint8, h and w ≥ 176.
        reconstructions: The same shape.

    Returns:
        (n,) float64 in [0, 1]; 1 where the two are equal. Higher is better.

    Raises:
        InvalidInput: The shapes differ, the arrays are not uint8, or the images are too small.
    """
    require_levels(images, reconstructions)
    require_window(images.shape[1:3], SMALLEST_SIDE)
    return mean_over_channels(_similarity, images, reconstructions)


def _similarity(one: Float64, other: Float64) -> float:
    similarity = 1.0
    for scale, weight in enumerate(SCALE_WEIGHTS):
        if scale:
            one, other = _halved(one), _halved(other)
        luminance, contrast = similarity_maps(one, other)
        if scale == len(SCALE_WEIGHTS) - 1:
            contrast *= luminance
        similarity *= max(float(contrast.mean()), 0.0) ** weight
    return similarity


def _halved(values: Float64) -> Float64:
    height, width = values.shape[0] // 2, values.shape[1] // 2
    even = values[: 2 * height, : 2 * width]
    halved: Float64 = even.reshape(height, 2, width, 2).mean(axis=(1, 3))
    return halved
