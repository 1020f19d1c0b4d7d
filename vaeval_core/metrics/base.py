"""What a metric is, and what it is computed from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vaeval_core.accumulators.feature_moments import FeatureMoments
from vaeval_core.accumulators.feature_rows import FeatureRows
from vaeval_core.accumulators.value_moments import ValueMoments
from vaeval_core.errors import InvalidInput
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.metrics.codebook import CodeCounts
from vaeval_core.metrics.factor_scores import FactorScores
from vaeval_core.metrics.feature_blocks import FeatureBlocks, as_blocks
from vaeval_core.metrics.gaussian_fit import GaussianFit
from vaeval_core.metrics.latents import Latents
from vaeval_core.metrics.measured_values import ImageValues
from vaeval_core.metrics.reference_rows import ReferenceRows
from vaeval_core.protocol import StreamName
from vaeval_core.types import Float32, Int64

IN_WORDS: dict[StreamName, str] = {
    "samples": "samples",
    "reconstructions": "reconstructions",
    "interpolations": "interpolations",
    "fitted": "draws from the fitted density",
}
"""What images of a stream are called in sentences."""

_HOW_TO_ASK: dict[StreamName, str] = {
    "interpolations": " Ask for them by --interpolations 5000, or `interpolations: 5000` in a protocol file.",
    "fitted": " Ask for them by --fitted 5000, or `fitted: 5000` in a protocol file.",
}

IMPORTED_WITHOUT_ROWS = (
    "The reference is imported statistics, a mean and a covariance; this metric looks at single real images."
)
NO_REFERENCE_ROWS = "This metric looks at single real images, and `score` was not given the shards of the reference."

MOST_OUTSIDE = 0.01
"""Share of a decoder's values outside [0, 1] that is not worth a word."""

BETTER_BY = 0.5
"""Share of the error that is left where images in [-1, 1] come back so much better that it is worth a word."""

GOOD_ENOUGH = 0.4
"""Share of their variance that may be lost by then: an untrained model, which loses all, can be nearer by chance."""

SIGNED_WITHIN = 1.1
"""Images in [-1, 1] stay within this, on average: a decoder without a last activation overshoots a little."""

SIGNED_BELOW = -0.7
"""Darkest value of an average image in [-1, 1], if anything in it is dark; linear models of [0, 1] went down to -0.52."""

SIGNED_SHARE = 0.35
"""Share of negative values in images of [-1, 1] that are not mostly bright; linear models of [0, 1] had up to 0.23."""


@dataclass(frozen=True, kw_only=True)
class EvaluationSummary:
    """All shards of one evaluation, merged. What no metric of the protocol needs is missing.

    Attributes:
        counts: Stream → its images, for every stream of the protocol.
        num_values: Numbers in one image, h·w·c.
        features: Stream → its features, merged.
        rows: Stream → its features one by one, for metrics that look at each; read anew from the shards each time.
        logits: Stream → its logits likewise, where the protocol asks for them and the extractor has them.
        partners: Stream → for paths between real images, the number of the image at the end of each.
        spatial_rows: Spatial features of samples one by one, where the protocol asks for them and the extractor has them.
            The one metric of them sums them itself: their scatter takes the memory of another matrix.
        spatial_reference: The Gaussian of those of real images; None where it is not known.
        real: The reference one by one; None until there is something to compare with.
        without_real: Why `real` is None, as a metric says it that needs it.
        values: Name of a measurement → its moments over images, such as `squared_error`, `divergence` or, for each stream,
            `samples/outside`: see `measured_values`. One that the checkpoint cannot give is missing.
        image_values: The same image by image, for metrics that need more than moments.
        latents: The posteriors, for metrics that look at all of them together.
        codes: How often each entry of the codebook occurs; None for a model without one.
        not_finite: Stream → how many of its images hold values that are not finite.
        pictures: `originals`, `reconstructions`, `samples` → the first few images, uint8; and what `streams.strips` names.
        missing: Stream → the value of its metrics, where the checkpoint can have no such stream.
        range_errors: Of the first images, see `streams.range_check`; None where they were not compared.
        notes: Stream → what a reader of its metrics must know, a sentence each.
        is_noise_floor: The samples are real images, and there is nothing else.
        factor_scores: Scores of disentanglement; None where the images have no factors, or the protocol does not ask.
    """

    counts: Mapping[StreamName, int] = field(default_factory=dict)
    num_values: int = 0
    features: Mapping[StreamName, FeatureMoments | FeatureRows] = field(default_factory=dict)
    rows: Mapping[StreamName, FeatureBlocks] = field(default_factory=dict)
    logits: Mapping[StreamName, FeatureBlocks] = field(default_factory=dict)
    partners: Mapping[StreamName, Int64] = field(default_factory=dict)
    spatial_rows: FeatureBlocks | None = None
    spatial_reference: GaussianFit | None = None
    real: ReferenceRows | None = None
    without_real: str = NO_REFERENCE_ROWS
    values: Mapping[str, ValueMoments] = field(default_factory=dict)
    image_values: ImageValues | None = None
    latents: Latents | None = None
    codes: CodeCounts | None = None
    not_finite: Mapping[StreamName, int] = field(default_factory=dict)
    pictures: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    missing: Mapping[StreamName, MetricValue] = field(default_factory=dict)
    range_errors: Float32 | None = None
    notes: Mapping[StreamName, tuple[str, ...]] = field(default_factory=dict)
    is_noise_floor: bool = False
    factor_scores: FactorScores | None = None


def not_finite(summary: EvaluationSummary, stream: StreamName) -> MetricValue | None:
    """The value of every metric that sees pixels of a stream with values that are not finite; None if all are finite.

    Such values were clamped to black or white, which is not what the decoder gave: a number would hide that it diverged.
    """
    bad = summary.not_finite.get(stream, 0)
    if not bad:
        return None
    count = summary.counts[stream]
    return MetricValue(
        value=None,
        num_images=count,
        kind="nan",
        reason=f"{bad} of {count} {IN_WORDS[stream]} hold values that are not finite.",
        warnings=outside_warnings(summary, stream),
    )


def unusable(summary: EvaluationSummary, stream: StreamName) -> MetricValue | None:
    """The value of every metric of the features of a stream that it has not, or not all of them finite; None if it has."""
    features = summary.features.get(stream)
    if stream in summary.missing:
        return summary.missing[stream]
    if features is None:
        return absent(stream)
    without_number = not_finite(summary, stream)
    if without_number is None and not np.isfinite(features.mean).all():
        # Finite images can still make a network overflow. Metrics would say so too, each in its own way.
        return MetricValue(
            value=None,
            num_images=features.count,
            kind="nan",
            reason=_which_are_not_finite(summary, stream),
            warnings=outside_warnings(summary, stream),
        )
    return without_number


def absent(stream: StreamName) -> MetricValue:
    """The value of every metric of a stream that the protocol does not have."""
    return MetricValue.not_applicable(f"The protocol has no {IN_WORDS[stream]}.{_HOW_TO_ASK.get(stream, '')}")


def _which_are_not_finite(summary: EvaluationSummary, stream: StreamName) -> str:
    found = ""
    if stream in summary.rows:
        try:
            for _ in as_blocks(summary.rows[stream], stream):
                pass
        except InvalidInput as error:
            found = f": {error.received}"
    return f"The extractor gave features of {IN_WORDS[stream]} that are not finite{found}."


def outside_warnings(summary: EvaluationSummary, stream: StreamName) -> tuple[str, ...]:
    """Say so where a decoder gives more than a few values outside [0, 1]: logits or another range score plausibly.

    Of reconstructions also where nothing is outside, and images in [-1, 1] would come back much better.
    """
    better = _signed_is_better(summary) if stream == "reconstructions" else None
    outside = summary.values.get(f"{stream}/outside")
    if outside is None or not outside.mean[0] > MOST_OUTSIDE:
        return () if better is None else (better,)
    guess = _guess(summary, stream)
    warning = (
        f"{outside.mean[0]:.1%} of the values that the decoder gives for {IN_WORDS[stream]} lie outside [0, 1]; features, "
        f"PSNR and cross-entropy see them clamped. If it gives logits or another range, say so in vaeval.yaml{guess}."
    )
    return (warning,) if guess or better is None else (warning, better)


def _signed_is_better(summary: EvaluationSummary) -> str | None:
    if summary.range_errors is None:
        return None
    as_it_is, signed, of_mean = (float(error) for error in summary.range_errors)
    if not (signed < BETTER_BY * as_it_is and signed < GOOD_ENOUGH * of_mean):
        return None
    return (
        f"The first images come back with {signed / as_it_is:.0%} of the squared error if the networks get them in [-1, 1]. If "
        "that is what they were trained on, say so in vaeval.yaml: `image_range: [-1, 1]`."
    )


def _guess(summary: EvaluationSummary, stream: StreamName) -> str:
    """Which of the usual ranges it looks like, from where the values of an average image begin and end, and how many are out.

    A decoder that is right about its range and overshoots is not told to change it: that would make every score wrong.
    """
    lowest, highest = (summary.values.get(f"{stream}/{end}") for end in ("lowest", "highest"))
    if lowest is None or highest is None:
        return ""
    low, high = float(lowest.mean[0]), float(highest.mean[0])
    is_mostly_below = low < -0.25 and float(summary.values[f"{stream}/outside"].mean[0]) > SIGNED_SHARE
    if low >= -SIGNED_WITHIN and high <= SIGNED_WITHIN and (low < SIGNED_BELOW or is_mostly_below):
        return "; it looks like images in [-1, 1]: `image_range: [-1, 1]`"
    if low >= -1 and 32 < high <= 256:
        return "; it looks like images in [0, 255]: `image_range: [0, 255]`"
    return ""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A named, versioned number.

    Attributes:
        name: Column and row name.
        version: Raised whenever the same checkpoint would get another number; part of the fingerprint.
        title: For people.
        unit: Physical or statistical unit.
        direction: Which way is better; `neither` for a rate, which a collapsed posterior brings to 0.
        compute: The number, or why there is none. Pure.
        needs: Arrays of a shard that it is computed from; `posterior`, `codes` and `likelihood` stand for all that belongs to
            one. A protocol without any metric that needs an array does not compute it.
    """

    name: str
    version: int
    title: str
    unit: str
    direction: Literal["lower", "higher", "neither"]
    compute: Callable[[EvaluationSummary, GaussianFit], MetricValue]
    needs: frozenset[str]
