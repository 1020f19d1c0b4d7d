"""The metrics of latents: rate, information, collapse, and codebooks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vaeval_core.evaluation_result import MetricValue
from vaeval_core.metrics.active_units import THRESHOLD, active_units
from vaeval_core.metrics.aggregated_posterior import aggregated_posterior_gap
from vaeval_core.metrics.base import EvaluationSummary, Metric
from vaeval_core.metrics.codebook import CodeCounts, codebook_perplexity, codebook_rate, codebook_usage
from vaeval_core.metrics.collapse import collapsed_dimensions, verdict_of_shares
from vaeval_core.metrics.divergence import rate_in_bits
from vaeval_core.metrics.gaussian_fit import GaussianFit
from vaeval_core.metrics.information import (
    DivergenceDecomposition,
    dimension_wise_divergence,
    mutual_information,
    total_correlation,
    why_not_decomposed,
)
from vaeval_core.metrics.latents import Latents
from vaeval_core.metrics.posterior_rows import WITHOUT_VARIANCE
from vaeval_core.types import Float64

NOTHING_ENCODED = "The protocol has no reconstructions, so nothing was encoded."
NOT_DIAGONAL = "The posterior is no diagonal Gaussian, and this metric is made for such."
NO_CODEBOOK = "The checkpoint has no codebook: this is for VQ models, whose latents are codes."


@dataclass(frozen=True)
class OfDecomposition:
    """A metric: one of the three terms of the KL."""

    term: Callable[[DivergenceDecomposition], MetricValue]

    def __call__(self, summary: EvaluationSummary, reference: GaussianFit) -> MetricValue:
        """The term, or why the KL cannot be decomposed."""
        latents = _latents_or_reason(summary)
        if isinstance(latents, MetricValue):
            return latents
        return why_not_decomposed(latents.rows) or self.term(latents.decomposition)


@dataclass(frozen=True)
class ActiveUnits:
    """A metric: how many units are active at a threshold."""

    threshold: float

    def __call__(self, summary: EvaluationSummary, reference: GaussianFit) -> MetricValue:
        """The count; components are the variances."""
        means = summary.values.get("posterior/mean")
        return MetricValue.not_applicable(NOTHING_ENCODED) if means is None else active_units(means, self.threshold)


@dataclass(frozen=True)
class OfCodes:
    """A metric of how often each entry of a codebook occurs."""

    compute: Callable[[CodeCounts], MetricValue]

    def __call__(self, summary: EvaluationSummary, reference: GaussianFit) -> MetricValue:
        """The value, or that there is no codebook."""
        if not summary.counts.get("reconstructions"):
            return MetricValue.not_applicable(NOTHING_ENCODED)
        return MetricValue.not_applicable(NO_CODEBOOK) if summary.codes is None else self.compute(summary.codes)


def gap_to_the_prior(summary: EvaluationSummary, reference: GaussianFit) -> MetricValue:
    """How far all latents together are from the prior."""
    latents = _latents_or_reason(summary, needs_variance=False)
    return latents if isinstance(latents, MetricValue) else aggregated_posterior_gap(latents.rows)


def collapse(summary: EvaluationSummary, reference: GaussianFit) -> MetricValue:
    """How many latent dimensions are collapsed, from both sides."""
    latents = _latents_or_reason(summary)
    if isinstance(latents, MetricValue):
        return latents
    divergence = summary.values["divergence"]
    if not np.isfinite(divergence.mean).all():
        reason = "Some posteriors have a KL to the prior that is not finite."
        return MetricValue(value=None, num_images=divergence.count, kind="nan", reason=reason)
    uninformative = _share(summary, "collapse/uninformative")
    if uninformative is None:
        return MetricValue.not_applicable(NOT_DIAGONAL)
    verdict = verdict_of_shares(uninformative, _share(summary, "collapse/ignored"))
    return collapsed_dimensions(verdict, divergence.count)


def _share(summary: EvaluationSummary, name: str) -> Float64 | None:
    """Share of images that are 1, exactly: a mean of merged blocks may miss 0.99 by its last bit."""
    moments = summary.values.get(name)
    if moments is None:
        return None
    share: Float64 = np.rint(moments.mean * moments.count) / moments.count
    return share


def _latents_or_reason(summary: EvaluationSummary, *, needs_variance: bool = True) -> Latents | MetricValue:
    if not summary.counts.get("reconstructions") or summary.latents is None:
        return MetricValue.not_applicable(NOTHING_ENCODED)
    has_divergence = "divergence" in summary.values
    has_variance = "collapse/uninformative" in summary.values
    if has_divergence and not has_variance:
        return MetricValue.not_applicable(NOT_DIAGONAL)
    if needs_variance and not has_variance:
        return MetricValue.not_applicable(WITHOUT_VARIANCE)
    return summary.latents


def _active(name: str, threshold: float) -> Metric:
    return Metric(
        name=name,
        version=1,
        title=f"Active units ({threshold:g})",
        unit="latent dimensions",
        direction="neither",
        compute=ActiveUnits(threshold),
        needs=frozenset({"posterior"}),
    )


LATENT_METRICS: tuple[Metric, ...] = (
    Metric(
        name="kl_bits",
        version=1,
        title="Rate",
        unit="bits per image",
        direction="neither",
        compute=rate_in_bits,
        needs=frozenset({"posterior"}),
    ),
    Metric(
        name="codebook_usage",
        version=1,
        title="Share of the codebook in use",
        unit="share",
        direction="higher",
        compute=OfCodes(codebook_usage),
        needs=frozenset({"codes"}),
    ),
    Metric(
        name="codebook_perplexity",
        version=1,
        title="Perplexity of the codebook",
        unit="codes",
        direction="higher",
        compute=OfCodes(codebook_perplexity),
        needs=frozenset({"codes"}),
    ),
    Metric(
        name="codebook_rate",
        version=1,
        title="Rate of the codes",
        unit="bits per image",
        direction="neither",
        compute=OfCodes(codebook_rate),
        needs=frozenset({"codes"}),
    ),
    Metric(
        name="mutual_information",
        version=1,
        title="Mutual information of image and latent",
        unit="nats",
        direction="neither",
        compute=OfDecomposition(mutual_information),
        needs=frozenset({"posterior"}),
    ),
    Metric(
        name="total_correlation",
        version=1,
        title="Total correlation of the latents",
        unit="nats",
        direction="lower",
        compute=OfDecomposition(total_correlation),
        needs=frozenset({"posterior"}),
    ),
    Metric(
        name="dimension_wise_kl",
        version=1,
        title="KL of the latent marginals to the prior",
        unit="nats",
        direction="lower",
        compute=OfDecomposition(dimension_wise_divergence),
        needs=frozenset({"posterior"}),
    ),
    Metric(
        name="aggregated_posterior_gap",
        version=1,
        title="Gap of the aggregated posterior to the prior",
        unit="nats",
        direction="lower",
        compute=gap_to_the_prior,
        needs=frozenset({"posterior"}),
    ),
    _active("active_units", THRESHOLD),
    _active("active_units_0_001", THRESHOLD / 10),
    _active("active_units_0_1", THRESHOLD * 10),
    Metric(
        name="collapsed_dimensions",
        version=1,
        title="Collapsed latent dimensions",
        unit="latent dimensions",
        direction="lower",
        compute=collapse,
        needs=frozenset({"posterior", "interventions/response"}),
    ),
)
