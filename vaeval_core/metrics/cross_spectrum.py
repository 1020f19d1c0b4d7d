"""Singular values of A Bᵀ, the product of factors of two covariances Σ₁ = AᵀA and Σ₂ = BᵀB.

The square root of the product of the covariances is never formed: that is slow, and returns complex or wrong values near
singularity. The eigenvalues of Σ₁Σ₂ that are not 0 are those of (ABᵀ)(ABᵀ)ᵀ, the squared singular values of ABᵀ, so

    tr (Σ₁ Σ₂)^½ = ‖A Bᵀ‖_* = Σ sₖ

with any factors A (p, d) and B (q, d). With no more images than dimensions the centred rows over √(n - 1) are such a factor
(Mathiasen and Hvilshøj 2020); else the squares come from the symmetric matrix B Σ₁ Bᵀ.

Both ways take eigenvalues of a symmetric matrix of squares, which is fast and loses what is below 10⁻⁷ of the largest value. In
the symmetric matrix B Σ₁ Bᵀ it is 10⁻⁷ of the largest value that the spreads of both could make: where they have no direction
in common, all that comes out is rounding. Where squares come out that small, their part of the sum is taken from the factors
themselves, along their eigenvectors.

The vectors belong to the optimal-transport map between the Gaussians, T = Bᵀ V S⁻¹ Vᵀ B with ABᵀ = U S Vᵀ: a centred feature
vector x has the coordinates yₖ = vₖᵀ B x/√sₖ, and xᵀ T x = Σ yₖ².
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from vaeval_core.accumulators.feature_moments import FeatureMoments
from vaeval_core.accumulators.feature_rows import FeatureRows
from vaeval_core.metrics.gaussian_fit import GaussianFit, centred_rows, covariance_factor
from vaeval_core.types import Float32, Float64

POWER_STEPS = 4


@dataclass(frozen=True, eq=False)
class CrossSpectrum:
    """Singular values with the coordinates of feature vectors; see the module text.

    Attributes:
        nuclear_norm: Sum of all singular values.
        values: s, (r,) float64: those above 10⁻⁷ of the largest, ascending.
        of_rows: Coordinates y of the rows themselves, (n, r) float64, where the features are kept as rows.
        directions: Bᵀ V S^-½, (d, r) float32, where they are kept as moments: y = x · directions.
    """

    nuclear_norm: float
    values: Float64
    of_rows: Float64 | None = None
    directions: Float32 = field(default_factory=lambda: np.zeros((0, 0), dtype=np.float32))

    def coordinates(self, start: int, centred: Float64) -> Float64:
        """Coordinates of the vectors numbered `start` and on, (rows, r); `centred` are these vectors less their mean."""
        if self.of_rows is not None:
            return self.of_rows[start : start + len(centred)]
        # Products of this size are most of the time; features have no more digits than float32 in the first place.
        return (centred.astype(np.float32) @ self.directions).astype(np.float64)


def nuclear_norm(features: FeatureMoments | FeatureRows, reference: GaussianFit) -> float:
    """The sum of the singular values alone, in less time than `cross_spectrum`."""
    rank = _rank(features, reference)
    possible = 0.0
    if isinstance(features, FeatureRows):
        product = centred_rows(features) @ reference.factor.T
        gram = product @ product.T if len(product) <= product.shape[1] else product.T @ product
        squares = scipy.linalg.eigvalsh(gram.T, overwrite_a=True)[-rank:]  # its own transpose, in LAPACK's order
    else:
        possible = _largest_possible(features.covariance, reference.factor)
        matrix = _between_factors(features.covariance, reference.factor)
        squares = scipy.linalg.eigvalsh(matrix, lower=False, overwrite_a=True)[-rank:]
    if _are_rounding(squares, possible).any():
        return cross_spectrum(features, reference).nuclear_norm
    return float(np.sqrt(squares).sum())


def cross_spectrum(features: FeatureMoments | FeatureRows, reference: GaussianFit) -> CrossSpectrum:
    """Singular values with coordinates."""
    if isinstance(features, FeatureRows):
        return _spectrum_of_rows(features, reference)
    rank = _rank(features, reference)
    possible = _largest_possible(features.covariance, reference.factor)
    squares, vectors = (
        array[..., -rank:]
        for array in scipy.linalg.eigh(
            _between_factors(features.covariance, reference.factor), lower=False, overwrite_a=True
        )
    )
    is_lost = _are_rounding(squares, possible)
    lost = 0.0
    if is_lost.any():
        lost = float(
            scipy.linalg.svdvals(_factor(features.covariance) @ (reference.factor.T @ vectors[:, is_lost])).sum()
        )
    vectors = vectors[:, ~is_lost]
    values = np.sqrt(squares[~is_lost])
    vectors /= np.sqrt(values)
    directions = (reference.factor.T @ vectors).astype(np.float32)
    return CrossSpectrum(float(values.sum()) + lost, values, directions=directions)


def _spectrum_of_rows(features: FeatureRows, reference: GaussianFit) -> CrossSpectrum:
    product = centred_rows(features) @ reference.factor.T
    rank = _rank(features, reference)
    gram = product @ product.T
    squares, vectors = (array[..., -rank:] for array in scipy.linalg.eigh(gram.T, overwrite_a=True))
    del gram
    is_lost = _are_rounding(squares)
    lost = 0.0
    if is_lost.any():
        lost = float(scipy.linalg.svdvals(vectors[:, is_lost].T @ product).sum())
    del product
    vectors = vectors[:, ~is_lost]
    values = np.sqrt(squares[~is_lost])
    # vₖᵀ B x of row i is √(n - 1) Uᵢₖ sₖ: no division, however small a value is.
    of_rows = vectors
    of_rows *= np.sqrt(features.count - 1)
    of_rows *= np.sqrt(values)
    return CrossSpectrum(float(values.sum()) + lost, values, of_rows=of_rows)


def _rank(features: FeatureMoments | FeatureRows, reference: GaussianFit) -> int:
    """Most singular values that differ from 0: centring costs each side one."""
    return min(features.count - 1, reference.rank)


def _are_rounding(squares: NDArray[Any], possible: float = 0.0) -> NDArray[np.bool_]:
    """Which of ascending squares may be nothing but the rounding of the largest, or of the largest that is possible."""
    largest = max(float(squares[-1]), possible)
    are: NDArray[np.bool_] = squares <= 4 * np.sqrt(len(squares)) * np.finfo(np.float64).eps * largest
    return are


def _largest_possible(covariance: Float64, factor: Float64) -> float:
    """Nearly the product of the largest eigenvalues of Σ and BᵀB: the rounding of B Σ Bᵀ is a share of that."""
    start = covariance[int(covariance.diagonal().argmax())]
    return _largest_eigenvalue(lambda vector: covariance @ vector, start) * _largest_eigenvalue(
        lambda vector: factor.T @ (factor @ vector), factor[int(np.square(factor).sum(axis=1).argmax())]
    )


def _largest_eigenvalue(product: Callable[[Float64], Float64], vector: Float64) -> float:
    """By a few steps of power iteration, from below; 0 for a matrix of 0."""
    size = 0.0
    for _ in range(POWER_STEPS):
        length = float(np.linalg.norm(vector))
        if not length:
            return 0.0
        vector = product(vector / length)
        size = float(np.linalg.norm(vector))
    return size


def _factor(covariance: Float64) -> Float64:
    """A factor in a tenth of the time of `covariance_factor`, where no variance is near 0."""
    try:
        factor: Float64 = scipy.linalg.cholesky(covariance)
    except scipy.linalg.LinAlgError:
        return covariance_factor(covariance)
    least = len(covariance) * np.finfo(np.float64).eps * covariance.diagonal().max()
    return factor if factor.diagonal().min() ** 2 > least else covariance_factor(covariance)


def _is_upper_triangular(factor: Float64) -> bool:
    return not any(row[:number].any() for number, row in enumerate(factor))


def _between_factors(covariance: Float64, factor: Float64) -> Float64:
    """B Σ Bᵀ, of which the upper triangle counts; Σ may be overwritten."""
    rows, columns = factor.shape
    if rows == columns and _is_upper_triangular(factor):
        # A third of the multiplications, in the place of the covariance, which is its own transpose.
        matrix, problem = scipy.linalg.lapack.dsygst(covariance.T, factor, itype=2, lower=0, overwrite_a=1)
        if problem:
            raise ValueError(f"LAPACK refused argument {-problem} of dsygst.")
        return np.asarray(matrix)
    return factor @ covariance @ factor.T
