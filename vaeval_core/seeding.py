"""Addressed noise: the noise of image i is a function of (seed, stream, i), not of what was drawn before.

So it is the same whatever the shard, worker or batch, and the same for every checkpoint of a protocol: differences
between checkpoints are paired. A wider latent extends a narrower one: its first numbers are the same.

Numbers come from raw words of the counter-based Philox generator through the inverse normal distribution function. NumPy
guarantees raw words for all versions, but not what `Generator.standard_normal` makes of them (NEP 19).

An image that needs several draws has pages: page 0 is what every stream begins with, and no page repeats another.

Source: Salmon et al. 2011, «Parallel random numbers: as easy as 1, 2, 3».
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import scipy

from vaeval_core.protocol import StreamName
from vaeval_core.types import Float32, Float64, IndexRange

NoiseName = (
    StreamName
    | Literal["posterior", "dequantisation", "interventions"]
    | Literal["interpolations", "interpolation pairs", "fitted", "fitted components"]
    | Literal["training and test images", "votes", "pairs that share a factor"]
)
"""What noise is for: a stream of images, draws from posteriors, grey levels made continuous, latents that are replaced, or a
choice among images."""

_NOISE_KEYS: dict[NoiseName, int] = {
    "samples": 1,
    "reconstructions": 2,
    "posterior": 11,
    "dequantisation": 12,
    "interventions": 13,
    "interpolations": 21,
    "interpolation pairs": 22,
    "fitted": 23,
    "fitted components": 24,
    "training and test images": 31,
    "votes": 32,
    "pairs that share a factor": 33,
}
"""Second half of the generator's key. A number once given is never given again: it would change or repeat noise."""


def standard_normal(seed: int, stream: NoiseName, index_range: IndexRange, width: int, *, page: int = 0) -> Float32:
    """Standard normal noise for images of a stream.

    Args:
        seed: Seed of the protocol, 0 ≤ seed < 2**63.
        stream: What the noise is for; streams never share noise.
        index_range: Image numbers.
        width: Numbers per image, ≥ 1.
        page: Which of an image's pages, ≥ 0.

    Returns:
        (n, width) float32, row j for image `index_range.start + j`.

    >>> whole = standard_normal(7, "samples", IndexRange(0, 8), 3)
    >>> part = standard_normal(7, "samples", IndexRange(5, 8), 2)
    >>> bool(np.array_equal(whole[5:, :2], part))
    True
    """
    normal: Float32 = scipy.special.ndtri(uniform(seed, stream, index_range, width, page=page)).astype(np.float32)
    return normal


def uniform(seed: int, stream: NoiseName, index_range: IndexRange, width: int, *, page: int = 0) -> Float64:
    """Uniform noise for images of a stream: what `standard_normal` is made of.

    Args:
        seed: As above, like all others.
        stream: What the noise is for.
        index_range: Image numbers.
        width: Numbers per image, ≥ 1.
        page: Which of an image's pages, ≥ 0.

    Returns:
        (n, width) float64, above 0 and below 1.
    """
    key = np.array([seed, _NOISE_KEYS[stream]], dtype=np.uint64)
    words = np.empty((len(index_range), width), dtype=np.uint64)
    for row, image in enumerate(range(index_range.start, index_range.stop)):
        # The lowest word of the counter counts within a page, the upper two name page and image: none overlap.
        counter = np.array([0, 0, page, image], dtype=np.uint64)
        words[row] = np.random.Philox(key=key, counter=counter).random_raw(width)
    # 53 bits at the centres of their cells: never 0 or 1, so the inverse is always finite.
    numbers: Float64 = ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    return numbers
