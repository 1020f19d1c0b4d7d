"""How far the latents of real images, taken together, are from the prior that samples are drawn from.

    gap = KL(N(m, C) ‖ N(0, I)) = ½ (tr C + mᵀm - k - ln det C)        m, C: moments of q(z) = 1/n Σ q(z|xᵢ)
        = Σⱼ ½ (Cⱼⱼ + mⱼ² - 1 - ln Cⱼⱼ)  +  ½ (Σⱼ ln Cⱼⱼ - ln det C)   wrong marginals + correlation of a Gaussian

A lower bound of KL(q(z) ‖ p(z)) that never saturates: of all distributions with these moments the Gaussian is nearest. Where
it is large, samples from the prior are decoded from latents that no image has, and FID shows it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from vaeval_core.errors import InvalidInput
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.metrics.posterior_rows import PosteriorRows
from vaeval_core.types import Float64


def aggregated_posterior_gap(posterior: PosteriorRows) -> MetricValue:
    """KL of the moments of the aggregated posterior to the prior, nats; components are the marginals' parts.

    An autoencoder without a posterior has one as well: the moments are those of its latents, and more images than
    dimensions are needed.
    """
    bad = posterior.not_finite()
    if bad:
        return bad
    count, size = posterior.mean.shape
    if posterior.log_variance is None and count <= size:
        return MetricValue.not_applicable(
            f"{count} latents without a variance span at most {count - 1} of {size} dimensions: evaluate more images."
        )
    mean = posterior.mean.astype(np.float64).mean(axis=0)
    centred = (posterior.mean - mean) / math.sqrt(count)
    with np.errstate(over="ignore"):
        within = (
            np.zeros(size)
            if posterior.log_variance is None
            else np.exp(posterior.log_variance.astype(np.float64)).mean(axis=0)
        )
    variances = np.square(centred).sum(axis=0) + within
    log_determinant = _log_determinant(centred, within) if np.isfinite(within).all() else math.nan
    if log_determinant == -math.inf:
        return MetricValue(
            value=None,
            num_images=count,
            kind="inf",
            reason="Some direction of the latent space has no spread at all, so no draw from the prior is ever met there.",
        )
    marginal_gaps = 0.5 * (variances + np.square(mean) - 1 - np.log(variances))
    correlation = 0.5 * float(np.log(variances).sum() - log_determinant)
    return MetricValue.of(
        float(marginal_gaps.sum()) + correlation, num_images=count, components=tuple(marginal_gaps.tolist())
    )


def gaussian_total_correlation(covariance: ArrayLike) -> float:
    """Total correlation ½ (Σ ln Cⱼⱼ - ln det C) of a Gaussian, nats; a lower complement to the estimated one.

    Args:
        covariance: C, (k, k), symmetric, positive definite.

    Raises:
        InvalidInput: It is no such matrix.

    >>> round(gaussian_total_correlation([[1.0, 0.9], [0.9, 1.0]]), 7)
    0.8303656
    """
    matrix = np.asarray(covariance, dtype=np.float64)
    is_square = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1] and np.isfinite(matrix).all()
    if not is_square or not np.allclose(matrix, matrix.T) or not np.linalg.eigvalsh(matrix).min(initial=np.inf) > 0:
        raise InvalidInput(
            "This is no covariance of full rank.",
            received=f"an array of shape {matrix.shape}",
            expected="a symmetric, positive definite matrix (k, k)",
            next_step="use more rows than dimensions",
        )
    return 0.5 * float(np.log(np.diag(matrix)).sum() - np.linalg.slogdet(matrix)[1])


def _log_determinant(centred: Float64, within: Float64) -> float:
    """ln det (XᵀX + D) of rows X (n, k) and a diagonal D (k,); -∞ if it has no full rank.

    Where images are fewer than dimensions, over images:

    det (D + XᵀX) = det D · det (I + X D⁻¹ Xᵀ)        the matrix determinant lemma
    """
    count, size = centred.shape
    if count < size and within.min() > 0:
        scaled = centred / np.sqrt(within)
        return float(np.log(within).sum() + np.linalg.slogdet(np.eye(count) + scaled @ scaled.T)[1])
    eigenvalues = np.linalg.eigvalsh(centred.T @ centred + np.diag(within))
    # What rounding leaves of a direction without spread is no spread.
    is_flat = eigenvalues.min() <= size * np.finfo(np.float64).eps * eigenvalues.max()
    return -math.inf if is_flat else float(np.log(eigenvalues).sum())
