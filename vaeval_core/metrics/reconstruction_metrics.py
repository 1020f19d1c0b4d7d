"""The metrics of reconstructions: from the posterior mean, and `…_drawn` from one draw of the posterior.

What each is stands with its measurement in `vaeval_core.measurements`; here they get names, units and directions.
"""

from __future__ import annotations

from typing import Literal

from vaeval_core.features.lpips_architecture import ARCHITECTURES
from vaeval_core.measurements.multiscale_similarity import SMALLEST_SIDE
from vaeval_core.measurements.structural_similarity import WINDOW
from vaeval_core.metrics.base import Metric
from vaeval_core.metrics.image_means import NO_RECONSTRUCTIONS, TOO_SMALL, MeanOverImages

PERCEPTUAL_DISTANCE = "perceptual_distance"
"""Measured by a network of its own, where its weights were given; see `features.perceptual_distance`."""

NO_PERCEPTUAL_DISTANCE = (
    "It needs weights, given with --lpips-weights, and images of at least "
    + " or ".join(f"{each.smallest_side} ({name})" for name, each in ARCHITECTURES.items())
    + " pixels on a side."
)

_INTENSITY = "intensity per pixel and channel"
_SQUARED = "squared intensity per pixel and channel"
_MISSING = {
    "structural_similarity": TOO_SMALL.format(smallest=WINDOW),
    "multiscale_similarity": TOO_SMALL.format(smallest=SMALLEST_SIDE),
    PERCEPTUAL_DISTANCE: NO_PERCEPTUAL_DISTANCE,
}
_NOT_CLAMPED = {"squared_error", "summed_squared_error", "absolute_error", "cross_entropy_floor"}
"""Measurements in which a value that is not finite shows by itself."""

Direction = Literal["lower", "higher", "neither"]


def _metric(name: str, measurement: str, title: str, unit: str, direction: Direction = "lower") -> Metric:
    own = measurement.removeprefix("drawn/")
    compute = MeanOverImages(
        measurement=measurement,
        is_clamped=own not in _NOT_CLAMPED,
        missing=_MISSING.get(own, NO_RECONSTRUCTIONS),
    )
    return Metric(
        name=name,
        version=1,
        title=title,
        unit=unit,
        direction=direction,
        compute=compute,
        needs=frozenset({measurement}),
    )


MEAN_SQUARED_ERROR = _metric("mse", "squared_error", "Mean squared error", _SQUARED)
CROSS_ENTROPY = _metric("cross_entropy", "cross_entropy", "Binary cross-entropy", "nats per image")
PEAK_SIGNAL_TO_NOISE = _metric(
    "psnr", "peak_signal_to_noise", "Peak signal-to-noise ratio", "decibels", direction="higher"
)

_OF_MEANS = (
    _metric("mae", "absolute_error", "Mean absolute error", _INTENSITY),
    _metric("sse", "summed_squared_error", "Summed squared error", "squared intensity per image"),
    _metric("cross_entropy_mean", "mean_cross_entropy", "Binary cross-entropy, mean", "nats per pixel and channel"),
    _metric("cross_entropy_floor", "cross_entropy_floor", "Entropy of the images", "nats per image", "neither"),
    _metric("cross_entropy_excess", "cross_entropy_excess", "Cross-entropy above its floor", "nats per image"),
    _metric("ssim", "structural_similarity", "Structural similarity", "similarity", "higher"),
    _metric("ms_ssim", "multiscale_similarity", "Multiscale structural similarity", "similarity", "higher"),
)

LPIPS = _metric("lpips", PERCEPTUAL_DISTANCE, "Learned perceptual distance (LPIPS)", "perceptual distance")

_WITH_A_DRAW = (MEAN_SQUARED_ERROR, CROSS_ENTROPY, PEAK_SIGNAL_TO_NOISE, *_OF_MEANS)

RECONSTRUCTION_METRICS: tuple[Metric, ...] = (
    *_OF_MEANS,
    LPIPS,
    *(
        _metric(
            f"{metric.name}_drawn",
            f"drawn/{measurement}",
            f"{metric.title}, of a draw",
            metric.unit,
            metric.direction,
        )
        for metric in _WITH_A_DRAW
        for measurement in metric.needs
        if measurement != "cross_entropy_floor"  # the images' own
    ),
)
"""All but the three that stand in the catalogue by themselves."""
