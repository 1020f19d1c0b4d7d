"""Metrics of samples for the other streams: reconstructions, interpolations and draws from the fitted density. By name only.

The numbers are those of the same functions on other features. What they mean differs: reconstructions have their originals in
the reference, so a number says how good the pairing is; and real images end two interpolations each, so errors of independent
images would be too small and are withheld.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from vaeval_core.evaluation_result import MetricValue
from vaeval_core.metrics import sample_quality
from vaeval_core.metrics.base import IN_WORDS, Metric
from vaeval_core.metrics.effective_images import SHARED_IMAGES
from vaeval_core.metrics.sample_quality import OfStream, Samples
from vaeval_core.protocol import StreamName

OTHER_STREAMS: tuple[StreamName, ...] = ("reconstructions", "interpolations", "fitted")


@dataclass(frozen=True)
class WithoutError:
    """A metric of paths between real images: the number, and why it has no standard error.

    Attributes:
        compute: The metric as of images that share nothing.
    """

    compute: Callable[[Samples], MetricValue]

    def __call__(self, samples: Samples) -> MetricValue:
        """The number."""
        value = self.compute(samples)
        if value.std_error is None:
            return value
        return replace(value, std_error=None, warnings=(*value.warnings, SHARED_IMAGES))


def _metrics(
    name: str,
    version: int,
    title: str,
    unit: str,
    direction: Literal["lower", "higher", "neither"],
    compute: Callable[[Samples], MetricValue],
) -> tuple[Metric, ...]:
    """One metric of samples, for each other stream."""
    return tuple(
        Metric(
            name=f"{name}_{stream}",
            version=version,
            title=f"{title} {IN_WORDS[stream]}",
            unit=unit,
            direction=direction,
            compute=OfStream(WithoutError(compute) if stream == "interpolations" else compute, stream),
            needs=frozenset({f"{stream}/features"}),
        )
        for stream in OTHER_STREAMS
    )


OF_OTHER_STREAMS: tuple[Metric, ...] = (
    *_metrics("kid", 1, "Kernel distance of", "none", "lower", sample_quality.kernel_distance),
    *_metrics("precision", 1, "Precision of", "share", "higher", sample_quality.precision),
    *_metrics("recall", 1, "Recall of", "share", "higher", sample_quality.recall),
    *_metrics("density", 1, "Density of", "balls per neighbour", "higher", sample_quality.density),
    *_metrics("coverage", 1, "Coverage by", "share", "higher", sample_quality.coverage),
    *_metrics("ndb", 1, "Number of bins that differ, of", "bins", "lower", sample_quality.different_bins),
    *_metrics("vendi", 1, "Vendi score of", "effective images", "neither", sample_quality.vendi),
)
