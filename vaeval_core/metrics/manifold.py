"""Precision, recall, density and coverage: is what was generated like the real images, and is all that is real generated?

Balls stand for a set: one around each of its rows, reaching to its k-th nearest neighbour in the set, the row itself not
counted and the surface excluded. For n reference rows x and m generated rows y,

    precision = share of y in any ball of an x               recall   = share of x in any ball of a y
    density   = balls of an x that a y is in, mean / k       coverage = share of x with any y in its ball

Source: precision and recall: Kynkäänniemi et al. 2019, arXiv:1904.06991. Density and coverage: Naeem et al. 2020,
arXiv:2002.09797; k = 5 and the strict inequality, for all four, as in the program that they published.

    >>> line = np.arange(8.0)[:, np.newaxis]
    >>> scores = manifold_scores(line[:4], line, neighbours=2)      # half of the line, each point where it is
    >>> scores.precision.value, scores.coverage.value               # the ball of 4 reaches to 3, which is on its surface
    (1.0, 0.5)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vaeval_core.errors import InvalidInput
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.metrics.effective_images import FEWEST_EFFECTIVE_IMAGES, NO_SPREAD, UNRELIABLE, unreliable
from vaeval_core.metrics.feature_blocks import Features
from vaeval_core.metrics.neighbourhoods import Balls
from vaeval_core.metrics.pair_statistics import NEIGHBOURS, PairStatistics, SetStatistics, pair_statistics
from vaeval_core.metrics.shared_images import variance_of_mean
from vaeval_core.metrics.shares import error_of_share
from vaeval_core.types import Float64


@dataclass(frozen=True, kw_only=True)
class ManifoldScores:
    """The four values; higher is better. Their standard errors are of other generated images against the same reference.

    Attributes:
        precision: Share of generated images that look real, 0 to 1; std_error: that of a share, see `shares`.
        recall: Share of real images that could have been generated, 0 to 1; no std_error: leaving out one generated image
            changes the balls of others.
        density: As precision, counting every ball, 0 to n / k; 1 in expectation for equal distributions; std_error: that
            of a mean; none, with a warning, where a few images decide.
        coverage: Share of real images near which one was generated, 0 to 1; std_error: jackknife over generated images,
            which is too large by up to a half where nearly all are covered; none where a few images decide.
    """

    precision: MetricValue
    recall: MetricValue
    density: MetricValue
    coverage: MetricValue


def manifold_scores(
    generated: Features,
    reference: Features,
    *,
    neighbours: int = NEIGHBOURS,
    known_reference: SetStatistics | None = None,
) -> ManifoldScores:
    """All four from one pass over the pairs of images.

    Compare only values from equal numbers of images and equal k: with more reference images their balls are smaller.

    Args:
        generated: (m, d) features.
        reference: (n, d) features.
        neighbours: k ≥ 1, below m and n.
        known_reference: What `set_statistics` gave for the same reference: saves a quarter of the work.

    Raises:
        TooFewImages: Either set has no more than k rows.
        InvalidInput: A feature is not finite, the dimensions differ, or k < 1.
    """
    return manifold_scores_of(
        pair_statistics(generated, reference, neighbours=neighbours, known_reference=known_reference)
    )


def manifold_scores_of(pairs: PairStatistics) -> ManifoldScores:
    """All four from statistics that are already there; see `manifold_scores`."""
    balls, k = pairs.balls, pairs.neighbours
    if balls is None:
        raise InvalidInput("A manifold needs neighbours.", received=f"neighbours={k}", expected="1 or more")
    count = pairs.generated.count
    if not np.isfinite(balls.nearest_distance).all():
        # Squares of features of the size of 1e154 overflow: there are no distances to compare.
        missing = MetricValue.of(np.nan, num_images=count)
        return ManifoldScores(precision=missing, recall=missing, density=missing, coverage=missing)
    held = balls.rows_held > 0
    return ManifoldScores(
        precision=_share(int((balls.balls_holding > 0).sum()), count),
        recall=MetricValue.of(float(balls.is_in_generated_ball.mean()), num_images=count),
        density=_density(balls.balls_holding, k),
        coverage=_coverage(balls, float(held.mean())),
    )


def precision(generated: Features, reference: Features, *, neighbours: int = NEIGHBOURS) -> MetricValue:
    """Share of generated images that look real; see `manifold_scores`."""
    return manifold_scores(generated, reference, neighbours=neighbours).precision


def recall(generated: Features, reference: Features, *, neighbours: int = NEIGHBOURS) -> MetricValue:
    """Share of real images that could have been generated; see `manifold_scores`."""
    return manifold_scores(generated, reference, neighbours=neighbours).recall


def density(generated: Features, reference: Features, *, neighbours: int = NEIGHBOURS) -> MetricValue:
    """How many real images each generated one is near to, relative to k; see `manifold_scores`."""
    return manifold_scores(generated, reference, neighbours=neighbours).density


def coverage(generated: Features, reference: Features, *, neighbours: int = NEIGHBOURS) -> MetricValue:
    """Share of real images near which one was generated; see `manifold_scores`."""
    return manifold_scores(generated, reference, neighbours=neighbours).coverage


def _share(successes: int, count: int) -> MetricValue:
    return MetricValue.of(successes / count, num_images=count, std_error=error_of_share(successes, count))


def _density(counts: NDArray[np.int64], divisor: int) -> MetricValue:
    """Mean of counts over generated images, divided; from their sum, which has no order."""
    value = int(counts.sum()) / (counts.size * divisor)
    influence = (counts - counts.mean()) / divisor
    return _scored(value, influence, unreliable(influence))


def _coverage(balls: Balls, value: float) -> MetricValue:
    """Jackknife: without a generated row, the balls that hold it alone are no longer covered."""
    count = balls.balls_holding.size
    lost = np.bincount(balls.numbers_held[balls.rows_held == 1], minlength=count) / balls.rows_held.size
    few_decide = np.count_nonzero(lost) < FEWEST_EFFECTIVE_IMAGES
    return _scored(value, (count - 1) * (lost - lost.mean()), UNRELIABLE if few_decide else None)


def _scored(value: float, influence: Float64, unreliable_because: str | None) -> MetricValue:
    """A value with the error that its influences give, or why they give none."""
    reason = unreliable_because if influence.any() else NO_SPREAD
    return MetricValue.of(
        value,
        num_images=influence.size,
        std_error=None if reason else float(np.sqrt(variance_of_mean(influence))),
        warnings=(reason,) if reason else (),
    )
