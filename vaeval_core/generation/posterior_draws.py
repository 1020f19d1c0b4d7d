"""Decodes draws from posteriors: what a VAE was trained on, where a reconstruction from the mean is what it is shown by.

Draw k of image i under a seed is one latent for ever: the same in every shard, and for K = 5 the first five of K = 5000.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vaeval_core.checkpoints.base import Posterior, VaeAdapter
from vaeval_core.errors import InvalidInput
from vaeval_core.generation.aligned_batches import pad_to_batch, take_from_batch
from vaeval_core.measurements.gaussian_posterior import (
    correlated_latents,
    log_prior_over_posterior,
    log_variance_of_factor,
    posterior_latents,
)
from vaeval_core.seeding import standard_normal
from vaeval_core.types import Float32, Float64, IndexRange

DRAWS_PER_PAGE = 64
"""Draws whose noise is made at once, on one page of each image's noise. Part of what a draw is, so a constant."""


@dataclass(frozen=True, eq=False)
class PosteriorDraw:
    """One latent for each of n images, decoded.

    Attributes:
        images: (n, h, w, c) float32, not clamped.
        log_prior_over_posterior: ln p(z) - ln q(z|x), (n,) float64.
    """

    images: Float32
    log_prior_over_posterior: Float64


def can_be_drawn_from(posterior: Posterior) -> bool:
    """True if the posterior says how wide it is; groups of a hierarchical model are drawn by the model alone."""
    has_width = posterior.log_variance is not None or posterior.covariance_factor is not None
    return has_width and posterior.group_divergences is None


def decode_posterior_draws(
    adapter: VaeAdapter, posterior: Posterior, index_range: IndexRange, *, seed: int, batch: int, num_draws: int
) -> Iterator[PosteriorDraw]:
    """Draws 0 … num_draws - 1 of each image of a range, one network call each.

    Args:
        adapter: The checkpoint.
        posterior: What its encoder says about the images of the range.
        index_range: Image numbers, all within one aligned batch.
        seed: Seed of the protocol.
        batch: Images per network call.
        num_draws: K ≥ 1.

    Raises:
        InvalidInput: The posterior says not how wide it is, so that there is nothing to draw from, or K < 1.
    """
    is_possible = can_be_drawn_from(posterior)
    if not is_possible or num_draws < 1:
        raise InvalidInput(
            "There is nothing to draw from the posterior.",
            received=f"num_draws={num_draws}, {'a log-variance' if is_possible else 'no log-variance'}",
            expected="a posterior with a log-variance or a full covariance, and at least one draw",
        )
    width = posterior.mean.shape[1]
    for first in range(0, num_draws, DRAWS_PER_PAGE):
        count = min(DRAWS_PER_PAGE, num_draws - first)
        page = standard_normal(seed, "posterior", index_range, count * width, page=first // DRAWS_PER_PAGE)
        for noise in page.reshape(len(index_range), count, width).transpose(1, 0, 2):
            latents, log_weights = _draw(posterior, noise)
            with np.errstate(over="ignore"):
                padded = pad_to_batch(latents.astype(np.float32), index_range, batch)
            yield PosteriorDraw(
                images=take_from_batch(adapter.decode(padded), index_range, batch),
                log_prior_over_posterior=log_weights,
            )


def first_draw(posterior: Posterior, index_range: IndexRange, *, seed: int) -> Float64:
    """Draw 0 of each image of a range, (n, k), from a posterior that can be drawn from; not decoded."""
    return _draw(posterior, standard_normal(seed, "posterior", index_range, posterior.mean.shape[1]))[0]


def _draw(posterior: Posterior, noise: Float32) -> tuple[Float64, Float64]:
    """Latents (n, k) that the noise makes of a posterior, and ln p(z) - ln q(z|x) of each, (n,)."""
    if posterior.covariance_factor is not None:
        latents = correlated_latents(posterior.mean, posterior.covariance_factor, noise)
        return latents, log_prior_over_posterior(latents, noise, log_variance_of_factor(posterior.covariance_factor))
    if posterior.log_variance is None:
        raise ValueError("A posterior without a width was drawn from.")
    latents = posterior_latents(posterior.mean, posterior.log_variance, noise)
    return latents, log_prior_over_posterior(latents, noise, posterior.log_variance)
