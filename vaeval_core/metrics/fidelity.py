"""FID of samples and of reconstructions: how far their features are from those of real images."""

from __future__ import annotations

from vaeval_core.evaluation_result import MetricValue
from vaeval_core.metrics.base import EvaluationSummary, not_finite, outside_warnings
from vaeval_core.metrics.frechet import GaussianFit, frechet_distance
from vaeval_core.protocol import StreamName


def frechet_distance_of_samples(summary: EvaluationSummary, reference: GaussianFit) -> MetricValue:
    """FID: decoded prior draws against real images."""
    return _distance_of_stream("samples", summary, reference)


def frechet_distance_of_reconstructions(summary: EvaluationSummary, reference: GaussianFit) -> MetricValue:
    """rFID: decoded posterior means against real images."""
    return _distance_of_stream("reconstructions", summary, reference)


def _distance_of_stream(stream: StreamName, summary: EvaluationSummary, reference: GaussianFit) -> MetricValue:
    features = summary.features.get(stream)
    if features is None:
        return MetricValue.not_applicable(f"The protocol has no {stream}.")
    return not_finite(summary, stream) or MetricValue.of(
        frechet_distance(features, reference),
        num_images=features.count,
        warnings=(*outside_warnings(summary, stream), *_too_few(features.count, reference)),
    )


def _too_few(count: int, reference: GaussianFit) -> tuple[str, ...]:
    """Say so where a covariance cannot have full rank: the value then says more about n than about the images."""
    dimension = reference.mean.size
    fewest = min(count, reference.count)
    if fewest > dimension:
        return ()
    warning = (
        f"{fewest} images span at most {fewest - 1} of {dimension} feature dimensions, which biases the distance upward: "
        "compare only within this protocol."
    )
    return (warning,)
