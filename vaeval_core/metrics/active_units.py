"""Active units: latent dimensions whose posterior mean moves with the image.

    Aⱼ = variance over images of μⱼ(x), n - 1        unit j is active if Aⱼ > threshold

Source: Burda, Grosse and Salakhutdinov 2016, arXiv:1509.00519, with a threshold of 0.01. The count depends on it wherever
the variances do not fall into two heaps, so it is taken at a tenth and at ten times of it as well.
"""

from __future__ import annotations

from vaeval_core.accumulators.value_moments import ValueMoments
from vaeval_core.evaluation_result import MetricValue

THRESHOLD = 0.01
"""The published one; 0.001 and 0.1 stand beside it."""


def active_units(posterior_means: ValueMoments, threshold: float = THRESHOLD) -> MetricValue:
    """How many units are active.

    Args:
        posterior_means: Moments over images of μ, (k,).
        threshold: Least variance of an active unit.

    Returns:
        A count, 0 … k; components are the variances Aⱼ, in squared latent units, where a prior's is 1.
    """
    if posterior_means.count < 2:
        return MetricValue.not_applicable("A variance needs at least two images.")
    variances = posterior_means.squares / (posterior_means.count - 1)
    count = float((variances > threshold).sum())
    return MetricValue.of(
        # A count would hide that a mean is not a number: what is not a number is not above the threshold.
        count if (variances >= 0).all() else float("nan"),
        num_images=posterior_means.count,
        components=tuple(variances.tolist()),
    )
