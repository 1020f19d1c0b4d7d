"""Fréchet distance between Gaussians fitted to features.

    d² = |μ₁ - μ₂|² + tr Σ₁ + tr Σ₂ - 2 tr (Σ₁ Σ₂)^½

Source: Dowson and Landau 1982; as a score of generated images: Heusel et al. 2017.

No matrix square root of the (non-symmetric) product is ever formed: it is slow, and returns complex or wrong values near
singularity. Write Σ₁ = AᵀA and Σ₂ = BᵀB with any factors A (p, d) and B (q, d). The eigenvalues of Σ₁Σ₂ that are not 0 are
those of (ABᵀ)(ABᵀ)ᵀ, the squared singular values of ABᵀ, so

    tr (Σ₁ Σ₂)^½ = ‖A Bᵀ‖_*      the sum of the singular values.

With fewer images than dimensions the centred rows over √(n - 1) are such a factor (Mathiasen and Hvilshøj 2020), which is
exact and fast; otherwise a factor comes from the eigenvectors of the symmetric Σ. The reference's factor is stored, so that
each checkpoint pays for its own half only.

    >>> rng = np.random.default_rng(0)
    >>> rows = rng.normal(size=(50, 3)).astype(np.float32)
    >>> round(frechet_distance(FeatureRows(rows + 2), fit_gaussian(FeatureRows(rows))), 4)   # shifted by 2 in 3 dimensions
    12.0
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from vaeval_core.accumulators.feature_moments import FeatureMoments
from vaeval_core.accumulators.feature_rows import FeatureRows
from vaeval_core.errors import InvalidInput, TooFewImages
from vaeval_core.types import Float64


@dataclass(frozen=True, eq=False)
class GaussianFit:
    """A Gaussian as its mean and a factor of its covariance.

    Attributes:
        count: Vectors it was fitted to.
        mean: μ, (d,) float64.
        factor: B, (q, d) float64 with BᵀB = Σ.
    """

    count: int
    mean: Float64
    factor: Float64

    @property
    def trace(self) -> float:
        """tr Σ."""
        return float(np.square(self.factor).sum())

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """As named arrays, to be stored."""
        return {"count": np.array([self.count], dtype=np.int64), "mean": self.mean, "factor": self.factor}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> Self:
        """Undo `to_arrays`."""
        return cls(int(arrays["count"][0]), arrays["mean"], arrays["factor"])


def fit_gaussian(features: FeatureMoments | FeatureRows) -> GaussianFit:
    """Mean and a factor of the unbiased covariance.

    Raises:
        TooFewImages: Fewer than two feature vectors.
        InvalidInput: A feature is not finite.
    """
    _require_usable(features)
    if isinstance(features, FeatureRows):
        return GaussianFit(features.count, features.mean, _centred_rows(features))
    eigenvalues, eigenvectors = linalg.eigh(features.covariance)
    factor = np.sqrt(np.clip(eigenvalues, 0, None))[:, np.newaxis] * eigenvectors.T
    return GaussianFit(features.count, features.mean, factor)


def frechet_distance(features: FeatureMoments | FeatureRows, reference: GaussianFit) -> float:
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
    _require_usable(features)
    if features.mean.shape != reference.mean.shape:
        raise InvalidInput(
            "The features of the two sets have different lengths.",
            received=f"{features.mean.size} and {reference.mean.size}",
            expected="features of one extractor",
        )
    difference = features.mean - reference.mean
    if isinstance(features, FeatureRows):
        factor = _centred_rows(features)
        trace = float(np.square(factor).sum())
        product_trace = float(linalg.svdvals(factor @ reference.factor.T).sum())
    else:
        covariance = features.covariance
        trace = float(np.trace(covariance))
        squared = linalg.eigvalsh(reference.factor @ covariance @ reference.factor.T)
        product_trace = float(np.sqrt(np.clip(squared, 0, None)).sum())
    distance = float(difference @ difference) + trace + reference.trace - 2 * product_trace
    # Rounding can leave equal sets a hair below 0.
    return max(distance, 0.0)


def _centred_rows(features: FeatureRows) -> Float64:
    centred: Float64 = (features.rows - features.mean) / np.sqrt(features.count - 1)
    return centred


def _require_usable(features: FeatureMoments | FeatureRows) -> None:
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
