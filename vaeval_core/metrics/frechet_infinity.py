"""The Fréchet distance of infinitely many images, by a straight line through distances of ever larger subsets.

The distance falls with the number of images n nearly as a + b/n, so a line through (1/n, distance) ends at 1/n = 0 in a.

Source: Chong and Forsyth 2020, «Effectively unbiased FID and Inception Score and where to find them», arXiv:1911.07023: fifteen
subsets of equally spaced sizes. There the sizes begin at 5,000 of 50,000 images. The fall is near a + b/n only where n is well
above the number of features d, so here they never begin below 2d.

`MetricValue.bias` of `fidelity.frechet_distance` answers the same question by a jackknife, without subsets and with less
scatter (benchmarks/uncertainty.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaeval_core.accumulators.feature_moments import FeatureMoments
from vaeval_core.errors import InvalidInput
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.images.order import philox_permutation
from vaeval_core.metrics.feature_blocks import CheckedBlocks, Features, as_blocks
from vaeval_core.metrics.fidelity import summarised
from vaeval_core.metrics.frechet import fit_gaussian, require_moderate, squared_frechet_distance
from vaeval_core.metrics.gaussian_fit import GaussianFit
from vaeval_core.types import Float64

NUM_POINTS = 15
SUBSETS_KEY = int.from_bytes(b"subset-1", "big")
"""First half of the Philox key of the subsets; the seed is the second."""


@dataclass(frozen=True, kw_only=True, eq=False)
class InfinityFit:
    """The line and its points.

    Attributes:
        counts: Images of each subset, (k,) ascending.
        distances: Squared Fréchet distance of each, (k,).
        slope: b of a + b/n.
        intercept: a: the distance at infinitely many images.
    """

    counts: Float64
    distances: Float64
    slope: float
    intercept: float


def frechet_distance_infinity(
    generated: Features,
    reference: Features | GaussianFit,
    *,
    seed: int = 0,
    smallest: int | None = None,
    num_points: int = NUM_POINTS,
) -> MetricValue:
    """Squared Fréchet distance, extrapolated to infinitely many generated images.

    The reference stands as it is: its own finite number of images still counts.

    Args:
        generated: (n, d), at once or in pieces; read once per subset, never held.
        reference: (m, d) of the real images, or a Gaussian that was fitted to them.
        seed: Of the subsets, 0 ≤ seed < 2**64.
        smallest: Images of the first subset, ≥ 2; by default a tenth of n, at most 5,000 and at least 2d.
        num_points: Subsets, each a part of the next; ≥ 3.

    Returns:
        `value` is the intercept, which may be negative. `components` are the fit: the slope, then n and the distance of
        each subset in turn. Not applicable where the default smallest subset leaves no room: below 3d images.

    Raises:
        TooFewImages: Fewer than two feature vectors.
        InvalidInput: A feature is not finite or above 10¹⁸, the dimensions differ, or the subsets make no sense.
    """
    blocks = as_blocks(generated, "generated")
    count, dimension = blocks.shape
    if smallest is None:
        if count < 3 * dimension:
            return MetricValue.not_applicable(
                f"The distance is no straight line in 1/n below twice as many images as features: with {dimension} features "
                f"an extrapolation needs {3 * dimension} images, and there are {count}."
            )
        smallest = max(2 * dimension, min(5000, count // 10))
    if not 2 <= smallest < count or num_points < 3:
        raise InvalidInput(
            "A line cannot be fitted through these subsets.",
            received=f"smallest={smallest}, num_points={num_points}, with {count} images",
            expected="2 ≤ smallest < the number of images, and 3 points or more",
        )
    if not isinstance(reference, GaussianFit):
        reference = fit_gaussian(summarised(as_blocks(reference, "reference")))
    sizes = np.unique(np.linspace(smallest, count, num_points).astype(np.int64))
    fit = _fit_line(sizes.astype(np.float64), _distances(blocks, reference, sizes.tolist(), seed))
    points = np.stack([fit.counts, fit.distances], axis=1).ravel()
    return MetricValue.of(fit.intercept, num_images=count, components=(fit.slope, *points.tolist()))


def _distances(blocks: CheckedBlocks, reference: GaussianFit, sizes: list[int], seed: int) -> Float64:
    count, dimension = blocks.shape
    # The images in a random order; a subset is the beginning of it, so each image is summed once.
    place = np.empty(count, dtype=np.int64)
    place[philox_permutation(count, key=(SUBSETS_KEY << 64) | seed)] = np.arange(count)
    moments = FeatureMoments.empty(dimension)
    distances = []
    for first, last in zip([0, *sizes], sizes, strict=False):
        start = 0
        for block in blocks:
            here = place[start : start + len(block)]
            chosen = block[(here >= first) & (here < last)]
            if len(chosen):
                require_moderate(float(np.abs(chosen).max()), blocks.name)
                moments = moments.merge(FeatureMoments.from_rows(chosen))
            start += len(block)
        distances.append(squared_frechet_distance(moments, reference))
    return np.array(distances)


def _fit_line(counts: Float64, distances: Float64) -> InfinityFit:
    inverse = 1 / counts
    centred = inverse - inverse.mean()
    slope = float(centred @ distances / (centred @ centred))
    intercept = float(distances.mean() - slope * inverse.mean())
    return InfinityFit(counts=counts, distances=distances, slope=slope, intercept=intercept)
