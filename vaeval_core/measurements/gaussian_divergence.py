"""KL divergence of a diagonal Gaussian posterior to the standard normal prior.

    KL(N(μ, σ²) ‖ N(0, 1)) = ½ (μ² + σ² - 1 - ln σ²)   per latent dimension

Source: Kingma and Welling 2014, appendix B.
"""

from __future__ import annotations

import numpy as np

from vaeval_core.types import Float32, Float64


def divergence_to_standard_normal(mean: Float32, log_variance: Float32) -> Float64:
    """KL of each image and dimension to the prior.

    σ² - 1 - ln σ² is taken as expm1(ln σ²) - ln σ², which keeps its digits where σ is near 1.

    Args:
        mean: μ, (n, k).
        log_variance: ln σ², (n, k).

    Returns:
        (n, k) float64, nats, ≥ 0; infinite where σ² overflows.
    """
    exact_log_variance = log_variance.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        return 0.5 * (np.square(mean.astype(np.float64)) + np.expm1(exact_log_variance) - exact_log_variance)
