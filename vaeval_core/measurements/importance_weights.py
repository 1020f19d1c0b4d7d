"""Importance weights wₖ = p(x|zₖ) p(zₖ) / q(zₖ|x) of draws zₖ from the posterior, summed up as they come.

    ln 1/K Σ wₖ        a lower bound of ln p(x) on average, the tighter the larger K; K = 1 is the ELBO
    (Σ w)² / Σ w²      effective sample size, 1 … K: how many draws carry the sum

Everything stays in logarithms: weights of images differ by factors of e^1000. ln K is subtracted once, at the end.

Source: Burda, Grosse and Salakhutdinov 2016, «Importance weighted autoencoders», arXiv:1509.00519.
"""

from __future__ import annotations

import math

import numpy as np

from vaeval_core.types import Float64


class ImportanceWeights:
    """The sums over draws of n images; memory does not grow with the number of draws.

    >>> weights = ImportanceWeights(num_images=1)
    >>> for log_weight in (0.0, math.log(3.0)):
    ...     weights.add(np.array([log_weight]))
    >>> round(float(np.exp(weights.log_mean)[0]), 6), round(float(weights.effective_size[0]), 6)
    (2.0, 1.6)
    """

    def __init__(self, num_images: int) -> None:
        self._num_draws = 0
        self._log_sum = np.full(num_images, -np.inf)
        self._log_square_sum = np.full(num_images, -np.inf)

    def add(self, log_weights: Float64) -> None:
        """Take the logarithms ln wₖ (n,) of one draw per image."""
        with np.errstate(invalid="ignore"):  # NaN stays NaN: the decoder gave it
            self._log_sum = np.logaddexp(self._log_sum, log_weights)
            self._log_square_sum = np.logaddexp(self._log_square_sum, 2 * log_weights)
        self._num_draws += 1

    @property
    def log_mean(self) -> Float64:
        """ln 1/K Σ wₖ of each image, (n,) float64, nats; needs K ≥ 1."""
        return self._log_sum - math.log(self._num_draws)

    @property
    def effective_size(self) -> Float64:
        """(Σ w)² / Σ w² of each image, (n,) float64; NaN if all weights are 0."""
        with np.errstate(invalid="ignore"):
            size: Float64 = np.exp(2 * self._log_sum - self._log_square_sum)
        return size
