"""Numbers of many paths as one: the perceptual path length, and means over the paths that have a value."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vaeval_core.errors import TooFewImages
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.metrics.base import EvaluationSummary, absent, outside_warnings
from vaeval_core.metrics.gaussian_fit import GaussianFit
from vaeval_core.metrics.shared_images import variance_of_mean
from vaeval_core.types import Float64, Int64

TRIMMED_PERCENT = 1
"""Left out at either end: a few paths that jump would decide the mean. As in the code of Karras et al. 2019."""


def path_length(speeds: Float64, partners: Int64 | None = None) -> MetricValue:
    """Mean squared speed over paths, without the lowest and the highest per cent.

    Args:
        speeds: (n,) what `feature_speed` or `pixel_speed` gave for all paths; n ≥ 2.
        partners: The image at the end of each path, (n,), path i starting at image i; None for paths that share no image.

    Returns:
        In the unit of the speeds, ≥ 0, lower is smoother. The standard error is that of a trimmed mean: what is left out
        counts as if it were at the edge (Tukey and McLaughlin 1963); with `partners`, over other images.

    Raises:
        TooFewImages: Fewer than two paths.
    """
    _require_two(speeds)
    if not np.isfinite(speeds).all():
        bad = int((~np.isfinite(speeds)).sum())
        reason = f"{bad} of {len(speeds)} paths go through images that are not finite."
        return MetricValue(value=None, num_images=len(speeds), kind="nan", reason=reason)
    lowest = np.percentile(speeds, TRIMMED_PERCENT, method="lower")
    highest = np.percentile(speeds, 100 - TRIMMED_PERCENT, method="higher")
    kept = speeds[(lowest <= speeds) & (speeds <= highest)]
    at_the_edge = np.clip(speeds, lowest, highest)
    influence = (at_the_edge - at_the_edge.mean()) * (len(speeds) / len(kept))
    error = float(np.sqrt(variance_of_mean(influence, partners)))
    return MetricValue.of(float(kept.mean()), num_images=len(speeds), std_error=error)


def mean_over_paths(values: Float64) -> MetricValue:
    """Mean of unevenness, detour or bending over the paths that have one.

    Paths along which nothing changes are NaN: they are neither summed nor counted, and a warning says how many there were.

    Args:
        values: (n,), n ≥ 2.

    Raises:
        TooFewImages: Fewer than two paths.
    """
    _require_two(values)
    defined = values[~np.isnan(values)]
    if not len(defined):
        return MetricValue.not_applicable(f"Nothing changes along any of {len(values)} paths.")
    still = len(values) - len(defined)
    warning = f"Nothing changes along {still} of {len(values)} paths; they are left out."
    error = (
        float(defined.std(ddof=1)) / np.sqrt(len(defined)) if np.isfinite(defined).all() and len(defined) > 1 else None
    )
    return MetricValue.of(
        float(defined.mean()),
        num_images=len(defined),
        std_error=error,
        warnings=(warning,) if still else (),
    )


def _require_two(values: Float64) -> None:
    if len(values) < 2:
        raise TooFewImages(
            "There are too few paths for a mean.",
            received=f"num_paths={len(values)}",
            expected="2 or more",
            next_step="interpolate between more images",
        )


def path_length_in_features(summary: EvaluationSummary, reference: GaussianFit) -> MetricValue:
    """Perceptual path length of the interpolations."""
    value = _of_interpolations(summary, "interpolations/feature_speed")
    return replace(value, warnings=(*outside_warnings(summary, "interpolations"), *value.warnings))


def path_length_in_pixels(summary: EvaluationSummary, reference: GaussianFit) -> MetricValue:
    """The same from decoder output that is neither clamped nor rounded."""
    return _of_interpolations(summary, "interpolations/pixel_speed")


def _of_interpolations(summary: EvaluationSummary, speeds: str) -> MetricValue:
    values = np.empty(0) if summary.image_values is None else summary.image_values.columns(speeds)[0]
    if not len(values):
        return absent("interpolations")
    ends = summary.partners.get("interpolations")
    return path_length(values, None if ends is None else ends[: len(values)])
