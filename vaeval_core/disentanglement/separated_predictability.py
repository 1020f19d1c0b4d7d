"""SAP: how much better one code alone predicts a factor than the second best code alone does.

    SAP = mean over factors of [s₍₁₎ - s₍₂₎]        s: how well a single code predicts the factor on held-out images

Source: Kumar et al. 2018, arXiv:1711.00848, section 3. Their predictor is a set of thresholds on the code for a factor of
classes, with balanced accuracy, and a line for a continuous factor, with its squared correlation. Published tables mostly
use a linear support vector machine instead (Locatello et al. 2019): one line for each value against the rest, which cannot
single out most of eight values, however well the code tells them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from vaeval_core.disentanglement.labelled_codes import MAX_CODES, LabelledCodes, labelled_codes
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.types import Float64, Int64

Predictor = Literal["thresholds", "squared-correlation", "linear-svm"]
"""`thresholds` takes any classes; `squared-correlation` takes them as ordered; `linear-svm` compares with published tables."""

_Score = Callable[[Float64, Int64, Float64, Int64], float]


def separated_attribute_predictability(
    codes: ArrayLike, factors: ArrayLike, *, seed: int, predictor: Predictor = "thresholds"
) -> MetricValue:
    """SAP of codes (n, k) and factors (n, f); components are the gaps of the factors.

    Args:
        codes: (n, k) real numbers; standardised, so that their scale does not matter.
        factors: (n, f) integers.
        seed: Of the split into training and test images.
        predictor: What predicts a factor from one code.

    Returns:
        Between 0 and, for thresholds, the mean over factors of 1 - 1/values: a code that tells nothing still guesses.
        Higher is better. A single code is compared with one that tells nothing. Not applicable beyond 256 codes.

    Raises:
        InvalidInput: See `labelled_codes`.
        TooFewImages: Fewer than 10.
    """
    labelled = labelled_codes(codes, factors)
    if labelled.num_codes > MAX_CODES:
        return MetricValue.not_applicable(
            f"There are {labelled.num_codes} codes; SAP is computed for up to {MAX_CODES}."
        )
    scores = _scores(labelled, seed, _SCORES[predictor])
    if labelled.num_codes == 1:
        chance = 1 / np.array(labelled.num_values) if predictor != "squared-correlation" else np.zeros(scores.shape[1])
        scores = np.vstack([scores, chance])
    ranked = -np.sort(-scores, axis=0)
    gaps = ranked[0] - ranked[1]
    return MetricValue.of(
        float(gaps.mean()), num_images=len(labelled), components=tuple(gaps.tolist()), warnings=labelled.warnings
    )


def _scores(labelled: LabelledCodes, seed: int, score: _Score) -> Float64:
    """(k, f): how well each code alone predicts each factor."""
    training, test = labelled.split(seed)
    codes = labelled.standardised()
    scores = np.zeros((labelled.num_codes, labelled.num_factors))
    for factor, classes in enumerate(labelled.factors.T):
        for code, values in enumerate(codes.T):
            scores[code, factor] = score(values[training], classes[training], values[test], classes[test])
    return scores


def _by_thresholds(values: Float64, classes: Int64, test_values: Float64, test_classes: Int64) -> float:
    """Balanced accuracy of the best intervals, as many as there are classes."""
    from sklearn.tree import DecisionTreeClassifier

    num_classes = max(2, len(np.unique(classes)))
    tree = DecisionTreeClassifier(max_leaf_nodes=num_classes, class_weight="balanced", random_state=0)
    predicted = tree.fit(values[:, np.newaxis], classes).predict(test_values[:, np.newaxis])
    return float(np.mean([(predicted[test_classes == value] == value).mean() for value in np.unique(test_classes)]))


def _by_linear_svm(values: Float64, classes: Int64, test_values: Float64, test_classes: Int64) -> float:
    """Accuracy of the classifier that published tables use."""
    from sklearn.svm import LinearSVC

    machine = LinearSVC(C=0.01, class_weight="balanced", dual=False)
    predicted = machine.fit(values[:, np.newaxis], classes).predict(test_values[:, np.newaxis])
    return float((predicted == test_classes).mean())


def _by_squared_correlation(values: Float64, classes: Int64, test_values: Float64, test_classes: Int64) -> float:
    """Squared correlation over all images given: nothing is fitted, so nothing is held out."""
    code = np.concatenate([values, test_values])
    factor = np.concatenate([classes, test_classes]).astype(np.float64)
    code, factor = code - code.mean(), factor - factor.mean()
    spread = float((code @ code) * (factor @ factor))
    return float(code @ factor) ** 2 / spread if spread > 0 else 0.0


_SCORES: dict[Predictor, _Score] = {
    "thresholds": _by_thresholds,
    "squared-correlation": _by_squared_correlation,
    "linear-svm": _by_linear_svm,
}
