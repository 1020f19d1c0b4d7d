"""KL of the posterior to the prior: the rate of a VAE, in total and per latent dimension, or per group of a hierarchy."""

from __future__ import annotations

import math

from vaeval_core.evaluation_result import MetricValue
from vaeval_core.metrics.base import EvaluationSummary
from vaeval_core.metrics.gaussian_fit import GaussianFit


def divergence_to_prior(summary: EvaluationSummary, reference: GaussianFit) -> MetricValue:
    """Mean over images of the KL summed over latent dimensions; components are the means of its parts, if it has any."""
    if not summary.counts.get("reconstructions"):
        return MetricValue.not_applicable("The protocol has no reconstructions, so nothing was encoded.")
    total = summary.values.get("divergence")
    per_dimension = summary.values.get("divergence_per_dimension")
    if total is None:
        return MetricValue.not_applicable("The encoder gives no variance: this is an autoencoder without a posterior.")
    error = total.std_error
    return MetricValue.of(
        float(total.mean[0]),
        num_images=total.count,
        std_error=None if error is None else float(error[0]),
        components=() if per_dimension is None else tuple(per_dimension.mean.tolist()),
    )


def rate_in_bits(summary: EvaluationSummary, reference: GaussianFit) -> MetricValue:
    """`divergence_to_prior` over ln 2: what one draw from the posterior costs to send, per image and per dimension."""
    nats = divergence_to_prior(summary, reference)
    if nats.value is None:
        return nats
    error = nats.std_error
    return MetricValue.of(
        nats.value / math.log(2),
        num_images=nats.num_images,
        std_error=None if error is None else error / math.log(2),
        components=tuple(part / math.log(2) for part in nats.components),
        warnings=nats.warnings,
    )
