"""A Gaussian fitted to features, kept as a mean and a factor of its covariance.

A factor B with BᵀB = Σ keeps the digits that Σ loses: rounding of Σ moves its smallest eigenvalues, whose square roots a
Fréchet distance adds up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import scipy
from numpy.typing import NDArray

from vaeval_core.accumulators.feature_rows import FeatureRows
from vaeval_core.types import Float64


@dataclass(frozen=True, eq=False)
class GaussianFit:
    """A Gaussian as its mean and a factor of its covariance.

    Attributes:
        count: Vectors it was fitted to; None if that is not known, as of published statistics.
        mean: μ, (d,) float64.
        factor: B, (q, d) float64 with BᵀB = Σ. Upper triangular where Σ has full rank.
    """

    count: int | None
    mean: Float64
    factor: Float64

    @property
    def trace(self) -> float:
        """tr Σ."""
        return float(np.square(self.factor).sum())

    @property
    def rank(self) -> int:
        """Most dimensions that Σ can span: the rows of its factor, less one where these are the centred vectors themselves.

        Not the count: that of imported statistics is somebody's word, and a covariance that was shrunk spans more.
        """
        spanned = len(self.factor) - 1 if len(self.factor) == self.count else len(self.factor)
        return min(spanned, self.mean.size)

    @property
    def covariance(self) -> Float64:
        """Σ, (d, d)."""
        covariance: Float64 = self.factor.T @ self.factor
        return covariance

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """As named arrays, to be stored."""
        count = np.array([self.count or 0], dtype=np.int64)
        return {"count": count, "mean": self.mean, "factor": self.factor}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Undo `to_arrays`."""
        return cls(int(arrays["count"][0]) or None, arrays["mean"], arrays["factor"])


def centred_rows(features: FeatureRows) -> Float64:
    """The factor that n rows are themselves: (x - μ)/√(n - 1), (n, d)."""
    centred: Float64 = (features.rows - features.mean) / np.sqrt(features.count - 1)
    return centred


def covariance_factor(covariance: Float64, *, reuse: bool = False) -> Float64:
    """A factor of a covariance (d, d): upper triangular (d, d), or (rank, d) where the covariance is singular.

    With `reuse` the covariance is not needed any more, and is overwritten.

    Eigenvalues within rounding of 0 are taken for 0. Left in, each would count with its square root, 10⁻⁸ of the largest.
    """
    # LAPACK overwrites only what has its order of axes; a covariance is its own transpose.
    eigenvalues, eigenvectors = scipy.linalg.eigh(covariance.T, overwrite_a=reuse)
    is_positive = eigenvalues > len(covariance) * np.finfo(np.float64).eps * eigenvalues[-1]
    is_positive[-1] = True  # never without a row: a covariance of 0 has the factor 0
    scales = np.sqrt(np.clip(eigenvalues[is_positive], 0, None))
    eigenvectors = eigenvectors[:, is_positive]
    factor: Float64 = np.multiply(eigenvectors, scales, out=eigenvectors).T
    if len(factor) == len(covariance):
        factor = scipy.linalg.qr(factor, mode="r")[0]
    return factor
