"""Metrics of single samples as an evaluation computes them: the library's functions, or a reason why there is no number.

Each is a function of `Samples`; `OfStream` makes a metric of the catalogue of it and takes care of what all have in common.
`stream_quality` has the same for other streams than samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from vaeval_core.accumulators.feature_summary import FeatureSummary
from vaeval_core.errors import InvalidInput
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.metrics.base import EvaluationSummary, outside_warnings, unusable
from vaeval_core.metrics.feature_blocks import FeatureBlocks, as_blocks
from vaeval_core.metrics.fidelity import frechet_value
from vaeval_core.metrics.frechet_infinity import frechet_distance_infinity
from vaeval_core.metrics.gaussian_fit import GaussianFit
from vaeval_core.metrics.inception_score import inception_score
from vaeval_core.metrics.kernel_distance import kernel_distance_of
from vaeval_core.metrics.manifold import manifold_scores_of
from vaeval_core.metrics.memorisation import authenticity_of
from vaeval_core.metrics.ndb import number_of_different_bins
from vaeval_core.metrics.pair_statistics import PairStatistics
from vaeval_core.metrics.reference_rows import ReferenceRows
from vaeval_core.metrics.vendi_score import vendi_score
from vaeval_core.protocol import StreamName

NO_LOGITS = (
    "The extractor gives no logits, of which this score is made. One that does is `extractor: inception-v3-fid`."
)
NO_SPATIAL_FEATURES = (
    "The extractor gives no spatial features, which this distance is taken of. One that does is"
    " `extractor: inception-v3-fid`."
)
NO_SPATIAL_REFERENCE = "The imported reference has no statistics of spatial features, `mu_s` and `sigma_s`."


class _Missing(Exception):
    """Something that a metric needs is not there; carries the reason."""


@dataclass(frozen=True, kw_only=True)
class Samples:
    """What a metric of samples, or of other images in their place, may look at.

    Attributes:
        rows: Features, (m, d).
        summary: Everything about the evaluation.
        fit: The Gaussian of the reference.
    """

    rows: FeatureBlocks
    summary: EvaluationSummary
    fit: GaussianFit

    @property
    def real(self) -> ReferenceRows:
        """The real images one by one."""
        if self.summary.real is None:
            raise _Missing(self.summary.without_real)
        return self.summary.real

    @property
    def pairs(self) -> PairStatistics:
        """All pairs of a sample and a real image."""
        return self.real.pairs_with(self.rows)

    @property
    def logits(self) -> FeatureBlocks:
        """Logits, (m, classes)."""
        if "samples" not in self.summary.logits:
            raise _Missing(NO_LOGITS)
        return self.summary.logits["samples"]


@dataclass(frozen=True)
class OfStream:
    """A metric: a function of the images of a stream one by one, or why it gives no number.

    Attributes:
        compute: May raise InvalidInput where these images have no such number.
        stream: Which images.
    """

    compute: Callable[[Samples], MetricValue]
    stream: StreamName = "samples"

    def __call__(self, summary: EvaluationSummary, reference: GaussianFit) -> MetricValue:
        """The value, with the warnings that every metric of the stream carries."""
        without_number = unusable(summary, self.stream)
        if without_number is not None:
            return without_number
        try:
            value = self.compute(Samples(rows=summary.rows[self.stream], summary=summary, fit=reference))
        except _Missing as missing:
            return MetricValue.not_applicable(str(missing))
        except InvalidInput as error:  # finite features that have no such number: too few of them, or a row of zeros
            return MetricValue.not_applicable(str(error))
        of_stream = (*outside_warnings(summary, self.stream), *summary.notes.get(self.stream, ()))
        return replace(value, warnings=(*of_stream, *value.warnings))


def kernel_distance(samples: Samples) -> MetricValue:
    """KID; the standard error is for this reference, as between two checkpoints of a protocol."""
    return kernel_distance_of(samples.pairs, fixed_reference=True)


def precision(samples: Samples) -> MetricValue:
    """Share of samples that look real."""
    return manifold_scores_of(samples.pairs).precision


def recall(samples: Samples) -> MetricValue:
    """Share of real images that could have been generated."""
    return manifold_scores_of(samples.pairs).recall


def density(samples: Samples) -> MetricValue:
    """How many real images each sample is near to, relative to k."""
    return manifold_scores_of(samples.pairs).density


def coverage(samples: Samples) -> MetricValue:
    """Share of real images near which one was generated."""
    return manifold_scores_of(samples.pairs).coverage


def authenticity(samples: Samples) -> MetricValue:
    """Share of samples that are no copies of images of the reference."""
    return authenticity_of(samples.pairs)


def different_bins(samples: Samples) -> MetricValue:
    """NDB against the bins of the reference."""
    return number_of_different_bins(samples.rows, samples.real.bins)


def vendi(samples: Samples) -> MetricValue:
    """Effective number of different samples."""
    return vendi_score(samples.rows)


def inception(samples: Samples) -> MetricValue:
    """Inception score of all samples at once."""
    return inception_score(samples.logits)


def spatial_distance(samples: Samples) -> MetricValue:
    """sFID: the distance of `fid` between spatial features."""
    summary = samples.summary
    if summary.spatial_rows is None:
        return MetricValue.not_applicable(NO_SPATIAL_FEATURES)
    if summary.spatial_reference is None:
        return MetricValue.not_applicable(NO_SPATIAL_REFERENCE)
    collector = FeatureSummary(*summary.spatial_rows.shape)
    for rows in summary.spatial_rows:
        collector.push(rows)
    spatial = collector.features()
    if not np.isfinite(spatial.mean).all():
        return MetricValue(
            value=None,
            num_images=spatial.count,
            kind="nan",
            reason="The extractor gave spatial features of samples that are not finite.",
        )
    return frechet_value(spatial, as_blocks(summary.spatial_rows, "spatial"), summary.spatial_reference)


def distance_infinity(samples: Samples) -> MetricValue:
    """FID, extrapolated to infinitely many samples."""
    return frechet_distance_infinity(samples.rows, samples.fit)
