"""Latent traversals: one latent dimension goes through the prior, all others stay where an image is.

The values are evenly spaced quantiles of the prior, so that each picture is as likely as the next, from the 2.5th to the 97.5th
per cent: a fixed range of ±3 would show mostly what the prior hardly ever gives.
"""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import ArrayLike

from vaeval_core.checkpoints.base import VaeAdapter
from vaeval_core.errors import InvalidInput
from vaeval_core.generation.interpolate import decode_latents
from vaeval_core.types import Float32, Float64, Int64

LEAST_QUANTILE = 0.025


def prior_quantiles(num_steps: int) -> Float64:
    """Quantiles of the standard normal distribution, evenly spaced from 0.025 to 0.975, (num_steps,) ascending.

    Raises:
        InvalidInput: Fewer than two steps.
    """
    if num_steps < 2:
        raise InvalidInput("A traversal has two ends.", received=f"num_steps={num_steps}", expected="2 or more")
    values: Float64 = scipy.special.ndtri(np.linspace(LEAST_QUANTILE, 1 - LEAST_QUANTILE, num_steps))
    return values


def most_used_dimensions(divergence_per_dimension: ArrayLike, most: int) -> Int64:
    """The dimensions with the largest mean KL to the prior, largest first, at most so many; equal ones by number.

    Args:
        divergence_per_dimension: (k,) nats, or any other measure of use, such as the variance of posterior means.
        most: How many are to be shown.
    """
    used = np.asarray(divergence_per_dimension, dtype=np.float64)
    return np.argsort(-used, kind="stable")[:most].astype(np.int64)


def traverse(adapter: VaeAdapter, latent: Float32, dimensions: Int64, values: Float64, batch: int) -> Float32:
    """Decode a latent with each of some dimensions replaced by each of some values.

    Args:
        adapter: The checkpoint.
        latent: (k,), such as the posterior mean of an image, or zeros.
        dimensions: (d,), each 0 … k - 1.
        values: (T,).
        batch: Latents per network call.

    Returns:
        (d, T, h, w, c) float32, not clamped.

    Raises:
        InvalidInput: The latent is not one of the checkpoint's, or it has no such dimension.
    """
    size = adapter.latent_size
    outside = [int(number) for number in dimensions if not 0 <= number < size]
    if latent.shape != (size,) or outside:
        raise InvalidInput(
            "There is no such latent to traverse.",
            received=f"a latent of shape {latent.shape}" + (f", dimension {outside[0]}" if outside else ""),
            expected=f"shape ({size},), dimensions 0 to {size - 1}",
        )
    latents = np.tile(latent.astype(np.float32), (len(dimensions), len(values), 1))
    for row, dimension in enumerate(dimensions):
        latents[row, :, dimension] = values
    images = decode_latents(adapter, latents.reshape(-1, size), batch)
    return images.reshape(len(dimensions), len(values), *images.shape[1:])
