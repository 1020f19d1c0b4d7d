"""Singular values of A Bᵀ, the product of factors of two covariances Σ₁ = AᵀA and Σ₂ = BᵀB.

The square root of the product of the covariances is never formed: that is slow, and returns complex or wrong values near
singularity. The eigenvalues of Σ₁Σ₂ that are not 0 are those of (ABᵀ)(ABᵀ)ᵀ, the squared singular values of ABᵀ, so

    tr (Σ₁ Σ₂)^½ = ‖A Bᵀ‖_* = Σ sₖ

with any factors A (p, d) and B (q, d). With no more images than dimensions the centred rows over √(n - 1) are such a factor
(Mathiasen and Hvilshøj 2020); else the squares come from the symmetric matrix B Σ₁ Bᵀ.

Both ways take eigenvalues of a symmetric matrix of squares, which is fast and loses what is below 10⁻⁸ of the largest value.
Where a square comes out that small, the values are computed again from the factors themselves, which is slower and exact.

The vectors belong to the optimal-transport map between the Gaussians, T = Bᵀ V S⁻¹ Vᵀ B with ABᵀ = U S Vᵀ: a centred feature
vector x has the coordinates yₖ = vₖᵀ B x/√sₖ, and xᵀ T x = Σ yₖ².
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import linalg

from vaeval_core.accumulators.feature_moments import FeatureMoments
from vaeval_core.accumulators.feature_rows import FeatureRows
from vaeval_core.metrics.gaussian_fit import GaussianFit, centred_rows, covariance_factor
from vaeval_core.types import Float32, Float64

LEAST_SQUARE = 32 * float(np.finfo(np.float64).eps)
"""Share of the largest square below which a square is rounding."""


@dataclass(frozen=True, eq=False)
class CrossSpectrum:
    """Singular values with the coordinates of feature vectors; see the module text. Values of 0 are left out.

    Attributes:
        values: s, (r,) float64, all above 0.
        of_rows: Coordinates y of the rows themselves, (n, r) float64, where the features are kept as rows.
        directions: Bᵀ V S^-½, (d, r) float32, where they are kept as moments: y = x · directions.
    """

    values: Float64
    of_rows: Float64 | None = None
    directions: Float32 = field(default_factory=lambda: np.zeros((0, 0), dtype=np.float32))

    def coordinates(self, start: int, centred: Float64) -> Float64:
        """Coordinates of the vectors numbered `start` and on, (rows, r); `centred` are these vectors less their mean."""
        if self.of_rows is not None:
            return self.of_rows[start : start + len(centred)]
        # Products of this size are most of the time; features have no more digits than float32 in the first place.
        return (centred.astype(np.float32) @ self.directions).astype(np.float64)


def singular_values(features: FeatureMoments | FeatureRows, reference: GaussianFit) -> Float64:
    """s, without vectors."""
    rank = _rank(features, reference)
    if isinstance(features, FeatureRows):
        product = centred_rows(features) @ reference.factor.T
        gram = product @ product.T if len(product) <= product.shape[1] else product.T @ product
        squares = linalg.eigvalsh(gram)[-rank:]
        values: Float64 = linalg.svdvals(product) if _is_rounded(squares) else np.sqrt(squares)
        return values
    matrix = _between_factors(features.covariance, reference.factor)
    squares = linalg.eigvalsh(matrix, lower=False)[-rank:]
    if _is_rounded(squares):
        values = linalg.svdvals(covariance_factor(features.covariance) @ reference.factor.T)
    else:
        values = np.sqrt(squares)
    return values


def cross_spectrum(features: FeatureMoments | FeatureRows, reference: GaussianFit) -> CrossSpectrum:
    """s with coordinates."""
    if isinstance(features, FeatureRows):
        return _spectrum_of_rows(features, reference)
    matrix = _between_factors(features.covariance, reference.factor)
    rank = _rank(features, reference)
    squares, vectors = (array[..., -rank:] for array in linalg.eigh(matrix, lower=False))
    if _is_rounded(squares):
        product = covariance_factor(features.covariance) @ reference.factor.T
        _, values, transposed = linalg.svd(product, full_matrices=False)
        values, vectors = _without_zeros(values, transposed.T)
    else:
        values = np.sqrt(squares)
    directions = reference.factor.T @ (vectors / np.sqrt(values))
    return CrossSpectrum(values, directions=directions.astype(np.float32))


def _spectrum_of_rows(features: FeatureRows, reference: GaussianFit) -> CrossSpectrum:
    product = centred_rows(features) @ reference.factor.T
    rank = _rank(features, reference)
    squares, vectors = (array[..., -rank:] for array in linalg.eigh(product @ product.T))
    if _is_rounded(squares):
        vectors, values, _ = linalg.svd(product, full_matrices=False)
        values, vectors = _without_zeros(values, vectors)
    else:
        values = np.sqrt(squares)
    # vₖᵀ B x of row i is √(n - 1) Uᵢₖ sₖ: no division, however small a value is.
    return CrossSpectrum(values, of_rows=np.sqrt(features.count - 1) * vectors * np.sqrt(values))


def _rank(features: FeatureMoments | FeatureRows, reference: GaussianFit) -> int:
    """Most singular values that differ from 0: centring costs each side one."""
    return min(features.count - 1, reference.rank)


def _is_rounded(squares: Float64) -> bool:
    """True if the least of the ascending squares may be nothing but rounding."""
    return bool(squares[0] <= LEAST_SQUARE * squares[-1])


def _without_zeros(values: Float64, vectors: Float64) -> tuple[Float64, Float64]:
    is_positive = values > max(vectors.shape) * np.finfo(np.float64).eps * values[0]
    return values[is_positive], vectors[:, is_positive]


def _between_factors(covariance: Float64, factor: Float64) -> Float64:
    """B Σ Bᵀ, of which the upper triangle counts."""
    rows, columns = factor.shape
    if rows == columns and not np.tril(factor, -1).any():
        matrix, problem = linalg.lapack.dsygst(covariance, factor, itype=2, lower=0)  # a third of the multiplications
        if problem:
            raise ValueError(f"LAPACK refused argument {-problem} of dsygst.")
        return np.asarray(matrix)
    return factor @ covariance @ factor.T
