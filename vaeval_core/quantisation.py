"""The one way in which network output becomes pixels: clamp to [0, 1], then round to the nearest of 256 levels.

Truncating instead of rounding darkens every image by half a level and shifts PSNR, SSIM and FID; two sets that were
quantised differently are never comparable, so the rule is part of the protocol (`quantisation`).
"""

from __future__ import annotations

import numpy as np

from vaeval_core.types import Float32, Float64, Uint8

OUTSIDE_BY = 0.01
"""A value this far beyond [0, 1] is more than rounding or the overshoot of a smooth function."""


def to_uint8(images: Float32) -> Uint8:
    """Clamp and round images (n, h, w, c) in [0, 1] to uint8; NaN becomes 0, so ask `is_finite` as well.

    >>> to_uint8(np.float32([[-0.2, 0.5, 1.7]]))
    array([[  0, 128, 255]], dtype=uint8)
    """
    levels = np.fmax(images, np.float32(0))  # of NaN and 0 it takes 0
    np.minimum(levels, np.float32(1), out=levels)
    np.multiply(levels, np.float32(255), out=levels)
    np.rint(levels, out=levels)
    pixels: Uint8 = levels.astype(np.uint8)
    return pixels


def to_float(images: Uint8) -> Float32:
    """Map uint8 levels to float32 in [0, 1]; `to_uint8` undoes it exactly."""
    return images.astype(np.float32) / np.float32(255)


def is_finite(images: Float32) -> Uint8:
    """1 for each image (n, …) whose every value is finite, else 0, as (n,) uint8."""
    return np.asarray(np.isfinite(images.reshape(len(images), -1)).all(axis=1), dtype=np.uint8)


def share_outside(images: Float32) -> Float64:
    """For each image (n, …) the share of its values that are outside [0, 1] by more than 0.01, as (n,) float64 in [0, 1].

    NaN lies nowhere, so it is not outside; `is_finite` tells of it.

    >>> share_outside(np.float32([[-0.005, 0.5, 1.0, 1.005], [-0.02, 0.5, 1.7, np.nan]]))
    array([0. , 0.5])
    """
    values = images.reshape(len(images), -1)
    outside: Float64 = ((values < -OUTSIDE_BY) | (values > 1 + OUTSIDE_BY)).mean(axis=1)
    return outside


def extremes(images: Float32) -> tuple[Float64, Float64]:
    """The least and the largest finite value of each image (n, …), (n,) float64 each; ½ where none is finite.

    >>> extremes(np.float32([[-1, 0.25, np.inf]]))
    (array([-1.]), array([0.25]))
    """
    values = images.reshape(len(images), -1).astype(np.float64)
    finite = np.isfinite(values)
    is_any = finite.any(axis=1)
    lowest = np.where(is_any, np.min(values, axis=1, initial=np.inf, where=finite), 0.5)
    highest = np.where(is_any, np.max(values, axis=1, initial=-np.inf, where=finite), 0.5)
    return lowest, highest
