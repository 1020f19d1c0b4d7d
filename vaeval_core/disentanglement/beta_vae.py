"""The β-VAE score: in pairs of images that agree in one factor, do the differences of the codes tell which factor it is?

For each observation one factor is chosen, and 64 pairs of images that agree in it are drawn. The mean absolute difference of
their codes, (k,), goes to a linear classifier that has to name the factor; the score is its accuracy on other observations.

It is the most lenient of the scores: codes that mix two factors are enough, and one useful code can be missing.

Source: Higgins et al. 2017, «beta-VAE», section 3; the settings are those of Locatello et al. 2019.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from vaeval_core.disentanglement.fixed_factor_batches import (
    BATCH,
    SharingRows,
    chunks,
    one_of,
    per_factor,
)
from vaeval_core.disentanglement.labelled_codes import NUM_TEST, NUM_TRAIN, LabelledCodes, labelled_codes
from vaeval_core.disentanglement.linear_classifier import train_linear_classifier
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.seeding import uniform
from vaeval_core.types import Float64, Int64


def beta_vae_score(
    codes: ArrayLike, factors: ArrayLike, *, seed: int, num_train: int = NUM_TRAIN, num_test: int = NUM_TEST
) -> MetricValue:
    """Accuracy of the linear classifier on held-out observations; components are the accuracy for each fixed factor.

    Args:
        codes: (n, k) real numbers; differences are standardised, so that their scale does not matter.
        factors: (n, f) integers.
        seed: Of the observations.
        num_train: Observations that the classifier learns from.
        num_test: Observations that are counted.

    Returns:
        Between 0 and 1, higher is better; 1/f is chance. Not applicable for one factor, which is always right.

    Raises:
        InvalidInput: See `labelled_codes`.
        TooFewImages: Fewer than 10.
    """
    labelled = labelled_codes(codes, factors)
    if labelled.num_factors < 2:
        return MetricValue.not_applicable("The β-VAE score needs two factors or more to tell apart.")
    fixed, differences = _observe(labelled, seed, num_train + num_test)
    scale = differences[:num_train].std(axis=0)
    differences = (differences - differences[:num_train].mean(axis=0)) / np.where(scale > 0, scale, 1.0)
    classifier = train_linear_classifier(differences[:num_train], fixed[:num_train])
    correct = classifier.predict(differences[num_train:]) == fixed[num_train:]
    return MetricValue.of(
        float(correct.mean()),
        num_images=len(labelled),
        components=per_factor(correct, fixed[num_train:], labelled.num_factors),
        warnings=(*labelled.warnings, *classifier.warnings),
    )


def _observe(labelled: LabelledCodes, seed: int, num_points: int) -> tuple[Int64, Float64]:
    """For each observation the fixed factor, and the mean absolute differences of the codes (num_points, k)."""
    sharing = SharingRows(labelled)
    fixed, differences = np.empty(num_points, dtype=np.int64), np.empty((num_points, labelled.num_codes))
    for chunk in chunks(labelled, num_points):
        chances = uniform(seed, "pairs that share a factor", chunk, 1 + 2 * BATCH)
        fixed[chunk.start : chunk.stop] = one_of(labelled.num_factors, chances[:, 0])
        first = one_of(len(labelled), chances[:, 1 : 1 + BATCH])
        for factor in range(labelled.num_factors):
            chosen = np.flatnonzero(fixed[chunk.start : chunk.stop] == factor)
            second = sharing.draw(factor, first[chosen], chances[chosen, 1 + BATCH :])
            pairs = np.abs(labelled.codes[first[chosen]] - labelled.codes[second])
            differences[chunk.start + chosen] = pairs.mean(axis=1)
    return fixed, differences
