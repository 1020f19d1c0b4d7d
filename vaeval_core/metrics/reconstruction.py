"""Means over images of what is measured on each reconstruction."""

from __future__ import annotations

from dataclasses import replace

from vaeval_core.evaluation_result import MetricValue
from vaeval_core.metrics.base import EvaluationSummary, not_finite, outside_warnings
from vaeval_core.metrics.gaussian_fit import GaussianFit
from vaeval_core.metrics.image_means import capped_warnings


def mean_squared_error(summary: EvaluationSummary, reference: GaussianFit) -> MetricValue:
    """Mean over images of the squared error per pixel and channel."""
    return _mean_of("squared_error", summary)


def mean_cross_entropy(summary: EvaluationSummary, reference: GaussianFit) -> MetricValue:
    """Mean over images of the cross-entropy in nats per image."""
    return not_finite(summary, "reconstructions") or _mean_of("cross_entropy", summary)


def mean_peak_signal_to_noise(summary: EvaluationSummary, reference: GaussianFit) -> MetricValue:
    """Mean over images of the PSNR in decibels."""
    bad = not_finite(summary, "reconstructions")
    if bad:
        return bad
    value = _mean_of("peak_signal_to_noise", summary)
    return replace(value, warnings=(*value.warnings, *capped_warnings(summary, "peak_signal_to_noise")))


def _mean_of(name: str, summary: EvaluationSummary) -> MetricValue:
    moments = summary.values.get(name)
    if moments is None:
        return MetricValue.not_applicable("The protocol has no reconstructions.")
    error = moments.std_error
    return MetricValue.of(
        float(moments.mean[0]),
        num_images=moments.count,
        std_error=None if error is None else float(error[0]),
        warnings=outside_warnings(summary, "reconstructions"),
    )
