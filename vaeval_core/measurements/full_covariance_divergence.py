"""KL divergence of a Gaussian posterior with full covariance to the standard normal prior.

    KL(N(μ, Σ) ‖ N(0, I)) = ½ (tr Σ + μᵀμ - k - ln det Σ)        Σ = L Lᵀ

Such posteriors are given by their lower-triangular factor L, so that Σ is positive definite by construction.
"""

from __future__ import annotations

import numpy as np

from vaeval_core.errors import InvalidInput
from vaeval_core.types import Float32, Float64


def full_covariance_divergence(mean: Float32 | Float64, factor: Float32 | Float64) -> Float64:
    """KL of each image to the prior.

    Args:
        mean: μ, (n, k).
        factor: L, (n, k, k), lower triangular with a diagonal > 0.

    Returns:
        (n,) float64, nats, ≥ 0.

    Raises:
        InvalidInput: The shapes do not fit, or a factor is not lower triangular with a positive diagonal.
    """
    shapes_fit = mean.ndim == 2 and factor.shape == (*mean.shape, mean.shape[1])
    diagonal = np.diagonal(factor, axis1=1, axis2=2).astype(np.float64) if shapes_fit else np.zeros(0)
    if not shapes_fit or not (diagonal > 0).all() or np.triu(factor, 1).any():
        raise InvalidInput(
            "These are no factors of covariances.",
            received=f"mean {mean.shape}, factor {factor.shape}, least diagonal value {diagonal.min(initial=np.inf):g}",
            expected="mean (n, k) and factor (n, k, k), lower triangular with a diagonal above 0",
        )
    exact_mean, exact_factor = mean.astype(np.float64), factor.astype(np.float64)
    trace = np.square(exact_factor).sum(axis=(1, 2))
    log_determinant = 2 * np.log(diagonal).sum(axis=1)
    nats: Float64 = 0.5 * (trace + np.square(exact_mean).sum(axis=1) - mean.shape[1] - log_determinant)
    return nats
