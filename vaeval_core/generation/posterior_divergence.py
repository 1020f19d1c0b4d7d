"""KL of an encoder's posterior to the prior, whatever kind of posterior it is.

diagonal Gaussian     closed form, for each dimension
full covariance       closed form, in total
hierarchical          what the model itself says of each group of latents
an autoencoder, VQ    there is none
"""

from __future__ import annotations

import numpy as np

from vaeval_core.checkpoints.base import Posterior
from vaeval_core.measurements.full_covariance_divergence import full_covariance_divergence
from vaeval_core.measurements.gaussian_divergence import divergence_to_standard_normal
from vaeval_core.types import Float64


def divergence_parts(posterior: Posterior) -> Float64 | None:
    """KL of each image in parts that add up, (n, parts) nats, by dimension or by group; None if there is no KL.

    Raises:
        InvalidInput: The factors are not those of covariances.
    """
    if posterior.group_divergences is not None:
        return posterior.group_divergences.astype(np.float64)
    factor = posterior.covariance_factor
    if factor is not None:
        # What is not finite has no factor to check: its KL is not a number, and the metric says so.
        is_finite = np.isfinite(factor).all(axis=(1, 2))
        total = np.full((len(factor), 1), np.nan)
        total[is_finite, 0] = full_covariance_divergence(posterior.mean[is_finite], factor[is_finite])
        return total
    if posterior.log_variance is not None:
        return divergence_to_standard_normal(posterior.mean, posterior.log_variance)
    return None
