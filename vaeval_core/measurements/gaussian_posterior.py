"""Draws from a Gaussian posterior, and their weight against the standard normal prior.

    z = μ + σ ε        ln p(z) - ln q(z|x) = ½ Σ (ε² - z² + ln σ²)        ε ~ N(0, I)
    z = μ + L ε        with Σ ln Lⱼⱼ² instead of Σ ln σⱼ²                   for a full covariance L Lᵀ

The weight is computed from ε, not from (z - μ)/σ: where σ is small beside μ, rounding z would leave nothing of it.
"""

from __future__ import annotations

import numpy as np

from vaeval_core.types import Float32, Float64


def posterior_latents(mean: Float32, log_variance: Float32, noise: Float32) -> Float64:
    """μ + σ ε, all (n, k), in float64; not finite where σ overflows."""
    with np.errstate(over="ignore", invalid="ignore"):
        latents: Float64 = mean.astype(np.float64) + np.exp(0.5 * log_variance.astype(np.float64)) * noise
    return latents


def correlated_latents(mean: Float32, factor: Float32, noise: Float32) -> Float64:
    """μ + L ε of means and noise (n, k) and factors (n, k, k), in float64."""
    turned: Float64 = np.einsum("njk,nk->nj", factor.astype(np.float64), noise.astype(np.float64))
    return mean.astype(np.float64) + turned


def log_variance_of_factor(factor: Float32) -> Float64:
    """ln Lⱼⱼ², (n, k): what stands for ln σ² in the weight of a draw with a full covariance."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithm: Float64 = 2 * np.log(np.diagonal(factor, axis1=1, axis2=2).astype(np.float64))
    return logarithm


def log_prior_over_posterior(latents: Float64, noise: Float32, log_variance: Float32 | Float64) -> Float64:
    """ln p(z) - ln q(z|x) of draws.

    Args:
        latents: z, (n, k), as `posterior_latents` gives them.
        noise: ε, (n, k), as it was given to it.
        log_variance: ln σ², (n, k), or what stands for it.

    Returns:
        (n,) float64, nats; its mean over draws is minus the KL to the prior.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        terms = np.square(noise.astype(np.float64)) - np.square(latents) + log_variance.astype(np.float64)
        ratio: Float64 = 0.5 * terms.sum(axis=1)
    return ratio
