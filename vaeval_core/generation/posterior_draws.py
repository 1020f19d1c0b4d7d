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
from vaeval_core.measurements.gaussian_posterior import log_prior_over_posterior, posterior_latents
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
        InvalidInput: The encoder gives no variance, so that there is nothing to draw from, or K < 1.
    """
    log_variance = posterior.log_variance
    if log_variance is None or num_draws < 1:
        raise InvalidInput(
            "There is nothing to draw from the posterior.",
            received=f"num_draws={num_draws}, {'no log-variance' if log_variance is None else 'a log-variance'}",
            expected="a posterior with a log-variance, and at least one draw",
        )
    width = posterior.mean.shape[1]
    for first in range(0, num_draws, DRAWS_PER_PAGE):
        count = min(DRAWS_PER_PAGE, num_draws - first)
        page = standard_normal(seed, "posterior", index_range, count * width, page=first // DRAWS_PER_PAGE)
        for noise in page.reshape(len(index_range), count, width).transpose(1, 0, 2):
            latents = posterior_latents(posterior.mean, log_variance, noise)
            with np.errstate(over="ignore"):
                padded = pad_to_batch(latents.astype(np.float32), index_range, batch)
            yield PosteriorDraw(
                images=take_from_batch(adapter.decode(padded), index_range, batch),
                log_prior_over_posterior=log_prior_over_posterior(latents, noise, log_variance),
            )
