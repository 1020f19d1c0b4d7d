"""What each image does to a Fréchet distance: the distance without it, for every image, from one eigendecomposition.

The distance d² without image i is known exactly, and costs no eigenvalues of its own. With c the image's centred features,
z = B c in the notation of `cross_spectrum`, and M = B Σ₁ Bᵀ = V S² Vᵀ over n images, leaving i out takes α z zᵀ from M, with
α = n/(n - 1)², and multiplies the rest by (n - 1)/(n - 2). From √λ = ∫ ln(1 + λ/t) t^-½ dt/2π and the determinant lemma,

    tr √M - tr √(M - α z zᵀ) = -1/2π ∫₀^∞ ln(1 - α h(t)) t^-½ dt        h(t) = zᵀ(M + t)⁻¹ z = Σ yₖ² sₖ/(sₖ² + t)

of which the first order is α/2 Σ yₖ², half of cᵀ T c with T the optimal-transport map: the influence function of the distance,

    ψ(x) = 2 (μ₁ - μ₂)·c + cᵀ (I - T) c - tr (I - T) Σ₁.

The integral adds what ψ leaves out, which matters with few images: an image that spans a direction of its own takes that
direction with it. ln t is the variable of the sum, in which the integrand is smooth and the sum exact to 10⁻⁹.

What comes of it (Efron 1982; on the variance, Efron and Stein 1981):

    pseudo-values   (n - 1)(mean of d²₋ⱼ - d²₋ᵢ), the influence of image i; ψ(xᵢ) where n is large
    variance of d²  variance of the pseudo-values / n, never too small on average, as it counts second-order terms twice
    bias of d²      (n - 1)(mean of d²₋ᵢ - d²), exact to first order in 1/n

From two images per feature on, the second-order variance is estimated as for normal features, and taken off once: see
`second_order_variance`. With fewer images nothing is known well enough to be taken off: the error is then too large rather than
too small, up to 1.6 times (benchmarks/uncertainty.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from vaeval_core.accumulators.feature_moments import FeatureMoments
from vaeval_core.accumulators.feature_rows import FeatureRows
from vaeval_core.errors import InvalidInput, TooFewImages
from vaeval_core.metrics.cross_spectrum import CrossSpectrum, cross_spectrum
from vaeval_core.metrics.frechet import distance_of, require_comparable, total_variance
from vaeval_core.metrics.gaussian_fit import GaussianFit, centred_rows
from vaeval_core.metrics.shared_images import variance_of_mean
from vaeval_core.types import Float32, Float64, Int64

FEWEST_IMAGES = 3
"""Leaving one out of two leaves no covariance."""

ROUNDING = 8 * float(np.finfo(np.float64).eps)
"""Influence of an image, as a share of n times what the distance is the difference of, that is nothing but rounding."""

LOG_STEP = 0.8
LOG_RANGE = (-55.0, 14.0)
"""Nodes of the integral: ln t in units of the largest square. The ends leave out less than 10⁻⁹ of the integral."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FrechetJackknife:
    """A distance with what each image does to it.

    Attributes:
        distance: Squared Fréchet distance.
        influence: Pseudo-values, (n,) float64 in image order, with mean 0. Their standard deviation over √n is the
            standard error of the distance to first order; those of two distances on the same noise can be subtracted.
        bias: By how much the distance exceeds, on average, that of infinitely many images.
        second_order_variance: Part of the variance that the influences count twice; 0 below two images per feature, where it
            is not known.
    """

    distance: float
    influence: Float64
    bias: float
    second_order_variance: float

    @property
    def std_error(self) -> float:
        """Standard error of the distance over generated images that have nothing in common; the reference stands."""
        return self.std_error_of()

    def std_error_of(self, partners: Int64 | None = None) -> float:
        """The same of paths between images, where each ends; see `shared_images`."""
        twice = variance_of_mean(self.influence)
        # Where all of the variance is of second order, it was counted twice: never take off more than that.
        once = max(twice - self.second_order_variance, twice / 2)
        return float(np.sqrt(once + variance_of_mean(self.influence, partners) - twice))


def frechet_jackknife(
    features: FeatureMoments | FeatureRows, blocks: Iterable[Float32 | Float64], reference: GaussianFit
) -> FrechetJackknife:
    """Leave out every image once.

    Args:
        features: Of the generated images, dimension d.
        blocks: The same features as rows in image order, in pieces of any size. Read once; not held.
        reference: Of the real images, dimension d.

    Raises:
        TooFewImages: Fewer than three feature vectors.
        InvalidInput: A feature is not finite, the dimensions differ, or the blocks hold another number of vectors.
    """
    if features.count < FEWEST_IMAGES:
        raise TooFewImages(
            "There are too few images to leave one out.",
            received=f"num_images={features.count}",
            expected=f"{FEWEST_IMAGES} or more",
            next_step="evaluate more images",
        )
    require_comparable(features, reference)
    spectrum = cross_spectrum(features, reference)
    changes = _changes(features, blocks, reference, spectrum)
    mean = float(changes.mean())
    influence = (features.count - 1) * (mean - changes)
    shift = features.mean - reference.mean
    scale = total_variance(features) + reference.trace + float(shift @ shift)
    if np.abs(influence).max() <= ROUNDING * features.count * scale:
        influence = np.zeros_like(influence)  # all images are one, so none of them does anything
    return FrechetJackknife(
        distance=distance_of(features, reference, spectrum.nuclear_norm),
        influence=influence,
        bias=(features.count - 1) * mean,
        second_order_variance=second_order_variance(features, spectrum.values)
        if is_calibrated(features.count, features.mean.size)
        else 0.0,
    )


def second_order_variance(features: FeatureMoments | FeatureRows, values: Float64) -> float:
    """Variance of the second-order term of the distance, for normal features.

        (2 tr Σ₁² + 2 Σ_{k≤l} (sₖ sₗ/(sₖ + sₗ))²)/n²

    The estimated values s span more than the true ones as long as n is not well above d: see `is_calibrated`.
    """
    if isinstance(features, FeatureRows):
        factor = centred_rows(features)
        squared_trace = _sum_of_squares(factor @ factor.T)
    else:
        squared_trace = _sum_of_squares(features.covariance)
    harmonic = np.outer(values, values)
    harmonic /= np.add.outer(values, values)
    pairs = _sum_of_squares(harmonic) + float(np.square(values / 2).sum())
    return (2 * squared_trace + pairs) / features.count**2


def is_calibrated(count: int, dimension: int) -> bool:
    """Whether there are images enough for error and bias to be known; if not, the error is on the safe side."""
    return count >= 2 * dimension


def _sum_of_squares(matrix: Float64) -> float:
    """Of all entries, in the place of the matrix: it has d² of them."""
    return float(np.square(matrix, out=matrix).sum())


def _changes(
    features: FeatureMoments | FeatureRows,
    blocks: Iterable[Float32 | Float64],
    reference: GaussianFit,
    spectrum: CrossSpectrum,
) -> Float64:
    """d²₋ᵢ - d² for every image, (n,)."""
    n = features.count
    mean = features.mean
    difference = mean - reference.mean
    # What leaving out any image does: the rest is divided by n - 2 instead of n - 1.
    growth = np.expm1(-0.5 * np.log1p(-1 / (n - 1)))
    common = total_variance(features) / (n - 2) - 2 * growth * spectrum.nuclear_norm
    changes = []
    start = 0
    for block in blocks:
        centred = block.astype(np.float64) - mean
        lengths = np.square(centred).sum(axis=1)
        removed = _removed_roots(spectrum.values, np.square(spectrum.coordinates(start, centred)), n)
        changes.append(
            common
            - 2 * (centred @ difference) / (n - 1)
            + lengths / (n - 1) ** 2
            - lengths * n / ((n - 1) * (n - 2))
            + 2 * (1 + growth) * removed
        )
        start += len(block)
    if start != n:
        raise InvalidInput(
            "The features are not those that the moments were taken of.",
            received=f"{start} feature vectors",
            expected=f"{n}",
        )
    return np.concatenate(changes)


def _removed_roots(values: Float64, squares: Float64, count: int) -> Float64:
    """tr √M - tr √(M - α z zᵀ) for each row of squared coordinates y², (rows,)."""
    if not len(values):
        return np.zeros(len(squares))
    alpha = count / (count - 1) ** 2
    relative = np.exp(np.arange(*LOG_RANGE, LOG_STEP))
    nodes = values[-1] ** 2 * relative
    taken = alpha * (squares @ (values[:, np.newaxis] / (np.square(values)[:, np.newaxis] + nodes)))
    # Leaving out leaves a covariance, so 1 - αh(t) ≥ t/(s² + t) for the largest s; rounding may fall below.
    left = np.maximum(1 - taken, relative / (1 + relative))
    beyond_first_order = (np.log(left) + taken) @ np.sqrt(nodes) * (LOG_STEP / (2 * np.pi))
    removed: Float64 = alpha / 2 * squares.sum(axis=1) - beyond_first_order
    return removed
