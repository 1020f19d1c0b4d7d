"""Every metric, by name. A new one is added here, in docs/metrics.md and, to be ranked, in the view `leaderboard`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from vaeval_core.errors import InvalidInput, MetricsDiffer
from vaeval_core.measurements.structural_similarity import WINDOW
from vaeval_core.metrics import sample_quality
from vaeval_core.metrics.base import Metric
from vaeval_core.metrics.divergence import divergence_to_prior
from vaeval_core.metrics.fidelity import frechet_distance_of_reconstructions, frechet_distance_of_samples
from vaeval_core.metrics.latent_metrics import LATENT_METRICS
from vaeval_core.metrics.latent_space_catalogue import OF_FACTORS, OF_FITTED, OF_INTERPOLATIONS, inapplicable
from vaeval_core.metrics.likelihood_metrics import LIKELIHOOD_METRICS
from vaeval_core.metrics.ndb import NUM_BINS
from vaeval_core.metrics.reconstruction_metrics import (
    CROSS_ENTROPY,
    MEAN_SQUARED_ERROR,
    PEAK_SIGNAL_TO_NOISE,
    RECONSTRUCTION_METRICS,
)
from vaeval_core.metrics.sample_quality import OfStream
from vaeval_core.metrics.stream_quality import OF_OTHER_STREAMS
from vaeval_core.protocol import REFERENCE_STATISTICS

_SAMPLES = frozenset({"samples/features"})

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            name="fid",
            version=2,
            title="Fréchet distance of samples",
            unit="squared feature units",
            direction="lower",
            compute=frechet_distance_of_samples,
            needs=_SAMPLES,
        ),
        Metric(
            name="rfid",
            version=2,
            title="Fréchet distance of reconstructions",
            unit="squared feature units",
            direction="lower",
            compute=frechet_distance_of_reconstructions,
            needs=frozenset({"reconstructions/features"}),
        ),
        MEAN_SQUARED_ERROR,
        CROSS_ENTROPY,
        PEAK_SIGNAL_TO_NOISE,
        Metric(
            name="kl",
            version=1,
            title="KL divergence to the prior",
            unit="nats per image",
            direction="neither",
            compute=divergence_to_prior,
            needs=frozenset({"posterior"}),
        ),
        Metric(
            name="kid",
            version=1,
            title="Kernel distance of samples",
            unit="none",
            direction="lower",
            compute=OfStream(sample_quality.kernel_distance),
            needs=_SAMPLES,
        ),
        Metric(
            name="precision",
            version=2,
            title="Precision of samples",
            unit="share",
            direction="higher",
            compute=OfStream(sample_quality.precision),
            needs=_SAMPLES,
        ),
        Metric(
            name="recall",
            version=1,
            title="Recall of samples",
            unit="share",
            direction="higher",
            compute=OfStream(sample_quality.recall),
            needs=_SAMPLES,
        ),
        Metric(
            name="density",
            version=2,
            title="Density of samples",
            unit="balls per neighbour",
            direction="higher",
            compute=OfStream(sample_quality.density),
            needs=_SAMPLES,
        ),
        Metric(
            name="coverage",
            version=2,
            title="Coverage by samples",
            unit="share",
            direction="higher",
            compute=OfStream(sample_quality.coverage),
            needs=_SAMPLES,
        ),
        Metric(
            name="authenticity",
            version=2,
            title="Authenticity of samples",
            unit="share",
            direction="neither",
            compute=OfStream(sample_quality.authenticity),
            needs=_SAMPLES,
        ),
        Metric(
            name="ndb",
            version=1,
            title="Number of statistically different bins",
            unit="bins",
            direction="lower",
            compute=OfStream(sample_quality.different_bins),
            needs=_SAMPLES,
        ),
        Metric(
            name="vendi",
            version=2,
            title="Vendi score of samples",
            unit="effective images",
            direction="neither",
            compute=OfStream(sample_quality.vendi),
            needs=_SAMPLES,
        ),
        Metric(
            name="inception_score",
            version=1,
            title="Inception score of samples",
            unit="effective classes",
            direction="higher",
            compute=OfStream(sample_quality.inception),
            needs=_SAMPLES | {"samples/logits"},
        ),
        Metric(
            name="fid_infinity",
            version=2,
            title="Fréchet distance of infinitely many samples",
            unit="squared feature units",
            direction="lower",
            compute=OfStream(sample_quality.distance_infinity),
            needs=_SAMPLES,
        ),
        Metric(
            name="sfid",
            version=2,
            title="Fréchet distance of spatial features",
            unit="squared feature units",
            direction="lower",
            compute=OfStream(sample_quality.spatial_distance),
            needs=_SAMPLES | {"samples/spatial"},
        ),
        *RECONSTRUCTION_METRICS,
        *LIKELIHOOD_METRICS,
        *LATENT_METRICS,
        *OF_INTERPOLATIONS,
        *OF_FITTED,
        *OF_OTHER_STREAMS,
        *OF_FACTORS,
    )
}


def is_of_samples(name: str) -> bool:
    """True for a metric that looks at samples alone: what a noise floor has, too."""
    compute = METRICS[name].compute
    return compute is frechet_distance_of_samples or (isinstance(compute, OfStream) and compute.stream == "samples")


MOST_PAIRED_IMAGES = 20_000
"""Images up to which every sample is compared with every real image unasked: the time grows with their square."""

FEWEST_IMAGES_OF_BINS = 10 * NUM_BINS
"""Real images from which on they are divided into bins unasked: with fewer, the bins fit them and nothing else."""

FEWEST_SPATIAL_SAMPLES = 50_000
"""Samples from which on spatial features are compared unasked: as many as published sFID is taken of. They double the files."""

ONLY_ON_REQUEST = frozenset(
    {
        "inception_score",  # says something of few kinds of images only
        "fid_infinity",  # asks fifteen times for what `fid` says of its own bias
        "lpips",  # needs a file of weights, and is asked for with it
        "ms_ssim",  # for images of 176 pixels and more
        "codebook_usage",  # these are for VQ models
        "codebook_perplexity",
        "codebook_rate",
        "sse",  # another unit, threshold or side of a metric that is computed
        "cross_entropy_mean",
        "cross_entropy_floor",
        "active_units_0_001",
        "active_units_0_1",
        *(f"{name}_drawn" for name in ("mae", "sse", "cross_entropy", "cross_entropy_mean", "cross_entropy_excess")),
        "ssim_drawn",
        "ms_ssim_drawn",
        *(metric.name for metric in OF_OTHER_STREAMS),  # each stream is another pass over all pairs of images
    }
)
"""What a protocol must name: the comments say why."""


def default_metrics(
    num_samples: int,
    num_reference: int,
    shorter_side: int,
    *,
    num_interpolations: int = 0,
    num_fitted: int = 0,
    has_factors: bool = False,
) -> tuple[str, ...]:
    """What is computed where a protocol does not say: all that such images, and so many, make cheap and meaningful.

    Args:
        num_samples: Samples of the protocol.
        num_reference: Real images to compare with.
        shorter_side: Of an image, in pixels.
        num_interpolations: Interpolations of the protocol.
        num_fitted: Draws from the fitted density.
        has_factors: Whether the data set has factors, and images of it are encoded.
    """
    left_out = set(ONLY_ON_REQUEST)
    left_out |= inapplicable(num_interpolations=num_interpolations, num_fitted=num_fitted, has_factors=has_factors)
    if not 0 < num_samples <= MOST_PAIRED_IMAGES or num_reference > MOST_PAIRED_IMAGES:
        left_out |= REFERENCE_STATISTICS["pairs"][1]
    if not num_samples or num_reference < FEWEST_IMAGES_OF_BINS:
        left_out |= REFERENCE_STATISTICS["bins"][1]
    if num_samples < FEWEST_SPATIAL_SAMPLES:
        left_out |= REFERENCE_STATISTICS["spatial"][1]
    if not num_samples:
        left_out.add("vendi")
    if shorter_side < WINDOW:
        left_out.add("ssim")
    return tuple(name for name in METRICS if name not in left_out)


def metric_versions(names: Iterable[str] | None = None) -> dict[str, int]:
    """Name → version, as a protocol records them.

    Args:
        names: Which, in any order; every metric by default.

    Raises:
        InvalidInput: There is no such metric, or none is named.
    """
    wanted = set(METRICS if names is None else names)
    unknown = sorted(wanted - METRICS.keys())
    if unknown or not wanted:
        close = [match for name in unknown for match in difflib.get_close_matches(name, METRICS, n=1)]
        raise InvalidInput(
            "The protocol names metrics that do not exist." if unknown else "The protocol names no metrics.",
            received=", ".join(unknown) or "metrics: []",
            expected=f"some of {', '.join(METRICS)}",
            next_step=f"perhaps {', '.join(close)}"
            if close
            else "leave `metrics` out of the protocol for the usual ones",
        )
    return {name: metric.version for name, metric in METRICS.items() if name in wanted}


def needs_of(metrics: Iterable[str]) -> frozenset[str]:
    """What is to be computed of each image for these metrics; see `Metric.needs`. Unknown names need nothing."""
    return frozenset().union(*(METRICS[name].needs for name in metrics if name in METRICS))


def require_known(metrics: Mapping[str, int]) -> None:
    """Refuse to score a protocol of a program with other metrics.

    Raises:
        MetricsDiffer: A metric, or a version of one, is not in the catalogue.
    """
    unknown = [
        f"{name} version {version}"
        for name, version in metrics.items()
        if name not in METRICS or METRICS[name].version != version
    ]
    if unknown:
        of_other_versions = [f"{name} version {METRICS[name].version}" for name in metrics if name in METRICS]
        raise MetricsDiffer(
            "The protocol names metrics that this version of vaeval does not compute.",
            received=", ".join(unknown),
            expected=", ".join(of_other_versions) or f"some of {', '.join(METRICS)}",
            next_step="submit the checkpoints again, or evaluate with the version of vaeval that submitted them",
        )
