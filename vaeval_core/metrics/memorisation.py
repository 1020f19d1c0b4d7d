"""Authenticity: does the model make images, or does it return those that it was trained on?

    a generated row y is authentic  ⟺  |y - x| > |x - x′|        x: the training row nearest to y
    authenticity = share of authentic rows                       x′: the training row nearest to x

A row that is nearer to a training image than any other training image is counts as copied. Source: Alaa et al. 2022, «How
faithful is your synthetic data?», arXiv:2102.08921; in features of images, as AuthPct: Stein et al. 2023, arXiv:2306.04675.

    >>> training = np.array([[3.0], [10.0], [12.0]])
    >>> authenticity(np.array([[15.0], [4.0], [13.0]]), training).value      # only 15 is further out than 10 is from 12
    0.3333333333333333
"""

from __future__ import annotations

import numpy as np

from vaeval_core.errors import InvalidInput
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.metrics.feature_blocks import Features, as_blocks, require_same_length
from vaeval_core.metrics.neighbourhoods import Balls
from vaeval_core.metrics.pair_statistics import PairStatistics, SetStatistics, statistics_of
from vaeval_core.metrics.row_pairs import pairs_between
from vaeval_core.metrics.shares import error_of_share
from vaeval_core.types import Float64


def authenticity(
    generated: Features, training: Features, *, known_training: SetStatistics | None = None
) -> MetricValue:
    """Share of generated images that are no copies of training images.

    Args:
        generated: (m, d) features, m ≥ 2.
        training: (n, d) features of the images that the model was trained on, n ≥ 2.
        known_training: What `set_statistics` gave for the same training set, with one neighbour or more.

    Returns:
        0 to 1; higher is more authentic, which is not better by itself: noise is authentic. What real images have that were
        not trained on depends on the dimension of the data, so compare with theirs. The standard error is that of a
        share (`shares`): other generated images, the same training set. A warning counts the images that are, to rounding, a
        training image.

    Raises:
        TooFewImages: Either set has fewer than two rows.
        InvalidInput: A feature is not finite, or the dimensions differ.
    """
    generated_blocks, training_blocks = as_blocks(generated, "generated"), as_blocks(training, "training")
    require_same_length(generated_blocks, training_blocks)
    known = statistics_of(training_blocks, known_training, 1)
    balls = Balls.empty(generated_blocks.shape[0], known.squared_radii(1), None)
    with np.errstate(over="ignore", invalid="ignore"):
        for pairs in pairs_between(generated_blocks, training_blocks, known.origin):
            balls.add(pairs)
    return _authenticity(balls, known.squared_radii(1))


def authenticity_of(pairs: PairStatistics) -> MetricValue:
    """Authenticity from statistics against a reference that is the training set; see `authenticity`."""
    if pairs.balls is None:
        raise InvalidInput(
            "Authenticity needs neighbours.", received=f"neighbours={pairs.neighbours}", expected="1 or more"
        )
    return _authenticity(pairs.balls, pairs.reference.squared_radii(1))


def _authenticity(balls: Balls, nearest_training: Float64) -> MetricValue:
    count = balls.nearest_distance.size
    if not np.isfinite(balls.nearest_distance).all():
        return MetricValue.of(np.nan, num_images=count)
    is_authentic = balls.nearest_distance > nearest_training[balls.nearest_reference]
    copies = int((balls.nearest_distance == 0).sum())
    warning = f"{copies} of {count} generated images have the features of a training image."
    return MetricValue.of(
        float(is_authentic.mean()),
        num_images=count,
        std_error=error_of_share(int(is_authentic.sum()), count),
        warnings=(warning,) if copies else (),
    )
