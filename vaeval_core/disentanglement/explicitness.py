"""Explicitness: can a linear classifier on all codes together read off each value of each factor?

    explicitness = mean over factors of the mean over values of the area under the ROC curve «this value or another»

of a softmax classifier, on held-out images.

Source: Ridgeway and Mozer 2018, arXiv:1802.05312, section 3; not rescaled, as Locatello et al. 2019.
"""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from vaeval_core.disentanglement.labelled_codes import MAX_CODES, labelled_codes
from vaeval_core.disentanglement.linear_classifier import train_linear_classifier
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.types import Float64


def explicitness(codes: ArrayLike, factors: ArrayLike, *, seed: int) -> MetricValue:
    """Explicitness of codes (n, k) and factors (n, f); components are those of the factors.

    Args:
        codes: (n, k) real numbers; standardised, so that their scale does not matter.
        factors: (n, f) integers.
        seed: Of the split into training and test images.

    Returns:
        About ½, which is chance, to 1; higher is better. Values that are missing among the training or the test images are
        left out of the mean. Not applicable beyond 256 codes.

    Raises:
        InvalidInput: See `labelled_codes`.
        TooFewImages: Fewer than 10.
    """
    labelled = labelled_codes(codes, factors)
    if labelled.num_codes > MAX_CODES:
        return MetricValue.not_applicable(
            f"There are {labelled.num_codes} codes; explicitness is computed for up to {MAX_CODES}."
        )
    training, test = labelled.split(seed)
    standardised = labelled.standardised()
    areas, notes = [], list(labelled.warnings)
    for factor, num_values in enumerate(labelled.num_values):
        classes = labelled.factors[:, factor]
        known = np.intersect1d(classes[training], classes[test])
        if len(known) < 2:
            return MetricValue.not_applicable(
                f"Factor {factor} has too few images to train on some and test on others: {len(known)} of its values are "
                "among both."
            )
        classifier = train_linear_classifier(standardised[training], classes[training])
        chances = classifier.probabilities(standardised[test], num_values)
        areas.append(np.mean([area_under_curve(chances[:, value], classes[test] == value) for value in known]))
        notes += [f"Factor {factor}: {note}" for note in classifier.warnings]
    return MetricValue.of(
        float(np.mean(areas)),
        num_images=len(labelled),
        components=tuple(float(area) for area in areas),
        warnings=tuple(notes),
    )


def area_under_curve(scores: Float64, is_positive: NDArray[np.bool_]) -> float:
    """Chance that a random positive has a higher score than a random negative, ties counting half.

    Args:
        scores: (n,), the higher the likelier positive.
        is_positive: (n,), some but not all True.
    """
    num_positive = int(is_positive.sum())
    num_negative = len(scores) - num_positive
    wins = scipy.stats.rankdata(scores)[is_positive].sum() - num_positive * (num_positive + 1) / 2
    return float(wins / (num_positive * num_negative))
