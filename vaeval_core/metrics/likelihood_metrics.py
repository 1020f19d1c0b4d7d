"""The metrics of likelihood: under a declared one, and with σ fitted to the evaluation where none is declared."""

from __future__ import annotations

from vaeval_core.evaluation_result import MetricValue
from vaeval_core.metrics.base import EvaluationSummary, Metric
from vaeval_core.metrics.gaussian_fit import GaussianFit
from vaeval_core.metrics.likelihood import LikelihoodMean, calibrated_bits, calibrated_evidence, why_no_draws


def evidence_at_its_best_sigma(summary: EvaluationSummary, reference: GaussianFit) -> MetricValue:
    """The ELBO of an evaluation under the Gaussian likelihood that makes it largest, nats per image."""
    reason = why_no_draws(summary)
    if reason is not None or summary.image_values is None:
        return MetricValue.not_applicable(reason or "The evaluation has no values of single images.")
    error, divergence = summary.image_values.columns("drawn/dequantised_error", "divergence")
    return calibrated_evidence(error, divergence, summary.num_values)


def bits_at_the_best_sigma(summary: EvaluationSummary, reference: GaussianFit) -> MetricValue:
    """The same in bits per dimension."""
    evidence = evidence_at_its_best_sigma(summary, reference)
    spread = summary.values.get("drawn/is_dequantised")
    return calibrated_bits(evidence, max(summary.num_values, 1), spread is not None and bool(spread.mean[0] == 1))


LIKELIHOOD_METRICS: tuple[Metric, ...] = (
    Metric(
        name="log_likelihood",
        version=1,
        title="Expected log-likelihood of draws",
        unit="nats per image",
        direction="higher",
        compute=LikelihoodMean(measurement="likelihood/expected"),
        needs=frozenset({"posterior", "likelihood"}),
    ),
    Metric(
        name="elbo",
        version=1,
        title="Evidence lower bound",
        unit="nats per image",
        direction="higher",
        compute=LikelihoodMean(measurement="likelihood/elbo"),
        needs=frozenset({"posterior", "likelihood"}),
    ),
    Metric(
        name="iwae",
        version=1,
        title="Importance-weighted bound",
        unit="nats per image",
        direction="higher",
        compute=LikelihoodMean(measurement="likelihood/importance_weighted", is_importance_weighted=True),
        needs=frozenset({"posterior", "likelihood"}),
    ),
    Metric(
        name="bits_per_dim",
        version=1,
        title="Importance-weighted bound in bits",
        unit="bits per pixel and channel",
        direction="lower",
        compute=LikelihoodMean(measurement="likelihood/bits_per_dimension", is_importance_weighted=True),
        needs=frozenset({"posterior", "likelihood"}),
    ),
    Metric(
        name="elbo_calibrated",
        version=1,
        title="Evidence lower bound at its best σ",
        unit="nats per image",
        direction="higher",
        compute=evidence_at_its_best_sigma,
        needs=frozenset({"posterior", "drawn/dequantised_error"}),
    ),
    Metric(
        name="bits_per_dim_calibrated",
        version=1,
        title="Evidence lower bound at its best σ, in bits",
        unit="bits per pixel and channel",
        direction="lower",
        compute=bits_at_the_best_sigma,
        needs=frozenset({"posterior", "drawn/dequantised_error"}),
    ),
)
