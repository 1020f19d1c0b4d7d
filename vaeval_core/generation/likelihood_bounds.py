"""Lower bounds of ln p(x), and the reconstruction from a draw, out of one pass over draws from the posterior.

    ELBO       1/K Σ ln p(x|zₖ) - KL(q(z|x) ‖ p)          KL in closed form: the `kl` of the same image
    IWAE       ln 1/K Σ p(x|zₖ) p(zₖ) / q(zₖ|x)

All in nats per image, summed over pixels, channels and latents. On average ELBO ≤ IWAE ≤ ln p(x), and IWAE grows with K.
The likelihood is the declared one; without one only errors are measured. Every draw counts, whatever K: none is dropped
because it does not fill a batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container
from dataclasses import dataclass

import numpy as np

from vaeval_core.checkpoints.base import Posterior, VaeAdapter
from vaeval_core.errors import InvalidInput
from vaeval_core.generation.posterior_divergence import divergence_parts
from vaeval_core.generation.posterior_draws import decode_posterior_draws
from vaeval_core.generation.reconstruct import encode
from vaeval_core.likelihood import Likelihood
from vaeval_core.measurements.dequantisation import Dequantisation, bits_per_dimension, dequantise
from vaeval_core.measurements.importance_weights import ImportanceWeights
from vaeval_core.measurements.log_likelihood import (
    bernoulli_log_likelihood,
    gaussian_log_likelihood,
    is_black_and_white,
)
from vaeval_core.measurements.reconstruction_error import squared_error
from vaeval_core.measurements.reconstruction_measurements import measure_drawn_reconstruction
from vaeval_core.quantisation import is_finite
from vaeval_core.shard_plan import NETWORK_BATCH
from vaeval_core.types import Float32, Float64, IndexRange


@dataclass(frozen=True, kw_only=True)
class DrawPlan:
    """How to measure draws from posteriors: everything that changes a number, beside checkpoint and images.

    Attributes:
        likelihood: What the decoder's means are means of; None if nobody has said.
        dequantisation: `uniform` for images of 256 levels, `none` for data that were never levels.
        seed: Seed of the protocol.
        num_draws: K ≥ 1; K network calls per batch.
        batch: Images per network call.
        wanted: Names of measurements of draw 0; all of them if None.
    """

    likelihood: Likelihood | None
    dequantisation: Dequantisation
    seed: int
    num_draws: int
    batch: int = NETWORK_BATCH
    wanted: Container[str] | None = None

    @property
    def is_bounded(self) -> bool:
        """True if there is a likelihood, and so a bound of it."""
        return self.likelihood is not None and self.likelihood.kind != "none"


def measure_likelihood(
    adapter: VaeAdapter, images: Float32, index_range: IndexRange, plan: DrawPlan
) -> dict[str, Float64]:
    """Encode images and measure draws from their posteriors; the range may be of any length.

    Args:
        adapter: The checkpoint.
        images: (n, h, w, c) in [0, 1].
        index_range: Their numbers.
        plan: How.

    Returns:
        As `measure_posterior_draws`.

    Raises:
        InvalidInput: As `measure_posterior_draws`, or there are not as many images as numbers.
    """
    if len(images) != len(index_range):
        raise InvalidInput(
            "There are not as many images as image numbers.",
            received=f"{len(images)} images for {index_range.start} to {index_range.stop - 1}",
            expected=f"{len(index_range)} images",
        )
    parts = []
    for block in index_range.blocks(plan.batch):
        pixels = images[block.start - index_range.start : block.stop - index_range.start]
        posterior = encode(adapter, pixels, block, plan.batch)
        parts.append(measure_posterior_draws(adapter, pixels, posterior, block, plan))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def measure_posterior_draws(
    adapter: VaeAdapter,
    images: Float32,
    posterior: Posterior,
    index_range: IndexRange,
    plan: DrawPlan,
    *,
    on_draw: Callable[[], None] = lambda: None,
) -> dict[str, Float64]:
    """Measure draws from posteriors that are known already; the range lies within one aligned batch.

    Args:
        adapter: The checkpoint.
        images: (n, h, w, c) in [0, 1].
        posterior: What its encoder says about them.
        index_range: Their numbers.
        plan: How.
        on_draw: Called after each draw but the first: thousands of draws are long to be silent. May raise to stop.

    Returns:
        One float64 per image for each name.
        Draw 0: `drawn/squared_error` and others, see `measure_drawn_reconstruction`; and `drawn/dequantised_error`, the
        squared error per pixel and channel of dequantised images, with `drawn/is_dequantised` 1, or of images that were
        never levels, with 0.
        All draws, with a likelihood: `likelihood/expected`, the mean over draws of ln p(x|z); `likelihood/elbo`;
        `likelihood/importance_weighted`; `likelihood/inverse_effective_size`, 1/K … 1; `likelihood/bits_per_dimension` of
        the importance-weighted bound; `likelihood/applies`, 0 where a Bernoulli likelihood meets an image with greys.

    Raises:
        InvalidInput: The images are not in [0, 1], or have no levels to dequantise; the encoder gives no variance; K < 1.
    """
    spread = dequantise(images, plan.seed, index_range) if plan.dequantisation == "uniform" else images
    bound = _Bound(plan, images, spread)
    arrays: dict[str, Float64] = {}
    draws = decode_posterior_draws(
        adapter, posterior, index_range, seed=plan.seed, batch=plan.batch, num_draws=plan.num_draws
    )
    for number, draw in enumerate(draws):
        if number:
            on_draw()
        else:
            arrays |= measure_drawn_reconstruction(images, draw.images, plan.wanted)
            # One draw for every checkpoint, whether it has a likelihood or not: calibrated bounds are to compare.
            arrays["drawn/dequantised_error"] = squared_error(spread, draw.images)
            arrays["drawn/is_dequantised"] = np.full(len(images), float(plan.dequantisation == "uniform"))
        bound.add(draw.images, draw.log_prior_over_posterior)
    return arrays | bound.measured(posterior)


class _Bound:
    """The terms of both bounds, summed over draws; nothing if there is no likelihood."""

    def __init__(self, plan: DrawPlan, images: Float32, spread: Float32 | Float64) -> None:
        self._num_draws = plan.num_draws
        self._likelihood = plan.likelihood if plan.is_bounded else None
        self._is_bernoulli = self._likelihood is not None and self._likelihood.kind == "bernoulli"
        # A Bernoulli scores black and white as they are: spread over a cell they would be greys, which it has no word for.
        self._targets = images if self._is_bernoulli else spread
        self._levels: Dequantisation = "none" if self._is_bernoulli else plan.dequantisation
        self._expected = np.zeros(len(images))
        self._weights = ImportanceWeights(len(images))

    def add(self, means: Float32, log_prior_over_posterior: Float64) -> None:
        if self._likelihood is None:
            return
        if self._likelihood.sigma is None:
            nats = bernoulli_log_likelihood(self._targets, means)
        else:
            nats = gaussian_log_likelihood(self._targets, means, self._likelihood.sigma)
        # A clipped probability would hide that the decoder gave an infinity.
        nats = np.where(is_finite(means) == 1, nats, np.nan)
        self._expected += nats / self._num_draws
        self._weights.add(nats + log_prior_over_posterior)

    def measured(self, posterior: Posterior) -> dict[str, Float64]:
        parts = None if self._likelihood is None else divergence_parts(posterior)
        if parts is None:
            return {}
        divergence = parts.sum(axis=1)
        importance_weighted = self._weights.log_mean
        num_values = math.prod(self._targets.shape[1:])
        return {
            "likelihood/expected": self._expected,
            "likelihood/elbo": self._expected - divergence,
            "likelihood/importance_weighted": importance_weighted,
            "likelihood/inverse_effective_size": 1 / self._weights.effective_size,
            "likelihood/bits_per_dimension": bits_per_dimension(importance_weighted, num_values, self._levels),
            "likelihood/applies": is_black_and_white(self._targets)
            if self._is_bernoulli
            else np.ones(len(self._targets)),
        }
