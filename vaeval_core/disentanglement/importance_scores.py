"""DCI: how the importance of codes for predicting factors is spread, and how well factors are predicted at all.

    R (k, f)        R[j, i]: importance of code j for predicting factor i, each column summing to 1
    disentanglement Σ_j ρ_j (1 - H_f(R[j, ·] / Σ R[j, ·]))      ρ_j: share of code j in all importance, H_f: entropy in base f
    completeness    the same over columns, entropy in base k
    informativeness mean over factors of R², the share of squared error that a constant guess leaves and the predictor saves,
                    on held-out images

Source: Eastwood and Williams 2018, «A framework for the quantitative evaluation of disentangled representations». Their
predictors are regressors, lasso and random forests; here it is gradient-boosted regression trees, whose importance is not
diluted by overfitting as that of fully grown forests is. Published tables mostly boost *classifiers* (Locatello et al. 2019),
and give accuracy as informativeness: `predictor="classifier"` does, at ten times the cost for factors of many values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from vaeval_core.disentanglement.labelled_codes import MAX_CODES, LabelledCodes, labelled_codes
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.types import Float64

ImportancePredictor = Literal["regressor", "classifier"]


@dataclass(frozen=True, eq=False)
class ImportanceScores:
    """The three scores of one set of predictors.

    Attributes:
        disentanglement: 1 if each code is important for one factor only; components per code.
        completeness: 1 if each factor needs one code only; components per factor.
        informativeness: 1 if every factor is predicted without error; components per factor.
        importances: R, (k, f) float64; empty if the scores are not applicable.
    """

    disentanglement: MetricValue
    completeness: MetricValue
    informativeness: MetricValue
    importances: Float64


def importance_scores(
    codes: ArrayLike, factors: ArrayLike, *, seed: int, predictor: ImportancePredictor = "regressor"
) -> ImportanceScores:
    """DCI of codes (n, k) and factors (n, f); each score lies in [0, 1], higher is better.

    Args:
        codes: (n, k) real numbers; standardised, so that their scale does not matter.
        factors: (n, f) integers; the regressor takes the number of a value as what to predict.
        seed: Of the split into training and test images, and of the trees.
        predictor: What is trained for each factor: 100 boosted trees of depth 3.

    Returns:
        Three values: not applicable beyond 256 codes; disentanglement needs two factors, completeness two codes.

    Raises:
        InvalidInput: See `labelled_codes`.
        TooFewImages: Fewer than 10.
    """
    labelled = labelled_codes(codes, factors)
    if labelled.num_codes > MAX_CODES:
        missing = MetricValue.not_applicable(
            f"There are {labelled.num_codes} codes; DCI is computed for up to {MAX_CODES}."
        )
        return ImportanceScores(missing, missing, missing, np.zeros((0, 0)))
    importances, predicted = _train(labelled, seed, predictor)
    return ImportanceScores(
        disentanglement=_value(importances, labelled, "Disentanglement needs two factors or more to tell apart."),
        completeness=_value(importances.T, labelled, "Completeness needs two codes or more to choose from."),
        informativeness=MetricValue.of(
            float(predicted.mean()),
            num_images=len(labelled),
            components=tuple(predicted.tolist()),
            warnings=labelled.warnings,
        ),
        importances=importances,
    )


def concentrations(importances: Float64) -> Float64:
    """1 - entropy of each row (r, c), in base c: 1 where one column has it all, 0 where all share alike or a row is 0."""
    totals = importances.sum(axis=1, keepdims=True)
    shares = np.divide(importances, totals, out=np.full_like(importances, 1 / importances.shape[1]), where=totals > 0)
    logarithms = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    nats = -(shares * logarithms).sum(axis=1)
    concentrated: Float64 = np.clip(1 - nats / np.log(importances.shape[1]), 0.0, 1.0)
    return concentrated


def mean_concentration(importances: Float64) -> float:
    """Mean of `concentrations`, each row weighted by its share of all importance; 0 if nothing is important."""
    weights = importances.sum(axis=1)
    total = float(weights.sum())
    return float(concentrations(importances) @ weights) / total if total > 0 else 0.0


def _value(importances: Float64, labelled: LabelledCodes, needs: str) -> MetricValue:
    if importances.shape[1] < 2:
        return MetricValue.not_applicable(needs)
    return MetricValue.of(
        mean_concentration(importances),
        num_images=len(labelled),
        components=tuple(concentrations(importances).tolist()),
        warnings=labelled.warnings,
    )


def _train(labelled: LabelledCodes, seed: int, predictor: ImportancePredictor) -> tuple[Float64, Float64]:
    """Importances (k, f), and how well each factor is predicted on the test images (f,)."""
    from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor

    training, test = labelled.split(seed)
    codes = labelled.standardised()  # scikit-learn's trees take values closer than 1e-7 as equal
    importances = np.zeros((labelled.num_codes, labelled.num_factors))
    predicted = np.zeros(labelled.num_factors)
    for factor, classes in enumerate(labelled.factors.T):
        random_state = seed % 2**32
        if predictor == "classifier":
            classifier = GradientBoostingClassifier(random_state=random_state)
            classifier.fit(codes[training], classes[training])
            importances[:, factor] = classifier.feature_importances_
            predicted[factor] = (classifier.predict(codes[test]) == classes[test]).mean()
        else:
            regressor = GradientBoostingRegressor(random_state=random_state)
            regressor.fit(codes[training], classes[training].astype(np.float64))
            importances[:, factor] = regressor.feature_importances_
            error = np.square(regressor.predict(codes[test]) - classes[test]).mean()
            error_of_guess = np.square(classes[training].mean() - classes[test]).mean()
            predicted[factor] = max(0.0, 1 - float(error / error_of_guess)) if error_of_guess > 0 else 0.0
    return importances, predicted
