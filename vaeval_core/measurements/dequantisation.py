"""From densities of intensities to bits per dimension, which images of 256 levels can be compared by.

A density at exactly 256 levels can be made as large as one likes, and measures nothing. So each level is spread over its
cell before it is scored: x̃ = (level + u)/256 with u uniform in [0, 1). By Jensen's inequality

    ln P(levels) ≥ E_u ln p(x̃) - h·w·c ln 256        so bits per dimension = -ln p(x̃) / (h·w·c ln 2) + 8

Data that were never levels (float arrays) are scored as they are, without the 8: then it is a density still, and may be
negative. The two are different numbers, so which one it is belongs to the protocol.

Source: Theis, van den Oord and Bethge 2016, «A note on the evaluation of generative models», arXiv:1511.01844.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from vaeval_core.errors import InvalidInput
from vaeval_core.quantisation import to_float, to_uint8
from vaeval_core.seeding import uniform
from vaeval_core.types import Float32, Float64, IndexRange

Dequantisation = Literal["uniform", "none"]
"""`uniform`: levels get seeded noise of one cell. `none`: values are scored as they are."""


def dequantise(images: Float32, seed: int, index_range: IndexRange) -> Float64:
    """Spread the levels of images over their cells; the noise of an image depends on its number alone.

    Args:
        images: (n, h, w, c), multiples of 1/255 in [0, 1].
        seed: Seed of the protocol.
        index_range: Their numbers.

    Returns:
        (n, h, w, c) float64, above 0 and below 1.

    Raises:
        InvalidInput: The images do not have 256 levels.
    """
    levels = to_uint8(images)
    off_grid = ~(np.abs(to_float(levels) - images) <= 1e-6)  # also true of NaN
    if off_grid.any():
        first = float(np.asarray(images)[off_grid][0])
        raise InvalidInput(
            "Only images of 256 levels can be dequantised.",
            received=f"{int(off_grid.sum())} values between the levels, first {first:g}",
            expected="multiples of 1/255 in [0, 1]",
            next_step="score float data without dequantisation",
        )
    noise = uniform(seed, "dequantisation", index_range, math.prod(images.shape[1:]))
    return (levels + noise.reshape(images.shape)) / 256


def bits_per_dimension(log_likelihood: Float64, num_values: int, dequantisation: Dequantisation) -> Float64:
    """Nats per image to bits per pixel and channel.

    Args:
        log_likelihood: ln p of each image, or a lower bound, (n,), nats.
        num_values: h·w·c.
        dequantisation: `uniform` if the density is that of `dequantise`d images; `none` for a density of values as they
            are, or for a probability.

    Returns:
        (n,) float64. Lower is better.
    """
    levels = 8.0 if dequantisation == "uniform" else 0.0
    bits: Float64 = levels - log_likelihood / (num_values * math.log(2))
    return bits
