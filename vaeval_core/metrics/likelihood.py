"""Bounds of the likelihood as metrics: in nats per image, in bits per dimension, and with σ fitted to the evaluation.

A declared σ decides how much an error costs against a nat of KL, so that bounds under two σ say nothing about each other.
The calibrated bound takes for every checkpoint the σ at which its own bound is largest, σ² = mean squared error of draws:

    -h·w·c/2 (ln (2π σ²) + 1) - KL

Source: ELBO: Kingma and Welling 2014, arXiv:1312.6114. IWAE: Burda et al. 2016, arXiv:1509.00519. The calibrated σ: Rybkin,
Daniilidis and Levine 2021, «Simple and effective VAE training with calibrated decoders», arXiv:2006.13202.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vaeval_core.errors import InvalidInput
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.metrics.base import EvaluationSummary
from vaeval_core.metrics.gaussian_fit import GaussianFit
from vaeval_core.metrics.image_means import NO_RECONSTRUCTIONS
from vaeval_core.metrics.posterior_rows import WITHOUT_VARIANCE
from vaeval_core.types import Float64

UNDECLARED = (
    "No likelihood is declared. Say what the decoder's means are means of: `--likelihood gaussian:0.025` or "
    "`--likelihood bernoulli`, or in vaeval.yaml beside the checkpoint `likelihood: {kind: gaussian, sigma: 0.025}`."
)

NO_DRAWS_OF_GROUPS = "The posterior is one of several groups of latents, of which the model alone can draw."

FEWEST_EFFECTIVE_DRAWS = 10.0
"""Below it the bound still rises with K: by the delta method, by about ½ (1/ESS - 1/K) nats, here 0.05."""


@dataclass(frozen=True, kw_only=True)
class LikelihoodMean:
    """A metric: the mean over images of a measurement under the declared likelihood.

    Attributes:
        measurement: Its name in `EvaluationSummary.values`, `likelihood/…`.
        is_importance_weighted: It rests on the sum of importance weights, which must have converged.
    """

    measurement: str
    is_importance_weighted: bool = False

    def __call__(self, summary: EvaluationSummary, reference: GaussianFit) -> MetricValue:
        """The mean with its standard error over images, or why there is none."""
        reason = why_no_draws(summary)
        if reason is not None:
            return MetricValue.not_applicable(reason)
        moments, applies = summary.values.get(self.measurement), summary.values.get("likelihood/applies")
        if moments is None or applies is None:
            return MetricValue.not_applicable(UNDECLARED)
        grey = round((1 - float(applies.mean[0])) * applies.count)
        if grey:
            return MetricValue.not_applicable(
                f"{grey} of {applies.count} images have values between 0 and 1, of which a Bernoulli likelihood is no "
                "probability. Binarise the images, or declare a Gaussian one; cross_entropy_excess needs neither."
            )
        error = moments.std_error
        return MetricValue.of(
            float(moments.mean[0]),
            num_images=moments.count,
            std_error=None if error is None else float(error[0]),
            warnings=_not_converged(summary) if self.is_importance_weighted else (),
        )


def why_no_draws(summary: EvaluationSummary) -> str | None:
    """Why there is no bound of any likelihood; None if the posterior can be drawn from."""
    if not summary.counts.get("reconstructions"):
        return NO_RECONSTRUCTIONS
    if "divergence" not in summary.values:
        return WITHOUT_VARIANCE
    possible = summary.values.get("draws/possible")
    return NO_DRAWS_OF_GROUPS if possible is not None and possible.mean[0] == 0 else None


def calibrated_evidence(squared_error: Float64, divergence: Float64, num_values: int) -> MetricValue:
    """The ELBO under a Gaussian likelihood with the σ that makes it largest, nats per image.

    Args:
        squared_error: Squared error per pixel and channel of posterior draws, the mean over draws, (n,), n ≥ 1.
        divergence: KL of each image to the prior, (n,), nats.
        num_values: h·w·c.

    Returns:
        The bound; its component is σ, in intensities. The standard error holds σ's own.

    Raises:
        InvalidInput: The arrays do not belong to the same images.
    """
    if squared_error.ndim != 1 or squared_error.shape != divergence.shape or not len(divergence) or num_values < 1:
        raise InvalidInput(
            "A calibrated bound needs an error and a divergence for each image.",
            received=f"squared_error {squared_error.shape}, divergence {divergence.shape}, num_values={num_values}",
            expected="two arrays (n,) of the same images, and num_values ≥ 1",
        )
    count = len(divergence)
    variance = float(squared_error.mean())
    if variance == 0:
        return MetricValue(
            value=None,
            num_images=count,
            kind="inf",
            reason="There is no error at all, so that σ is 0 and its density infinite.",
        )
    with np.errstate(invalid="ignore", over="ignore"):
        # By the delta method an image moves the bound by its error over the mean error, and by its own KL.
        influence = -0.5 * num_values * squared_error / variance - divergence
        value = -0.5 * num_values * (math.log(2 * math.pi * variance) + 1) - float(divergence.mean())
        error = float(influence.std(ddof=1)) / math.sqrt(count) if count > 1 else None
    return MetricValue.of(value, num_images=count, std_error=error, components=(math.sqrt(variance),))


def calibrated_bits(evidence: MetricValue, num_values: int, levels_are_spread: bool) -> MetricValue:
    """The calibrated bound in bits per dimension.

    Args:
        evidence: What `calibrated_evidence` gave.
        num_values: h·w·c.
        levels_are_spread: The errors are those of dequantised images, so that a cell of 1/256 has 8 bits.
    """
    if evidence.value is None:
        return evidence
    per_nat = 1 / (num_values * math.log(2))
    error = evidence.std_error
    return MetricValue.of(
        (8.0 if levels_are_spread else 0.0) - evidence.value * per_nat,
        num_images=evidence.num_images,
        std_error=None if error is None else error * per_nat,
        components=evidence.components,
    )


def _not_converged(summary: EvaluationSummary) -> tuple[str, ...]:
    inverse = summary.values["likelihood/inverse_effective_size"].mean[0]
    if not inverse > 1 / FEWEST_EFFECTIVE_DRAWS:
        return ()
    sentence = (
        f"Bound not converged: the effective sample size is {1 / inverse:.1f} draws (harmonic mean over images), below "
        f"{FEWEST_EFFECTIVE_DRAWS:g}. With more draws it would rise; compare only with equal numbers of draws."
    )
    return (sentence,)
