"""Scores of disentanglement as an evaluation computes them: posterior means against the factors behind the images."""

from __future__ import annotations

import numpy as np

from vaeval_core.computed_once import computed_once
from vaeval_core.disentanglement.all_scores import DisentanglementScores
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.metrics.latents import Latents
from vaeval_core.metrics.shard_rows import ShardRows


class FactorScores:
    """Scores that are computed when they are asked for; rows are read with the first of them.

    Args:
        latents: Posteriors of the first images; those of long latents are not all held, and the scores are of as many.
        factors: Class of each factor of each image, (n, f).
        seed: Seed of the protocol.
    """

    def __init__(self, latents: Latents, factors: ShardRows, *, seed: int) -> None:
        self._latents = latents
        self._factors = factors
        self._seed = seed

    def score(self, name: str) -> MetricValue:
        """One of `DISENTANGLEMENT_SCORES`, or why there is no number."""
        return self._scores.score(name)

    @computed_once
    def _scores(self) -> DisentanglementScores:
        codes = self._latents.rows.mean
        factors = np.concatenate(list(self._factors))
        return DisentanglementScores(codes, factors[: len(codes)], seed=self._seed)
