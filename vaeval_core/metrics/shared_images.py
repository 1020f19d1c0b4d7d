"""Variance of a mean over images that have something in common: paths that share an end, and seeds that share all images.

An influence ψ is what one image of a stream does to a score, so the score scatters like the mean of the ψ, and

    variance = Σ ψ²/(n(n - 1))

if no two of them rest on the same draw. Two streams break that. Interpolation p lies between the real images s(p) and e(p), and
every real image ends two paths. And another evaluation seed draws samples anew, but looks at the same real images again.

Seeds: of image i the mean of its ψ over all seeds counts. Where seeds draw anew these means scatter √seeds less, where nothing
is drawn they are what they were, and nobody has to say which it is.

Paths: all products of influences count whose paths share an end, in one seed or in two. With Φᵢ the sum of what ends at image i
and Gₖ the sum of what lies between one pair of images,

    variance = (Σ Φᵢ² - Σ Gₖ²)/(n(n - 1))        Φ, G over all seeds, divided by their number

as the first sum counts twice what shares both ends. Of a single seed, whose paths form rings, Σ ψ(ψ_before + ψ + ψ_after) comes
out. A path may be walked from either end, so the covariance of neighbours is the variance of E[ψ|end], never below 0: an
estimate below that of paths that share nothing is chance, and that one is taken instead.

Source: Fafchamps and Gubert 2007, «The formation of risk sharing networks», appendix; Aronow, Samii and Assenova 2015,
arXiv:1312.3398, for averages over pairs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vaeval_core.types import Float64, Int64


def variance_of_mean(influence: Float64, partners: Int64 | None = None) -> float:
    """Variance of the mean of influences.

    Args:
        influence: (n,) with mean 0, n ≥ 2; or (seeds, n), of the mean over seeds of the means.
        partners: For paths, the image at the end of each, of the shape of `influence`; path i starts at image i. None where
            images share nothing.

    >>> influence, ring = np.array([1.0, 1.0, 1.0, -1.0, -1.0, -1.0]), np.array([1, 2, 3, 4, 5, 0])
    >>> round(variance_of_mean(influence), 3), round(variance_of_mean(influence, ring), 3)
    (0.2, 0.333)
    """
    of_seeds = np.atleast_2d(influence)
    seeds, count = of_seeds.shape
    if partners is None:
        return float(of_seeds.mean(axis=0).var(ddof=1)) / int(count)
    alone = float(np.square(of_seeds).sum())
    shared = float(np.square(ends_at(of_seeds, partners)).sum()) - _between_the_same(of_seeds, np.atleast_2d(partners))
    return max(shared, alone) / float(seeds**2 * count * (count - 1))


def ends_at(influence: Float64, partners: Int64) -> Float64:
    """Φ: the sum of what the paths do that start or end at each image, (images,)."""
    of_seeds, ends = np.atleast_2d(influence), np.atleast_2d(partners)
    sums = np.bincount(ends.ravel(), weights=of_seeds.ravel(), minlength=of_seeds.shape[1])
    sums[: of_seeds.shape[1]] += of_seeds.sum(axis=0)
    return np.asarray(sums, dtype=np.float64)


def _between_the_same(of_seeds: Float64, ends: NDArray[np.int64]) -> float:
    """Σ G²: the paths between one pair of images, whichever way and under whichever seed, taken together."""
    starts = np.broadcast_to(np.arange(of_seeds.shape[1]), ends.shape)
    pair = np.minimum(starts, ends) * (int(ends.max()) + of_seeds.shape[1]) + np.maximum(starts, ends)
    _, which = np.unique(pair.ravel(), return_inverse=True)
    return float(np.square(np.bincount(which, weights=of_seeds.ravel())).sum())
