"""Fréchet distance between Gaussians fitted to features.

    d² = |μ₁ - μ₂|² + tr Σ₁ + tr Σ₂ - 2 tr (Σ₁ Σ₂)^½

Source: Dowson and Landau 1982; as a score of generated images: Heusel et al. 2017.

The last trace is the sum of the singular values of a product of factors; see `cross_spectrum`. The factor of the reference
is stored, so that each checkpoint pays for its own half only.

    >>> rng = np.random.default_rng(0)
    >>> rows = rng.normal(size=(50, 3)).astype(np.float32)
    >>> shifted = FeatureRows(rows + 2)
    >>> round(squared_frechet_distance(shifted, fit_gaussian(FeatureRows(rows))), 4)   # by 2 in 3 dimensions
    12.0
"""

from __future__ import annotations

import numpy as np

from vaeval_core.accumulators.feature_moments import FeatureMoments
from vaeval_core.accumulators.feature_rows import FeatureRows
from vaeval_core.errors import InvalidInput, TooFewImages
from vaeval_core.metrics.cross_spectrum import nuclear_norm
from vaeval_core.metrics.gaussian_fit import GaussianFit, centred_rows, covariance_factor


def fit_gaussian(features: FeatureMoments | FeatureRows) -> GaussianFit:
    """Mean and a factor of the unbiased covariance.

    Raises:
        TooFewImages: Fewer than two feature vectors.
        InvalidInput: A feature is not finite.
    """
    require_usable(features)
    if isinstance(features, FeatureRows):
        return GaussianFit(features.count, features.mean, centred_rows(features))
    return GaussianFit(features.count, features.mean, covariance_factor(features.covariance, reuse=True))


def squared_frechet_distance(features: FeatureMoments | FeatureRows, reference: GaussianFit) -> float:
    """Squared Fréchet distance to the reference.

    Biased upward for few images: compare only values from equal numbers of images.

    Args:
        features: Of the generated images, dimension d.
        reference: Of the real images, dimension d.

    Returns:
        Squared feature units, ≥ 0; 0 if the moments agree. Lower is better.

    Raises:
        TooFewImages: Fewer than two feature vectors.
        InvalidInput: A feature is not finite, or the dimensions differ.
    """
    require_comparable(features, reference)
    return distance_of(features, reference, nuclear_norm(features, reference))


def distance_of(features: FeatureMoments | FeatureRows, reference: GaussianFit, product_trace: float) -> float:
    """The squared distance, given tr (Σ₁ Σ₂)^½, the nuclear norm that `cross_spectrum` finds."""
    difference = features.mean - reference.mean
    distance = float(difference @ difference) + total_variance(features) + reference.trace - 2 * product_trace
    # Rounding can leave equal sets a hair below 0.
    return max(distance, 0.0)


def total_variance(features: FeatureMoments | FeatureRows) -> float:
    """tr Σ, the sum of the variances of all features."""
    if isinstance(features, FeatureRows):
        return float(np.square(centred_rows(features)).sum())
    return float(np.trace(features.scatter)) / (features.count - 1)


def require_comparable(features: FeatureMoments | FeatureRows, reference: GaussianFit) -> None:
    """Raise unless a distance can be computed; see `squared_frechet_distance`."""
    require_usable(features)
    if features.mean.shape != reference.mean.shape:
        raise InvalidInput(
            "The features of the two sets have different lengths.",
            received=f"{features.mean.size} and {reference.mean.size}",
            expected="features of one extractor",
        )


LARGEST_FEATURE = 1e18
"""Feature of which fourth powers, and sums of them, still fit: those of sound networks are far smaller."""


def require_moderate(largest: float, name: str) -> None:
    """Raise where features are so large that a distance of them overflows; NaN passes, which others tell better.

    Raises:
        InvalidInput: The largest is above `LARGEST_FEATURE`.
    """
    if largest > LARGEST_FEATURE:
        raise InvalidInput(
            f"The {name} features are too large for a distance.",
            received=f"values of the size of {largest:.3g}",
            expected=f"values up to {LARGEST_FEATURE:g}",
            next_step="look at the images that the checkpoint generates",
        )


def require_usable(features: FeatureMoments | FeatureRows) -> None:
    """Raise unless a Gaussian can be fitted; see `fit_gaussian`."""
    if features.count < 2:
        raise TooFewImages(
            "A Gaussian needs at least two feature vectors.",
            received=f"num_images={features.count}",
            expected="2 or more",
            next_step="evaluate more images",
        )
    values = features.rows if isinstance(features, FeatureRows) else features.mean
    finite = np.isfinite(values)
    if not finite.all():
        first = int(np.argwhere(~finite)[0][0])
        where = f"first at image {first}" if isinstance(features, FeatureRows) else f"first at feature {first}"
        raise InvalidInput(
            "Features are not finite.",
            received=f"{int((~finite).sum())} values that are NaN or infinite, {where}",
            expected="finite features",
            next_step="look at the images that the checkpoint generates",
        )
    spread = 0.0 if isinstance(features, FeatureRows) else float(np.sqrt(features.covariance.diagonal().max()))
    require_moderate(max(float(np.abs(values).max()), spread), "generated or reference")
