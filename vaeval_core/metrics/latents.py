"""The posteriors of an evaluation as metrics of latents look at them: read once, decomposed once, whoever asks.

shards ─► Latents.rows ─► aggregated_posterior_gap
                      └─► Latents.decomposition ─► mutual_information, total_correlation, dimension_wise_kl
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaeval_core.computed_once import computed_once
from vaeval_core.metrics.information import DivergenceDecomposition, decompose_divergence
from vaeval_core.metrics.posterior_rows import PosteriorRows

MOST_NUMBERS = 1 << 24
"""Latent numbers that are held at once: of long latents the first images stand for all, and the row says how many."""


class Latents:
    """Posteriors of the first images, as many as memory is good for: all of them up to 16 million latent numbers.

    Args:
        shards: Arrays of each shard, in shard order; begins anew at each `iter`.
        seed: Seed of the protocol.
    """

    def __init__(self, shards: Iterable[Mapping[str, NDArray[Any]]], seed: int) -> None:
        self._shards = shards
        self._seed = seed

    @computed_once
    def rows(self) -> PosteriorRows:
        """Means and log-variances, (n, k)."""
        means, log_variances, count = [], [], 0
        for shard in self._shards:
            mean = shard.get("posterior/mean")
            if mean is None:
                continue
            room = max(MOST_NUMBERS // mean.shape[1], 2) - count
            if room <= 0:
                break
            means.append(mean[:room])
            if "posterior/log_variance" in shard:
                log_variances.append(shard["posterior/log_variance"][:room])
            count += len(means[-1])
        return PosteriorRows(np.concatenate(means), np.concatenate(log_variances) if log_variances else None)

    @computed_once
    def decomposition(self) -> DivergenceDecomposition:
        """The KL of these posteriors in its three terms."""
        return decompose_divergence(self.rows, seed=self._seed)
