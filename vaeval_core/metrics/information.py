"""Where the KL of a VAE goes: into information, into dependence between latents, or into a wrong marginal.

    E KL(q(z|x) ‖ p(z))  =  I_q(x; z)  +  KL(q(z) ‖ Π q(zⱼ))  +  Σ KL(q(zⱼ) ‖ p(zⱼ))
                            mutual        total correlation      dimension-wise KL
                            information

The aggregated posterior q(z) = 1/n Σ q(z|xᵢ) is summed over all n images, each with the same weight, at one seeded draw for
each of the first images. No minibatch stands in for the data: that biases the terms by the logarithm of the batch size.

    >>> rows = PosteriorRows(np.float32([[-9.0], [9.0]]), np.float32([[-4.0], [-4.0]]))     # two images, far apart
    >>> round(decompose_divergence(rows, seed=0).mutual_information.value, 6)               # ln 2
    0.693147

Source: Chen, Li, Grosse and Duvenaud 2018, «Isolating sources of disentanglement in variational autoencoders»,
arXiv:1802.04942; Hoffman and Johnson 2016, «ELBO surgery».
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vaeval_core.errors import InvalidInput
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.measurements.gaussian_posterior import posterior_latents
from vaeval_core.metrics.posterior_rows import WITHOUT_VARIANCE, PosteriorRows
from vaeval_core.seeding import standard_normal
from vaeval_core.types import Float32, Float64, IndexRange

MOST_POINTS = 10_000
"""Draws at which densities are evaluated: the standard error is then a hundredth of the spread of a point's terms."""

MOST_TERMS = 4 * 10**9
"""Draws × images × dimensions at which to stop adding draws: about half a minute on one core."""

FEWEST_POINTS = 64
"""Below this many draws there is no estimate."""

SATURATED_WITHIN = 1.0
"""Nats below ln n from which on the estimate of the mutual information says little but n."""

_LOG_TWO_PI = math.log(2 * math.pi)
_CACHED_VALUES = 1 << 17  # float64 values of a working matrix: 1 MiB, so that it stays in the cache


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean over draws with its standard error, nats."""

    value: float
    std_error: float | None


@dataclass(frozen=True, kw_only=True, eq=False)
class DivergenceDecomposition:
    """The three terms, and the KL that they add up to, at the same draws.

    Attributes:
        num_images: n, components of q(z).
        num_points: Draws at which the terms were evaluated.
        mutual_information: I_q(x; z); at most ln n, whatever the encoder knows.
        total_correlation: KL of q(z) to the product of its marginals.
        dimension_wise: KL of the marginals to the prior, summed.
        dimension_wise_parts: The same for each dimension, (k,).
        divergence: Mean KL to the prior at these draws.
        residual: Largest difference, over draws, between the KL and the sum of the three terms: rounding only.
    """

    num_images: int
    num_points: int
    mutual_information: Estimate
    total_correlation: Estimate
    dimension_wise: Estimate
    dimension_wise_parts: Float64
    divergence: Estimate
    residual: float

    @property
    def is_saturated(self) -> bool:
        """True where the mutual information comes near ln n, its largest estimate: then no term can be told."""
        return self.mutual_information.value > math.log(self.num_images) - SATURATED_WITHIN


def num_points_of(posterior: PosteriorRows) -> int:
    """How many draws are affordable: all images up to 10,000, fewer where the latent is long."""
    per_point = posterior.num_images * posterior.latent_size
    return min(posterior.num_images, MOST_POINTS, MOST_TERMS // per_point)


def decompose_divergence(
    posterior: PosteriorRows, *, seed: int, num_points: int | None = None
) -> DivergenceDecomposition:
    """Decompose the KL of posteriors to the standard normal prior.

    Args:
        posterior: Of n images, with variances; draw i is that of image i (`posterior_draws`).
        seed: Seed of the protocol.
        num_points: Draws, those of the first images; as many as `num_points_of` says if None.

    Returns:
        The terms; NaN where a posterior is not finite.

    Raises:
        InvalidInput: The posteriors have no variance, or there are not as many images as draws.
    """
    points = num_points_of(posterior) if num_points is None else num_points
    if posterior.log_variance is None or not 1 <= points <= posterior.num_images:
        raise InvalidInput(
            "The KL of these posteriors cannot be decomposed.",
            received=f"{points} draws from {posterior.num_images} posteriors of {posterior.latent_size} dimensions, "
            f"{'no variance' if posterior.log_variance is None else 'with variances'}",
            expected="posteriors with variances, and 1 ≤ draws ≤ images",
        )
    noise = standard_normal(seed, "posterior", IndexRange(0, points), posterior.latent_size)
    latents = posterior_latents(posterior.mean[:points], posterior.log_variance[:points], noise)
    with np.errstate(over="ignore", invalid="ignore"):
        log_variance = posterior.log_variance[:points].astype(np.float64)
        own = -0.5 * (np.square(noise.astype(np.float64)) + log_variance + _LOG_TWO_PI).sum(axis=1)
        prior = -0.5 * (np.square(latents) + _LOG_TWO_PI)
        aggregated, marginals = _aggregated_log_densities(posterior.mean, posterior.log_variance, latents)
        information = own - aggregated
        correlation = aggregated - marginals.sum(axis=1)
        dimension_wise = marginals - prior
        divergence = own - prior.sum(axis=1)
        total = information + correlation + dimension_wise.sum(axis=1)
        residual = float(np.abs(total - divergence).max())
    return DivergenceDecomposition(
        num_images=posterior.num_images,
        num_points=points,
        mutual_information=_estimate(information),
        total_correlation=_estimate(correlation),
        dimension_wise=_estimate(dimension_wise.sum(axis=1)),
        dimension_wise_parts=dimension_wise.mean(axis=0),
        divergence=_estimate(divergence),
        residual=residual,
    )


def mutual_information(decomposition: DivergenceDecomposition) -> MetricValue:
    """I_q(x; z) between image number and latent, nats."""
    return _value(decomposition, decomposition.mutual_information)


def total_correlation(decomposition: DivergenceDecomposition) -> MetricValue:
    """KL of the aggregated posterior to the product of its marginals, nats; may come out slightly below 0."""
    return _value(decomposition, decomposition.total_correlation)


def dimension_wise_divergence(decomposition: DivergenceDecomposition) -> MetricValue:
    """KL of the marginals of the aggregated posterior to the prior, summed, nats; components are the dimensions."""
    return _value(
        decomposition, decomposition.dimension_wise, tuple(float(part) for part in decomposition.dimension_wise_parts)
    )


def why_not_decomposed(posterior: PosteriorRows | None) -> MetricValue | None:
    """The value of all three metrics where there is nothing to decompose; None where there is."""
    if posterior is None:
        return MetricValue.not_applicable("The protocol has no reconstructions, so nothing was encoded.")
    if posterior.log_variance is None:
        return MetricValue.not_applicable(WITHOUT_VARIANCE)
    if num_points_of(posterior) < min(FEWEST_POINTS, posterior.num_images):
        return MetricValue.not_applicable(
            f"{posterior.num_images} posteriors of {posterior.latent_size} dimensions are too many to sum up densities "
            f"of at {FEWEST_POINTS} draws."
        )
    return posterior.not_finite()


def _aggregated_log_densities(mean: Float32, log_variance: Float32, latents: Float64) -> tuple[Float64, Float64]:
    """ln q(z) (s,) and ln q(zⱼ) (s, k) at latents (s, k), each a logarithm of a mean over all n posteriors (n, k)."""
    # Dimension first: each pass below then runs over neighbouring numbers.
    means = np.ascontiguousarray(mean.T, dtype=np.float64)
    log_variances = np.ascontiguousarray(log_variance.T, dtype=np.float64)
    precisions = np.exp(-log_variances)
    offsets = log_variances + _LOG_TWO_PI
    aggregated = np.empty(len(latents))
    marginals = np.empty(latents.shape)
    rows = max(_CACHED_VALUES // len(mean), 1)
    for start in range(0, len(latents), rows):
        part = slice(start, start + rows)
        joint = np.zeros((len(latents[part]), len(mean)))
        for dimension in range(len(means)):
            terms = latents[part, dimension, np.newaxis] - means[dimension]
            np.square(terms, out=terms)
            terms *= precisions[dimension]
            terms += offsets[dimension]
            terms *= -0.5
            joint += terms
            marginals[part, dimension] = _log_mean_exp(terms)
        aggregated[part] = _log_mean_exp(joint)
    return aggregated, marginals


def _log_mean_exp(rows: Float64) -> Float64:
    """Logarithm of the mean of e^row over each row, in place: rows are used up."""
    largest = rows.max(axis=1, keepdims=True)
    rows -= largest
    np.exp(rows, out=rows)
    result: Float64 = np.log(rows.mean(axis=1)) + largest[:, 0]
    return result


def _estimate(terms: Float64) -> Estimate:
    error = float(terms.std(ddof=1)) / math.sqrt(len(terms)) if len(terms) > 1 else None
    return Estimate(value=float(terms.mean()), std_error=error)


def _value(
    decomposition: DivergenceDecomposition, estimate: Estimate, components: tuple[float, ...] = ()
) -> MetricValue:
    warnings = []
    if decomposition.is_saturated:
        ceiling = math.log(decomposition.num_images)
        warnings.append(
            f"Saturated: the mutual information comes out as {decomposition.mutual_information.value:.2f} nats, and cannot "
            f"exceed ln n = {ceiling:.2f} with n = {decomposition.num_images} images. Neither it nor total correlation "
            "and dimension-wise KL can be told from so few."
        )
    tolerance = 1e-9 * max(1.0, abs(decomposition.divergence.value))
    if decomposition.residual > tolerance:
        warnings.append(f"The terms miss the KL by {decomposition.residual:.2g} nats: densities lost digits.")
    return MetricValue.of(
        estimate.value,
        num_images=decomposition.num_images,
        std_error=estimate.std_error,
        components=components,
        warnings=tuple(warnings),
    )
